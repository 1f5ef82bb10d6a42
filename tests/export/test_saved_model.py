import json
import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_tim import TIM
from keras_tim.data.class_files import Classes
from keras_tim.export import Limits, export_saved_model
from keras_tim.export.signatures import Signatures
from keras_tim.images import read_picture, write_picture
from keras_tim.models.generator import Generator
from keras_tim.tasks.colourization import rgb_to_lightness

from .conftest import LIMITS, decode, encode

SEED = 2**40 + 11


def integers(*values):
    return tf.constant(values, tf.int64)


@pytest.fixture(scope="module")
def pictures():
    return np.random.RandomState(0).rand(2, 9, 14, 3).astype(np.float32)


@pytest.fixture(scope="module")
def expected(nano, pictures):
    return nano.sample(pictures, num_samples=5, seed=[SEED, -3])


def test_sample_is_that_of_the_model(signatures, pictures, expected):
    made = signatures["sample"](
        picture=pictures,
        seed=integers(SEED, -3),
        index=integers([0, 1, 2, 3, 4], [0, 1, 2, 3, 4]),
    )["alternatives"]
    assert expected.std(axis=1).max() > 0.01
    np.testing.assert_array_equal(made, expected)


@pytest.mark.parametrize("index", [[3], [4, 0], [2, 2, 1]])
def test_a_sample_depends_on_seed_and_index_alone(
    signatures, pictures, expected, index
):
    made = signatures["sample"](
        picture=pictures[1:], seed=integers(-3), index=integers(index)
    )["alternatives"]
    np.testing.assert_array_equal(made[0], expected[1, index])


def test_codes_decode_to_the_same_samples(signatures, pictures, expected):
    codes = signatures["draw_codes"](
        seed=integers(SEED, -3),
        index=integers([0, 2], [4, 1]),
        size=integers([9, 14], [9, 14]),
    )
    assert codes["noise_1"].shape == (2, 2, 18, 28, 2)
    assert codes["style_0"].shape == (2, 2, 32)
    made = signatures["decode"](picture=pictures, **codes)["alternatives"]
    np.testing.assert_array_equal(made[0], expected[0, [0, 2]])
    np.testing.assert_array_equal(made[1], expected[1, [4, 1]])


def test_encoded_pictures_of_different_sizes(nano, signatures, photo, tmp_path):
    files = [encode(photo), encode(photo[:7, :5], "JPEG"), encode(photo[2:])]
    made = signatures["serving_default"](
        picture_bytes=tf.constant(files),
        seed=integers(5, 6, 7),
        index=integers([0, 1], [2, 0], [0, 0]),
    )["alternative_bytes"].numpy()
    assert made.shape == (3, 2)
    for file, seed, index, answer in zip(
        files, (5, 6, 7), ([0, 1], [2, 0], [0, 0]), made, strict=True
    ):
        path = tmp_path / "given"
        path.write_bytes(file)
        given = read_picture(path)
        samples = nano.sample(given[None], num_samples=3, seed=seed)[0]
        for k, png in zip(index, answer, strict=True):
            write_picture(tmp_path / "sample.png", samples[k])
            np.testing.assert_array_equal(
                decode(png), read_picture(tmp_path / "sample.png", "uint8")
            )
    assert made[0, 0] != made[0, 1]
    assert made[2, 0] == made[2, 1]


FRESH = """
import sys
import numpy as np
import tensorflow as tf

folder, inputs, outputs = sys.argv[1:]
given = np.load(inputs)
signatures = tf.saved_model.load(folder).signatures
sample = signatures["sample"](
    picture=given["picture"], seed=given["seed"], index=given["index"]
)["alternatives"].numpy()
codes = signatures["draw_codes"](
    seed=given["seed"],
    index=given["index"],
    size=np.array([[9, 14], [9, 14]]),
)
decode = signatures["decode"](
    picture=tf.constant(given["picture"]), **codes
)["alternatives"].numpy()
assert "keras_tim" not in sys.modules
np.savez(outputs, sample=sample, decode=decode)
"""


