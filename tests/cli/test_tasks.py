"""`train` and `sample` of every task that is not super-resolution."""

import dataclasses
import json

import numpy as np
import pytest

from keras_tim.cli.main import main
from keras_tim.images import read_picture, write_picture
from keras_tim.recipes import RECIPES


@dataclasses.dataclass(frozen=True)
class Case:
    """A task's run of seconds.

    Attributes:
        data: fixture that makes what to train on.
        picture: file to make alternatives of.
        size: height and width of the alternatives.
        train: further flags of `train`.
        sample: further flags of `sample`.
        pictures: fixture that makes the folder of `picture`, where that is not
            what is trained on.
        beside: flag that names that folder in training.
    """

    data: str
    picture: str
    size: tuple
    train: tuple = ()
    sample: tuple = ()
    pictures: str | None = None
    beside: str | None = None


CASES = {
    "colourization": Case("photo_folder", "coffee.png", (80, 100)),
    "decompression": Case(
        "photo_folder",
        "coffee.png",
        (80, 100),
        train=("--quality=10", "--consistency=1"),
        sample=("--quality=10",),
    ),
    "mnist": Case(
        "mnist_wheel",
        "digit.png",
        (28, 28),
        train=("--held_out=test/2,test/7",),
        pictures="digit_folder",
    ),
    "paired_images": Case(
        "photo_folder",
        "coffee.png",
        (80, 100),
        pictures="inverted_folder",
        beside="--inputs",
    ),
}


@pytest.fixture(scope="module", autouse=True)
def without_graphs(eagerly):
    """Graphs of a run are those of `test_commands.py`."""
    with eagerly():
        yield


@pytest.fixture(scope="module", params=CASES)
def task(request):
    return request.param


@pytest.fixture(scope="module")
def data(task, request):
    return request.getfixturevalue(CASES[task].data)


@pytest.fixture(scope="session")
def digit_folder(tmp_path_factory, mnist_wheel):
    """A digit, larger than the model takes it."""
    from keras_tim.data import digits_as_pictures, mnist_digits

    folder = tmp_path_factory.mktemp("digits")
    digit = digits_as_pictures(mnist_digits(split="test")[0])
    write_picture(folder / "digit.png", digit.repeat(3, 0).repeat(3, 1))
    return folder


@pytest.fixture(scope="session")
def inverted_folder(tmp_path_factory, photo_folder):
    """The photos inverted, and a file that is none."""
    folder = tmp_path_factory.mktemp("inverted")
    for path in photo_folder.glob("*.png"):
        write_picture(folder / path.name, 1.0 - read_picture(path))
    (folder / "broken.png").write_bytes(b"no picture")
    return folder


@pytest.fixture(scope="module")
def picture(task, request):
    """The file to make alternatives of."""
    case = CASES[task]
    return request.getfixturevalue(case.pictures or case.data) / case.picture


@pytest.fixture(scope="module")
def command(task, data, picture, tiny):
    """Callable that gives the command that trains in a run folder."""
    case = CASES[task]
    flags = [f"--task={task}", f"--data={data}", *tiny, *case.train]
    if case.beside is not None:
        flags.append(f"{case.beside}={picture.parent}")
    return lambda folder: ["train", f"--run={folder}", *flags]


@pytest.fixture(scope="module")
def run(task, command, tmp_path_factory, lpips_weights):
    """A run folder made by `keras-tim train --task=...`."""
    folder = tmp_path_factory.mktemp(task) / "run"
    assert main(command(folder)) == 0
    return folder


def test_every_other_task_is_here():
    # Layouts have more flags, and a file of their own.
    elsewhere = {"super_resolution", "layout_synthesis"}
    assert CASES.keys() == RECIPES.keys() - elsewhere


