"""Resampling as two small matrix products.

TensorFlow's own resize does not run under XLA, and Keras' does not run with
unknown sizes in graph mode. These do both and have gradients. The bicubic one
agrees with `tf.image.resize(method="bicubic", antialias=True)` and with Pillow.
"""

from keras import ops


def bicubic_resize(images, height, width):
    """Resizes with Keys' cubic (a = -0.5), widened where the size shrinks.

    Args:
        images: float tensor `[batch, height, width, channels]`.
        height: int or scalar int tensor, the new height in pixels.
        width: int or scalar int tensor, the new width in pixels.

    Returns:
        float32 tensor `[batch, height, width, channels]`. Like every bicubic
        interpolation it overshoots at edges; clip where a range is needed.
    """
    return _resize(images, height, width, _bicubic_matrix)


def area_resize(images, height, width):
    """Resizes to the mean over the area that each new pixel covers.

    Args:
        images: float tensor `[batch, height, width, channels]`.
        height: int or scalar int tensor, the new height in pixels.
        width: int or scalar int tensor, the new width in pixels.

    Returns:
        float32 tensor `[batch, height, width, channels]`.
    """
    return _resize(images, height, width, _area_matrix)


def _resize(images, height, width, matrix):
    x = ops.cast(images, "float32")
    _, old_height, old_width, channels = ops.shape(x)
    rows = matrix(old_height, height)
    columns = matrix(old_width, width)
    x = ops.reshape(x, (-1, old_height, old_width * channels))
    x = ops.matmul(rows, x)
    x = ops.reshape(x, (-1, old_width, channels))
    x = ops.matmul(columns, x)
    return ops.reshape(x, (-1, height, width, channels))


def _bicubic_matrix(old_size, new_size):
    """Weights `[new_size, old_size]` of every old pixel in every new one."""
    ratio = ops.cast(old_size, "float32") / ops.cast(new_size, "float32")
    widening = ops.maximum(ratio, 1.0)
    centres = (ops.arange(new_size, dtype="float32") + 0.5) * ratio
    pixels = ops.arange(old_size, dtype="float32") + 0.5
    distance = ops.abs(pixels[None, :] - centres[:, None]) / widening
    near = (1.5 * distance - 2.5) * distance * distance + 1.0
    far = ((-0.5 * distance + 2.5) * distance - 4.0) * distance + 2.0
    weights = ops.where(
        distance < 1.0, near, ops.where(distance < 2.0, far, 0.0)
    )
    # Beyond the border there are no pixels: the rest share the weight.
    return weights / ops.sum(weights, axis=1, keepdims=True)


def _area_matrix(old_size, new_size):
    """Weights `[new_size, old_size]`: the share of an old pixel in a new."""
    ratio = ops.cast(old_size, "float32") / ops.cast(new_size, "float32")
    start = ops.arange(new_size, dtype="float32")[:, None] * ratio
    old_start = ops.arange(old_size, dtype="float32")[None, :]
    overlap = ops.maximum(
        ops.minimum(start + ratio, old_start + 1.0)
        - ops.maximum(start, old_start),
        0.0,
    )
    return overlap / ops.sum(overlap, axis=1, keepdims=True)
