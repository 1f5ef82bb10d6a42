"""`train`, `sample` and `rarity` of layout synthesis."""

import json
import re
import shutil

import keras
import numpy as np
import pytest
from PIL import Image

from keras_tim import TIM
from keras_tim.cli.main import main
from keras_tim.data import Classes, load_rarity, read_classes
from keras_tim.images import read_picture, write_picture

# Of the tiny settings one is left out: there are no crops.
NUM_PICTURES = 10


@pytest.fixture(scope="module", autouse=True)
def without_graphs(eagerly):
    """Graphs of a run are those of `test_commands.py`."""
    with eagerly():
        yield


@pytest.fixture(scope="session")
def layout_folder(tmp_path_factory):
    """Skies over roads, 37 x 52 pixels, with maps of CamVid's ids."""
    folder = tmp_path_factory.mktemp("layouts")
    random = np.random.default_rng(0)
    (folder / "labels").mkdir()
    (folder / "pictures").mkdir()
    for number in range(NUM_PICTURES):
        labels = np.zeros((37, 52), np.uint8)
        labels[random.integers(10, 25) :] = 3
        labels[:, 50:] = 11  # void
        sky, road = random.random((2, 3))
        picture = np.where((labels == 0)[..., None], sky, road)
        picture = np.clip(picture + random.normal(0, 0.05, (37, 52, 3)), 0, 1)
        write_picture(folder / f"pictures/{number}.png", picture)
        Image.fromarray(labels).save(folder / f"labels/{number}_L.png")
    return folder


@pytest.fixture(scope="session")
def source(layout_folder):
    """Flags that name the data."""
    return [
        f"--data={layout_folder / 'pictures'}",
        f"--labels={layout_folder / 'labels'}",
        "--classes=camvid",
    ]


@pytest.fixture(scope="module")
def rarity(source, tmp_path_factory):
    path = tmp_path_factory.mktemp("rarity") / "rarity.npz"
    assert main(["rarity", *source, f"--output={path}"]) == 0
    return path


def train(run, tiny, *flags):
    return main(
        [
            *("train", f"--run={run}", "--task=layout_synthesis", *tiny),
            *("--distance=lpips_alex", *flags),  # rarity needs one by pixels
        ]
    )


