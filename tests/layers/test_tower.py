import numpy as np
import pytest

from keras_tim.layers import TowerModule

TINY = {
    "residual_channels": 4,
    "growth_channels": 3,
    "num_blocks": 1,
    "mapping_width": 6,
    "mapping_depth": 2,
    "mapping_learning_rate_multiplier": 0.5,
}


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def arguments(previous=False, height=3, width=5):
    rest = [normal(2, height, width, 4, seed=3)] if previous else []
    return [
        normal(2, height, width, 3),
        normal(2, 5, seed=1),
        normal(2, height, width, 2, seed=2),
        *rest,
    ]


@pytest.mark.parametrize(
    ("kwargs", "previous"),
    [
        ({"resize": "up"}, False),
        ({"resize": "same", "weight_norm": False, "output_gain": 0.5}, True),
        ({"resize": "none", "residual_scale": 0.3}, True),
        ({"resize": "none", "mapping_network": False}, False),
        (
            {
                "num_blocks": 2,
                "plain_blocks": 1,
                "normalization": "none",
                "output_activation": "linear",
                "num_resize_convolutions": 1,
            },
            True,
        ),
        ({"num_blocks": 0, "modulated_head": True}, True),
    ],
)
def test_is_a_sound_layer(run_layer_test, kwargs, previous):
    run_layer_test(TowerModule, {**TINY, **kwargs}, arguments(previous))


def test_output_may_be_taken_before_the_enlargement():
    module = TowerModule(**TINY, resize="up", output_before_resize=True)
    output, feature = module(*arguments())
    assert output.shape == (2, 3, 5, 3)
    assert feature.shape == (2, 6, 10, 4)
    assert module.compute_output_shape(None, None, (2, 3, 5, 2)) == (
        (2, 3, 5, 3),
        (2, 6, 10, 4),
    )
    assert module.get_config()["output_before_resize"] is True


@pytest.mark.parametrize(
    ("resize", "factor"), [("up", 2), ("same", 1), ("none", 1)]
)
def test_sizes(resize, factor):
    module = TowerModule(**TINY, resize=resize)
    output, feature = module(*arguments())
    assert output.shape == (2, 3 * factor, 5 * factor, 3)
    assert feature.shape == (2, 3 * factor, 5 * factor, 4)
    assert len(module.resize_convolutions) == (0 if resize == "none" else 2)


def test_enlarges_by_repeating_pixels():
    module = TowerModule(**TINY)
    module(*arguments())
    # Both convolutions become the identity on positive numbers.
    for layer in module.resize_convolutions:
        v = np.zeros(layer.v.shape, "float32")
        for channel in range(4):
            v[1, 1, channel, channel] = 1.0
        layer.set_weights([v, np.ones(4), np.zeros(4)])
    # A body without weights but for the head's skip.
    module.body_end.g.assign(np.zeros(4))
    v = np.zeros(module.head.v.shape, "float32")
    for channel in range(4):
        v[1, 1, channel, channel] = 1.0  # 3 of the input, 1 of the noise
    module.head.set_weights([v, np.ones(4), np.zeros(4)])
    level_input, style, noise = (np.abs(x) for x in arguments())
    _, feature = module(level_input, style, noise)
    seen = np.concatenate([level_input, noise[..., :1]], axis=-1)
    np.testing.assert_allclose(
        feature, seen.repeat(2, axis=1).repeat(2, axis=2), atol=1e-6
    )


def test_output_lies_within_tanh():
    output, _ = TowerModule(**TINY)(*[100.0 * x for x in arguments()])
    assert np.abs(output).max() <= 1.0


def test_every_argument_counts():
    module = TowerModule(**TINY)
    given = arguments(previous=True)
    before = module(*given)[0]
    for index in range(4):
        changed = list(given)
        changed[index] = changed[index] + normal(*changed[index].shape, seed=9)
        assert np.abs(module(*changed)[0] - before).max() > 1e-6, index


def test_samples_stay_apart_in_half_precision():
    module = TowerModule(**TINY, dtype="mixed_bfloat16")
    output, _ = module(*arguments())
    assert output.dtype == "float32"


def test_refuses_an_unknown_resize():
    with pytest.raises(ValueError, match="resize='down'"):
        TowerModule(**TINY, resize="down")


def mapped(*shape):
    """Arguments whose styles are maps of cells of two pixels."""
    level_input, _, noise = arguments(height=4, width=6)
    return [level_input, normal(2, 2, 3, 5, seed=1), noise]


def test_maps_of_styles_are_sound(run_layer_test):
    run_layer_test(TowerModule, {**TINY, "style_cell": 2}, mapped())


def test_a_map_of_equal_styles_is_one_style():
    level_input, style, noise = arguments(height=4, width=6)
    whole = TowerModule(**TINY)
    cells = TowerModule(**TINY, style_cell=2)
    expected, _ = whole(level_input, style, noise)
    equal = np.broadcast_to(style[:, None, None], (2, 2, 3, 5))
    cells(level_input, equal, noise)
    cells.set_weights(whole.get_weights())
    np.testing.assert_allclose(
        cells(level_input, equal, noise)[0], expected, atol=1e-6
    )


def test_plain_blocks_see_neither_style_nor_noise():
    module = TowerModule(**{**TINY, "num_blocks": 2}, plain_blocks=1)
    level_input, style, noise = arguments()
    first, _ = module(level_input, style, noise)
    begun = module.begin(level_input)
    again, _ = module(level_input, style, noise, begun=begun)
    np.testing.assert_array_equal(first, again)
    assert len(module.modulations) == 1
    # What was begun is all that is seen of the input.
    other, _ = module(0.0 * level_input, style, noise, begun=begun)
    np.testing.assert_array_equal(first, other)
    assert np.abs(module(level_input, style, 2.0 * noise)[0] - first).max() > 0


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"plain_blocks": 2}, "`plain_blocks`"),
        ({"plain_blocks": -1}, "`plain_blocks`"),
        ({"modulated_head": True}, "`modulated_head`"),
        ({"output_activation": "relu"}, "`output_activation`"),
        ({"normalization": "batch"}, "`normalization`"),
    ],
)
def test_refuses_what_it_cannot_build(kwargs, message):
    with pytest.raises(ValueError, match=message):
        TowerModule(**TINY, **kwargs)(*arguments())
