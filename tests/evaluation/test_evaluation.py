import csv
import dataclasses
import shutil

import numpy as np
import pytest
from PIL import Image

import keras_tim
from keras_tim.evaluation import EvaluationSettings, evaluate
from keras_tim.evaluation.evaluation import picture_seed
from keras_tim.images import read_picture, write_picture
from keras_tim.metrics import fidelity_summary, frechet_inception_distance
from keras_tim.recipes import get_recipe
from keras_tim.runs import RunSettings, examples_report

SETTINGS = EvaluationSettings(num_samples=3, seed=5)

# Numbers that come out of networks need their published weights.
pytestmark = pytest.mark.usefixtures("lpips_weights")


@pytest.fixture(scope="module")
def finished(tim, recipe, tmp_path_factory):
    """A folder with an evaluation of all four pictures, and its result."""
    folder = tmp_path_factory.mktemp("evaluations") / "all"
    result = evaluate(
        tim, recipe, folder, SETTINGS, model="tiny model", verbose=0
    )
    return folder, result


@pytest.fixture
def copied(finished, tmp_path):
    """The same, to be changed."""
    folder = tmp_path / "evaluation"
    shutil.copytree(finished[0], folder)
    return folder


def rows_of(result):
    return {row["key"]: row for row in result["table"]}


def times(folder):
    return {
        path.name: path.stat().st_mtime_ns
        for path in (folder / "pictures").iterdir()
    }


def test_the_table_holds_means_over_the_pictures(finished, tim, recipe):
    _, result = finished
    assert [p["name"] for p in result["pictures"]] == [
        "astronaut.png",
        "chelsea.png",
        "coffee.png",
        "rocket.png",
    ]
    rows = rows_of(result)
    best, plain = [], []
    for picture, (_, given, target) in zip(
        result["pictures"], recipe.examples(tim), strict=True
    ):
        samples = tim.sample(given[None], num_samples=3, seed=picture["seed"])
        samples = samples[0]
        best.append(fidelity_summary(samples, target, "psnr").best)
        (_, enlarged) = tim.baseline(given, target.shape[:2])
        plain.append(fidelity_summary(enlarged[None], target, "psnr").mean)
    row = rows["psnr_best"]
    assert row["samples"] == pytest.approx(np.mean(best), rel=1e-6)
    assert row["samples_standard_error"] == pytest.approx(
        np.std(best, ddof=1) / 2, rel=1e-5
    )
    assert row["baseline"] is None
    assert row["n"] == 4
    row = rows["psnr_mean"]
    assert row["baseline"] == pytest.approx(np.mean(plain), rel=1e-6)
    assert rows["pairs_alex_all"]["samples"] > 0
    narrow, middle, wide = (
        rows[f"variance_alex_{b}"]["samples"] for b in (0.15, 0.2, 0.3)
    )
    assert 0 < narrow < middle < wide


def test_a_run_reports_the_same_by_the_same_names(finished, tim, recipe):
    _, result = finished
    for picture, example in zip(
        result["pictures"], recipe.examples(tim), strict=True
    ):
        (row,) = examples_report(
            tim, [example], num_samples=3, seed=picture["seed"]
        )
        assert row.keys() == picture.keys()
        for which in ("samples", "baseline"):
            assert row[which] == pytest.approx(picture[which], rel=1e-5)
        named = ("name", "num_samples", "baseline_name", "faithfulness_name")
        assert [row[key] for key in named] == [picture[key] for key in named]
    keys = [line["key"] for line in result["table"]]
    assert set(keys) == set(row["samples"])


def test_every_picture_has_codes_of_its_own(finished):
    _, result = finished
    assert len({picture["seed"] for picture in result["pictures"]}) == 4
    seeds = {picture_seed(seed, "a.png") for seed in range(100)}
    assert len(seeds) == 100
    assert all(0 <= seed < 2**31 for seed in seeds)


def test_the_three_files_say_the_same(finished, read_json):
    folder, result = finished
    assert read_json(folder / "evaluation.json") == result
    with open(folder / "evaluation.csv", newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["key"] for line in lines] == list(rows_of(result))
    text = (folder / "evaluation.md").read_text()
    for line, row in zip(lines, result["table"], strict=True):
        assert float(line["samples"]) == row["samples"]
        assert f"{row['samples']:.{row['digits']}f}" in text
    # And how the numbers came about.
    versions = result["settings"]["packages"]
    said = [
        "tiny model",
        result["date"],
        f"keras {versions['keras']}",
        f"tensorflow {versions['tensorflow']}",
        result["settings"]["weights"],
        "super_resolution",
    ]
    for content in (text, str(lines[0])):
        assert [fact for fact in said if fact not in content] == []
    assert "4, 3 samples each, seed 5" in text
    assert "alex; bandwidths 0.3, 0.2, 0.15" in text
    assert (lines[0]["num_samples"], lines[0]["seed"]) == ("3", "5")


