import pathlib
import subprocess
import sys

from keras_tim.images import read_picture

SCRIPT = pathlib.Path(__file__).parents[2] / "examples/mnist.py"


def test_example_runs(tmp_path, mnist_wheel):
    command = [
        sys.executable,
        str(SCRIPT),
        "--rounds=1",
        "--steps=2",
        f"--output={tmp_path / 'sheet.png'}",
        f"--model={tmp_path / 'model.keras'}",
    ]
    printed = subprocess.run(
        command, check=True, capture_output=True, text=True
    ).stdout
    assert read_picture(tmp_path / "sheet.png").shape[2] == 3
    assert (tmp_path / "model.keras").exists()
    assert "first ten coordinates" in printed
