"""Resampling as small matrix products.

TensorFlow's own resize does not run under XLA, and Keras' does not run with
unknown sizes in graph mode. These do both and have gradients. The bicubic ones
agree with `tf.image.resize(method="bicubic", antialias=True)` and with Pillow.
"""

import numpy as np
from keras import ops

# A cubic kernel reaches two pixels to either side.
_REACH = 2


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


def linear_resize(images, height, width):
    """Resizes bilinearly, the filter widened where the size shrinks.

    Args:
        images: float tensor `[batch, height, width, channels]`.
        height: int or scalar int tensor, the new height in pixels.
        width: int or scalar int tensor, the new width in pixels.

    Returns:
        float32 tensor `[batch, height, width, channels]`.
    """
    return _resize(images, height, width, _linear_matrix)


def bicubic_downsample(images, factor):
    """`bicubic_resize` to sides that are `factor` times smaller.

    The work grows with the number of pixels: every pixel is made from its
    neighbours alone.

    Args:
        images: float tensor `[batch, height, width, channels]`, its sides
            multiples of `factor`.
        factor: int, 2 or more.

    Returns:
        float32 tensor `[batch, height / factor, width / factor, channels]`.
    """
    taps = _downsampling_taps(factor)
    x = ops.cast(images, "float32")
    _, height, width, channels = ops.shape(x)
    height, width = height // factor, width // factor
    # Rows: [factor] pixels of each of five neighbouring blocks make one.
    x = ops.reshape(x, (-1, height, factor, width * factor * channels))
    x = _summed_taps(ops.matmul(taps, _pad_blocks(x)), height)
    x = x / _kept(taps, height)[:, None]
    # Columns: the same as one product over a block's pixels and channels.
    x = ops.reshape(x, (-1, width, factor * channels))
    kernel = np.kron(taps.T, np.eye(channels, dtype="float32"))
    products = ops.matmul(_pad_blocks(x), kernel)
    products = ops.reshape(
        products, (-1, width + 2 * _REACH, len(taps), channels)
    )
    x = _summed_taps(products, width) / _kept(taps, width)[:, None]
    return ops.reshape(x, (-1, height, width, channels))


def bicubic_upsample(images, factor):
    """`bicubic_resize` to sides that are `factor` times larger.

    Args:
        images: float tensor `[batch, height, width, channels]`.
        factor: int, 2 or more.

    Returns:
        float32 tensor `[batch, factor * height, factor * width, channels]`.
    """
    taps = _upsampling_taps(factor)
    x = ops.cast(images, "float32")
    _, height, width, channels = ops.shape(x)
    # Rows.
    x = ops.reshape(x, (-1, height, width * channels))
    x = ops.matmul(taps, _stacked_neighbours(x, height))
    x = x / _spread(taps, height)[:, :, None]
    # Columns.
    x = ops.reshape(x, (-1, width, channels))
    kernel = np.kron(taps.T, np.eye(channels, dtype="float32"))
    x = ops.reshape(
        _stacked_neighbours(x, width), (-1, width, taps.shape[1] * channels)
    )
    x = ops.reshape(ops.matmul(x, kernel), (-1, width, factor, channels))
    x = x / _spread(taps, width)[:, :, None]
    return ops.reshape(x, (-1, factor * height, factor * width, channels))


def blur_reach(deviation):
    """How many pixels `gaussian_blur` looks to either side."""
    return int(np.ceil(3.0 * deviation))


def gaussian_blur(images, deviation):
    """Weighted means over every pixel's neighbourhood.

    Beyond the border there are no pixels: the rest share the weight.

    Args:
        images: float tensor `[batch, height, width, channels]`.
        deviation: float above 0, the Gaussian's standard deviation in pixels;
            it is cut off at three of them.

    Returns:
        float32 tensor of the images' shape.
    """
    reach = blur_reach(deviation)
    places = np.arange(-reach, reach + 1)
    weights = np.exp(-0.5 * np.square(places / deviation)).astype("float32")
    x = ops.cast(images, "float32")
    channels = images.shape[-1]
    for shape in ((-1, 1), (1, -1)):
        kernel = weights.reshape(*shape, 1, 1)
        x = ops.depthwise_conv(
            x,
            np.repeat(kernel, channels, axis=2),
            padding="same",
            data_format="channels_last",
        ) / ops.depthwise_conv(
            ops.ones_like(x[:1, :, :, :1]),
            kernel,
            padding="same",
            data_format="channels_last",
        )
    return x


