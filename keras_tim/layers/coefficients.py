"""The DCT of JPEG's blocks, and pictures that a file allows.

A JPEG file holds, of every block of 8 x 8 pixels, cosine coefficients divided
by a step and rounded (ITU-T T.81, annex A.3). So it says within which interval
each of the photo's coefficients lay, and a picture whose coefficients lie
there, too, is one that the file may have been made of.
"""

import numpy as np
from keras import ops

from keras_tim.layers.resampling import blur_reach, gaussian_blur

# Pixels along a block's side.
BLOCK = 8
# Where it is flat a picture is blurred so often, by so many pixels.
_ROUNDS = 6
_BLUR = 3.0
# What is flat: the share of flat blocks among a block and those around it, and
# by how many steps their means differ at most.
_MOSTLY = 0.85
_ALIKE = 3
# Pixels of the largest unit of blocks that is kept together.
_UNIT = 16
# As far as that reaches: each time by the blur and a unit that is kept to the
# file, and by a unit whose neighbours say whether it is flat. Whole units.
DEBLOCKING_REACH = (
    -(-_ROUNDS * (blur_reach(2 * _BLUR) + _UNIT) // _UNIT) * _UNIT + 2 * _UNIT
)
# JFIF's luminance and colour differences, of RGB (ITU-R BT.601).
_TO_YCC = np.array(
    [
        [0.299, -0.168736, 0.5],
        [0.587, -0.331264, -0.418688],
        [0.114, 0.5, -0.081312],
    ],
    "float32",
)
_TO_RGB = np.linalg.inv(_TO_YCC.astype("float64")).astype("float32")
# Steps of luminance and of colour differences at quality 50, by vertical and
# horizontal frequency (ITU-T T.81, tables K.1 and K.2).
_STEPS = np.array(
    [
        [
            [16, 11, 10, 16, 24, 40, 51, 61],
            [12, 12, 14, 19, 26, 58, 60, 55],
            [14, 13, 16, 24, 40, 57, 69, 56],
            [14, 17, 22, 29, 51, 87, 80, 62],
            [18, 22, 37, 56, 68, 109, 103, 77],
            [24, 35, 55, 64, 81, 104, 113, 92],
            [49, 64, 78, 87, 103, 121, 120, 101],
            [72, 92, 95, 98, 112, 100, 103, 99],
        ],
        [
            [17, 18, 24, 47, 99, 99, 99, 99],
            [18, 21, 26, 66, 99, 99, 99, 99],
            [24, 26, 56, 99, 99, 99, 99, 99],
            [47, 66, 99, 99, 99, 99, 99, 99],
            [99, 99, 99, 99, 99, 99, 99, 99],
            [99, 99, 99, 99, 99, 99, 99, 99],
            [99, 99, 99, 99, 99, 99, 99, 99],
            [99, 99, 99, 99, 99, 99, 99, 99],
        ],
    ]
)
# Luminance is shifted before it is transformed, colour differences are not.
_MIDDLE = np.array([128.0, 0.0, 0.0], "float32")


def standard_steps(quality):
    """The steps that libjpeg and Pillow have for a quality.

    Args:
        quality: int from 1 to 100.

    Returns:
        Two int arrays `[8, 8]`: luminance and colour differences.
    """
    percent = 5000 // quality if quality < 50 else 200 - 2 * quality
    return tuple(np.clip((_STEPS * percent + 50) // 100, 1, 255))


def block_coefficients(planes):
    """Cosine coefficients of blocks, as JPEG has them before the division.

    Args:
        planes: float tensor `[batch, height, width]` in levels from -128 to
            127, its sides multiples of 8.

    Returns:
        float32 tensor `[batch, height / 8, 8, width / 8, 8]`; the axes of size
        8 are the vertical and the horizontal frequency.
    """
    _, height, width = ops.shape(planes)
    blocks = ops.reshape(
        planes, (-1, height // BLOCK, BLOCK, width // BLOCK, BLOCK)
    )
    return _transformed(blocks, _cosines())


def of_coefficients(coefficients):
    """The planes of coefficients: undoes `block_coefficients`.

    Args:
        coefficients: float tensor `[batch, rows, 8, columns, 8]`.

    Returns:
        float32 tensor `[batch, 8 * rows, 8 * columns]`.
    """
    _, rows, _, columns, _ = ops.shape(coefficients)
    blocks = _transformed(coefficients, _cosines().T)
    return ops.reshape(blocks, (-1, BLOCK * rows, BLOCK * columns))


def step_errors(compressed, steps):
    """How far a picture's luminance is from coefficients of whole steps.

    Args:
        compressed: float tensor `[batch, height, width, 3]`, RGB in [0, 1],
            its sides multiples of 8.
        steps: array `[8, 8]`, those of luminance.

    Returns:
        float32 tensor `[batch, rows, columns]`: of every block the root of the
        mean square over its coefficients, in levels. Half a level or less is
        what rounding pixels to 8 bits leaves; where colours were clipped it is
        more.
    """
    found = block_coefficients(_planes(compressed)[..., 0])
    steps = _along_blocks(steps)
    error = ops.square(found - ops.round(found / steps) * steps)
    return ops.sqrt(ops.mean(error, axis=(2, 4)))


def within_steps(
    pictures,
    compressed,
    luminance,
    chrominance,
    cell,
    share,
    flat_share=None,
):
    """The nearest pictures whose coefficients a JPEG file allows.

    Coefficients farther than a share of a step from those of the compressed
    picture are moved there. With half a step these are the pictures that the
    file may have been made of, the photo among them: no picture is farther
    from the photo than before, by squared error of luminance and by that of
    the averaged colour differences.

    Args:
        pictures: float tensor `[batch, height, width, 3]`, RGB in [0, 1], its
            sides multiples of 8 times `cell`, with blocks from its corner on.
        compressed: float tensor of that shape, or of a batch of one: the
            JPEG's pixels.
        luminance: array `[8, 8]`, steps of luminance by vertical and
            horizontal frequency.
        chrominance: array `[8, 8]`, those of the colour differences; None
            where the file has none, and theirs are left alone.
        cell: `(height, width)` in pixels, what one value of the colour
            differences stands for.
        share: float above 0 up to 0.5.
        flat_share: the same for blocks of which nothing but the mean was kept;
            None for `share`.

    Returns:
        float32 tensor of the pictures' shape; it may leave [0, 1].
    """
    made, given = _planes(pictures), _planes(compressed)
    shares = share, share if flat_share is None else flat_share
    planes = [_moved(made[..., 0], given[..., 0], luminance, *shares)]
    for channel in (1, 2):
        plane = made[..., channel]
        if chrominance is not None:
            # What means lack is added to each of their pixels: they then have
            # it, and nothing else changes.
            means = _cell_means(plane, cell)
            wanted = _moved(
                means,
                _cell_means(given[..., channel], cell),
                chrominance,
                *shares,
            )
            plane = plane + _spread(wanted - means, cell)
        planes.append(plane)
    return _rgb(ops.stack(planes, axis=-1))


def deblocked(compressed, luminance, chrominance, cell):
    """Deblocking: a JPEG's pixels without the steps between its flat blocks.

    Where a block and nearly all around it have kept nothing but their means,
    and these are nearly the same, as in a sky or on a wall, what was
    photographed had no edges there. The picture is blurred there and
    brought back to what the file may have been made of, several times: the
    classical projection onto convex sets (Zakhor, 1992).

    Args:
        compressed: float tensor `[batch, height, width, 3]`, RGB in [0, 1],
            its sides multiples of 8 times `cell`, blocks from its corner on.
        luminance: as for `within_steps`.
        chrominance: the same.
        cell: the same.

    Returns:
        float32 tensor of that shape in [0, 1]. A pixel depends on others up to
        `DEBLOCKING_REACH` away.
    """
    planes = _planes(compressed)
    alone, wide = _flat_blocks(planes[..., 0], luminance)
    flat = alone * wide
    masks = [_over_blocks(flat, (1, 1))]
    for channel in (1, 2):
        mask = masks[0]
        if chrominance is not None:
            means = _cell_means(planes[..., channel], cell)
            own, _ = _flat_blocks(means, chrominance)
            mask = mask * _over_blocks(own, cell)
        masks.append(mask)
    masks = ops.stack(masks, axis=-1)
    deviations = (_BLUR, 2 * _BLUR, 2 * _BLUR)
    weights = [
        gaussian_blur(masks[..., k : k + 1], deviation)
        for k, deviation in enumerate(deviations)
    ]
    picture = ops.cast(compressed, "float32")
    for _ in range(_ROUNDS):
        planes = _planes(picture)
        blurred = [
            gaussian_blur((planes * masks)[..., k : k + 1], deviation)
            / ops.maximum(weights[k], 1e-3)
            for k, deviation in enumerate(deviations)
        ]
        blurred = ops.concatenate(blurred, axis=-1)
        planes = ops.where(masks > 0.0, blurred, planes)
        picture = within_steps(
            _rgb(planes), compressed, luminance, chrominance, cell, 0.5
        )
    return ops.clip(picture, 0.0, 1.0)


def _flat_blocks(planes, steps):
    """Blocks that kept means alone; and those in a wide area of such.

    Returns:
        Two float tensors `[batch, rows, columns]` of zeros and ones.
    """
    steps = _along_blocks(steps)
    kept = ops.round(block_coefficients(planes) / steps)
    counts = ops.sum(ops.cast(kept != 0.0, "int32"), axis=(2, 4))
    means = kept[:, :, 0, :, 0]
    alone = ops.cast(counts == ops.cast(means != 0.0, "int32"), "float32")

    def around(values, pool):
        return pool(
            values[..., None],
            3,
            strides=1,
            padding="same",
            data_format="channels_last",
        )[..., 0]

    wide = around(alone, ops.average_pool) > _MOSTLY
    range_ = around(means, ops.max_pool) + around(-means, ops.max_pool)
    return alone, ops.cast(wide & (range_ <= _ALIKE), "float32")


def _over_blocks(blocks, cell):
    """Values of blocks for each of their pixels."""
    down, across = (BLOCK * n for n in cell)
    return ops.repeat(ops.repeat(blocks, down, axis=1), across, axis=2)


def _moved(planes, given, steps, share, flat_share):
    """Planes whose coefficients lie near those that were kept."""
    steps = _along_blocks(steps)
    kept = ops.round(block_coefficients(given) / steps)
    if share != flat_share:
        counts = ops.sum(ops.cast(kept != 0.0, "int32"), (2, 4), keepdims=True)
        means = ops.cast(kept[:, :, :1, :, :1] != 0.0, "int32")
        share = ops.where(counts == means, flat_share, share)
    kept, width = kept * steps, share * steps
    found = block_coefficients(planes)
    return of_coefficients(ops.clip(found, kept - width, kept + width))


def _rgb(planes):
    return ops.matmul(planes + _MIDDLE, _TO_RGB) / 255.0


def _planes(rgb):
    """Luminance and colour differences, in levels from -128 to 127."""
    levels = 255.0 * ops.cast(rgb, "float32")
    return ops.matmul(levels, _TO_YCC) - _MIDDLE


def _cosines():
    """The orthonormal transform, `[frequency, pixel]`."""
    frequency, pixel = np.mgrid[:BLOCK, :BLOCK]
    waves = np.cos((2 * pixel + 1) * frequency * np.pi / (2 * BLOCK))
    waves[0] /= np.sqrt(2.0)
    return (waves / np.sqrt(BLOCK / 2)).astype("float32")


def _transformed(blocks, matrix):
    return ops.einsum("im,brmcn,jn->bricj", matrix, blocks, matrix)


def _along_blocks(steps):
    """Steps where they meet coefficients, `[8, 1, 8]`."""
    return np.asarray(steps, "float32")[:, None, :]


def _cell_means(plane, cell):
    _, height, width = ops.shape(plane)
    down, across = cell
    cells = ops.reshape(
        plane, (-1, height // down, down, width // across, across)
    )
    return ops.mean(cells, axis=(2, 4))


def _spread(means, cell):
    down, across = cell
    return ops.repeat(ops.repeat(means, down, axis=1), across, axis=2)
