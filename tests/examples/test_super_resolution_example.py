import pathlib
import subprocess
import sys

import pytest

from keras_tim.images import read_picture

SCRIPT = pathlib.Path(__file__).parents[2] / "examples/super_resolution.py"


@pytest.mark.slow
def test_example_runs(tmp_path, lpips_weights):
    command = [
        sys.executable,
        str(SCRIPT),
        "--rounds=1",
        f"--output={tmp_path / 'sheet.png'}",
        f"--model={tmp_path / 'model.keras'}",
    ]
    subprocess.run(command, check=True)
    assert read_picture(tmp_path / "sheet.png").shape[2] == 3
    assert (tmp_path / "model.keras").exists()
