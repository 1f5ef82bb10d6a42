import pathlib
import re

import numpy as np

from keras_tim.cli.main import COMMANDS
from keras_tim.data import sample_photos
from keras_tim.images import write_picture

README = pathlib.Path(__file__).parents[1] / "README.md"


def test_script_runs_as_printed(tmp_path, monkeypatch, lpips_weights):
    (script,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.S)
    assert '"PHOTOS"' in script
    for printed, quick in (
        ("steps_per_epoch=60", "steps_per_epoch=1"),
        (" batch_size=32", " batch_size=2"),
        ("steps_per_selection=12", "steps_per_selection=2"),
    ):
        assert script.count(printed) == 1
        script = script.replace(printed, quick)
    photos = tmp_path / "PHOTOS"
    photos.mkdir()
    crop = sample_photos()["coffee"][:120, :120].astype("float32") / 255
    write_picture(photos / "coffee.png", crop)
    monkeypatch.chdir(tmp_path)
    pictures = crop[None, :12, :20]
    variables = {"pictures": pictures}
    exec(script, variables)
    assert variables["alternatives"].shape == (1, 8, 48, 80, 3)
    assert np.isfinite(variables["alternatives"]).all()
    assert (tmp_path / "tim.keras").exists()


def test_commands_exist():
    named = set(re.findall(r"keras-tim ([a-z]+)", README.read_text()))
    assert named
    assert named <= set(COMMANDS)


def test_files_exist():
    for path in re.findall(r"\]\(([\w/.]+)\)", README.read_text()):
        assert (README.parent / path).exists(), path
