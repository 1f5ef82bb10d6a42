import numpy as np
import pytest
import tensorflow as tf

from keras_tim.layers.resampling import bicubic_resize

TASKS = (
    "super_resolution",
    "colourization",
    "decompression",
    "layout_synthesis",
    "paired_images",
)

# Output sizes of two levels for inputs of 4 x 6 (and 8 x 12).
SIZES = {
    "super_resolution": [(8, 12), (16, 24)],
    "colourization": [(4, 6), (8, 12)],
    "decompression": [(4, 6), (8, 12)],
    "layout_synthesis": [(8, 12), (16, 24)],
    "paired_images": [(4, 6), (8, 12)],
}


def quick(task):
    """Whether a model does without blocks, which are those of every task."""
    return task != "super_resolution"


@pytest.mark.parametrize("task", TASKS)
def test_every_level_has_an_output(make_tim, pictures, task):
    tim = make_tim(task)
    inputs = pictures(tim)
    codes = tim.draw_codes(inputs, num_samples=3, seed=0)
    outputs = tim(inputs, codes)
    decoded = tim.decode(inputs, codes)
    channels = 2 if task == "colourization" else 3
    for output, picture, size in zip(
        outputs, decoded, SIZES[task], strict=True
    ):
        assert output.shape == (6, *size, channels)
        assert picture.shape == (6, *size, 3)
        assert picture.dtype == tf.float32
        assert np.min(picture) >= 0.0
        assert np.max(picture) <= 1.0
    assert tim.scale == SIZES[task][-1][0] // 4
    assert tim.supervised_levels == [0, 1]


@pytest.mark.parametrize("task", TASKS)
def test_shapes_are_told_beforehand(make_tim, pictures, task):
    tim = make_tim(task)
    inputs = pictures(tim)
    codes = tim.draw_codes(inputs, num_samples=1, seed=0)
    assert tim.noise_sizes(inputs) == [(4, 6), (8, 12)]
    output, feature = None, None
    for level, (code, size) in enumerate(
        zip(codes, tim.noise_sizes(inputs), strict=True)
    ):
        output, feature = tim.run_level(
            level, tim.level_input(level, inputs, output), feature, code
        )
        assert (output.shape, feature.shape) == tim.output_shapes(
            level, 2, size
        )


@pytest.mark.parametrize("input_skip", [False, True])
def test_levels_build_on_each_other(make_tim, pictures, input_skip):
    tim = make_tim(input_skip=input_skip)
    (small,) = pictures(tim)
    codes = tim.draw_codes(small, num_samples=1, seed=0)
    other = tim.draw_codes(small, num_samples=1, seed=1)
    first = tim(small, codes)
    upper = tim(small, [codes[0], other[1]])
    lower = tim(small, [other[0], codes[1]])
    # The upper code moves the upper output alone, the lower one both.
    np.testing.assert_array_equal(first[0], upper[0])
    assert np.abs(first[1] - upper[1]).max() > 1e-4
    assert np.abs(first[0] - lower[0]).max() > 1e-4
    assert np.abs(first[1] - lower[1]).max() > 1e-4


def test_feature_scale_weighs_the_feature_of_the_level_below(
    make_tim, pictures
):
    inputs = pictures(make_tim())
    seen = [make_tim(feature_scale=scale) for scale in (0.0, 0.1, 0.2)]
    for tim in seen[1:]:
        tim.set_weights(seen[0].get_weights())
    codes = seen[0].draw_codes(inputs, num_samples=1, seed=0)
    outputs = [tim(inputs, codes) for tim in seen]
    np.testing.assert_array_equal(outputs[0][0], outputs[1][0])
    assert np.abs(outputs[0][1] - outputs[1][1]).max() > 1e-6
    assert np.abs(outputs[2][1] - outputs[1][1]).max() > 1e-6