def interpolate_cells(cells, cell, height, width):
    """Spreads one value per cell over the cells' pixels, bilinearly.

    A cell's value holds at its centre; beyond the outermost centres it stays.

    Args:
        cells: float tensor `[batch, rows, columns, channels]`.
        cell: int, the side of a cell in pixels.
        height: int or scalar int tensor, the picture's height in pixels, at
            most `rows * cell`.
        width: the same for its width.

    Returns:
        float32 tensor `[batch, height, width, channels]`.
    """

    def weights(num_cells, size):
        places = (ops.arange(size, dtype="float32") + 0.5) / cell - 0.5
        last = ops.cast(num_cells - 1, "float32")
        places = ops.clip(places, 0.0, last)
        centres = ops.arange(num_cells, dtype="float32")
        distance = ops.abs(places[:, None] - centres[None, :])
        return ops.maximum(1.0 - distance, 0.0)

    return _resize(cells, height, width, weights)


def repeat_cells(cells, cell, height, width):
    """Gives every pixel its cell's value.

    Args:
        cells: tensor `[batch, rows, columns, channels]` of any dtype.
        cell: int, the side of a cell in pixels.
        height: int or scalar int tensor, as in `interpolate_cells`.
        width: the same.

    Returns:
        Tensor `[batch, height, width, channels]` of the cells' dtype.
    """
    rows = ops.arange(height) // cell
    columns = ops.arange(width) // cell
    return ops.take(ops.take(cells, rows, axis=1), columns, axis=2)


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
    return _shares(_keys_cubic(_distances(old_size, new_size), ops.where))


def _linear_matrix(old_size, new_size):
    """The same for bilinear interpolation."""
    return _shares(ops.maximum(1.0 - _distances(old_size, new_size), 0.0))


def _distances(old_size, new_size):
    """How far old pixels lie from new ones, in pixels of the coarser grid."""
    ratio = ops.cast(old_size, "float32") / ops.cast(new_size, "float32")
    widening = ops.maximum(ratio, 1.0)
    centres = (ops.arange(new_size, dtype="float32") + 0.5) * ratio
    pixels = ops.arange(old_size, dtype="float32") + 0.5
    return ops.abs(pixels[None, :] - centres[:, None]) / widening


def _shares(weights):
    """Beyond the border there are no pixels: the rest share the weight."""
    return weights / ops.sum(weights, axis=1, keepdims=True)


def _keys_cubic(distance, where):
    """Keys' cubic (a = -0.5) of distances in pixels of the coarser grid."""
    near = (1.5 * distance - 2.5) * distance * distance + 1.0
    far = ((-0.5 * distance + 2.5) * distance - 4.0) * distance + 2.0
    return where(distance < 1.0, near, where(distance < 2.0, far, 0.0))


def _downsampling_taps(factor):
    """Weights `[5, factor]` of the pixels of five blocks in the middle one's.

    The one pixel that a block becomes lies at its centre.
    """
    blocks = np.arange(-_REACH, _REACH + 1)[:, None]
    pixels = (np.arange(factor)[None, :] + 0.5) / factor
    weights = _keys_cubic(np.abs(blocks + pixels - 0.5), np.where)
    return (weights / weights.sum()).astype("float32")


def _upsampling_taps(factor):
    """Weights `[factor, 5]` of five pixels in what the middle one becomes."""
    neighbours = np.arange(-_REACH, _REACH + 1)[None, :]
    pixels = (np.arange(factor)[:, None] + 0.5) / factor
    weights = _keys_cubic(np.abs(pixels - 0.5 - neighbours), np.where)
    return weights.astype("float32")


def _pad_blocks(x):
    """Zeros for the blocks beyond the borders of axis 1."""
    rest = [(0, 0)] * (len(x.shape) - 2)
    return ops.pad(x, [(0, 0), (_REACH, _REACH), *rest])


def _summed_taps(products, length):
    """Adds up what five neighbours `[b, length + 4, 5, ...]` contribute."""
    return sum(
        products[:, number : number + length, number]
        for number in range(2 * _REACH + 1)
    )


def _stacked_neighbours(x, length):
    """`[b, length, n]` -> `[b, length, 5, n]`, zeros beyond the borders."""
    padded = _pad_blocks(x)
    return ops.stack(
        [
            padded[:, number : number + length]
            for number in range(2 * _REACH + 1)
        ],
        axis=2,
    )


def _kept(taps, length):
    """The weights' sum `[length]` where blocks beyond the border are left out.

    What remains there shares the weight.
    """
    inside = _pad_blocks(ops.ones((1, length, 1)))
    products = inside * taps.sum(axis=1)[None, None, :]
    return _summed_taps(products, length)[0]


def _spread(taps, length):
    """The same `[length, factor]` for pixels that are made from neighbours."""
    inside = _stacked_neighbours(ops.ones((1, length, 1)), length)
    return ops.matmul(taps, inside)[0, :, :, 0]


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


def bicubic_picture(given, size):
    """The input enlarged by bicubic interpolation.

    Args:
        given: array `[h, w, 3]`, float in [0, 1].
        size: `(height, width)` in pixels.

    Returns:
        float32 array `[height, width, 3]` in [0, 1].
    """
    enlarged = np.asarray(bicubic_resize(given[None], *size))[0]
    return np.clip(enlarged, 0.0, 1.0)
