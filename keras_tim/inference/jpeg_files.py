"""JPEG files that are repaired: what they say, and their deblocking."""

import numpy as np

from keras_tim.images.quantisation import read_quantisation
from keras_tim.layers.coefficients import (
    BLOCK,
    DEBLOCKING_REACH,
    deblocked,
    step_errors,
)

# Above it, in levels, pixels are not what their file's coefficients say: a
# profile has converted them, or they are stored as red, green and blue.
_LARGEST_STEP_ERROR = 0.6
# Pixels along a side of the part that this is told by, a multiple of every
# unit of blocks.
_LOOKED_AT = 512
# Rows that are deblocked at a time.
_BAND = 1024


def kept_quantisation(path, pixels):
    """How a file was compressed, where its pixels are what it says.

    Args:
        path: the picture file.
        pixels: float array `[height, width, 3]` in [0, 1], as it is read.

    Returns:
        A `keras_tim.images.quantisation.Quantisation`; None for files that are
        no JPEG, and for those whose colours were converted.

    Raises:
        PictureError: if the file cannot be used.
    """
    quantisation = read_quantisation(path)
    if quantisation is None:
        return None
    padding = [*quantisation.padding(*pixels.shape[:2]), (0, 0)]
    part = np.pad(pixels, padding, "edge")[:_LOOKED_AT, :_LOOKED_AT]
    errors = np.asarray(step_errors(part[None], quantisation.luminance))[0]
    # Where colours were clipped pixels say less than their coefficients.
    rows, columns = errors.shape
    blocks = part.reshape(rows, BLOCK, columns, BLOCK * 3)
    whole = (blocks > 0.0).all((1, 3)) & (blocks < 1.0).all((1, 3))
    if whole.any() and np.median(errors[whole]) > _LARGEST_STEP_ERROR:
        return None
    return quantisation


def deblocked_picture(pixels, quantisation):
    """A JPEG's pixels without the steps between its flat blocks.

    Args:
        pixels: float array `[height, width, 3]` in [0, 1].
        quantisation: its `Quantisation`.

    Returns:
        float32 array of that shape in [0, 1], see
        `keras_tim.layers.coefficients.deblocked`.
    """
    height, width = pixels.shape[:2]
    (top, _), (left, _) = padding = quantisation.padding(height, width)
    whole = np.pad(pixels, [*padding, (0, 0)], "edge")
    bands = []
    for start in range(0, len(whole), _BAND):
        first = max(0, start - DEBLOCKING_REACH)
        stop = min(start + _BAND, len(whole))
        made = deblocked(
            whole[None, first : stop + DEBLOCKING_REACH],
            quantisation.luminance,
            quantisation.chrominance,
            quantisation.cell,
        )
        bands.append(np.asarray(made)[0, start - first : stop - first])
    made = np.concatenate(bands)
    return made[top : top + height, left : left + width]
