import importlib.util
import json

import numpy as np
import pytest
import tensorflow as tf

from keras_tim.cli.main import main
from keras_tim.data import sample_photos
from keras_tim.files import save_model, write_json
from keras_tim.images import write_picture
from keras_tim.perceptual import WeightsError, fetch_weights
from keras_tim.runs.settings import CONFIG_FILE, RunSettings


@pytest.fixture(scope="module")
def run(make_tim, tmp_path_factory):
    """A run folder as training leaves it, as far as export looks."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    folder.mkdir()
    save_model(make_tim(quick=True), str(folder / "model.keras"))
    settings = RunSettings.of_task("super_resolution", steps=17)
    write_json(folder / CONFIG_FILE, {"settings": settings.jsonable()})
    write_json(folder / "report.json", [{"name": "x", "lpips_mean": 0.25}])
    return folder


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    crop = sample_photos()["chelsea"][100:150, 100:160] / np.float32(255)
    write_picture(folder / "a_cat.png", crop)
    write_picture(folder / "tiny.png", crop[:9])
    (folder / "broken.jpg").write_bytes(b"no picture")
    return folder


def test_saved_model(run, make_tim, tmp_path, capsys):
    output = tmp_path / "photos"
    command = [
        *("export", f"--model={run}", f"--output={output}", "--alternatives=3"),
        "--name=cats",
    ]
    assert main(command) == 0
    assert [x.name for x in output.iterdir()] == ["1"]
    assert str(output) in capsys.readouterr().err
    card = json.loads((output / "1" / "card.json").read_text())
    assert card["name"] == "cats"
    assert card["training"]["steps"] == 17
    (row,) = card["measures"]
    assert row["samples"] == {"lpips_alex_mean": 0.25}
    assert card["limits_of_a_request"]["alternatives"] == 3
    loaded = tf.saved_model.load(str(output / "1"))
    picture = np.full((1, 4, 5, 3), 0.25, np.float32)
    made = loaded.signatures["sample"](
        picture=tf.constant(picture),
        seed=tf.constant([1], tf.int64),
        index=tf.constant([[0, 1]], tf.int64),
    )["alternatives"]
    expected = make_tim(quick=True).sample(picture, num_samples=2, seed=1)
    np.testing.assert_array_equal(made, expected)


@pytest.mark.parametrize("name", ["model.tflite", "model.onnx"])
def test_what_is_there_is_not_written_over(run, tmp_path, name, capsys):
    (tmp_path / name).write_bytes(b"dear to me")
    command = ["export", f"--model={run}", f"--output={tmp_path / name}"]
    assert main(command) == 1
    assert "--overwrite" in capsys.readouterr().err
    assert (tmp_path / name).read_bytes() == b"dear to me"


@pytest.mark.skipif(
    importlib.util.find_spec("ai_edge_litert") is None,
    reason="pip install '.[export]' brings ai-edge-litert",
)
def test_tflite(run, photos, tmp_path, capsys):
    command = [
        *("export", f"--model={run}", f"--output={tmp_path}/model.tflite"),
        *("--size=40x48", "--precision=int8", f"--pictures={photos}"),
    ]
    assert main(command) == 0
    assert (tmp_path / "model.tflite").stat().st_size > 1000
    printed = capsys.readouterr().err
    assert "broken.jpg" in printed
    assert "tiny.png: its input is smaller" in printed
    try:
        fetch_weights("lpips_alex")
    except WeightsError:
        assert "LPIPS to the model's own is left out" in printed
    else:
        assert "LPIPS (AlexNet) to the model's own picture: 0." in printed


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--output=x.tflite"], "--size must be given"),
        (["--output=x.tflite", "--size=4by4"], "256x512"),
        (["--output=x.tflite", "--size=8x8", "--precision=int8"], "`pictures`"),
        (["--output=x.tflite", "--size=8x8", "--frozen"], "--frozen is for"),
        (["--output=x", "--size=8x8"], "--size is for the format tflite"),
        (["--output=x.onnx", "--dtype=bfloat16"], "--dtype is for"),
        (["--output=x", "more"], "more"),
    ],
)
def test_wrong_flags(flags, message, run, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["export", f"--model={run}", *flags]) == 1
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_pictures_of_too_small_a_folder(run, photos, tmp_path, capsys):
    command = [
        *("export", f"--model={run}", f"--output={tmp_path}/model.tflite"),
        *("--size=400x48", "--precision=int8", f"--pictures={photos}"),
    ]
    assert main(command) == 1
    assert "400 x 48 pixels could be cut" in capsys.readouterr().err
