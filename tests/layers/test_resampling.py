import numpy as np
import pytest
import tensorflow as tf

from keras_tim.layers.resampling import (
    area_resize,
    bicubic_downsample,
    bicubic_resize,
    bicubic_upsample,
    gaussian_blur,
    interpolate_cells,
    repeat_cells,
)

SIZES = [
    ((6, 9), (12, 18)),  # twice
    ((6, 9), (7, 23)),  # any factor
    ((12, 20), (6, 10)),  # half
    ((13, 20), (5, 7)),
    ((7, 6), (3, 11)),  # down and up
    ((5, 8), (5, 8)),
    ((16, 24), (1, 1)),
]


def pictures(height, width, batch=2):
    rng = np.random.default_rng(0)
    return rng.random((batch, height, width, 3), dtype="float32")


def tensorflow_resize(x, size):
    return tf.image.resize(x, size, method="bicubic", antialias=True)


@pytest.mark.parametrize(("old", "new"), SIZES)
def test_agrees_with_tensorflow(old, new):
    x = pictures(*old)
    np.testing.assert_allclose(
        bicubic_resize(x, *new), tensorflow_resize(x, new), atol=2e-5, rtol=0
    )


@pytest.mark.parametrize(("old", "new"), SIZES[:4])
def test_runs_under_xla(old, new):
    x = pictures(*old)
    compiled = tf.function(
        lambda images: bicubic_resize(images, *new), jit_compile=True
    )
    np.testing.assert_allclose(
        compiled(x), bicubic_resize(x, *new), atol=1e-5, rtol=0
    )


def test_runs_with_unknown_sizes():
    @tf.function(
        input_signature=[
            tf.TensorSpec([None, None, None, 3]),
            tf.TensorSpec([], tf.int32),
            tf.TensorSpec([], tf.int32),
        ]
    )
    def resize(images, height, width):
        return bicubic_resize(images, height, width)

    for old, new in SIZES:
        x = pictures(*old)
        np.testing.assert_allclose(
            resize(x, *new), tensorflow_resize(x, new), atol=2e-5, rtol=0
        )


@pytest.mark.parametrize("new", [(12, 18), (3, 4), (6, 9)])
def test_constant_pictures_stay_constant(new):
    x = np.full((1, 6, 9, 3), 0.3, "float32")
    np.testing.assert_allclose(bicubic_resize(x, *new), 0.3, atol=1e-6)


def test_half_precision_is_resized_in_float32():
    x = pictures(6, 9)
    half = bicubic_resize(tf.cast(x, tf.bfloat16), 3, 4)
    assert half.dtype == tf.float32


def test_has_gradients():
    x = tf.Variable(pictures(6, 9))
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(bicubic_resize(x, 12, 18))
    # A picture twice as high and wide holds each pixel about four times.
    gradient = tape.gradient(total, x)
    assert np.isfinite(gradient).all()
    np.testing.assert_allclose(np.sum(gradient), 2 * 12 * 18 * 3, rtol=1e-5)


@pytest.mark.parametrize(
    ("values", "size", "expected"),
    [
        ([1.0, 2.0, 3.0, 4.0], 2, [1.5, 3.5]),
        # 1.5 old pixels make a new one: (1 + 5 / 2) / 1.5, (5 / 2 + 8) / 1.5.
        ([1.0, 5.0, 8.0], 2, [3.5 / 1.5, 10.5 / 1.5]),
        ([1.0, 5.0], 4, [1.0, 1.0, 5.0, 5.0]),
        ([1.0, 5.0], 3, [1.0, 3.0, 5.0]),
        ([1.0, 5.0, 8.0], 3, [1.0, 5.0, 8.0]),
    ],
)
def test_areas_by_hand(values, size, expected):
    row = np.reshape(np.array(values, "float32"), (1, 1, -1, 1))
    across = area_resize(row, 1, size)
    np.testing.assert_allclose(np.ravel(across), expected, rtol=1e-6)
    down = area_resize(np.swapaxes(row, 1, 2), size, 1)
    np.testing.assert_allclose(np.ravel(down), expected, rtol=1e-6)


