"""Clipping that lets gradients through."""

from keras import ops


def clip_straight_through(x, limits):
    """Clips with the gradient of the identity.

    A clipped value would get no gradient and never find its way back.

    Args:
        x: float tensor.
        limits: `(lowest, highest)`.

    Returns:
        Tensor of x's shape.
    """
    return x + ops.stop_gradient(ops.clip(x, *limits) - x)