def test_pictures_to_look_at(finished):
    folder, result = finished
    ranked = sorted(
        result["pictures"], key=lambda p: p["samples"]["lpips_alex_mean"]
    )
    names = [p["name"].removesuffix(".png") for p in ranked]
    for label, name in zip(
        ("best_1", "best_2", "worst_2", "worst_1"), names, strict=True
    ):
        (path,) = folder.glob(f"{label}_*.png")
        assert name in path.name
        assert read_picture(path).std() > 0.05
    assert read_picture(folder / "diversity_maps.png").std() > 0.05
    assert not list(folder.rglob("*part*"))


def test_the_order_of_the_pictures_changes_nothing(
    finished, tim, recipe, tmp_path
):
    class Reversed(type(recipe)):
        def listed(self, tim, names=None, crop=None):
            return super().listed(tim, names, crop)[::-1]

    result = evaluate(
        tim, Reversed(recipe.settings), tmp_path, SETTINGS, verbose=0
    )
    assert result["table"] == finished[1]["table"]
    assert result["pictures"] == finished[1]["pictures"][::-1]


def test_a_rerun_repeats_no_finished_picture(copied, finished, tim, recipe):
    before = times(copied)
    (lost,) = (copied / "pictures").glob("coffee*.json")
    lost.unlink()
    result = evaluate(
        tim, recipe, copied, SETTINGS, model="tiny model", verbose=0
    )
    after = times(copied)
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {lost.name}
    assert result == finished[1]


def test_what_is_finished_is_neither_read_nor_sampled(
    copied, finished, tim, recipe, monkeypatch
):
    def fail(*args, **kwargs):
        raise AssertionError("sampled again")

    monkeypatch.setattr(keras_tim.TIM, "sample", fail)
    result = evaluate(
        tim, recipe, copied, SETTINGS, model="tiny model", verbose=0
    )
    assert result == finished[1]


def test_more_pictures_can_be_asked_for_later(finished, tim, recipe, tmp_path):
    few = dataclasses.replace(SETTINGS, count=2)
    result = evaluate(tim, recipe, tmp_path, few, model="tiny model", verbose=0)
    # Spread over all of them.
    assert [p["name"] for p in result["pictures"]] == [
        "astronaut.png",
        "rocket.png",
    ]
    before = times(tmp_path)
    result = evaluate(
        tim, recipe, tmp_path, SETTINGS, model="tiny model", verbose=0
    )
    assert result["table"] == finished[1]["table"]
    after = times(tmp_path)
    assert len(after) == 4
    assert all(after[name] == before[name] for name in before)
    # The sheets are those of all four.
    assert len(list(tmp_path.glob("best_*.png"))) == 2
    assert len(list(tmp_path.glob("worst_*.png"))) == 2


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({"num_samples": 2}, "num_samples"),
        ({"seed": 6}, "seed"),
        ({"bandwidths": (0.3,)}, "bandwidths"),
        ({"crop": 16}, "crop"),
        ({"nets": ("alex", "vgg")}, "nets"),
    ],
)
def test_other_settings_are_refused(changed, name, copied, tim, recipe):
    before = times(copied)
    settings = dataclasses.replace(SETTINGS, **changed)
    with pytest.raises(FileExistsError, match=rf"settings \({name}\)"):
        evaluate(tim, recipe, copied, settings, verbose=0)
    assert times(copied) == before


def test_other_weights_and_data_are_refused(copied, make_tim, tim, recipe):
    other = make_tim(quick=True)
    weight = other.trainable_variables[0]
    weight.assign(weight + 1e-6)
    with pytest.raises(FileExistsError, match=r"settings \(weights\)"):
        evaluate(other, recipe, copied, SETTINGS, verbose=0)
    settings = dataclasses.replace(recipe.settings, downsample=2)
    with pytest.raises(FileExistsError, match=r"settings \(data\)"):
        evaluate(tim, type(recipe)(settings), copied, SETTINGS, verbose=0)