@pytest.mark.parametrize("task", TASKS)
def test_unknown_sizes_give_the_same_pictures(make_tim, pictures, task):
    tim = make_tim(task, quick=quick(task))
    inputs = pictures(tim)
    specification = [
        tf.TensorSpec([None, None, None, tim.input_channels]) for _ in inputs
    ]

    @tf.function(input_signature=[specification])
    def decode(inputs):
        return tim.decode(inputs, tim.draw_codes(inputs, 1, seed=3))

    for batch, height, width in ((2, 4, 6), (3, 5, 2)):
        inputs = pictures(tim, batch, height, width)
        eager = tim.decode(inputs, tim.draw_codes(inputs, 1, seed=3))
        for a, b in zip(decode(inputs), eager, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-5)


def test_runs_under_xla(make_tim, pictures):
    tim = make_tim(input_skip=True)
    inputs = pictures(tim)
    codes = tim.draw_codes(inputs, num_samples=2, seed=0)
    compiled = tf.function(tim.decode, jit_compile=True)
    for a, b in zip(
        compiled(inputs, codes), tim.decode(inputs, codes), strict=True
    ):
        np.testing.assert_allclose(a, b, atol=1e-5)


# The skip from the input.


def test_skip_starts_near_bicubic_interpolation(make_tim, pictures):
    inputs = pictures(make_tim(), 2, 8, 12)
    distances = {}
    for input_skip in (False, True):
        tim = make_tim(input_skip=input_skip)
        codes = tim.draw_codes(inputs, num_samples=1, seed=0)
        picture = tim.decode(inputs, codes)[-1]
        expected = np.clip(bicubic_resize(inputs[0], 32, 48), 0.0, 1.0)
        distances[input_skip] = np.abs(picture - expected).mean()
    assert distances[True] < 0.05
    assert distances[False] > 2 * distances[True]


def test_skip_alone_is_bicubic_interpolation(make_tim, pictures):
    tim = make_tim(input_skip=True)
    for module in tim.tower:
        module.output_convolution.g.assign([0.0, 0.0, 0.0])
    (small,) = pictures(tim)
    codes = tim.draw_codes(small, num_samples=1, seed=0)
    once = np.clip(bicubic_resize(small, 8, 12), 0.0, 1.0)
    twice = np.clip(bicubic_resize(once, 16, 24), 0.0, 1.0)
    for output, expected in zip(tim(small, codes), (once, twice), strict=True):
        np.testing.assert_allclose(output, expected, atol=1e-6)


def test_residual_is_half_the_tanh(make_tim, pictures):
    tim = make_tim("decompression", input_skip=True)
    inputs = [0.4 + 0.2 * x for x in pictures(tim)]
    for module in tim.tower:
        module.output_convolution.g.assign([0.0, 0.0, 0.0])
        module.output_convolution.bias.assign([0.2, 0.0, -0.2])
    codes = tim.draw_codes(inputs, num_samples=1, seed=0)
    residual = np.tanh([0.2, 0.0, -0.2]) / 2
    first, second = tim(inputs, codes)
    np.testing.assert_allclose(first, inputs[0] + residual, atol=1e-6)
    # Later levels start from the output below, not from their own input.
    enlarged = bicubic_resize(first, 8, 12)
    np.testing.assert_allclose(second, enlarged + residual, atol=1e-6)


def test_later_levels_read_their_own_input_too(make_tim, pictures):
    tim = make_tim("decompression", input_skip=True)
    coarse, fine = pictures(tim)
    codes = tim.draw_codes([coarse, fine], num_samples=1, seed=0)
    _, before = tim([coarse, fine], codes)
    first, after = tim([coarse, fine[:, ::-1]], codes)
    seen = tim.level_input(1, [coarse, fine], first)
    # Smoothed by windows of 3 x 3, cut off at the border.
    np.testing.assert_allclose(
        seen[:, 2, 3, :3], fine[:, 1:4, 2:5].mean((1, 2)), atol=1e-6
    )
    np.testing.assert_allclose(
        seen[:, 0, 0, :3], fine[:, :2, :2].mean((1, 2)), atol=1e-6
    )
    assert np.abs(after - before).max() > 1e-4


def test_clipped_values_keep_their_gradient(make_tim):
    tim = make_tim("decompression", input_skip=True)
    inputs = [np.ones((1, 4 * f, 6 * f, 3), "float32") for f in (1, 2)]
    last = tim.tower[-1].output_convolution
    last.bias.assign([3.0, 3.0, 3.0])  # far above white
    codes = tim.draw_codes(inputs, num_samples=1, seed=0)
    with tf.GradientTape() as tape:
        picture = tim(inputs, codes)[-1]
        loss = tf.reduce_mean(picture)
    np.testing.assert_array_equal(picture, np.ones_like(picture))
    assert np.abs(tape.gradient(loss, last.bias)).min() > 1e-4


