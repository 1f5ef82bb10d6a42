"""Pyramids: coarser inputs from the finest one, and enlargement."""

from keras import ops

from keras_tim.layers.resampling import bicubic_resize


def picture_pyramid(finest, num_levels):
    """Antialiased bicubic reductions by 2, 4, ..., clipped to [0, 1].

    Args:
        finest: float tensor `[batch, height, width, channels]`.
        num_levels: int.

    Returns:
        List of float32 tensors, coarsest first, `finest` last.
    """
    _, height, width, _ = ops.shape(finest)
    coarser = [
        ops.clip(
            bicubic_resize(finest, height // factor, width // factor), 0.0, 1.0
        )
        for factor in _factors(num_levels)
    ]
    return [*coarser, finest]


def nearest_pyramid(finest, num_levels):
    """Every second, fourth, ... pixel: what is one-hot stays so.

    Args:
        finest: float tensor `[batch, height, width, channels]`.
        num_levels: int.

    Returns:
        List of tensors, coarsest first, `finest` last.
    """
    coarser = [finest[:, ::factor, ::factor] for factor in _factors(num_levels)]
    return [*coarser, finest]


def doubled(pictures):
    """Bicubic enlargement by 2, clipped to [0, 1].

    Args:
        pictures: float tensor `[batch, height, width, channels]`.

    Returns:
        float32 tensor `[batch, 2 * height, 2 * width, channels]`.
    """
    _, height, width, _ = ops.shape(pictures)
    enlarged = bicubic_resize(pictures, 2 * height, 2 * width)
    return ops.clip(enlarged, 0.0, 1.0)


def _factors(num_levels):
    return [2**n for n in range(num_levels - 1, 0, -1)]