def test_overwriting_begins_anew(copied, tim, recipe):
    settings = EvaluationSettings(num_samples=1, count=1)
    result = evaluate(tim, recipe, copied, settings, overwrite=True, verbose=0)
    assert len(times(copied)) == 1
    assert len(list(copied.glob("best_*.png"))) == 1
    assert not list(copied.glob("worst_*.png"))
    # Of one sample there is no diversity to map.
    assert not (copied / "diversity_maps.png").exists()
    assert "pairs_alex_all" not in rows_of(result)
    # Of one picture there is no standard error.
    assert rows_of(result)["psnr_mean"]["samples_standard_error"] is None


@pytest.mark.parametrize("overwrite", [False, True])
def test_another_folder_of_pictures_is_left_alone(
    overwrite, tmp_path, tim, recipe
):
    photo = tmp_path / "pictures" / "mine.png"
    photo.parent.mkdir()
    photo.write_bytes(b"dear to me")
    with pytest.raises(FileExistsError, match="something else"):
        evaluate(
            tim, recipe, tmp_path, SETTINGS, overwrite=overwrite, verbose=0
        )
    assert photo.read_bytes() == b"dear to me"


@pytest.mark.parametrize(
    "name", ["evaluation.md", "diversity_maps.png", "inversions.png"]
)
def test_results_of_somebody_else_are_left_alone(name, tmp_path, tim, recipe):
    (tmp_path / name).write_bytes(b"dear to me")
    with pytest.raises(FileExistsError, match=rf"{name}.*something else"):
        evaluate(tim, recipe, tmp_path, SETTINGS, overwrite=True, verbose=0)
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("content", ["{}", "[1]", "{ // of an editor\n}", ""])
@pytest.mark.parametrize("overwrite", [False, True])
def test_settings_of_somebody_else_are_left_alone(
    content, overwrite, tmp_path, tim, recipe
):
    photo = tmp_path / "pictures" / "mine.png"
    photo.parent.mkdir()
    photo.write_bytes(b"dear to me")
    (tmp_path / "settings.json").write_text(content)
    (tmp_path / "best_1_of_all.png").write_bytes(b"dear to me")
    with pytest.raises(FileExistsError, match=r"settings\.json is damaged, or"):
        evaluate(
            tim, recipe, tmp_path, SETTINGS, overwrite=overwrite, verbose=0
        )
    assert photo.read_bytes() == b"dear to me"
    assert (tmp_path / "settings.json").read_text() == content
    assert (tmp_path / "best_1_of_all.png").exists()


def test_overwriting_removes_nothing_but_results(copied, tim, recipe):
    mine = [
        copied / "pictures" / "notes.txt",
        copied / "pictures" / "mine.png",
        copied / "best_1_of_all.png",
    ]
    for path in mine:
        path.write_bytes(b"dear to me")
    settings = EvaluationSettings(num_samples=1, count=1)
    evaluate(tim, recipe, copied, settings, overwrite=True, verbose=0)
    assert len(list((copied / "pictures").glob("*.json"))) == 1
    assert [path.read_bytes() for path in mine] == [b"dear to me"] * 3