def test_train_fills_the_run_folder(task, run):
    for name in ("model.keras", "contact_sheet.png", "training_samples.png"):
        assert (run / name).stat().st_size > 0, name
    settings = json.loads((run / "config.json").read_text())["settings"]
    assert settings["task"] == task
    for flag in CASES[task].train:
        name, value = flag.removeprefix("--").split("=")
        found = settings[name]
        found = ",".join(found) if isinstance(found, list) else str(found)
        assert found == value
    row = json.loads((run / "report.json").read_text())[0]
    found = row["samples"]
    assert 0 < found["lpips_alex_best"] <= found["lpips_alex_mean"]
    assert found["pairs_alex_all"] > 0
    for values in (found, row["baseline"] or {}):
        assert all(np.isfinite(list(values.values())))


def test_sample_writes_alternatives(task, run, picture, tmp_path):
    case = CASES[task]
    command = [
        "sample",
        f"--model={run}",
        f"--task={task}",
        f"--output={tmp_path}",
        "--seeds=0-1",
        *case.sample,
        str(picture),
    ]
    assert main(command) == 0
    first, second = (
        read_picture(tmp_path / f"{picture.stem}_{seed}_0000.png")
        for seed in (0, 1)
    )
    assert first.shape == second.shape == (*case.size, 3)
    assert not np.array_equal(first, second)
    assert read_picture(tmp_path / f"{picture.stem}_sheet.png").ndim == 3


def test_sample_skips_what_is_no_picture(task, run, tmp_path, capsys):
    path = tmp_path / "text.png"
    path.write_text("not a picture")
    flags = [f"--model={run}", f"--output={tmp_path}"]
    assert main(["sample", *flags, str(path)]) == 1
    assert str(path) in capsys.readouterr().err


def test_evaluate_measures_what_the_run_held_out(task, run, tmp_path):
    flags = [f"--model={run}", f"--output={tmp_path}", "--num_samples=2"]
    assert main(["evaluate", *flags]) == 0
    result = json.loads((tmp_path / "evaluation.json").read_text())
    row = json.loads((run / "report.json").read_text())[0]
    first = result["pictures"][0]
    assert first["name"] == row["name"]
    assert result["baseline"] == row["baseline_name"]
    assert first["baseline"] == pytest.approx(row["baseline"], rel=1e-3)
    assert ("faithfulness_mean" in first["samples"]) == (
        task != "paired_images"
    )
    if task != "mnist":
        return
    names = [picture["name"] for picture in result["pictures"]]
    assert names == ["test/2", "test/7"]


def test_sample_refuses_another_task(task, run, picture, tmp_path, capsys):
    picture = str(picture)
    flags = [f"--model={run}", f"--output={tmp_path}"]
    assert main(["sample", "--task=super_resolution", *flags, picture]) == 1
    assert f"has learned {task}" in capsys.readouterr().err
    if task != "decompression":
        assert main(["sample", "--quality=5", *flags, picture]) == 1
        assert "repair JPEGs" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "status", "message"),
    [
        (["train", "--run=x", "--quality=0"], 2, "quality"),
        (["train", "--run=x", "--quality=101"], 2, "quality"),
        (["sample", "--model=x", "--quality=0", "y.png"], 2, "quality"),
        (
            [
                "train",
                "--run=x",
                "--task=colourization",
                "--preset=decompression_nano",
            ],
            1,
            "one of the task 'colourization'",
        ),
    ],
)
def test_wrong_command_lines_are_explained(argv, status, message, capsys):
    assert main(argv) == status
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("photo_task", ["colourization", "decompression"])
def test_crops_must_divide_into_the_levels(
    photo_task, photo_folder, tmp_path, capsys, tiny, lpips_weights
):
    flags = [f"--run={tmp_path / 'run'}", f"--task={photo_task}"]
    command = ["train", *flags, f"--data={photo_folder}", *tiny]
    assert main([*command, "--crop_size=33"]) == 1
    assert "`crop_size` must be a multiple" in capsys.readouterr().err