def test_a_fresh_process_needs_only_tensorflow(
    exported, pictures, expected, tmp_path
):
    np.savez(
        tmp_path / "inputs.npz",
        picture=pictures,
        seed=np.array([SEED, -3]),
        index=np.array([[0, 1, 2, 3, 4]] * 2),
    )
    subprocess.run(
        [
            *(sys.executable, "-c", FRESH, exported),
            *(tmp_path / "inputs.npz", tmp_path / "outputs.npz"),
        ],
        check=True,
        cwd=tmp_path,
    )
    outputs = np.load(tmp_path / "outputs.npz")
    np.testing.assert_array_equal(outputs["sample"], expected)
    np.testing.assert_array_equal(outputs["decode"], expected)


REPEATED = """
import sys
import numpy as np
import tensorflow as tf

loaded = tf.saved_model.load(sys.argv[1])
picture = np.random.RandomState(0).rand(2, 9, 14, 3).astype(np.float32)
answers = [
    loaded.signatures["sample"](
        picture=tf.constant(picture),
        seed=tf.constant([1, 2], tf.int64),
        index=tf.constant([list(range(6))] * 2, tf.int64),
    )["alternatives"].numpy()
    for _ in range(40)
]
for answer in answers[1:]:
    np.testing.assert_array_equal(answer, answers[0])
"""


@pytest.mark.slow
def test_no_alternatives_are_in_the_making_at_once(make_tim, tmp_path):
    """With oneDNN that would crash, or give wrong pictures now and then."""
    folder = export_saved_model(make_tim(quick=True), tmp_path / "model")
    subprocess.run(
        [sys.executable, "-c", REPEATED, folder],
        check=True,
        env={**os.environ, "TF_ENABLE_ONEDNN_OPTS": "1"},
    )


# As the installed script has it, wherever that is. Both commands in one
# process: to start TensorFlow takes seconds.
SAVED_MODEL_CLI = """
import json
import sys
from importlib.metadata import entry_points
(script,) = entry_points(group="console_scripts", name="saved_model_cli")
run = script.load()
for arguments in json.loads(sys.argv[1]):
    sys.argv[1:] = arguments
    try:
        run()
    except SystemExit as ended:
        if ended.code:
            raise
"""


