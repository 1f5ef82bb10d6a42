import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_tim.layers import MappingNetwork, Modulation


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def test_mapping_network_is_a_sound_layer(run_layer_test):
    run_layer_test(
        MappingNetwork,
        {"width": 6, "depth": 2, "learning_rate_multiplier": 0.1},
        [normal(3, 4)],
    )


def test_modulation_is_a_sound_layer(run_layer_test):
    run_layer_test(
        Modulation, {"epsilon": 1e-4}, [normal(2, 5, 7, 4), normal(2, 6)]
    )


# Mapping network.


def test_mapping_network_multiplies_its_weights():
    network = MappingNetwork(1, depth=2, learning_rate_multiplier=0.01)
    network.build((None, 2))
    first, second = network.dense_layers
    first.set_weights([np.array([[300.0], [-100.0]]), np.array([50.0])])
    second.set_weights([np.array([[200.0]]), np.array([-700.0])])
    # Effective: 3 * 1 - 1 * 2 + 0.5 = 1.5; then 2 * 1.5 - 7 = -4 -> -0.8.
    output = network(np.array([[1.0, 2.0]], "float32"))
    assert float(output[0, 0]) == pytest.approx(-0.8, abs=1e-6)


@pytest.mark.parametrize("multiplier", [0.01, 1.0])
def test_mapping_network_starts_as_published(multiplier):
    network = MappingNetwork(256, depth=1, learning_rate_multiplier=multiplier)
    network.build((None, 128))
    kernel, bias = network.dense_layers[0].get_weights()
    effective = multiplier * kernel
    expected = 0.1 * np.sqrt(2.0 / 128)
    assert effective.std() == pytest.approx(expected, rel=0.03)
    assert not bias.any()


def test_multiplier_acts_as_a_smaller_learning_rate_under_adam():
    multiplier, rate = 0.01, 1e-2
    x, wanted = normal(8, 4), normal(8, 5, seed=1)
    slow = MappingNetwork(5, depth=2, learning_rate_multiplier=multiplier)
    plain = MappingNetwork(5, depth=2, learning_rate_multiplier=1.0)
    slow.build(x.shape)
    plain.build(x.shape)
    rng = np.random.default_rng(2)
    start = [rng.normal(0.0, 0.5, w.shape) for w in plain.get_weights()]
    plain.set_weights(start)
    slow.set_weights([w / multiplier for w in start])
    for network, learning_rate in ((slow, rate), (plain, rate * multiplier)):
        # Next to nothing, so that Adam's steps have no unit.
        optimizer = keras.optimizers.Adam(learning_rate, epsilon=1e-12)
        for _ in range(3):
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean((network(x) - wanted) ** 2)
            variables = network.trainable_variables
            optimizer.apply(tape.gradient(loss, variables), variables)
    for s, p, first in zip(
        slow.get_weights(), plain.get_weights(), start, strict=True
    ):
        # Three steps of about rate * multiplier each.
        assert np.abs(p - first).max() > 2e-4
        np.testing.assert_allclose(multiplier * s, p, atol=2e-5, rtol=0)


def test_mapping_network_computes_in_float32_under_every_policy():
    network = MappingNetwork(6, depth=2, dtype="mixed_float16")
    output = network(normal(2, 4))
    assert output.dtype == "float32"
    assert np.abs(output).max() > 0


@pytest.mark.parametrize("multiplier", [0.0, -0.1, 1.5])
def test_refuses_multipliers_out_of_range(multiplier):
    with pytest.raises(ValueError, match=r"must lie in \(0, 1\]"):
        MappingNetwork(learning_rate_multiplier=multiplier)


# Modulation.


def numpy_modulation(x, gamma, beta, epsilon=1e-5):
    mean = x.mean(axis=(1, 2), keepdims=True)
    variance = x.var(axis=(1, 2), keepdims=True)
    normalised = (x - mean) / np.sqrt(variance + epsilon)
    return (1.0 + gamma) * normalised + beta


@pytest.mark.parametrize("training", [False, True])
def test_modulation_agrees_with_numpy(training):
    features = 3.0 + 2.0 * normal(2, 5, 7, 3)
    style = normal(2, 4, seed=1)
    layer = Modulation()
    layer.build(features.shape, style.shape)
    kernel, bias = normal(4, 6, seed=2), normal(6, seed=3)
    layer.dense.set_weights([kernel, bias])
    steering = (style @ kernel + bias)[:, None, None, :]
    expected = numpy_modulation(features, steering[..., :3], steering[..., 3:])
    np.testing.assert_allclose(
        layer(features, style, training=training), expected, atol=2e-5
    )


def test_epsilon_tames_flat_channels():
    # A channel of values +-1e-3 has the variance 1e-6.
    x = np.full((1, 2, 2, 1), 1e-3, "float32")
    x[0, 0] *= -1
    layer = Modulation()
    layer.build(x.shape, (1, 2))
    layer.dense.set_weights([np.zeros((2, 2)), np.zeros(2)])
    output = layer(x, np.zeros((1, 2), "float32"))
    np.testing.assert_allclose(output, x / np.sqrt(1.1e-5), rtol=1e-4)


def test_pictures_of_a_batch_do_not_mix():
    features, style = normal(3, 4, 6, 2), normal(3, 5, seed=1)
    layer = Modulation()
    together = layer(features, style)
    for i in range(3):
        np.testing.assert_allclose(
            layer(features[i : i + 1], style[i : i + 1]),
            together[i : i + 1],
            atol=1e-5,
        )


def test_modulation_undoes_scale_and_offset_of_its_input():
    features, style = normal(1, 6, 9, 2), normal(1, 5, seed=1)
    layer = Modulation()
    np.testing.assert_allclose(
        layer(10.0 * features + 3.0, style),
        layer(features, style),
        atol=1e-4,
    )


def test_statistics_do_not_overflow_in_half_precision():
    # The squares exceed float16's 65,504.
    features = 1000.0 * normal(1, 4, 6, 2)
    style = normal(1, 5, seed=1)
    half = Modulation(dtype="mixed_float16")
    full = Modulation()
    half.build(features.shape, style.shape)
    full.build(features.shape, style.shape)
    full.set_weights(half.get_weights())
    np.testing.assert_allclose(
        np.asarray(half(features, style), "float32"),
        full(features, style),
        atol=0.01,
    )


def test_modulation_starts_as_published():
    layer = Modulation()
    layer.build((None, None, None, 64), (None, 128))
    kernel, bias = layer.get_weights()
    assert kernel.shape == (128, 128)
    assert kernel.std() == pytest.approx(0.1 * np.sqrt(2 / 128), rel=0.03)
    assert not bias.any()
