import numpy as np
import pytest
import tensorflow as tf
from keras import ops
from scipy.fft import dctn

from keras_tim.images.jpeg import jpeg_file
from keras_tim.images.pictures import EncodedPicture, read_picture
from keras_tim.images.quantisation import read_quantisation
from keras_tim.layers.coefficients import (
    block_coefficients,
    of_coefficients,
    step_errors,
    within_steps,
)
from keras_tim.layers.resampling import bicubic_picture


@pytest.fixture(scope="module")
def photo():
    """Soft shapes with grain, of 48 x 64 pixels."""
    rng = np.random.default_rng(3)
    shapes = bicubic_picture(rng.random((7, 9, 3)).astype("float32"), (48, 64))
    grain = rng.normal(0.0, 0.04, shapes.shape)
    return np.clip(0.1 + 0.8 * shapes + grain, 0.0, 1.0).astype("float32")


def compressed(photo, quality):
    file = EncodedPicture("photo.jpg", jpeg_file(photo, quality))
    found = read_quantisation(file)
    steps = found.luminance, found.chrominance, found.cell
    return read_picture(file)[None], steps


def luminance(pictures):
    return 255.0 * np.asarray(pictures) @ np.array([0.299, 0.587, 0.114])


def test_coefficients_are_the_cosine_transform():
    planes = np.random.default_rng(0).normal(0.0, 50.0, (2, 16, 24))
    found = np.asarray(block_coefficients(planes))
    assert found.shape == (2, 2, 8, 3, 8)
    block = dctn(planes[1, 8:, 16:], norm="ortho")
    np.testing.assert_allclose(found[1, 1, :, 2], block, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(of_coefficients(found), planes, atol=1e-3)


def test_an_even_block_has_one_coefficient():
    found = np.asarray(block_coefficients(np.full((1, 8, 8), 10.0)))[0, 0, :, 0]
    assert found[0, 0] == pytest.approx(80.0)  # eight times the mean
    np.testing.assert_allclose(found.ravel()[1:], 0.0, atol=1e-4)


def test_coefficients_are_moved_to_the_end_of_their_interval():
    # Flat grey of level 128 + 10: coefficient 80, in steps of 30 it is 90.
    given = np.full((1, 8, 8, 3), 138 / 255.0, "float32")
    made = np.full((1, 8, 8, 3), 158 / 255.0, "float32")  # 240
    steps = np.full((8, 8), 30)
    for share, wanted in ((0.5, 105.0), (0.1, 93.0)):
        kept = within_steps(made, given, steps, steps, (1, 1), share)
        np.testing.assert_allclose(
            255.0 * np.asarray(kept), 128.0 + wanted / 8.0, atol=1e-3
        )


@pytest.mark.parametrize("quality", [5, 30, 80])
def test_no_picture_is_farther_from_the_photo_than_before(photo, quality):
    given, steps = compressed(photo, quality)
    noise = np.random.default_rng(1).normal(0.0, 0.1, photo.shape)
    made = np.clip(photo + noise, 0.0, 1.0)[None].astype("float32")
    kept = within_steps(made, given, *steps, 0.5)
    error = [
        np.square(luminance(x) - luminance(photo)).mean() for x in (made, kept)
    ]
    assert error[1] < error[0]
    # The photo is one that the file may have been made of.
    again = within_steps(photo[None], given, *steps, 0.5)
    np.testing.assert_allclose(luminance(again)[0], luminance(photo), atol=1.5)


def test_what_is_kept_is_compressed_to_the_same_file(photo):
    given, steps = compressed(photo, 30)
    made = np.full_like(given, 0.5)
    kept = np.asarray(within_steps(made, given, *steps, 0.25))[0]
    again, _ = compressed(kept, 30)
    different = luminance(again) - luminance(given)
    # Colours out of range are cut off, which moves a few.
    assert np.mean(np.abs(different) > 2.0) < 0.02
    np.testing.assert_allclose(
        within_steps(kept[None], given, *steps, 0.25)[0], kept, atol=0.02
    )


def test_colours_of_grey_files_are_left_alone(photo):
    given, (steps, _, _) = compressed(photo, 30)
    kept = np.asarray(
        within_steps(photo[None], given, steps, None, (1, 1), 0.1)
    )
    moved = (kept - photo)[0]
    inside = (kept[0] > 0.0).all(-1) & (kept[0] < 1.0).all(-1)
    np.testing.assert_allclose(
        moved[inside], np.repeat(moved[inside][:, :1], 3, axis=1), atol=1e-5
    )


def test_steps_are_known_by_their_error(photo):
    given, (steps, _, _) = compressed(photo, 30)
    assert np.median(step_errors(given, steps)) < 0.5
    assert np.median(step_errors(given, steps + 3)) > 1.0
    # Blocks that begin elsewhere are others.
    assert np.median(step_errors(given[:, 4:-4, 4:-4], steps)) > 1.0


@pytest.mark.parametrize("jit_compile", [False, True])
def test_sizes_may_be_unknown_and_gradients_flow(photo, jit_compile):
    given, steps = compressed(photo, 30)
    wanted = within_steps(photo[None], given, *steps, 0.25)

    def kept_and_gradient(made):
        with tf.GradientTape() as tape:
            tape.watch(made)
            kept = within_steps(made, given, *steps, 0.25)
            value = ops.sum(ops.square(kept))
        return kept, tape.gradient(value, made)

    signature = None if jit_compile else [tf.TensorSpec([None, None, None, 3])]
    function = tf.function(
        kept_and_gradient, input_signature=signature, jit_compile=jit_compile
    )
    kept, gradient = function(tf.constant(photo[None]))
    np.testing.assert_allclose(kept, wanted, atol=1e-5)
    assert np.isfinite(gradient).all()
    assert np.abs(gradient).max() > 0.0