# Precision, folding.


@pytest.mark.parametrize(
    ("task", "policy"),
    [
        *((task, "mixed_bfloat16") for task in TASKS),
        ("super_resolution", "mixed_float16"),
    ],
)
def test_mixed_precision(make_tim, pictures, task, policy):
    full, half = (
        make_tim(task, quick=quick(task), dtype=dtype)
        for dtype in ("float32", policy)
    )
    half.set_weights(full.get_weights())
    inputs = pictures(full)
    codes = full.draw_codes(inputs, num_samples=2, seed=0)
    a, b = (np.asarray(x.decode(inputs, codes)[-1]) for x in (full, half))
    assert b.dtype == np.float32
    np.testing.assert_allclose(a, b, atol=0.15)
    assert np.abs(a - b).mean() < 0.02
    assert {w.dtype for w in half.weights} == {"float32"}
    # Samples of one input stay apart.
    assert np.abs(b[0] - b[1]).max() > 0


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_full_precision_keeps_the_weights(make_tim, pictures, policy):
    full = make_tim(quick=True, input_skip=True)
    assert full.full_precision() is full
    half = make_tim(quick=True, input_skip=True, dtype=policy)
    half.set_weights(full.get_weights())
    again = half.full_precision()
    assert not again.compiled
    assert again.get_config() == {
        **full.get_config(),
        "name": half.name,
    }
    inputs = pictures(full)
    codes = full.draw_codes(inputs, num_samples=2, seed=0)
    for a, b in zip(full(inputs, codes), again(inputs, codes), strict=True):
        np.testing.assert_array_equal(a, b)

    half.compile(distance="mean_squared_error", num_samples=3, pixel_weight=0.1)
    again = half.full_precision()
    expected, found = half.get_compile_config(), again.get_compile_config()
    assert found["num_candidates"] == [3, 3]
    assert found == expected


@pytest.mark.parametrize("task", TASKS)
def test_folding_keeps_the_outputs(make_tim, pictures, task):
    tim = make_tim(task, quick=quick(task))
    plain = tim.folded()
    assert not plain.weight_norm
    assert plain.folded() is plain
    assert plain.count_params() < tim.count_params()
    inputs = pictures(tim)
    codes = tim.draw_codes(inputs, num_samples=2, seed=0)
    for a, b in zip(tim(inputs, codes), plain(inputs, codes), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_folding_keeps_the_arguments(make_tim):
    tim = make_tim(input_skip=True, feature_scale=0.3, num_blocks=2)
    a, b = tim.get_config(), tim.folded().get_config()
    assert {k for k in a if a[k] != b[k]} == {"weight_norm"}


# Options.


def test_without_mapping_network(make_tim, pictures):
    tim = make_tim(mapping_network=False)
    assert not any("mapping" in w.path for w in tim.weights)
    inputs = pictures(tim)
    codes = tim.draw_codes(inputs, num_samples=2, seed=0)
    picture = np.asarray(tim.decode(inputs, codes)[-1])
    assert np.abs(picture[0] - picture[1]).max() > 1e-4


def test_without_intermediate_supervision(make_tim):
    assert make_tim(intermediate_supervision=False).supervised_levels == [1]


def test_single_level_of_hyperrim_decompression(make_tim, pictures):
    arguments = {"residual_channels": (8,), "growth_channels": (4,)}
    hyperrim, camnet = (
        make_tim("decompression", architecture=name, **arguments)
        for name in ("hyperrim", "camnet")
    )
    assert len(hyperrim.tower[0].resize_convolutions) == 2
    assert len(camnet.tower[0].resize_convolutions) == 0
    inputs = pictures(hyperrim)
    codes = hyperrim.draw_codes(inputs, num_samples=1, seed=0)
    assert hyperrim.decode(inputs, codes)[0].shape == (2, 4, 6, 3)
    assert hyperrim.scale == 1