def test_saved_model_cli_shows_and_runs(exported, pictures, expected, tmp_path):
    for name, value in {
        "picture": pictures[:1],
        "seed": np.array([SEED]),
        "index": np.array([[4, 2]]),
    }.items():
        np.save(tmp_path / f"{name}.npy", value)
    inputs = ";".join(
        f"{name}={tmp_path / name}.npy" for name in ("picture", "seed", "index")
    )
    where = ["--dir", exported, "--tag_set", "serve"]
    show = ["show", *where, "--signature_def", "serving_default"]
    run = ["run", *where, "--signature_def", "sample"]
    run += ["--inputs", inputs, "--outdir", str(tmp_path)]
    shown = subprocess.run(
        [sys.executable, "-c", SAVED_MODEL_CLI, json.dumps([show, run])],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for name in ("picture_bytes", "seed", "index", "alternative_bytes"):
        assert f"['{name}'] tensor_info" in shown
    made = np.load(tmp_path / "alternatives.npy")
    np.testing.assert_array_equal(made, expected[:1, [4, 2]])


def test_folded_kernels_and_nothing_else_is_kept(nano, exported):
    saved = dict(
        tf.train.list_variables(os.path.join(exported, "variables/variables"))
    )
    saved = {
        name: shape
        for name, shape in saved.items()
        if name != "_CHECKPOINTABLE_OBJECT_GRAPH"
    }
    folded = nano.folded()
    count = sum(int(np.prod(shape)) for shape in saved.values())
    assert count == folded.count_params() < nano.count_params()
    by_shape = sorted(tuple(shape) for shape in saved.values())
    assert by_shape == sorted(tuple(w.shape) for w in folded.weights)


def test_folding_keeps_every_level(make_tim, pictures):
    tim = make_tim(quick=True)
    plain = tim.folded()
    assert not any(w.path.endswith("/v") for w in plain.weights)
    codes = tim.draw_codes(pictures, num_samples=2, seed=1)
    for a, b in zip(
        tim.decode(pictures, codes),
        plain.decode(pictures, codes),
        strict=True,
    ):
        np.testing.assert_allclose(a, b, atol=1e-5)


# Of a single level: twice as many take twice as long to trace.
SINGLE = {"residual_channels": (8,), "growth_channels": (4,)}
# So do tiles, which are in `test_tiles.py`.
WHOLE = {"tile": None}


@pytest.fixture(scope="module")
def tiny(make_tim):
    # Few operations, many weights.
    return make_tim(quick=True, **{**SINGLE, "residual_channels": (96,)})


@pytest.fixture(scope="module")
def variants(tiny, tmp_path_factory):
    path = tmp_path_factory.mktemp("variants") / "photos"
    export_saved_model(tiny, path, frozen=True, **WHOLE)
    export_saved_model(tiny, path, dtype="bfloat16", version=7, **WHOLE)
    assert sorted(os.listdir(path)) == ["1", "7"]
    return path


def _sample(folder, pictures):
    return tf.saved_model.load(os.fspath(folder)).signatures["sample"](
        picture=tf.constant(pictures),
        seed=integers(SEED, -3),
        index=integers([0, 1], [0, 1]),
    )["alternatives"]


def _weights_file(folder):
    return folder / "variables/variables.data-00000-of-00001"


def test_frozen_variant(variants, tiny, pictures):
    # TensorFlow multiplies constants that meet, which costs a last bit.
    np.testing.assert_allclose(
        _sample(variants / "1", pictures),
        tiny.sample(pictures, num_samples=2, seed=[SEED, -3]),
        atol=1e-6,
    )
    assert _weights_file(variants / "1").stat().st_size < 1000
    # Once, although three signatures need them.
    frozen, graph = (
        (variants / version / "saved_model.pb").stat().st_size
        for version in ("1", "7")
    )
    weights = 4 * tiny.folded().count_params()
    assert weights < frozen < graph + 1.2 * weights


def test_bfloat16_variant(variants, tiny, pictures):
    made = _sample(variants / "7", pictures)
    assert made.dtype == tf.float32
    expected = tiny.sample(pictures, num_samples=2, seed=[SEED, -3])
    difference = np.abs(made - expected)
    assert 0 < difference.max() < 0.05
    assert difference.mean() < 5e-3
    card = json.loads((variants / "7/card.json").read_text())
    assert (card["dtype"], card["frozen"]) == ("bfloat16", False)
    size = _weights_file(variants / "7").stat().st_size
    assert size < 0.8 * 4 * tiny.folded().count_params()


def test_card(exported):
    card = json.loads(pathlib.Path(exported, "card.json").read_text())
    assert card["name"] == "photos"
    assert card["task"] == "super_resolution"
    assert card["limits_of_a_request"] == LIMITS
    assert card["training"] == {"data": "none", "steps": 0}
    assert card["output"] == {"times_as_high_and_wide": 4}
    assert card["signatures"]["sample"] == {
        "inputs": {
            "picture": {"dtype": "float32", "shape": [-1, -1, -1, 3]},
            "seed": {"dtype": "int64", "shape": [-1]},
            "index": {"dtype": "int64", "shape": [-1, -1]},
        },
        "outputs": {
            "alternatives": {"dtype": "float32", "shape": [-1, -1, -1, -1, 3]}
        },
    }
    kernels = os.environ.get("TF_ENABLE_ONEDNN_OPTS")
    assert card["environment"] == {"TF_ENABLE_ONEDNN_OPTS": kernels}
    text = pathlib.Path(exported, "card.md").read_text()
    measured = "| samples: lpips_alex_mean | 0.5123 |"
    for part in ("# photos", "450,246", "alternative_bytes", measured):
        assert part in text
    kernels = "unset" if kernels is None else f"= {kernels}"
    assert f"`TF_ENABLE_ONEDNN_OPTS`, which was {kernels} where" in text


def test_export_of_a_compiled_model(make_tim, tmp_path, capsys, monkeypatch):
    tim = make_tim(quick=True, **SINGLE)
    traced, sample = [], Signatures.sample
    monkeypatch.setattr(
        Signatures, "sample", lambda *x: traced.append(1) or sample(*x)
    )
    tim.compile(distance=lambda a, b: keras.ops.mean((a - b) ** 2, (1, 2, 3)))
    folder = tim.export(tmp_path / "model", version=3)
    assert folder == str(tmp_path / "model" / "3")
    assert capsys.readouterr().out == f"Saved artifact at '{folder}'.\n"
    assert traced == [1]
    # The optimizer stays behind; what is more is the checkpoint's own.
    saved = tf.train.list_variables(f"{folder}/variables/variables")
    assert len(saved) == len(tim.folded().weights) + 1
    with pytest.raises(FileExistsError, match="version 3"):
        tim.export(tmp_path / "model", version=3)
    assert os.listdir(tmp_path / "model") == ["3"]


def test_models_of_mixed_precision_are_exported_in_float32(
    make_tim, pictures, tmp_path
):
    tim = make_tim(quick=True, dtype="mixed_bfloat16", **SINGLE)
    folder = export_saved_model(tim, tmp_path, **WHOLE)
    made = _sample(folder, pictures)
    full = make_tim(quick=True, **SINGLE)
    np.testing.assert_array_equal(
        made, full.sample(pictures, num_samples=2, seed=[SEED, -3])
    )


def test_samples_follow_the_weights(make_tim, pictures):
    tim = make_tim(quick=True)
    before = tim.sample(pictures, num_samples=2)
    bias = tim.tower[-1].output_convolution.bias
    bias.assign(bias + 0.5)
    after = tim.sample(pictures, num_samples=2)
    assert np.abs(after - before).max() > 0.05
    together = tim.sample(pictures, num_samples=2, batch_size=4)
    np.testing.assert_allclose(after, together, atol=1e-6)


def test_wrong_arguments(make_tim, tmp_path):
    tim = make_tim(quick=True)
    for wrong in (-1, "latest", True):
        with pytest.raises(ValueError, match="`version`"):
            export_saved_model(tim, tmp_path, version=wrong)
    with pytest.raises(ValueError, match="`dtype`"):
        export_saved_model(tim, tmp_path, dtype="float16")
    with pytest.raises(ValueError, match="`alternatives`"):
        export_saved_model(tim, tmp_path, limits={"alternatives": 0})
    with pytest.raises(ValueError, match="'tf_saved_model', 'tflite'"):
        tim.export(tmp_path, format="coreml")
    assert not os.listdir(tmp_path)


def test_a_failed_export_leaves_nothing(make_tim, tmp_path, monkeypatch):
    tim = make_tim(quick=True, **SINGLE)
    tim.tower[0].head.bias.assign(tim.tower[0].head.bias * np.nan)
    with pytest.raises(RuntimeError, match="differs from the given one by nan"):
        export_saved_model(tim, tmp_path / "model", **WHOLE)
    assert not list((tmp_path / "model").iterdir())


TASKS = (
    "colourization",
    "decompression",
    "layout_synthesis",
    "mnist",
    "paired_images",
)


@pytest.mark.parametrize("task", TASKS)
def test_other_tasks(task, make_tim, photo):
    tim = make_tim(
        task, quick=True, residual_channels=(6,) * 3, growth_channels=(3,) * 3
    )
    answers = Signatures(Generator(tim), Limits(), **WHOLE)
    assert tim.input_multiple == 4
    given = np.zeros((1, 8, 12, tim.input_channels), np.float32)
    assert Generator(tim).noise_sizes(8, 12) == tim.noise_sizes(given)
    # 13 x 18 pixels are padded to 16 x 20, and the answer cropped.
    labels = np.arange(13 * 18, dtype=np.uint8).reshape(13, 18) % 5
    file = encode(labels if task == "layout_synthesis" else photo)
    answer = tf.function(answers.serving_default)(
        tf.constant([file]), integers(3), integers([1])
    )["alternative_bytes"].numpy()[0, 0]
    assert decode(answer).shape == (13, 18, 3)
    if task == "layout_synthesis":
        # Of 16 x 24 ids every second one in both directions.
        labels = np.pad(labels, ((0, 3), (0, 6)), mode="edge")[::2, ::2]
        given = np.eye(4, dtype=np.float32)[np.minimum(labels, 3)]
    else:
        given = np.pad(photo, ((0, 3), (0, 2), (0, 0)), mode="edge")
        given = given / np.float32(255)
    if task == "colourization":
        given = np.asarray(rgb_to_lightness(given))
    if task == "mnist":
        given = given @ np.float32([[0.299], [0.587], [0.114]])
    sample = tim.sample(given[None], num_samples=2, seed=3)[0, 1, :13, :18]
    assert np.abs(decode(answer) - 255.0 * sample).max() < 0.51


def test_layouts_are_read_by_the_ids_of_their_classes(make_tim):
    classes = Classes(
        [("sky", 23, None), ("road", 7, None), ("dirt road", 9, None)]
    )
    generator = Generator(make_tim("layout_synthesis", quick=True))
    read = tf.function(Signatures(generator, Limits(), classes)._read_layout)
    ids = np.repeat(np.uint8([[23, 7, 9, 0]]), 2, axis=1)
    ids = np.repeat(ids, 4, axis=0)
    np.testing.assert_array_equal(
        read(encode(ids)), np.eye(4)[[[0, 1, 2, 3]] * 2]
    )
    for rows, message in (
        ([("sky", 1, None)], "4 channels"),
        ([(str(n), None, (n, n, n)) for n in range(3)], "must have ids"),
    ):
        with pytest.raises(ValueError, match=message):
            Signatures(generator, Limits(), Classes(rows))


def test_a_model_brings_the_ids_of_its_classes(make_tim, tmp_path):
    rows = [["road", 7, None], ["sky", 23, None], ["road", 9, None]]
    tim = make_tim("layout_synthesis", quick=True, classes=rows)
    tim.save(tmp_path / "tim.keras")
    again = keras.saving.load_model(tmp_path / "tim.keras")
    assert again.classes == tuple(Classes(rows).rows)
    folder = again.export(tmp_path / "model", verbose=False, **WHOLE)
    served = tf.saved_model.load(folder).signatures["serving_default"]
    ids = np.repeat(np.uint8([[23, 7, 9, 0]]), 8, axis=1).repeat(16, axis=0)
    answer = served(
        picture_bytes=tf.constant([encode(ids)]),
        seed=integers(3),
        index=integers([0]),
    )["alternative_bytes"].numpy()[0, 0]
    layout = np.eye(3, dtype=np.float32)[np.repeat([[1, 0, 0, 2]], 4, axis=1)]
    given = layout.repeat(8, axis=0)[None]
    expected = tim.sample(given, num_samples=1, seed=3)[0, 0]
    assert np.abs(decode(answer) - 255.0 * expected).max() < 0.51
    with open(f"{folder}/card.json") as file:
        assert json.load(file)["input"]["classes"] == [
            {"name": "road", "ids": [7, 9]},
            {"name": "sky", "ids": [23]},
        ]
    with open(f"{folder}/card.md") as file:
        assert "| Classes | road 7/9, sky 23 |" in file.read()


def test_other_ids_of_the_same_classes_may_be_given(make_tim):
    tim = make_tim(
        "layout_synthesis",
        quick=True,
        classes=[("sky", 23, None), ("road", 7, None)],
    )
    generator = Generator(tim)
    given = Classes([("sky", 10, None), ("road", 0, None)])
    read = tf.function(Signatures(generator, Limits(), given)._read_layout)
    ids = np.uint8([[10, 0], [0, 99]]).repeat(2, axis=0).repeat(2, axis=1)
    np.testing.assert_array_equal(
        read(encode(ids)), np.eye(3)[[[0, 1], [1, 2]]]
    )
    swapped = Classes([("road", 7, None), ("sky", 23, None)])
    with pytest.raises(ValueError, match=r"sky, road.*Received: road, sky"):
        Signatures(generator, Limits(), swapped)


@pytest.mark.parametrize(
    "classes",
    [None, [("sky", None, (1, 2, 3)), ("road", None, (4, 5, 6))]],
)
def test_ids_that_nobody_knows_are_channels(make_tim, classes, caplog):
    channels = {} if classes else {"input_channels": 3}
    tim = make_tim("layout_synthesis", quick=True, classes=classes, **channels)
    answers = Signatures(Generator(tim), Limits())
    assert answers.classes.ids == ((0,), (1,))
    ids = np.uint8([[1, 0], [2, 99]]).repeat(2, axis=0).repeat(2, axis=1)
    layout = tf.function(answers._read_layout)(encode(ids))
    np.testing.assert_array_equal(layout, np.eye(3)[[[1, 0], [2, 2]]])


def test_limits():
    assert Limits().alternatives > 8
    with pytest.raises(ValueError, match="`output_pixels`"):
        Limits(output_pixels=1.5)


def test_models_without_weight_norm_or_codes(make_tim, pictures):
    tim = make_tim(quick=True, weight_norm=False, stochastic=False)
    answers = Signatures(Generator(tim), Limits(), **WHOLE)
    made = tf.function(answers.sample)(
        tf.constant(pictures), integers(1, 2), integers([0, 1], [0, 5])
    )["alternatives"]
    np.testing.assert_array_equal(made[:, 0], made[:, 1])
    np.testing.assert_array_equal(
        made[:, :1], tim.sample(pictures, num_samples=1)
    )


@pytest.mark.slow
@pytest.mark.parametrize("frozen", [False, True])
def test_a_shipped_preset_with_maps_of_styles(tmp_path, frozen):
    tim = TIM.from_preset("super_resolution_x4_lite")
    check_maps_of_styles(tim, tmp_path, frozen)


def test_maps_of_styles(make_tim, tmp_path):
    config = TIM.from_preset("super_resolution_x4_lite").get_config()
    tim = TIM.from_config(
        {
            **config,
            "residual_channels": (8,),
            "growth_channels": (4,),
            "num_blocks": (2,),
            "plain_blocks": (1,),
        }
    )
    rng = np.random.default_rng(0)
    for weight in tim.trainable_variables:  # styles show little at first
        if len(weight.shape) == 2:
            weight.assign(rng.normal(0.0, 0.5, weight.shape))
    check_maps_of_styles(tim, tmp_path, frozen=False, **WHOLE)


def check_maps_of_styles(tim, tmp_path, frozen, tile="auto"):
    folder = export_saved_model(tim, tmp_path / "up", frozen=frozen, tile=tile)
    signatures = tf.saved_model.load(folder).signatures
    picture = np.random.default_rng(0).random((1, 11, 9, 3), dtype="float32")
    expected = tim.sample(picture, num_samples=2, seed=3)
    indices = tf.constant([[0, 1]], tf.int64)
    made = signatures["sample"](
        picture=picture, seed=tf.constant([3], tf.int64), index=indices
    )["alternatives"]
    # Plain blocks are run apart from the rest by the one alone.
    np.testing.assert_allclose(made, expected, rtol=0, atol=2e-5)
    codes = signatures["draw_codes"](
        seed=tf.constant([3], tf.int64),
        index=indices,
        size=tf.constant([[11, 9]], tf.int64),
    )
    assert codes["style_0"].shape == (1, 2, 2, 2, tim.style_dim)
    decoded = signatures["decode"](picture=picture, **codes)["alternatives"]
    np.testing.assert_allclose(decoded, expected, rtol=0, atol=2e-5)
    codes["style_0"] = codes["style_0"][:, :, :1]
    with pytest.raises(tf.errors.InvalidArgumentError, match="`style_0`"):
        signatures["decode"](picture=picture, **codes)
