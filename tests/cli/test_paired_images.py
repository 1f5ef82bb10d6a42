"""Paired images from the command line, beside what `test_tasks.py` has."""

import json

import keras
import numpy as np
import pytest

from keras_tim.cli.main import main
from keras_tim.images import read_picture, write_picture
from keras_tim.runs import load_run, train


@pytest.fixture(scope="module", autouse=True)
def without_graphs(eagerly):
    """Graphs of a run are those of `test_commands.py`."""
    with eagerly():
        yield


@pytest.fixture(scope="module")
def pairs(tmp_path_factory, photo_folder):
    """Flags that name photos, and the same ones inverted."""
    folder = tmp_path_factory.mktemp("pairs")
    for kind in ("photos", "inverted"):
        (folder / kind).mkdir()
    for path in photo_folder.glob("*.png"):
        photo = read_picture(path)
        write_picture(folder / "photos" / path.name, photo)
        inverted = folder / "inverted" / f"{path.stem}.tif"
        write_picture(inverted, 1.0 - photo)
    return [f"--data={folder / 'photos'}", f"--inputs={folder / 'inverted'}"]


@pytest.fixture(scope="module")
def flags(pairs, tiny):
    return ["--task=paired_images", *pairs, *tiny, "--input_skip=own"]


class DiedError(Exception):
    """As if the process had been killed."""


class DiesAfterARound(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 1:
            raise DiedError


@pytest.fixture(scope="module")
def run(flags, tmp_path_factory, lpips_weights):
    """A run that died after its first round and was trained to the end."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "keras_tim.runs.train",
            lambda *args, **options: train(
                *args, **options, callbacks=[DiesAfterARound()]
            ),
        )
        with pytest.raises(DiedError):
            main(["train", f"--run={folder}", *flags])
    assert not (folder / "model.keras").exists()
    assert main(["train", f"--run={folder}", *flags]) == 0
    return folder


def test_a_resumed_run_says_what_it_was_trained_on(run, flags):
    record = json.loads((run / "config.json").read_text())
    assert record["held_out"] == ["astronaut.png"]
    assert f"--inputs={record['settings']['inputs']}" in flags
    assert load_run(run).input_skip == record["settings"]["input_skip"] == "own"
    assert (run / "contact_sheet.png").stat().st_size > 0


@pytest.mark.slow
def test_a_resumed_run_ends_as_if_it_had_not_been_stopped(run, flags, tmp_path):
    assert main(["train", f"--run={tmp_path / 'whole'}", *flags]) == 0
    for found, expected in zip(
        load_run(run).get_weights(),
        load_run(tmp_path / "whole").get_weights(),
        strict=True,
    ):
        np.testing.assert_array_equal(found, expected)


def test_other_inputs_are_another_run(run, flags, capsys, tmp_path):
    (run / "report.json").rename(tmp_path / "report.json")
    try:
        command = ["train", f"--run={run}", *flags, "--inputs=elsewhere"]
        assert main(command) == 1
    finally:
        (tmp_path / "report.json").rename(run / "report.json")
    assert "other settings (inputs)" in capsys.readouterr().err


def test_evaluate_measures_other_pairs(run, pairs, tmp_path):
    command = ["evaluate", f"--model={run}", "--num_samples=2"]
    output = f"--output={tmp_path / 'whole'}"
    assert main([*command, *pairs, output]) == 0
    result = json.loads((tmp_path / "whole/evaluation.json").read_text())
    assert [picture["name"] for picture in result["pictures"]] == [
        *("astronaut.png", "chelsea.png", "coffee.png")
    ]
    assert result["baseline"] == "input"
    for picture in result["pictures"]:
        _, path = pairs[0].split("=")
        photo = read_picture(f"{path}/{picture['name']}")
        # Whole but for what four levels, here two, do not divide.
        error = np.mean((1.0 - 2.0 * photo.astype("float64")) ** 2)
        expected = -10.0 * np.log10(error)
        assert picture["baseline"]["psnr_mean"] == pytest.approx(
            expected, abs=0.05
        )
    output = f"--output={tmp_path / 'crops'}"
    assert main([*command, *pairs, output, "--crop=32", "--count=2"]) == 0
    settings = json.loads((tmp_path / "crops/settings.json").read_text())
    assert f"--inputs={settings['data']['inputs']}" == pairs[1]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["evaluate", "--model={run}", "--data={photos}"], "`inputs` one of"),
        (["evaluate", "--model={run}", "--inputs=x"], "--inputs needs --data"),
        (["evaluate", "--model={run}", "--labels=x"], "has learned paired"),
        (
            ["train", "--run={new}", "--task=paired_images", "--data={photos}"],
            "`inputs` one of",
        ),
        (
            ["train", "--run={new}", "--task=paired_images"],
            "`data` must name a folder",
        ),
        (
            [
                "train",
                "--run={new}",
                "--task=paired_images",
                "--data={photos}",
                "--inputs={photos}",
            ],
            "must be two folders",
        ),
        (
            ["train", "--run={new}", "--data={photos}", "--inputs=x"],
            "`inputs` must be None for task 'super_resolution'",
        ),
        (
            [
                "train",
                "--run={new}",
                "--task=paired_images",
                "--data={photos}",
                "--inputs=x",
                "--labels=y",
            ],
            "`labels` must be None for task 'paired_images'",
        ),
    ],
)
def test_wrong_folders_are_explained(
    argv, message, run, pairs, tmp_path, capsys
):
    names = {
        "run": run,
        "new": tmp_path / "new",
        "photos": pairs[0].removeprefix("--data="),
    }
    assert main([flag.format(**names) for flag in argv]) == 1
    assert message in capsys.readouterr().err
    assert not list(tmp_path.glob("new/*.json"))