@pytest.fixture(scope="module")
def run(source, rarity, tiny, tmp_path_factory, lpips_weights):
    """A run folder made by `keras-tim train --rarity=...`."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    flags = ["--held_out=[23].png", f"--rarity={rarity}"]
    assert train(folder, tiny, *source, *flags) == 0
    return folder


def test_rarity_weighs_what_is_there(rarity, capsys):
    found = load_rarity(rarity)
    assert found.names == tuple(f"{n}.png" for n in range(NUM_PICTURES))
    assert found.weights.shape == (NUM_PICTURES, 12)
    assert found.weights[:, 0].std() > 0.1  # sky
    np.testing.assert_array_equal(found.weights[:, 1], 1.0)  # no building


def test_rarity_is_kept_until_something_changes(
    source, layout_folder, tmp_path, capsys
):
    output = tmp_path / "rarity.npz"
    command = ["rarity", *source, f"--output={output}"]
    assert main(command) == 0
    printed = capsys.readouterr().err
    assert re.search(r"sky +10 pictures, weights from 0\.\d\d to \d", printed)
    before = output.stat().st_mtime_ns
    assert main(command) == 0
    assert "is up to date" in capsys.readouterr().err
    assert output.stat().st_mtime_ns == before
    # Another list of classes is another rarity.
    assert main([*command[:3], f"--output={output}"]) == 0
    assert "up to date" not in capsys.readouterr().err
    assert output.stat().st_mtime_ns > before
    assert load_rarity(output).class_names == ("label 0", "label 3", "label 11")


def test_train_fills_the_run_folder(run):
    for name in (
        "model.keras",
        "contact_sheet.png",
        "training_samples.png",
        "history.csv",
        "classes.csv",
    ):
        assert (run / name).stat().st_size > 0, name
    classes = read_classes(run / "classes.csv")
    assert classes.names == read_classes("camvid").names
    rows = json.loads((run / "report.json").read_text())
    assert [row["name"] for row in rows] == ["2.png", "3.png"]
    for row in rows:
        found = row["samples"]
        assert 0 < found["lpips_alex_best"] <= found["lpips_alex_mean"]
        assert found["pairs_alex_all"] > 0
        assert "faithfulness_mean" not in found
        assert row["baseline"] is None


@pytest.mark.parametrize(
    ("flags", "size"), [((), (37, 52)), (("--reduce=3",), (12, 17))]
)
def test_sample_writes_alternatives(flags, size, run, layout_folder, tmp_path):
    command = [
        "sample",
        f"--model={run}",
        "--task=layout_synthesis",
        f"--output={tmp_path}",
        "--seeds=0-1",
        *flags,
        str(layout_folder / "labels/4_L.png"),
    ]
    assert main(command) == 0
    first, second = (
        read_picture(tmp_path / f"4_L_{seed}_0000.png") for seed in (0, 1)
    )
    # Odd sides lose a row: a layout is half as large as its picture.
    expected = (*(side // 2 * 2 for side in size), 3)
    assert first.shape == second.shape == expected
    assert not np.array_equal(first, second)
    assert read_picture(tmp_path / "4_L_sheet.png").ndim == 3


def test_a_model_file_alone_knows_its_classes(
    run, layout_folder, tmp_path, capsys
):
    def sampled(model, name):
        output = tmp_path / name
        flags = [f"--output={output}", "--seeds=3"]
        labels = str(layout_folder / "labels/4_L.png")
        if main(["sample", f"--model={model}", *flags, labels]):
            return None
        return read_picture(output / "4_L_3_0000.png")

    expected = sampled(run / "model.keras", "run")
    alone = tmp_path / "alone.keras"
    shutil.copy(run / "model.keras", alone)
    np.testing.assert_array_equal(sampled(alone, "alone"), expected)
    # Files from before models kept their classes need them beside.
    tim = keras.saving.load_model(alone, compile=False)
    assert Classes(tim.classes).names == read_classes("camvid").names
    older = TIM.from_config({**tim.get_config(), "classes": None})
    older.set_weights(tim.get_weights())
    older.save(alone)
    assert sampled(alone, "older") is None
    assert "run's classes.csv beside" in capsys.readouterr().err
    shutil.copy(run / "classes.csv", tmp_path)
    np.testing.assert_array_equal(sampled(alone, "beside"), expected)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("missing", "no such file"),
        ("text", "not a picture"),
        ("instances", "must be in [0, 255]. Received: 26001"),
        ("ids", "none of them, but 200"),
        ("colour", "such as (1, 2, 3)"),
        ("small", "is too small"),
        ("large", "16,000,000"),
    ],
)
def test_sample_names_what_it_cannot_use(kind, message, run, tmp_path, capsys):
    path = tmp_path / "labels.png"
    arrays = {
        "instances": np.full((8, 8), 26001, np.uint16),
        "ids": np.full((8, 8), 200, np.uint8),
        "colour": np.full((8, 8, 3), (1, 2, 3), np.uint8),
        "small": np.zeros((1, 8), np.uint8),
        "large": np.zeros((4001, 4000), np.uint8),
    }
    if kind == "text":
        path.write_text("no map")
    elif kind != "missing":
        Image.fromarray(arrays[kind]).save(path)
    flags = [f"--model={run}", f"--output={tmp_path / 'out'}"]
    assert main(["sample", *flags, str(path)]) == 1
    printed = capsys.readouterr().err
    assert str(path) in printed
    assert message in printed


def test_resumed_run_is_the_run(run, source, rarity, tiny, tmp_path, capsys):
    unfinished = tmp_path / "run"
    shutil.copytree(run, unfinished)
    (unfinished / "model.keras").unlink()
    (unfinished / "classes.csv").unlink()
    flags = ["--held_out=[23].png", f"--rarity={rarity}"]
    assert train(unfinished, tiny, *source, *flags) == 0
    assert "Resuming" in capsys.readouterr().err
    assert (unfinished / "classes.csv").exists()
    # Another folder of labels is another run.
    (unfinished / "model.keras").unlink()
    assert train(unfinished, tiny, *source[:2], *flags) == 1
    assert "other settings (classes)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--labels="], "no labels"),
        (["--classes=gone.csv"], "gone.csv"),
        (["--labels=gone"], "gone"),
        (["--data=gone"], "gone"),
        (["--size=48"], "such as 256x512"),
        (["--size=30x40"], "multiples of 8"),
        (["--downsample=5"], "is too small"),
        (["--held_out=nobody"], "'nobody'"),
        (["--held_out=*"], "leave at least one"),
        (["--rarity=gone.npz"], "keras-tim rarity"),
        (["--preset=mnist_nano"], "one of the task 'layout_synthesis'"),
    ],
)
def test_train_explains(flags, message, source, tiny, tmp_path, capsys):
    assert train(tmp_path / "run", tiny, *source, *flags) == 1
    assert message in capsys.readouterr().err


def test_train_refuses_the_rarity_of_other_pictures(
    source, rarity, layout_folder, tiny, tmp_path, capsys
):
    other = tmp_path / "other"
    shutil.copytree(layout_folder, other)
    for kind, name in (("pictures", "{}.png"), ("labels", "{}_L.png")):
        folder = other / kind
        (folder / name.format(0)).rename(folder / name.format("new"))
    flags = [f"--data={other / 'pictures'}", f"--labels={other / 'labels'}"]
    flags += ["--classes=camvid", f"--rarity={rarity}", "--held_out=1"]
    assert train(tmp_path / "run", tiny, *flags) == 1
    assert "such as new.png" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "status", "message"),
    [
        ([], 2, "--data"),
        (["--data=x"], 2, "--labels"),
        (["--data=x", "--labels=y", "z"], 1, "only flags"),
        (["--data=x", "--labels=y"], 1, "does not exist"),
        (["--data=x", "--labels=y", "--output=z.csv"], 1, "end in .npz"),
    ],
)
def test_rarity_explains(argv, status, message, capsys):
    assert main(["rarity", *argv]) == status
    assert message in capsys.readouterr().err


def test_rarity_writes_over_nothing_else(source, tmp_path, capsys):
    path = tmp_path / "other.npz"
    np.savez(path, weights=np.zeros(3))
    assert main(["rarity", *source, f"--output={path}"]) == 1
    assert "was not written by `keras-tim rarity`" in capsys.readouterr().err


@pytest.mark.slow
def test_without_data_the_stand_in_is_trained_on(tiny, tmp_path, lpips_weights):
    pytest.importorskip("skimage")
    run = tmp_path / "run"
    assert train(run, tiny) == 0
    assert read_classes(run / "classes.csv").num_channels == 9
    (row,) = json.loads((run / "report.json").read_text())
    assert row["name"] == "chelsea 1:2 0,0"


def test_evaluate_measures_layouts(run, source, tmp_path, capsys):
    flags = [f"--model={run}", "--num_samples=2"]
    assert main(["evaluate", *flags, f"--output={tmp_path / 'a'}"]) == 0
    result = json.loads((tmp_path / "a" / "evaluation.json").read_text())
    names = [picture["name"] for picture in result["pictures"]]
    assert names == ["2.png", "3.png"]
    assert result["baseline"] is None
    # The classes are the run's, wherever the pictures come from.
    flags += [f"--output={tmp_path / 'b'}", "--count=2", source[0]]
    assert main(["evaluate", *flags, source[1]]) == 0
    again = json.loads((tmp_path / "b" / "evaluation.json").read_text())
    assert [picture["name"] for picture in again["pictures"]] == [
        "0.png",
        "9.png",
    ]
    assert main(["evaluate", *flags, "--overwrite"]) == 1
    assert "no labels" in capsys.readouterr().err
