"""A tower that stands on a trunk: an upscaler without codes (RRDBNet).

An ESRGAN gives one picture. Its residual blocks are those of the tower, so that
its weights become a tower that computes the same picture where the codes say
nothing. Conditional IMLE then teaches it alternatives.
"""

import numpy as np


def trunk_arguments(channels, growth, num_blocks, modulated_blocks):
    """Arguments of the `TIM` that an ESRGAN's weights fit into.

    Args:
        channels: int, of the residual stream.
        growth: int, of the dense blocks.
        num_blocks: int.
        modulated_blocks: int.

    Returns:
        dict.
    """
    return {
        "task": "super_resolution",
        "residual_channels": (channels, channels),
        "growth_channels": (growth, growth),
        "num_blocks": (num_blocks, 0),
        "plain_blocks": (num_blocks - modulated_blocks, 0),
        "num_resize_convolutions": (1, 2),
        "modulated_head": (False, True),
        "normalization": "none",
        "output_activation": "linear",
        "weight_norm": False,
        "feature_scale": 1.0,
        "freeze_plain": True,
        "trunk_learning_rate_multiplier": 0.1,
    }


def set_trunk(tim, convolutions):
    """Puts an ESRGAN's convolutions into a tower that has their shape.

    Args:
        tim: a `TIM` built from `trunk_arguments`; assigned.
        convolutions: what `read_esrgan` returned.
    """
    remaining = iter(convolutions)
    first, second = tim.tower
    _assign(first.head, *next(remaining))
    for block in first.blocks:
        for dense_block in block.dense_blocks:
            for layer in dense_block.convolutions:
                _assign(layer, *next(remaining))
    _assign(first.body_end, *next(remaining))
    _assign(first.resize_convolutions[0], *next(remaining))
    # The second level's head hands the feature through, to begin with: it
    # stands behind the previous output and the noise.
    kernel = np.array(second.head.kernel)
    channels = kernel.shape[-1]
    output_channels = kernel.shape[2] - channels - tim.noise_channels
    kernel[:, :, :output_channels] = 0.0
    kernel[:, :, -channels:] = 0.0
    kernel[1, 1, -channels:] = np.eye(channels)
    second.head.kernel.assign(kernel)
    for layer in (*second.resize_convolutions, second.output_convolution):
        _assign(layer, *next(remaining))


def _assign(layer, kernel, bias):
    # (output, input, height, width) -> (height, width, input, output). A head
    # that also sees noise behind the picture keeps its kernels for that.
    kernel = kernel.transpose(2, 3, 1, 0)
    values = np.array(layer.kernel)
    values[:, :, : kernel.shape[2]] = kernel
    layer.set_weights([values, bias])
