"""`evaluate`; for tasks other than super-resolution see their files."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from keras_tim.cli.main import main
from keras_tim.images import write_picture


@pytest.fixture(scope="module", autouse=True)
def without_graphs(eagerly):
    """Graphs of commands are those of `test_commands.py`."""
    with eagerly():
        yield


def evaluate(run, *flags):
    return main(["evaluate", f"--model={run}", "--num_samples=2", *flags])


def result_of(folder):
    return json.loads((folder / "evaluation.json").read_text())


def test_by_default_what_the_run_held_out(finished_run, capsys):
    assert evaluate(finished_run) == 0
    printed = capsys.readouterr().out
    assert "LPIPS-alex, mean of samples" in printed
    assert "bicubic" in printed
    folder = finished_run / "evaluation"
    assert "| 0." in (folder / "evaluation.md").read_text()
    result = result_of(folder)
    assert result["model"] == str(finished_run)
    # The first of the folder.
    assert [p["name"] for p in result["pictures"]] == ["astronaut.png"]
    # As the run has reported it, with other samples.
    row = json.loads((finished_run / "report.json").read_text())[0]
    (picture,) = result["pictures"]
    assert row.keys() == picture.keys()
    assert row["samples"].keys() == picture["samples"].keys()
    assert row["baseline"] == pytest.approx(picture["baseline"], rel=1e-4)


def test_data_of_ones_own(finished_run, photo_folder, tmp_path, capsys):
    output = tmp_path / "out"
    flags = [f"--data={photo_folder}", f"--output={output}", "--crop=48"]
    flags += ["--count=2", "--bandwidths=0.25,0.1", "--invert=1"]
    flags += ["--inversion_steps=2", "--inversion_net=alex"]
    model = finished_run / "model.keras"
    # A file of the folder is no picture.
    assert evaluate(model, *flags) == 3
    printed = capsys.readouterr()
    assert "was trained on" in printed.err
    assert "could not be used (1)" in printed.err
    assert printed.err.splitlines()[-1] == "broken.jpg"
    result = result_of(output)
    assert [p["name"] for p in result["pictures"]] == [
        "astronaut.png 0,0",
        "coffee.png 0,48",
    ]
    keys = [row["key"] for row in result["table"]]
    assert "variance_alex_0.25" in keys
    assert "inversion_alex_ratio" in keys
    assert (output / "inversions.png").exists()
    # The same again does nothing; other settings are refused by name.
    before = (output / "settings.json").read_text()
    assert evaluate(model, *flags) == 3
    assert "2 of 2 pictures" in capsys.readouterr().err
    assert evaluate(model, *flags, "--seed=1") == 1
    message = capsys.readouterr().err
    assert "other settings (seed)" in message
    assert "--overwrite" in message
    assert (output / "settings.json").read_text() == before


def test_a_model_without_its_run(finished_run, photo_folder, tmp_path):
    model = tmp_path / "alone.keras"
    shutil.copy(finished_run / "model.keras", model)
    flags = [f"--data={photo_folder}", "--count=1", "--downsample=2"]
    assert evaluate(model, *flags) == 3
    (picture,) = result_of(tmp_path / "evaluation")["pictures"]
    assert picture["size"] == [40, 48]


@pytest.mark.parametrize(
    ("flags", "status", "message"),
    [
        (["--model=missing"], 1, "missing"),
        ([], 2, "--model"),
        (["--model=x", "photos"], 1, "only flags"),
        (["--model=x", "--num_samples=0"], 2, "num_samples"),
        (["--model=x", "--nets=resnet"], 1, "`nets`"),
        (["--model=x", "--bandwidths=wide"], 1, "--bandwidths"),
        (["--model=x", "--bandwidths=0"], 1, "`bandwidths`"),
        (["--model={run}", "--data=nowhere"], 1, "nowhere"),
        (["--model={run}", "--data={empty}"], 1, "at least one picture"),
        (["--model={run}", "--quality=5"], 1, "repair JPEGs"),
        (["--model={run}", "--labels=x"], 1, "label maps"),
        (["--model={run}", "--fid"], 1, "`fid` needs 3"),
        (["--model={run}", "--crop=2"], 1, "`crop` must be at least 4"),
        (["--model={run}", "--output={run}"], 1, "something else"),
    ],
)
def test_what_is_wrong_is_explained(
    flags, status, message, finished_run, tmp_path, capsys
):
    empty = tmp_path / "empty"
    empty.mkdir()
    flags = [flag.format(run=finished_run, empty=empty) for flag in flags]
    if "--output" not in str(flags):
        flags.append(f"--output={tmp_path / 'out'}")
    assert main(["evaluate", *flags]) == status
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_killed_evaluation_is_resumed(
    finished_run, photo_folder, tmp_path, capsys
):
    from keras_tim.images import read_picture

    photo = read_picture(photo_folder / "coffee.png")
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(24):
        write_picture(folder / f"{number:02}.png", photo[:64, number:][:, :64])
    output = tmp_path / "out"
    command = ["evaluate", f"--model={finished_run}", f"--data={folder}"]
    command += [f"--output={output}", "--num_samples=4"]
    process = subprocess.Popen(
        [sys.executable, "-m", "keras_tim.cli.main", *command]
    )
    pictures = output / "pictures"
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        assert process.poll() is None, "ended before it was killed"
        if pictures.is_dir() and len(list(pictures.glob("*.json"))) >= 3:
            break
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    finished = {p: os.stat(p).st_mtime_ns for p in pictures.glob("*.json")}
    assert 3 <= len(finished) < 24
    assert not (output / "evaluation.json").exists()
    assert main(command) == 0
    assert f"{len(finished)} of 24 pictures" in capsys.readouterr().err
    for path, moment in finished.items():
        assert os.stat(path).st_mtime_ns == moment
    resumed = result_of(output)
    assert len(resumed["pictures"]) == 24
    # As if it had never been stopped.
    assert main([*command, "--overwrite"]) == 0
    assert result_of(output)["table"] == resumed["table"]


def test_a_named_preset_does_not_go_by_the_folder_one_is_in(
    tmp_path, monkeypatch, lpips_weights
):
    monkeypatch.chdir(tmp_path)
    # Of a run that is gone, and that held out what is not there.
    (tmp_path / "config.json").write_text(
        json.dumps({"settings": {"data": "gone"}, "held_out": ["gone.png"]})
    )
    photos = tmp_path / "photos"
    photos.mkdir()
    pixels = np.random.default_rng(0).random((32, 40, 3))
    write_picture(photos / "a.png", pixels)
    flags = [f"--data={photos}", "--num_samples=2", "--nets=alex"]
    model = "--model=super_resolution_x4_lite"
    assert main(["evaluate", model, *flags]) == 0
    found = json.loads((tmp_path / "evaluation/evaluation.json").read_text())
    assert [p["name"] for p in found["pictures"]] == ["a.png"]