def test_overwriting_that_was_killed_goes_on(
    copied, finished, tim, recipe, monkeypatch
):
    settings = dataclasses.replace(SETTINGS, num_samples=1)

    def killed(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("keras_tim.evaluation.evaluation.remove_sheets", killed)
        with pytest.raises(KeyboardInterrupt):
            evaluate(tim, recipe, copied, settings, overwrite=True, verbose=0)
    # The earlier one is still known for what it is.
    result = evaluate(
        tim, recipe, copied, SETTINGS, model="tiny model", verbose=0
    )
    assert result == finished[1]


@pytest.mark.parametrize(
    "content", [b"", b"{", b"null", b'{"name": "coffee.png"}', b"\xff\0"]
)
def test_damaged_numbers_of_a_picture_are_measured_again(
    content, copied, finished, tim, recipe, caplog
):
    before = times(copied)
    (damaged,) = (copied / "pictures").glob("coffee*.json")
    damaged.write_bytes(content)
    result = evaluate(
        tim, recipe, copied, SETTINGS, model="tiny model", verbose=0
    )
    assert result == finished[1]
    after = times(copied)
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {damaged.name}
    assert f"{damaged} is damaged" in caplog.text


def test_crops_take_the_place_of_whole_pictures(tim, recipe, tmp_path):
    settings = EvaluationSettings(num_samples=2, crop=18, count=5)
    result = evaluate(tim, recipe, tmp_path, settings, verbose=0)
    # 18 becomes 16; 40 x 48 pixels hold 2 x 3 of them, 40 x 40 hold 2 x 2.
    assert [p["name"] for p in result["pictures"]] == [
        "astronaut.png 0,0",
        "astronaut.png 16,32",
        "coffee.png 0,0",
        "coffee.png 16,16",
        "rocket.png 16,16",
    ]
    assert {tuple(p["size"]) for p in result["pictures"]} == {(16, 16)}


def test_a_damaged_picture_is_skipped_and_named(
    tim, photo_folder, tmp_path, caplog
):
    folder = tmp_path / "photos"
    shutil.copytree(photo_folder, folder)
    whole = (folder / "coffee.png").read_bytes()
    (folder / "coffee.png").write_bytes(whole[: len(whole) // 2])
    recipe = get_recipe("super_resolution")(RunSettings(data=str(folder)))
    result = evaluate(tim, recipe, tmp_path / "out", SETTINGS, verbose=0)
    assert result["skipped"] == ["coffee.png"]
    assert len(result["pictures"]) == 3
    for name in ("astronaut", "chelsea", "rocket"):
        (folder / f"{name}.png").unlink()
    with pytest.raises(ValueError, match="None of the 1 pictures"):
        evaluate(tim, recipe, tmp_path / "other", SETTINGS, verbose=0)


def test_pictures_left_out_at_the_start_are_named(tim, photo_folder, tmp_path):
    folder = tmp_path / "photos"
    shutil.copytree(photo_folder, folder)
    (folder / "a_text.png").write_text("no picture")
    write_picture(folder / "small.png", np.zeros((3, 40, 3)))
    recipe = get_recipe("super_resolution")(RunSettings(data=str(folder)))
    result = evaluate(tim, recipe, tmp_path / "out", SETTINGS, verbose=0)
    assert result["skipped"] == ["a_text.png", "small.png"]
    assert len(result["pictures"]) == 4
    # What is not asked for is not missed.
    names = ("coffee", "small")
    result = evaluate(
        tim, recipe, tmp_path / "few", SETTINGS, names=names, verbose=0
    )
    assert result["skipped"] == ["small.png"]


def test_pictures_beyond_the_memory_are_left_out(
    tim, photo_folder, tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr("keras_tim.inference.reading.LARGEST_OUTPUT", 40 * 44)
    recipe = get_recipe("super_resolution")(RunSettings(data=str(photo_folder)))
    result = evaluate(tim, recipe, tmp_path, SETTINGS, verbose=0)
    # They are 48 pixels wide, the others 40.
    assert result["skipped"] == ["astronaut.png", "coffee.png"]
    assert "astronaut.png has 48 x 40 pixels" in caplog.text


def test_regression_has_no_diversity(make_tim, recipe, tmp_path):
    tim = make_tim(quick=True, stochastic=False)
    settings = dataclasses.replace(SETTINGS, count=1)
    rows = rows_of(evaluate(tim, recipe, tmp_path, settings, verbose=0))
    for key, row in rows.items():
        if key.startswith(("pairs", "variance", "ntire")):
            assert row["samples"] == pytest.approx(0.0, abs=1e-7), key
    mean, best, mean_image = (
        rows[f"lpips_alex_{which}"]["samples"]
        for which in ("mean", "best", "mean_image")
    )
    assert mean == pytest.approx(best, rel=1e-5)
    assert mean == pytest.approx(mean_image, rel=1e-4)


@pytest.fixture
def mean_colour():
    """A quick extractor: three features."""
    import keras

    return keras.Sequential(
        [
            keras.Input((None, None, 3)),
            keras.layers.GlobalAveragePooling2D(),
        ],
        name="mean_colour",
    )


def test_distances_of_sets(tim, recipe, tmp_path, mean_colour):
    settings = dataclasses.replace(SETTINGS, fid=True)
    result = evaluate(
        tim, recipe, tmp_path, settings, extractor=mean_colour, verbose=0
    )
    rows = rows_of(result)
    targets, samples, plain = [], [], []
    for picture, (_, given, target) in zip(
        result["pictures"], recipe.examples(tim), strict=True
    ):
        seed = picture["seed"]
        targets.append(target)
        samples.append(tim.sample(given[None], num_samples=3, seed=seed)[0])
        plain.append(tim.baseline(given, target.shape[:2])[1])
    every = [sample for group in samples for sample in group]
    for key, kind, pictures in (
        ("fid_one_sample", "samples", [group[0] for group in samples]),
        ("fid_one_sample", "baseline", plain),
        ("fid_all_samples", "samples", every),
    ):
        expected = frechet_inception_distance(
            [x[None] for x in targets], [x[None] for x in pictures], mean_colour
        )
        assert rows[key][kind] == pytest.approx(expected, rel=1e-4), key
    assert rows["fid_one_sample"]["n"] == 4
    assert rows["fid_all_samples"]["n"] == 12
    assert rows["kid_one_sample"]["samples_standard_error"] > 0
    # More pictures than features: nothing to warn of.
    assert result["notes"] == []
    # A rerun takes them from the disk.
    again = evaluate(
        tim, recipe, tmp_path, settings, extractor=mean_colour, verbose=0
    )
    assert again["table"] == result["table"]
    # But for those that are damaged or gone.
    damaged, gone, *_ = sorted((tmp_path / "pictures").glob("*.npz"))
    damaged.write_bytes(damaged.read_bytes()[:100])
    gone.unlink()
    again = evaluate(
        tim, recipe, tmp_path, settings, extractor=mean_colour, verbose=0
    )
    assert again["table"] == result["table"]


def test_few_pictures_for_so_many_features_are_noted(
    tim, recipe, tmp_path, mean_colour
):
    import keras

    wide = keras.Sequential(
        [mean_colour, keras.layers.Dense(8, name="wide")], name="wide"
    )
    settings = dataclasses.replace(SETTINGS, fid=True, count=3)
    result = evaluate(
        tim, recipe, tmp_path, settings, extractor=wide, verbose=0
    )
    (note,) = result["notes"]
    assert "biased upwards" in note
    assert "3 observed" in note
    assert note in (tmp_path / "evaluation.md").read_text()


def test_sets_of_two_are_refused(tim, recipe, tmp_path):
    settings = dataclasses.replace(SETTINGS, fid=True, count=2)
    with pytest.raises(ValueError, match="`fid` needs 3 pictures"):
        evaluate(tim, recipe, tmp_path, settings, verbose=0)
    assert not list(tmp_path.iterdir())


def test_inversions(copied, finished, tim, recipe, read_json):
    before = times(copied)
    settings = dataclasses.replace(
        SETTINGS, invert=2, inversion_steps=12, inversion_net="alex"
    )
    result = evaluate(tim, recipe, copied, settings, verbose=0)
    # The samples are those that were measured before.
    assert times(copied) == before
    assert result["table"][: len(finished[1]["table"])] == finished[1]["table"]
    first, last = result["inversions"]
    assert (first["name"], last["name"]) == ("astronaut.png", "rocket.png")
    rows = rows_of(result)
    for inversion, picture in ((first, 0), (last, 3)):
        random = result["pictures"][picture]["each"]["lpips_alex"]
        (nearest,) = inversion["nets"].values()
        assert nearest["random_mean"] == pytest.approx(np.mean(random))
        assert nearest["random_best"] == pytest.approx(min(random))
        assert nearest["distance"] < nearest["random_mean"]
        assert nearest["ratio"] == pytest.approx(
            nearest["distance"] / nearest["random_mean"]
        )
        assert inversion["path_steps"] == list(range(13))
        assert min(inversion["path_distances"]) == pytest.approx(
            nearest["distance"], rel=1e-4
        )
        assert len(inversion["path_faithfulness"]) == 13
    for key, values in (
        (
            "inversion_alex_ratio",
            [x["nets"]["alex"]["ratio"] for x in (first, last)],
        ),
        (
            "path_worst",
            [min(x["path_faithfulness"]) for x in (first, last)],
        ),
        (
            "path_mean",
            [np.mean(x["path_faithfulness"]) for x in (first, last)],
        ),
    ):
        assert rows[key]["samples"] == pytest.approx(np.mean(values)), key
        assert rows[key]["n"] == 2
    folder = copied / "inversions"
    assert len(list(folder.glob("*.png"))) == 2
    for path in folder.glob("*.webp"):
        with Image.open(path) as film:
            assert film.n_frames == 13
    assert read_picture(copied / "inversions.png").std() > 0.05
    written = {p: p.stat().st_mtime_ns for p in folder.iterdir()}
    assert evaluate(tim, recipe, copied, settings, verbose=0) == result
    assert {p: p.stat().st_mtime_ns for p in folder.iterdir()} == written
    # What is damaged is made again.
    next(folder.glob("astronaut*.json")).write_text("{")
    next(folder.glob("rocket*.png")).write_bytes(b"")
    assert evaluate(tim, recipe, copied, settings, verbose=0) == result
    assert "only that network sees" in result["notes"][0]
    # Without them nothing is lost, with other steps they are refused.
    evaluate(tim, recipe, copied, SETTINGS, verbose=0)
    settings = dataclasses.replace(settings, inversion_steps=11)
    with pytest.raises(FileExistsError, match=r"settings \(inversion\)"):
        evaluate(tim, recipe, copied, settings, verbose=0)


def test_another_network_looks_at_what_was_reached(tim, recipe, tmp_path):
    settings = EvaluationSettings(
        num_samples=2,
        crop=32,
        count=1,
        invert=1,
        inversion_steps=3,
    )
    result = evaluate(tim, recipe, tmp_path, settings, verbose=0)
    (inversion,), rows = result["inversions"], rows_of(result)
    # Descended under, and measured with.
    assert list(inversion["nets"]) == ["vgg", "alex"]
    assert inversion["nets"]["vgg"]["distance"] == pytest.approx(
        min(inversion["path_distances"]), rel=1e-4
    )
    for net in ("vgg", "alex"):
        found = inversion["nets"][net]
        assert found["distance"] > 0
        for key in ("distance", "random_mean", "ratio"):
            row = rows[f"inversion_{net}_{key}"]
            assert row["samples"] == found[key]
    assert inversion["nets"]["alex"]["random_mean"] == pytest.approx(
        rows["lpips_alex_mean"]["samples"]
    )


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"num_samples": 0}, "`num_samples`"),
        ({"count": 0}, "`count`"),
        ({"crop": 2.5}, "`crop`"),
        ({"invert": -1}, "`invert`"),
        ({"nets": ("resnet",)}, "`nets`"),
        ({"nets": ()}, "`nets`"),
        ({"bandwidths": (0.3, 0.0)}, "`bandwidths`"),
        ({"inversion_learning_rate": 0.0}, "`inversion_learning_rate`"),
        ({"inversion_net": "resnet"}, "`inversion_net`"),
    ],
)
def test_settings_out_of_range(wrong, message):
    with pytest.raises(ValueError, match=message):
        EvaluationSettings(**wrong)


