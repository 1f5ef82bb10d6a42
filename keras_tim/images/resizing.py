"""Pictures at other sizes, of which a few rows are held at a time."""

import math

import numpy as np
from PIL import Image

LANCZOS, BICUBIC = Image.Resampling.LANCZOS, Image.Resampling.BICUBIC
# How far Lanczos' filter reaches, in pixels of the smaller picture, with one
# more for rounding. Others reach less.
_REACH = 4
# Pixels that are made at a time.
_PIXELS = 1 << 20


def rows_held(height, new_height):
    """How many rows one row of a picture of another height depends on.

    Args:
        height: int, of the picture.
        new_height: int.

    Returns:
        int.
    """
    reach = _REACH * max(1.0, height / new_height)
    return min(height, math.ceil(2 * reach) + 1)


def resized_rows(parts, size, new_size):
    """Resamples a picture with Lanczos' filter, from top to bottom.

    Where it shrinks the filter is widened, so that nothing aliases. What it
    gives does not depend on how the picture is cut into parts.

    Args:
        parts: iterable of float32 arrays `[rows, width, channels]` in [0, 1],
            one below the other.
        size: `(height, width)` of the picture.
        new_size: `(height, width)` that it is to have.

    Yields:
        float32 arrays `[rows, new width, channels]` in [0, 1], one below the
        other. Some `rows_held` rows of the new width are held at a time.
    """
    height, width = size
    new_height, new_width = new_size
    shrinks = max(1.0, height / new_height)
    count = max(1, int(_PIXELS / (new_width * shrinks)))
    at_once = max(1, _PIXELS // max(width, new_width))
    held, first, end, top = [], 0, 0, 0
    for part in parts:
        for start in range(0, len(part), at_once):
            held.append(_across(part[start : start + at_once], new_width))
            end += len(held[-1])
            while top < new_height:
                band = (top, min(top + count, new_height))
                if end < _needed(height, new_height, *band)[1]:
                    break
                rows = np.concatenate(held)
                made = _down(rows, first, height, new_height, band, LANCZOS)
                yield np.clip(made, 0.0, 1.0)
                top = band[1]
                begin = _needed(height, new_height, top, top + 1)[0]
                held, first = [rows[begin - first :]], begin


def resized_band(values, size, start, stop):
    """Some rows of an array at another size, bicubically.

    Args:
        values: array `[h, w, channels]`.
        size: `(height, width)` of the whole at the other size.
        start: int, its first row that is wanted.
        stop: int, the first one behind it.

    Returns:
        float32 array `[stop - start, width, channels]`. Like every bicubic
        interpolation it overshoots at edges.
    """
    height, width = size
    first, end = _needed(len(values), height, start, stop)
    rows = _across(values[first:end], width, BICUBIC)
    return _down(rows, first, len(values), height, (start, stop), BICUBIC)


def _needed(height, new_height, start, stop):
    """The rows that some rows of the new height depend on."""
    ratio = height / new_height
    reach = _REACH * max(1.0, ratio)
    first = max(0, math.floor(start * ratio - reach))
    return first, min(height, math.ceil(stop * ratio + reach))


def _across(rows, new_width, filter=LANCZOS):
    """Rows of an array at another width."""
    rows = np.asarray(rows, np.float32)
    count, width, channels = rows.shape
    if width == new_width:
        return rows
    # Pillow knows floats of one channel: they stand below one another.
    flat = np.moveaxis(rows, -1, 0).reshape(-1, width)
    image = Image.fromarray(np.ascontiguousarray(flat))
    made = np.asarray(image.resize((new_width, len(flat)), filter))
    return np.moveaxis(made.reshape(channels, count, new_width), 0, -1)


def _down(rows, first, height, new_height, band, filter):
    """A band of the new height, of rows of the old one from `first` on."""
    count, width, channels = rows.shape
    if height == new_height:
        return rows[band[0] - first : band[1] - first]
    ratio = height / new_height
    top, bottom = (n * ratio - first for n in band)
    flat = np.ascontiguousarray(rows).reshape(count, width * channels)
    image = Image.fromarray(flat)
    # Pillow's box is where to look; the filter reaches beyond it.
    box = (0, max(top, 0.0), image.width, min(bottom, float(count)))
    size = (image.width, band[1] - band[0])
    made = np.asarray(image.resize(size, filter, box))
    return made.reshape(-1, width, channels)
