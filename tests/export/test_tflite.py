import importlib.util
import pathlib
import runpy
import subprocess
import sys

import flatbuffers
import numpy as np
import pytest

from keras_tim import TIM
from keras_tim.data import sample_photos
from keras_tim.export.tflite import (
    check_tflite,
    custom_operations,
    export_tflite,
    load_tflite,
)
from keras_tim.images import read_picture, write_picture
from keras_tim.tasks.colourization import rgb_to_lightness

needs_litert = pytest.mark.skipif(
    importlib.util.find_spec("ai_edge_litert") is None,
    reason="pip install '.[export]' brings ai-edge-litert",
)
slow = pytest.mark.slow
SIZE = (16, 24)


@pytest.fixture(scope="module")
def pictures():
    return [
        photo[50:66, 80:104] / np.float32(255)
        for photo in list(sample_photos().values())[:3]
    ]


@pytest.fixture(scope="module")
def float32(nano, tmp_path_factory):
    path = tmp_path_factory.mktemp("tflite") / "nano.tflite"
    return path, export_tflite(nano, path, SIZE)


@needs_litert
def test_float32(nano, float32):
    path, report = float32
    assert report["max_difference"] < 1e-5
    assert report["bytes"] == path.stat().st_size
    parameters = nano.folded().count_params()
    # The weights, and little else.
    assert 4 * parameters < report["bytes"] < 4.2 * parameters
    assert report["seconds"] > 0
    _, shapes = load_tflite(path.read_bytes())
    assert shapes == {
        "picture": (1, 16, 24, 3),
        "style_0": (1, 32),
        "noise_0": (1, 16, 24, 2),
        "style_1": (1, 32),
        "noise_1": (1, 32, 48, 2),
    }
    assert [x.name for x in path.parent.iterdir()] == ["nano.tflite"]


@needs_litert
def test_fast_kernels_run_all_of_it_at_one_go(float32):
    from ai_edge_litert.interpreter import Interpreter

    content = float32[0].read_bytes()
    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    names = [x["op_name"] for x in interpreter._get_ops_details()]
    # What they cannot run would stand between several.
    assert names.count("DELEGATE") == 1


@needs_litert
def test_threads_do_not_change_the_picture(float32):
    content = float32[0].read_bytes()
    one, shapes = load_tflite(content, threads=1)
    several, _ = load_tflite(content, threads=2)
    random = np.random.RandomState(0)
    given = {
        name: random.rand(*shape).astype("float32")
        for name, shape in shapes.items()
    }
    np.testing.assert_array_equal(one(**given), several(**given))


@needs_litert
def test_float16(nano, float32, tmp_path):
    report = export_tflite(nano, tmp_path / "half.tflite", SIZE, "float16")
    assert 0 < report["mean_difference"] < 1e-3
    assert report["bytes"] < 0.55 * float32[1]["bytes"]


@needs_litert
def test_int8(nano, float32, pictures, tmp_path):
    def squared(a, b):
        return np.mean((a - b) ** 2, axis=(1, 2, 3))

    report = export_tflite(
        nano, tmp_path / "int8.tflite", SIZE, "int8", pictures, squared
    )
    assert report["bytes"] <= 0.3 * float32[1]["bytes"]
    assert 0 < report["mean_difference"] < 0.02
    assert 0 < report["distance"] < 1e-3
    closer = export_tflite(
        nano, tmp_path / "weights.tflite", SIZE, "int8_weights"
    )
    assert closer["mean_difference"] < report["mean_difference"] / 2
    assert closer["bytes"] <= 0.35 * float32[1]["bytes"]


@needs_litert
@pytest.mark.parametrize("task", ["colourization", "layout_synthesis"])
def test_other_tasks(task, make_tim, tmp_path):
    tim = make_tim(task, quick=True)
    report = export_tflite(tim, tmp_path / "model.tflite", (8, 12))
    # Lab to RGB takes roots and powers, which differ a little.
    assert report["max_difference"] < 1e-4


