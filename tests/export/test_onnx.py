import importlib.util

import numpy as np
import pytest

from keras_tim.export.onnx import NEEDED, export_onnx

missing = [name for name in NEEDED if not importlib.util.find_spec(name)]
needs_onnx = pytest.mark.skipif(
    bool(missing),
    reason=f"pip install '.[export]' brings {', '.join(missing)}",
)


@needs_onnx
@pytest.mark.parametrize("task", ["super_resolution", "colourization"])
def test_onnxruntime_makes_the_samples(task, make_tim, tmp_path):
    import onnxruntime

    tim = make_tim(task, quick=True, input_skip=task == "super_resolution")
    path = tmp_path / "model.onnx"
    report = export_onnx(tim, path)
    assert report["max_difference"] < 1e-5
    assert report["bytes"] == path.stat().st_size > 4 * tim.count_params() / 2
    session = onnxruntime.InferenceSession(path)
    assert [x.name for x in session.get_inputs()] == [
        *("picture", "style_0", "noise_0", "style_1", "noise_1")
    ]
    assert session.get_inputs()[0].shape[:3] == ["batch", "height", "width"]
    picture = np.random.RandomState(5).rand(3, 8, 6, tim.input_channels)
    picture = picture.astype(np.float32)
    codes = tim.draw_codes(picture, num_samples=1, seed=[1, 2, 3])
    inputs = {"picture": picture}
    for level, (style, noise) in enumerate(codes):
        inputs[f"style_{level}"] = np.asarray(style)
        inputs[f"noise_{level}"] = np.asarray(noise)
    made = session.run(["alternative"], inputs)[0]
    expected = tim.sample(picture, num_samples=1, seed=[1, 2, 3])[:, 0]
    np.testing.assert_allclose(made, expected, atol=1e-5)
    assert [x.name for x in tmp_path.iterdir()] == ["model.onnx"]


@needs_onnx
def test_a_broken_model_is_not_written(make_tim, tmp_path):
    tim = make_tim(quick=True)
    tim.tower[0].head.bias.assign(tim.tower[0].head.bias * np.nan)
    with pytest.raises(RuntimeError, match="differ by nan"):
        export_onnx(tim, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_wrong_endings(make_tim, tmp_path):
    with pytest.raises(ValueError, match=r"\.onnx"):
        export_onnx(make_tim(quick=True), tmp_path / "model.pb")


def test_missing_packages_are_named(make_tim, tmp_path, monkeypatch):
    needed = (*NEEDED, "no_such_package")
    monkeypatch.setattr("keras_tim.export.onnx.NEEDED", needed)
    with pytest.raises(ImportError, match=r"no_such_package: pip install"):
        export_onnx(make_tim(quick=True), tmp_path / "model.onnx")
