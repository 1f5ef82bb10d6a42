import pathlib
import subprocess
import sys

import pytest

from keras_tim.images import read_picture

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "flags"),
    [
        ("colourization", []),
        ("decompression", ["--quality=5"]),
        ("paired_images", []),
    ],
)
def test_example_runs(name, flags, tmp_path, lpips_weights):
    command = [
        sys.executable,
        str(EXAMPLES / f"{name}.py"),
        "--rounds=1",
        f"--output={tmp_path / 'sheet.png'}",
        f"--model={tmp_path / 'model.keras'}",
        *flags,
    ]
    subprocess.run(command, check=True)
    assert read_picture(tmp_path / "sheet.png").shape[2] == 3
    assert (tmp_path / "model.keras").exists()
