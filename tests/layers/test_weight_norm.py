import numpy as np
import pytest
import tensorflow as tf

from keras_tim.layers import WeightNormConv2D
from keras_tim.layers.weight_norm import convolution, weights_follow


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def test_is_a_sound_layer(run_layer_test):
    run_layer_test(
        WeightNormConv2D,
        {"filters": 5, "kernel_size": 3, "gain": 0.5},
        [normal(2, 5, 7, 3)],
    )


def test_kernel_is_the_direction_at_the_given_length():
    layer = WeightNormConv2D(1, kernel_size=1)
    layer.build((None, None, None, 2))
    layer.set_weights(
        [
            np.reshape([3.0, 4.0], (1, 1, 2, 1)),
            np.array([10.0]),
            np.array([0.5]),
        ]
    )
    # 10 * (3, 4) / 5 = (6, 8)
    np.testing.assert_allclose(
        np.ravel(layer.folded_kernel()), [6.0, 8.0], rtol=1e-6
    )
    x = np.reshape([1.0, 2.0], (1, 1, 1, 2)).astype("float32")
    assert np.ravel(layer(x)) == pytest.approx([6.0 + 16.0 + 0.5])


def test_rows_and_columns_are_not_exchanged():
    layer = WeightNormConv2D(1, kernel_size=3)
    layer.build((None, None, None, 1))
    v = np.zeros((3, 3, 1, 1), "float32")
    v[0, 1] = 1.0  # looks at the pixel above
    layer.set_weights([v, np.ones(1), np.zeros(1)])
    x = np.arange(6, dtype="float32").reshape(1, 2, 3, 1)
    np.testing.assert_array_equal(
        np.asarray(layer(x))[0, :, :, 0], [[0, 0, 0], [0, 1, 2]]
    )


def test_norm_runs_over_everything_but_the_filters():
    layer = WeightNormConv2D(4)
    layer.build((None, None, None, 3))
    g = np.array([1.0, 2.0, 3.0, 4.0], "float32")
    layer.set_weights([normal(3, 3, 3, 4), g, np.zeros(4)])
    kernel = np.asarray(layer.folded_kernel())
    np.testing.assert_allclose(
        np.sqrt((kernel**2).sum(axis=(0, 1, 2))), g, rtol=1e-6
    )


def test_length_of_the_direction_is_of_no_consequence():
    layer = WeightNormConv2D(4)
    x = normal(1, 4, 6, 3)
    before = layer(x)
    layer.v.assign(7.0 * layer.v)
    np.testing.assert_allclose(layer(x), before, atol=1e-5)


def test_folded_kernel_gives_the_same_convolution():
    layer = WeightNormConv2D(4)
    x = normal(2, 4, 6, 3)
    layer.build(x.shape)
    layer.set_weights([normal(3, 3, 3, 4), normal(4), normal(4, seed=1)])
    plain = tf.nn.conv2d(x, layer.folded_kernel(), 1, "SAME") + layer.bias
    np.testing.assert_allclose(layer(x), plain, atol=1e-5)


def test_initial_values():
    layer = WeightNormConv2D(64)
    layer.build((None, None, None, 16))
    v, g, bias = layer.get_weights()
    bound = 1.0 / np.sqrt(9 * 16)
    assert np.abs(v).max() <= bound
    assert np.abs(v).max() > 0.99 * bound
    # The standard deviation of U(-b, b) is b / sqrt(3).
    assert v.std() == pytest.approx(bound / np.sqrt(3), rel=0.02)
    np.testing.assert_allclose(
        g, np.sqrt((v**2).sum(axis=(0, 1, 2))), rtol=1e-5
    )
    assert not bias.any()


def test_gain_scales_the_initial_lengths():
    layer = WeightNormConv2D(8, gain=0.1)
    layer.build((None, None, None, 4))
    v, g, _ = layer.get_weights()
    np.testing.assert_allclose(
        g, 0.1 * np.sqrt((v**2).sum(axis=(0, 1, 2))), rtol=1e-5
    )


def test_call_assigns_nothing():
    layer = WeightNormConv2D(4)
    x = normal(1, 4, 6, 3)
    layer(x)
    before = layer.get_weights()
    layer(x, training=True)
    for a, b in zip(before, layer.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("gain", [1.0, 0.1])
def test_plain_convolution_has_the_published_initial_values(gain):
    layer = convolution(64, weight_norm=False, gain=gain)
    layer.build((None, None, None, 32))
    kernel, bias = layer.get_weights()
    expected = gain * 0.1 * np.sqrt(2.0 / (9 * 32))
    # 18,432 values: four standard errors are about 2 %.
    assert kernel.std() == pytest.approx(expected, rel=0.02)
    assert abs(kernel.mean()) < 4 * expected / np.sqrt(kernel.size)
    assert not bias.any()


@pytest.mark.parametrize(
    "kwargs",
    [
        {"filters": 0},
        {"filters": 2.0},
        {"filters": 4, "kernel_size": 0},
        {"filters": 4, "kernel_size": (3, 3)},
    ],
)
def test_refuses_sizes_that_are_no_positive_integers(kwargs):
    with pytest.raises(ValueError, match="must be a positive integer"):
        WeightNormConv2D(**kwargs)


def test_refuses_unknown_channels():
    with pytest.raises(ValueError, match="channels must be known"):
        WeightNormConv2D(4).build((None, None, None, None))


@pytest.mark.parametrize("weight_norm", [False, True])
def test_what_is_assigned_anyway_is_not_drawn(weight_norm):
    def built():
        layer = convolution(4, weight_norm)
        layer.build((None, None, None, 3))
        return layer

    with weights_follow():
        layer = built()
    assert not any(np.any(weight) for weight in layer.get_weights())
    drawn = built()
    assert np.any(drawn.get_weights()[0])
    layer.set_weights(drawn.get_weights())
    x = tf.random.stateless_normal((1, 6, 5, 3), [0, 0])
    np.testing.assert_array_equal(layer(x), drawn(x))
