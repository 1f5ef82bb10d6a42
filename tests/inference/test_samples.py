import os

import numpy as np
import pytest
from PIL import Image

import keras_tim
from keras_tim.images import find_pictures, read_picture, write_picture
from keras_tim.images.records import read_record
from keras_tim.inference import reading, sample_files, samples
from keras_tim.models.tiles import Tiling


def make_tim():
    return keras_tim.TIM(
        residual_channels=(8, 6),
        growth_channels=(4, 3),
        num_blocks=0,
        style_dim=8,
        noise_channels=2,
        mapping_network=False,
    )


@pytest.fixture(scope="module")
def tim():
    return make_tim()


@pytest.fixture
def make(tim, tmp_path):
    """Samples into `out`; seed 0 unless told otherwise."""

    def make(*paths, seeds=(0,), out="out", model=None, **options):
        return sample_files(
            model or tim,
            [str(path) for path in paths],
            str(tmp_path / out),
            seeds,
            **options,
        )

    return make


def photo(path, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(seed).random((8, 8, 3))
    write_picture(path, values)
    return path


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_inputs_are_not_written_over(make, tmp_path):
    folder = tmp_path / "in"
    photo(folder / "photo.png", 1)
    photo(folder / "photo_sheet.png", 2)
    photo(folder / "photo_0_0000.png", 3)
    before = contents(folder)
    for overwrite in (False, True):
        with pytest.raises(FileExistsError, match=r"Nothing was written"):
            make(folder, out="in", overwrite=overwrite)
    assert contents(folder) == before


def test_inputs_under_another_name_are_not_written_over(make, tmp_path):
    path = photo(tmp_path / "photo.png")
    (tmp_path / "out").mkdir()
    other = photo(tmp_path / "elsewhere" / "other.png", 1)
    os.link(other, tmp_path / "out" / "photo_0_0000.png")
    before = other.read_bytes()
    with pytest.raises(FileExistsError, match=r"other\.png, which is to be"):
        make(path, other, overwrite=True)
    assert other.read_bytes() == before


@pytest.mark.parametrize(
    "name", ["photo_1_0000.png", "photo_sheet.png", "photo_differences.png"]
)
def test_files_of_somebody_else_are_in_the_way(make, tmp_path, name):
    path = photo(tmp_path / "photo.png")
    foreign = photo(tmp_path / "out" / name, 5)
    before = contents(tmp_path / "out")
    with pytest.raises(FileExistsError, match=f"(?s){name}.*--overwrite"):
        make(path, seeds=[0, 1])
    assert contents(tmp_path / "out") == before
    make(path, seeds=[0, 1], overwrite=True)
    assert foreign.read_bytes() != before[name]


def test_results_of_something_else_are_in_the_way(make, tmp_path):
    path = photo(tmp_path / "photo.png")
    make(path)
    before = contents(tmp_path / "out")
    # Of another model, of other settings, of another picture.
    with pytest.raises(FileExistsError, match="same picture, model"):
        make(path, model=make_tim())
    with pytest.raises(FileExistsError, match="same picture, model"):
        make(path, reduce=2)
    with pytest.raises(FileExistsError, match="same picture, model"):
        make(photo(tmp_path / "other" / "photo.png", 1))
    photo(path, 2)
    with pytest.raises(FileExistsError, match="same picture, model"):
        make(path)
    assert contents(tmp_path / "out") == before
    make(path, overwrite=True)
    assert contents(tmp_path / "out").keys() == before.keys()
    assert contents(tmp_path / "out") != before


def test_results_of_other_classes_are_in_the_way(make, tmp_path, monkeypatch):
    """Or of whatever else a task reads its input by."""
    path = photo(tmp_path / "photo.png")
    make(path)
    monkeypatch.setattr(samples, "read_by", lambda tim: "other classes")
    with pytest.raises(FileExistsError, match="same picture, model"):
        make(path)


def test_the_same_again_changes_nothing(make, tmp_path, monkeypatch):
    """Also where the results lie among the photos."""
    photo(tmp_path / "photos" / "x.png")
    photo(tmp_path / "photos" / "y" / "x.png", 1)
    first = make(tmp_path / "photos", seeds=[0, 1], out="photos/made")
    before = contents(tmp_path)
    times = {path: os.stat(path).st_mtime_ns for path in first}

    def not_again(*args, **options):
        raise AssertionError("made again")

    monkeypatch.setattr(samples, "sample_of", not_again)
    again = make(tmp_path / "photos", seeds=[0, 1], out="photos/made")
    assert again == first
    assert contents(tmp_path) == before
    assert {path: os.stat(path).st_mtime_ns for path in first} == times


def test_an_interrupted_call_goes_on(make, tmp_path, monkeypatch):
    paths = [photo(tmp_path / f"{n}.png", n) for n in range(3)]
    make(*paths, seeds=[0, 1, 2], out="whole")
    sample, made = samples.sample_of, []

    def dies(*args):
        if len(made) == 5:
            raise KeyboardInterrupt
        made.append(0)
        return sample(*args)

    monkeypatch.setattr(samples, "sample_of", dies)
    with pytest.raises(KeyboardInterrupt):
        make(*paths, seeds=[0, 1, 2])
    monkeypatch.setattr(
        samples, "sample_of", lambda *args: made.append(0) or sample(*args)
    )
    make(*paths, seeds=[0, 1, 2])
    # Each alternative once, and all as if nothing had happened.
    assert len(made) == 9
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_more_alternatives_later(make, tmp_path):
    path = photo(tmp_path / "photo.png")
    first = make(path, seeds=[0, 1])
    before = contents(tmp_path / "out")
    second = make(path, seeds=[7])
    after = contents(tmp_path / "out")
    for made in (*first, *second):
        name = os.path.basename(made)
        assert read_record(made)["seed"] in (0, 1, 7)
        assert before.get(name, after[name]) == after[name]
    # The sheet shows all that there are.
    sheet = tmp_path / "out" / "photo_sheet.png"
    shown = [[seed, 0] for seed in (0, 1, 7)]
    assert read_record(sheet)["alternatives"] == shown
    make(path, seeds=[0, 1, 7], out="at_once")
    assert contents(tmp_path / "at_once") == after


def test_alternatives_are_known_by_seed_and_number(make, tmp_path):
    path = photo(tmp_path / "photo.png")
    made = make(path, seeds=[0, 5], alternatives=[0, 12])
    assert [os.path.basename(path) for path in made] == [
        "photo_0_0000.png",
        "photo_0_0012.png",
        "photo_5_0000.png",
        "photo_5_0012.png",
    ]
    assert len({read_picture(path).tobytes() for path in made}) == 4
    for seed, index in ((-1, 0), (0, 1)):
        (made,) = make(path, seeds=[seed], alternatives=[index])
        record = read_record(made)
        assert (record["seed"], record["index"]) == (seed, index)
    sheet = read_record(tmp_path / "out" / "photo_sheet.png")
    assert sheet["alternatives"][:3] == [[-1, 0], [0, 0], [0, 1]]
    for bad in ({"seeds": [0.5]}, {"alternatives": [-1]}):
        with pytest.raises(ValueError, match=f"`{next(iter(bad))}` must be"):
            make(path, **bad)


def test_sheets_say_what_can_be_typed(make, tmp_path, monkeypatch):
    said = []
    sheet = samples.alternatives_sheet
    monkeypatch.setattr(
        samples,
        "alternatives_sheet",
        lambda *args, titles, **options: (
            said.extend(titles) or sheet(*args, titles=titles, **options)
        ),
    )
    path = photo(tmp_path / "photo.png")
    make(path, seeds=[0, 5], alternatives=[3])
    assert said == ["alternative 3", "seed 5, alternative 3"]


def test_another_temperature_is_in_the_way(make, tmp_path):
    path = photo(tmp_path / "photo.png")
    (warm,) = make(path)
    before = read_picture(warm)
    with pytest.raises(FileExistsError, match="same picture, model"):
        make(path, temperature=0.0)
    (cold,) = make(path, temperature=0.0, overwrite=True)
    assert not np.array_equal(read_picture(cold), before)
    (other,) = make(path, seeds=[1], temperature=0.0, out="other")
    np.testing.assert_array_equal(read_picture(cold), read_picture(other))


def test_formats_lie_beside_one_another(make, tmp_path):
    path = photo(tmp_path / "photo.png")
    make(path)
    make(path, format="jpg")
    assert sorted(os.listdir(tmp_path / "out")) == [
        "photo_0_0000.jpg",
        "photo_0_0000.png",
        "photo_sheet.png",
    ]
    with pytest.raises(ValueError, match="`format` must be one of png, jpg"):
        make(path, format="bmp")


def test_every_picture_is_told(make, tmp_path):
    folder = tmp_path / "in"
    photo(folder / "a.png")
    (folder / "b.png").write_text("no picture")
    told = []
    make(folder, alternatives=[0, 1], tell=told.append)
    good, bad = told
    out = tmp_path / "out"
    assert good.pop("seconds") > 0
    assert good == {
        "picture": str(folder / "a.png"),
        "alternatives": [
            {"path": str(out / f"a_0_000{k}.png"), "seed": 0, "index": k}
            for k in (0, 1)
        ],
        "sheet": str(out / "a_sheet.png"),
        "differences": str(out / "a_differences.png"),
        "made": 2,
    }
    assert bad["picture"] == str(folder / "b.png")
    assert "not a picture" in bad["error"]
    make(folder, alternatives=[0, 1, 2], tell=told.append)
    assert told[2]["made"] == 1


def test_sub_folders_are_kept(make, tmp_path):
    for number, name in enumerate(("x.png", "a/x.png", "a/b/x.png")):
        photo(tmp_path / "photos" / name, number)
    made = make(tmp_path / "photos")
    names = [os.path.relpath(path, tmp_path / "out") for path in made]
    assert sorted(names) == [
        "a/b/x_0_0000.png",
        "a/x_0_0000.png",
        "x_0_0000.png",
    ]
    assert len({read_picture(path).tobytes() for path in made}) == 3


def test_names_that_collide_are_numbered_and_told(make, tmp_path, caplog):
    caplog.set_level("INFO")
    one = photo(tmp_path / "one" / "x.png")
    two = photo(tmp_path / "two" / "X.png", 1)
    jpeg = photo(tmp_path / "one" / "x.jpg", 2)
    # The same file twice is one picture.
    made = make(one, two, jpeg, one, tmp_path / "two")
    assert [os.path.basename(path) for path in made] == [
        "x_0_0000.png",
        "X-2_0_0000.png",
        "x-3_0_0000.jpg",
    ]
    assert f"What is made of {two} is called X-2" in caplog.text
    assert f"What is made of {jpeg} is called x-3" in caplog.text
    assert f"What is made of {one}" not in caplog.text


@pytest.mark.parametrize("letter", ["n", "ö", "写"])
def test_long_names_are_shortened(make, tmp_path, letter):
    size = len(letter.encode())
    folder = tmp_path / "in"
    photo(folder / "a.png")
    name = letter * (250 // size)
    photo(folder / f"{name}.png", 1)
    photo(folder / f"{name[:-1]}x.png", 2)
    photo(folder / "z.png", 3)
    made = make(folder, seeds=[0, 1])
    assert len(made) == 8
    names = os.listdir(tmp_path / "out")
    assert len(names) == 16
    assert max(len(os.fsencode(name)) for name in names) <= 255
    assert sum(name.startswith(letter * 50) for name in names) == 8


@pytest.mark.skipif(os.sep != "/", reason="names of bytes")
def test_names_that_are_no_utf8(make, tmp_path):
    folder = tmp_path / "in"
    photo(folder / os.fsdecode(b"caf\xe9.png"))
    (made,) = make(folder)
    assert os.fsencode(made).endswith(b"out/caf\xe9_0_0000.png")


def test_what_cannot_be_used_is_listed(make, tmp_path, caplog):
    good = photo(tmp_path / "in" / "good.png")
    text = tmp_path / "in" / "text.png"
    text.write_text("no picture")
    truncated = photo(tmp_path / "in" / "truncated.png")
    truncated.write_bytes(truncated.read_bytes()[:120])
    missing = tmp_path / "missing.png"
    failed = []
    (made,) = make(missing, good.parent, failed=failed)
    assert os.path.basename(made) == "good_0_0000.png"
    assert failed == [str(missing), str(text), str(truncated)]
    for path in failed:
        assert f"Cannot read `{path}`" in caplog.text
    # Nothing half done is left behind.
    assert sorted(os.listdir(tmp_path / "out")) == [
        "good_0_0000.png",
        "good_sheet.png",
    ]


def test_results_of_pictures_that_are_gone_are_not_in_the_way(make, tmp_path):
    gone, stays = (photo(tmp_path / f"{name}.png") for name in ("gone", "b"))
    make(gone, stays)
    gone.unlink()
    failed = []
    assert len(make(gone, stays, failed=failed)) == 1
    assert failed == [str(gone)]


def test_what_is_too_large_is_not_even_decoded(
    make, tmp_path, monkeypatch, caplog
):
    path = tmp_path / "large.png"
    Image.new("L", (1001, 1000)).save(path)
    monkeypatch.setattr(reading, "LARGEST_ALTERNATIVE", 16_000_000)

    def decoded(*args):
        raise AssertionError("decoded")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", decoded)
    with pytest.raises(ValueError, match="None of the 1 pictures"):
        make(path)
    assert "1001 x 1000 pixels. 4 times larger it would" in caplog.text


def test_alternatives_are_taken_if_they_are_named(make, tmp_path):
    (first,) = make(photo(tmp_path / "photo.png"))
    with pytest.raises(FileNotFoundError, match="this package wrote"):
        find_pictures(tmp_path / "out")
    (second,) = make(first, out="again")
    assert read_picture(second).shape == (128, 128, 3)


def wide_photo(path):
    values = np.random.default_rng(0).random((72, 150, 3))
    write_picture(path, values)
    return path


def test_large_pictures_are_made_in_tiles(make, tim, tmp_path, monkeypatch):
    path = wide_photo(tmp_path / "photo.png")
    least = Tiling.of_model(tim).least_tile
    (whole,) = make(path, tile=None)
    (tiled,) = make(path, tile=least, out="tiled")
    assert read_record(tiled) == {**read_record(whole), "tile": least}
    difference = read_picture(tiled, "uint8").astype(int)
    difference -= read_picture(whole, "uint8")
    assert np.abs(difference).max() <= 1
    # By default it depends on the memory that is needed.
    make(path, out="small")
    assert contents(tmp_path / "small") == contents(tmp_path / "out")
    each = tim.tiled_sampler()._generator.bytes_per_output_pixel
    monkeypatch.setattr("keras_tim.models.tiles.MEMORY", least**2 * each)
    monkeypatch.setattr("keras_tim.models.tiles.LEAST_MEMORY", 1)
    make(path, out="large")
    assert contents(tmp_path / "large") == contents(tmp_path / "tiled")


def test_other_tiles_make_no_other_picture(make, tim, tmp_path):
    """What was finished in some tiles, or whole, is finished."""
    path = wide_photo(tmp_path / "photo.png")
    make(path, seeds=[0], tile=Tiling.of_model(tim).least_tile)
    before = contents(tmp_path / "out")
    make(path, seeds=[0], tile=None)
    assert contents(tmp_path / "out") == before
    make(path, seeds=[0, 1], tile=None)
    name = "photo_0_0000.png"
    assert contents(tmp_path / "out")[name] == before[name]


def test_sides_need_not_be_multiples(make_tim, tmp_path):
    tim = make_tim("decompression", quick=True)
    path = tmp_path / "photo.png"
    write_picture(path, np.random.default_rng(0).random((73, 151, 3)))
    made = []
    for tile in (None, Tiling.of_model(tim).least_tile):
        out = tmp_path / str(tile)
        (file,) = sample_files(tim, [path], out, [0], tile=tile)
        made.append(read_picture(file, "uint8").astype(int))
    assert made[0].shape == (73, 151, 3)
    assert np.abs(made[0] - made[1]).max() <= 1


def test_sheets_of_huge_pictures(make, tmp_path, monkeypatch):
    path = wide_photo(tmp_path / "photo.png")
    monkeypatch.setattr(samples, "LARGEST_ON_SHEET", 288 * 600 // 4)
    # Ours are read though strangers' would be taken for an attack.
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 288 * 600 // 3)
    make(path, seeds=[0, 1])
    assert Image.MAX_IMAGE_PIXELS == 288 * 600 // 3
    map_of_differences = tmp_path / "out" / "photo_differences.png"
    assert read_picture(map_of_differences).shape == (144, 300, 3)


def test_tiles_that_are_too_small_are_told_first(make, tmp_path):
    path = wide_photo(tmp_path / "photo.png")
    with pytest.raises(ValueError, match="`tile` must be at least"):
        make(path, tile=8)
    assert not (tmp_path / "out").exists()
