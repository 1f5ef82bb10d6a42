import shutil

import h5py
import keras
import numpy as np
import pytest

from keras_tim.layers import MappingNetwork, Modulation


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def test_mapping_network_is_a_sound_layer(run_layer_test):
    run_layer_test(
        MappingNetwork,
        {"width": 6, "depth": 2, "learning_rate_multiplier": 0.1, "gain": 0.5},
        [normal(3, 4)],
    )


def test_modulation_is_a_sound_layer(run_layer_test):
    run_layer_test(
        Modulation, {"epsilon": 1e-4}, [normal(2, 5, 7, 4), normal(2, 6)]
    )


# Mapping network.


def test_mapping_network_alternates_dense_and_leaky_relu():
    network = MappingNetwork(1, depth=2, learning_rate_multiplier=0.01)
    network.build((None, 2))
    first, second = network.dense_layers
    first.set_weights([np.array([[3.0], [-1.0]]), np.array([0.5])])
    second.set_weights([np.array([[2.0]]), np.array([-7.0])])
    # 3 * 1 - 1 * 2 + 0.5 = 1.5; then 2 * 1.5 - 7 = -4 -> -0.8.
    output = network(np.array([[1.0, 2.0]], "float32"))
    assert float(output[0, 0]) == pytest.approx(-0.8, abs=1e-6)


@pytest.mark.parametrize(("gain", "multiplier"), [(0.1, 0.01), (1.0, 1.0)])
def test_initial_kernels_are_kaiming_normal(gain, multiplier):
    network = MappingNetwork(
        256, depth=1, learning_rate_multiplier=multiplier, gain=gain
    )
    network.build((None, 128))
    kernel, bias = network.dense_layers[0].get_weights()
    # 0.1 of that is what the published code starts with.
    expected = gain * np.sqrt(2.0 / 128)
    assert kernel.std() == pytest.approx(expected, rel=0.03)
    assert not bias.any()


@pytest.mark.parametrize(
    ("width", "depth", "style_dim"),
    # Of the paper's, the small and the nano presets.
    [(512, 8, 128), (128, 4, 64), (64, 2, 32)],
)
def test_mapped_styles_are_as_large_as_styles(width, depth, style_dim):
    sizes = []
    for seed in range(4):
        keras.utils.set_random_seed(seed)
        mapped = np.asarray(MappingNetwork(width, depth)(normal(64, style_dim)))
        # The mean square grows by 1.04 a layer: half of what goes into the
        # LeakyReLU is kept, and 0.2 of the other half.
        sizes.append((mapped**2).mean() / 1.04**depth)
    assert np.mean(sizes) == pytest.approx(1.0, abs=0.25)


def test_published_gain_all_but_removes_the_style():
    keras.utils.set_random_seed(0)
    mapped = np.asarray(MappingNetwork(gain=0.1)(normal(8, 128)))
    assert 0.5e-8 < np.sqrt((mapped**2).mean()) < 2e-8


def test_files_of_divided_weights_load_as_effective_ones(tmp_path):
    # As files were before there was `gain`: without the mark, and with
    # weights that the call multiplied by the learning rate's multiplier.
    def made():
        inputs = keras.Input((4,))
        layer = MappingNetwork(5, depth=2, learning_rate_multiplier=0.25)
        return keras.Model(inputs, layer(inputs)), layer

    model, layer = made()
    layer.set_weights([normal(*w.shape, seed=2) for w in layer.weights])
    path = tmp_path / "mapping.weights.h5"
    model.save_weights(path)
    divided = tmp_path / "divided.weights.h5"
    shutil.copy(path, divided)
    with h5py.File(divided, "r+") as file:
        marks, found = [], []

        def note(name, item):
            if name.endswith("stored_scale"):
                marks.append(name)
            elif isinstance(item, h5py.Dataset) and item.shape:
                found.append(item)

        file.visititems(note)
        assert (len(marks), len(found)) == (1, 4)
        for item in found:
            item[...] = item[...] / 0.25
        del file[marks[0]]
    x = normal(3, 4, seed=1)
    for file in (divided, path, divided):
        again, _ = made()
        again.load_weights(file)
        np.testing.assert_array_equal(again(x), model(x))
    # What is loaded is saved as what it is.
    again.save_weights(path)
    model.load_weights(path)
    np.testing.assert_array_equal(again(x), model(x))


def test_mapping_network_computes_in_float32_under_every_policy():
    network = MappingNetwork(6, depth=2, dtype="mixed_float16")
    output = network(normal(2, 4))
    assert output.dtype == "float32"
    assert np.abs(output).max() > 0


@pytest.mark.parametrize("multiplier", [0.0, -0.1, 1.5])
def test_refuses_multipliers_out_of_range(multiplier):
    with pytest.raises(ValueError, match=r"must lie in \(0, 1\]"):
        MappingNetwork(learning_rate_multiplier=multiplier)


@pytest.mark.parametrize("gain", [0.0, -1.0, float("nan")])
def test_refuses_gains_that_are_not_positive(gain):
    with pytest.raises(ValueError, match="`gain` must be positive"):
        MappingNetwork(gain=gain)


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


def test_without_normalisation_it_starts_as_the_identity():
    x, style = normal(2, 4, 5, 3), normal(2, 6, seed=1)
    layer = Modulation(normalization="none")
    np.testing.assert_array_equal(layer(x, style), x)
    kernel = np.zeros((6, 6), "float32")
    # The first style unit doubles channel 0; the second adds to channel 1.
    kernel[0, 0], kernel[1, 4] = 1.0, 1.0
    layer.dense.kernel.assign(kernel)
    one = np.array([[1.0, 0.5, 0.0, 0.0, 0.0, 0.0]] * 2, "float32")
    expected = x * [2.0, 1.0, 1.0] + [0.0, 0.5, 0.0]
    np.testing.assert_allclose(layer(x, one), expected, rtol=1e-6)


def test_without_normalisation_is_a_sound_layer(run_layer_test):
    run_layer_test(
        Modulation,
        {"normalization": "none", "style_cell": 2},
        [normal(2, 4, 5, 3), normal(2, 2, 3, 6, seed=1)],
    )