def test_a_task_without_crops_says_so(make_tim, tmp_path):
    tim = make_tim("layout_synthesis", quick=True)
    recipe = get_recipe("layout_synthesis")(
        RunSettings.of_task("layout_synthesis")
    )
    settings = EvaluationSettings(crop=64)
    with pytest.raises(ValueError, match="`crop` must be None for layout"):
        evaluate(tim, recipe, tmp_path / "out", settings, verbose=0)
    assert not (tmp_path / "out").exists()


def test_crops_too_small_and_too_large(tim, recipe, tmp_path):
    for crop, message in ((3, "at least 4"), (60, "at least 60 x 60")):
        settings = EvaluationSettings(crop=crop)
        with pytest.raises(ValueError, match=message):
            evaluate(tim, recipe, tmp_path, settings, verbose=0)


def test_an_empty_folder_says_so(tim, tmp_path):
    (tmp_path / "empty").mkdir()
    settings = RunSettings(data=str(tmp_path / "empty"))
    recipe = get_recipe("super_resolution")(settings)
    with pytest.raises(FileNotFoundError, match="at least one picture"):
        evaluate(tim, recipe, tmp_path / "out", SETTINGS, verbose=0)


def test_names_of_a_folder_within_a_folder(tim, tmp_path):
    # Names that read alike must not share a file.
    photo = np.random.default_rng(0).random((16, 16, 3)).astype("float32")
    for name in ("a/b.png", "a_b.png"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(exist_ok=True, parents=True)
        write_picture(path, photo)
    recipe = get_recipe("super_resolution")(
        RunSettings(data=str(tmp_path / "photos"))
    )
    settings = EvaluationSettings(num_samples=1)
    evaluate(tim, recipe, tmp_path / "out", settings, verbose=0)
    assert len(times(tmp_path / "out")) == 2