@needs_litert
def test_what_is_not_the_model_is_refused(float32, make_tim, nano):
    content = float32[0].read_bytes()
    other = type(nano).from_preset("super_resolution_x4_nano")
    with pytest.raises(RuntimeError, match="differ by"):
        check_tflite(content, other)
    with pytest.raises(RuntimeError, match="weights are missing"):
        check_tflite(content[: len(content) // 2], nano)


@needs_litert
def test_operations_that_are_not_built_in_are_named(float32):
    from ai_edge_litert import schema_py_generated as schema

    content = float32[0].read_bytes()
    assert custom_operations(content) == []
    model = schema.ModelT.InitFromPackedBuf(content)
    foreign = schema.OperatorCodeT()
    foreign.builtinCode = schema.BuiltinOperator.CUSTOM
    foreign.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
    foreign.customCode = b"FlexConv2D"
    model.operatorCodes.append(foreign)
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    assert custom_operations(bytes(builder.Output())) == ["FlexConv2D"]


def first_levels(tim, count):
    """A model of the first levels of another one, with its weights."""
    arguments = tim.get_config()
    for name in ("residual_channels", "growth_channels"):
        arguments[name] = arguments[name][:count]
    part = type(tim).from_config(arguments)
    for module, whole in zip(part.tower, tim.tower, strict=False):
        for weight, value in zip(module.weights, whole.weights, strict=True):
            weight.assign(value)
    return part


@needs_litert
@pytest.mark.parametrize(
    ("preset", "size", "counts"),
    [
        # Its second level, too, is in the tests of `float32` above.
        ("super_resolution_x4_nano", SIZE, (1,)),
        pytest.param("super_resolution_x16_nano", (8, 8), (3, 4), marks=slow),
        pytest.param("super_resolution_x4_small", (8, 8), (2,), marks=slow),
        pytest.param("super_resolution_x16_small", (4, 4), (4,), marks=slow),
    ],
)
def test_every_level_converts_with_builtin_operations(
    preset, size, counts, tmp_path
):
    tim = TIM.from_preset(preset)
    for count in counts:
        part = first_levels(tim, count)
        path = tmp_path / f"{count}.tflite"
        # Held against the model, and its operations looked through, too.
        report = export_tflite(part, path, size)
        assert report["max_difference"] < 1e-4
        assert custom_operations(path.read_bytes()) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"path": "model.lite"}, r"\.tflite"),
        ({"precision": "int4"}, "`precision`"),
        ({"size": (8,)}, "`size`"),
        ({"size": (8, 0)}, r"`size\[1\]`"),
        ({"precision": "int8"}, "`pictures` must be given"),
        ({"pictures": [np.zeros((8, 8, 3))]}, "`pictures` must have shape"),
    ],
)
def test_wrong_arguments(changes, message, make_tim):
    arguments = {"path": "model.tflite", "size": (8, 12)}
    with pytest.raises(ValueError, match=message):
        export_tflite(make_tim(quick=True), **{**arguments, **changes})


def test_sides_must_divide(make_tim):
    with pytest.raises(ValueError, match="multiples of 2"):
        export_tflite(make_tim("decompression"), "model.tflite", (8, 11))


EXAMPLE = pathlib.Path(__file__).parents[2] / "export" / "tflite_example.py"


@needs_litert
def test_example_on_a_device(float32, pictures, nano, tmp_path):
    """Its alternatives are the model's, for the codes that it draws."""
    example = runpy.run_path(str(EXAMPLE))
    write_picture(tmp_path / "cat.png", pictures[0])
    subprocess.run(
        [
            *(sys.executable, EXAMPLE, float32[0], tmp_path / "cat.png"),
            *("--count=2", "--seed=5", f"--output={tmp_path}"),
        ],
        check=True,
    )
    _, shapes = load_tflite(float32[0].read_bytes())
    shapes.pop("picture")
    for number in range(2):
        codes = example["draw_codes"](shapes, 5, number)
        pairs = [(codes[f"style_{n}"], codes[f"noise_{n}"]) for n in range(2)]
        expected = nano.decode(pictures[0][None], pairs)[-1][0]
        made = read_picture(tmp_path / f"cat_{number}.png")
        np.testing.assert_allclose(made, expected, atol=0.6 / 255)


@needs_litert
def test_lightness_of_the_example():
    example = runpy.run_path(str(EXAMPLE))
    rgb = np.random.RandomState(0).rand(5, 6, 3).astype(np.float32)
    rgb[0] /= 100
    np.testing.assert_allclose(
        example["lightness"](rgb), rgb_to_lightness(rgb), atol=1e-6
    )


@needs_litert
def test_example_makes_large_pictures_in_tiles(make_tim, tmp_path):
    tim = make_tim(quick=True, style_cell=4)
    export_tflite(tim, tmp_path / "model.tflite", (48, 40))
    example = runpy.run_path(str(EXAMPLE))
    interpreter = example["Interpreter"](str(tmp_path / "model.tflite"))
    decode = interpreter.get_signature_runner("decode")
    shapes = {
        name: details["shape"]
        for name, details in decode.get_input_details().items()
    }
    tiles = example["Tiles"](decode, shapes.pop("picture"), shapes)
    given = np.random.default_rng(0).random((70, 100, 3), "float32")
    made = tiles.alternative(given, 5, 1)
    # Tiles begin 24 rows and 20 columns apart: the last ones end at 72 and 100.
    given = np.pad(given, ((0, 2), (0, 0), (0, 0)), "edge")
    codes = example["draw_codes"](tiles.fields((72, 100)), 5, 1)
    assert codes["style_1"].shape == (1, 18, 25, tim.style_dim)
    pairs = [(codes[f"style_{n}"], codes[f"noise_{n}"]) for n in range(2)]
    expected = tim.decode(given[None], pairs)[-1][0]
    np.testing.assert_allclose(made, expected[:280], rtol=0, atol=1e-4)
    # Smaller ones are filled up, and cut to their size again.
    assert tiles.alternative(given[:30, :20], 5, 1).shape == (120, 80, 3)
