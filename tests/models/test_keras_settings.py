"""What a user's keras.json says changes no pictures."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_tim import LPIPS
from keras_tim.data import crop_dataset
from keras_tim.metrics import InceptionFeatures


@pytest.fixture
def channels_first():
    keras.config.set_image_data_format("channels_first")
    yield
    keras.config.set_image_data_format("channels_last")


def pictures(*shape):
    return np.random.RandomState(0).rand(*shape).astype("float32")


# Of a single level: twice as many take twice as long to trace.
SINGLE = {"residual_channels": (8,), "growth_channels": (4,)}

# The first in a graph as well: the operations are the same.
MODELS = [
    ("super_resolution", SINGLE),
    ("super_resolution", {"weight_norm": False, "input_skip": True}),
    ("decompression", {"input_skip": True}),
    ("colourization", {}),
    ("layout_synthesis", {}),
    ("mnist", {}),
    ("paired_images", {"input_skip": "own"}),
]


@pytest.mark.parametrize(("task", "arguments"), MODELS)
def test_models(make_tim, task, arguments, channels_first):
    made = []
    for setting in ("channels_last", "channels_first"):
        keras.config.set_image_data_format(setting)
        tim = make_tim(task, **arguments)
        tim.compile(
            "sgd",
            distance="mean_squared_error",
            num_samples=2,
            run_eagerly=(task, arguments) != MODELS[0],
        )
        inputs = pictures(2, 8, 12, tim.input_channels)
        targets = pictures(2, *(n * tim.output_factor for n in (8, 12)), 3)
        loss = tim.fit(inputs, targets, verbose=0).history["loss"]
        made.append((tim.predict(inputs, verbose=0), loss))
    np.testing.assert_array_equal(made[0][0], made[1][0])
    assert made[0][1] == made[1][1]


@pytest.mark.parametrize("floatx", ["float64", "float16"])
def test_other_types_of_floats(make_tim, floatx):
    keras.config.set_floatx(floatx)
    try:
        # Styles are float32.
        tim = make_tim(mapping_depth=1, **SINGLE)
        inputs, targets = pictures(2, 4, 6, 3), pictures(2, 8, 12, 3)
        assert tim.sample(inputs, num_samples=1).dtype == np.float32
        assert tim.predict(inputs, verbose=0).dtype == np.float32
        tim.compile("sgd", distance="mean_squared_error", num_samples=2)
        logs = tim.fit(inputs, targets, verbose=0).history
        assert 0.0 < logs["loss"][0] < 1.0
        assert 0.0 < logs["gradient_norm"][0] < 1.0
    finally:
        keras.config.set_floatx("float32")


def test_files_and_exports(make_tim, tmp_path, channels_first):
    tim = make_tim(quick=True, **SINGLE)
    inputs = pictures(1, 4, 6, 3)
    expected = tim.sample(inputs, num_samples=1)
    tim.save(tmp_path / "tim.keras")
    keras.config.set_image_data_format("channels_last")
    again = keras.saving.load_model(tmp_path / "tim.keras")
    np.testing.assert_array_equal(again.sample(inputs, num_samples=1), expected)
    keras.config.set_image_data_format("channels_first")
    folder = tim.export(tmp_path / "model", verbose=False, tile=None)
    answer = tf.saved_model.load(folder).signatures["sample"](
        picture=tf.constant(inputs),
        seed=tf.constant([0], tf.int64),
        index=tf.constant([[0]], tf.int64),
    )
    np.testing.assert_allclose(answer["alternatives"], expected, atol=1e-6)


def test_measures_and_data(channels_first):
    made = []
    for setting in ("channels_last", "channels_first"):
        keras.config.set_image_data_format(setting)
        keras.utils.set_random_seed(0)
        lpips = LPIPS("alex", weights=None)
        inception = InceptionFeatures(weights=None)
        a, b = pictures(2, 1, 40, 48, 3)
        crops = crop_dataset([a[0]], crop_size=16, batch_size=4, augment=True)
        made.append(
            [
                lpips(a, b),
                lpips.spatial_map(a, b),
                inception(a),
                next(iter(crops)),
            ]
        )
    for first, second in zip(*made, strict=True):
        np.testing.assert_array_equal(first, second)
