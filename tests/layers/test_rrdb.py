import numpy as np
import pytest

from keras_tim.layers import RRDB, DenseBlock


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


@pytest.mark.parametrize("weight_norm", [True, False])
@pytest.mark.parametrize("layer_class", [DenseBlock, RRDB])
def test_is_a_sound_layer(run_layer_test, layer_class, weight_norm):
    run_layer_test(
        layer_class,
        {
            "growth_channels": 3,
            "residual_scale": 0.3,
            "weight_norm": weight_norm,
        },
        [normal(2, 5, 7, 4)],
    )


def built_block(**kwargs):
    block = DenseBlock(3, **kwargs)
    block.build((None, None, None, 2))
    return block


def test_dense_block_without_last_convolution_is_the_identity():
    block = built_block()
    block.convolutions[-1].g.assign([0.0, 0.0])
    x = normal(1, 4, 6, 2)
    np.testing.assert_array_equal(block(x), x)


@pytest.mark.parametrize(
    ("kwargs", "scale"), [({}, 0.2), ({"residual_scale": 0.5}, 0.5)]
)
def test_dense_block_scales_its_residual(kwargs, scale):
    block = built_block(**kwargs)
    last = block.convolutions[-1]
    last.g.assign([0.0, 0.0])
    last.bias.assign([1.0, -2.0])
    x = normal(1, 4, 6, 2)
    np.testing.assert_allclose(
        block(x), x + scale * np.array([1.0, -2.0]), atol=1e-6
    )


def test_rrdb_scales_its_residual_as_well():
    block = RRDB(3)
    block.build((None, None, None, 2))
    # Identity dense blocks but for the last, which adds 0.2 * 5 = 1.
    for dense_block in block.dense_blocks:
        dense_block.convolutions[-1].g.assign([0.0, 0.0])
    block.dense_blocks[-1].convolutions[-1].bias.assign([5.0, 5.0])
    x = normal(1, 4, 6, 2)
    # x + 0.2 * (x + 1)
    np.testing.assert_allclose(block(x), 1.2 * x + 0.2, atol=1e-6)


def test_every_convolution_sees_everything_before_it():
    block = built_block()
    seen = [layer.v.shape[2] for layer in block.convolutions]
    assert seen == [2, 5, 8, 11, 14]


def test_slope_below_zero_is_a_fifth():
    block = built_block()
    for layer in block.convolutions[:-1]:
        layer.g.assign([0.0, 0.0, 0.0])
        layer.bias.assign([-1.0, -1.0, -1.0])
    last = block.convolutions[-1]
    v = np.zeros(last.v.shape, "float32")
    v[1, 1, 2, 0] = 1.0  # the first map of the first convolution
    v[1, 1, 0, 1] = 1.0  # the first channel of the input
    last.set_weights([v, np.ones(2), np.zeros(2)])
    x = normal(1, 4, 6, 2)
    expected = x + 0.2 * np.stack(
        [np.full_like(x[..., 0], -0.2), x[..., 0]], axis=-1
    )
    np.testing.assert_allclose(block(x), expected, atol=1e-6)