@pytest.mark.parametrize("size", [(7, 5), (16, 20), (5, 13), (31, 47)])
def test_areas_are_block_means_of_repeated_pixels(size):
    x = np.random.default_rng(0).random((31, 47), dtype="float32")
    # Every old pixel cut into as many as there are new ones.
    cut = x.repeat(size[0], axis=0).repeat(size[1], axis=1)
    expected = cut.reshape(size[0], 31, size[1], 47).mean(axis=(1, 3))
    np.testing.assert_allclose(
        area_resize(x[None, :, :, None], *size)[0, :, :, 0],
        expected,
        atol=1e-5,
    )


@pytest.mark.parametrize("factor", [2, 3, 4, 8, 16])
def test_whole_factors_agree_with_tensorflow(factor):
    large = pictures(5 * factor, 7 * factor)
    np.testing.assert_allclose(
        bicubic_downsample(large, factor),
        tensorflow_resize(large, (5, 7)),
        atol=2e-5,
        rtol=0,
    )
    small = pictures(5, 3)
    np.testing.assert_allclose(
        bicubic_upsample(small, factor),
        tensorflow_resize(small, (5 * factor, 3 * factor)),
        atol=2e-5,
        rtol=0,
    )


@pytest.mark.parametrize("resize", [bicubic_downsample, bicubic_upsample])
def test_whole_factors_with_unknown_sizes_and_under_xla(resize):
    x = pictures(12, 20)
    expected = resize(x, 4)
    unknown = tf.function(
        lambda images: resize(images, 4),
        input_signature=[tf.TensorSpec([None, None, None, 3])],
    )
    compiled = tf.function(lambda images: resize(images, 4), jit_compile=True)
    np.testing.assert_allclose(unknown(x), expected, atol=1e-6)
    np.testing.assert_allclose(compiled(x), expected, atol=1e-5)


def test_cells_by_hand():
    cells = np.array([0.0, 4.0], "float32")
    # Centres at pixels 0.5 and 2.5 of a row of four: between them a slope.
    spread = interpolate_cells(cells.reshape(1, 1, 2, 1), 2, 1, 4)
    np.testing.assert_allclose(np.ravel(spread), [0.0, 1.0, 3.0, 4.0])
    repeated = repeat_cells(cells.reshape(1, 1, 2, 1), 2, 1, 3)
    np.testing.assert_array_equal(np.ravel(repeated), [0.0, 0.0, 4.0])


def test_one_cell_is_the_same_everywhere():
    cells = pictures(1, 1)
    spread = interpolate_cells(cells, 8, 5, 7)
    np.testing.assert_allclose(
        spread, np.broadcast_to(cells, (2, 5, 7, 3)), atol=1e-6
    )


def test_blur_by_hand():
    # exp(-1/2) and exp(-2) at one and two pixels; three deviations reach 3.
    weights = np.exp(-0.5 * np.arange(-3.0, 4.0) ** 2)
    point = np.zeros((1, 7, 9, 2), "float32")
    point[0, 3, 4] = (1.0, 2.0)
    found = gaussian_blur(point, 1.0)
    # Only the middle row and column have all their neighbours.
    total = weights.sum()
    np.testing.assert_allclose(found[0, 3, 4, 0], 1.0 / total**2, rtol=1e-6)
    np.testing.assert_allclose(found[0, 3, 5, 1], 2 * weights[2] / total**2)
    # In the corner row weights of 0 to 3 pixels are left to share.
    left = weights[3:].sum()
    expected = weights[0] / left * weights[3] / total
    np.testing.assert_allclose(found[0, 0, 4, 0], expected, rtol=1e-5)


def test_blur_keeps_constants_also_where_it_reaches_beyond_the_picture():
    x = np.full((2, 3, 5, 3), 0.4, "float32")
    np.testing.assert_allclose(gaussian_blur(x, 4.0), 0.4, rtol=1e-6)
