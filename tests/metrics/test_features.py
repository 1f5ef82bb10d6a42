import numpy as np
import pytest
import tensorflow as tf

from keras_tim.metrics import feature_batches, picture_features


def test_any_extractor_may_be_given(mean_colour, draw_pictures):
    pictures = draw_pictures(5, seed=0)
    expected = pictures.mean(axis=(1, 2)) / 255
    found = picture_features(pictures, mean_colour)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-6)
    found = picture_features(pictures, lambda x: x.mean(axis=(1, 2)))
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_forms_of_pictures_are_alike(mean_colour, draw_pictures):
    pictures = draw_pictures(6, seed=0)
    expected = picture_features(pictures, mean_colour)
    floats = pictures / np.float32(255)
    dataset = tf.data.Dataset.from_tensor_slices(floats).batch(4)
    for given in (
        floats,
        tf.constant(floats),
        pictures.reshape(2, 3, *pictures.shape[1:]),
        list(pictures),
        dataset,
        (batch for batch in (pictures[:1], pictures[1:])),
    ):
        np.testing.assert_allclose(
            picture_features(given, mean_colour, batch_size=4),
            expected,
            atol=1e-6,
        )


def test_batches_are_no_larger_than_asked_for(mean_colour, draw_pictures):
    given = [draw_pictures(5, seed=0), draw_pictures(2, seed=1)]
    batches = feature_batches(given, mean_colour, batch_size=3)
    assert [len(batch) for batch in batches] == [3, 2, 2]


def test_pictures_are_rounded_to_8_bits(mean_colour):
    features = picture_features(np.full((1, 4, 4, 3), 10.4 / 255), mean_colour)
    np.testing.assert_allclose(features, 10 / 255, atol=1e-6)


def test_wrong_arguments_are_refused(mean_colour, draw_pictures):
    pictures = draw_pictures(2, seed=0)
    with pytest.raises(ValueError, match=r"\(\.\.\., height, width, 3\)"):
        picture_features(pictures[..., :1], mean_colour)
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\]"):
        picture_features(pictures.astype("float32"), mean_colour)
    with pytest.raises(ValueError, match=r"pictures\.dtype=int64"):
        picture_features(pictures.astype("int64"), mean_colour)
    with pytest.raises(ValueError, match="must not be empty"):
        picture_features([], mean_colour)
    with pytest.raises(ValueError, match="`batch_size` must be a positive"):
        picture_features(pictures, mean_colour, batch_size=0)
    with pytest.raises(ValueError, match=r"`extractor` must give features"):
        picture_features(pictures, lambda x: x)


def test_pairs_are_refused(mean_colour, draw_pictures):
    inputs, targets = (
        draw_pictures(6, seed=n) / np.float32(255) for n in (0, 1)
    )
    pairs = tf.data.Dataset.from_tensor_slices((inputs, targets))
    named = tf.data.Dataset.from_tensor_slices({"x": inputs, "y": targets})
    for given in (
        pairs.batch(4),
        pairs,
        named.batch(4),
        (inputs, targets),
        {"x": inputs, "y": targets},
        [(inputs, targets)],
        ([x, y] for x, y in pairs.batch(4)),
        "photos",
    ):
        with pytest.raises(ValueError, match="both would be counted"):
            picture_features(given, mean_colour)
    np.testing.assert_array_equal(
        picture_features(pairs.batch(4).map(lambda x, y: y), mean_colour),
        picture_features(targets, mean_colour),
    )
