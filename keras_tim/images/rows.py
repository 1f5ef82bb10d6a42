"""Pictures in rows, from top to bottom, so that large ones are never held."""

import itertools

import numpy as np

# Pixels of a picture that are looked at at a time.
BAND = 1 << 22


class PictureInRows:
    """A picture that is made while it is written. It can be had once.

    Args:
        parts: iterable of float arrays `[rows, width, 3]` in [0, 1], one below
            the other.
        size: `(height, width)` of the picture.
    """

    def __init__(self, parts, size):
        self.parts = parts
        self.size = tuple(size)


def band_height(width):
    """How many rows of a picture are looked at at a time."""
    return max(1, BAND // width)


def in_bands(parts, count):
    """Other parts of the same picture, of so many rows, the last of fewer.

    Args:
        parts: iterable of arrays `[rows, ...]`, one below the other.
        count: int.

    Yields:
        Arrays `[count, ...]`.
    """
    held, rows = [], 0
    for part in parts:
        start = 0
        while start < len(part):
            held.append(part[start : start + count - rows])
            start += len(held[-1])
            rows += len(held[-1])
            if rows == count:
                yield _joined(held)
                held, rows = [], 0
    if held:
        yield _joined(held)


def with_profile(bands):
    """Takes apart what `Original.fitted_rows` gives.

    Args:
        bands: iterable of `(pixels, profile)`, the profile the same for all.

    Returns:
        `(parts, profile)`: the pixels as an iterator, and the profile.
    """
    bands = iter(bands)
    first, profile = next(bands)
    return itertools.chain([first], (part for part, _ in bands)), profile


def whole(parts, size):
    """The array that comes in parts, one below the other.

    Args:
        parts: iterable of arrays `[rows, width, channels]`.
        size: `(height, width)` of all.

    Returns:
        Array `[height, width, channels]`, the only copy of it.
    """
    pixels, top = None, 0
    for part in parts:
        if pixels is None:
            pixels = np.empty((*size, part.shape[-1]), part.dtype)
        pixels[top : top + len(part)] = part
        top += len(part)
    return pixels


def _joined(parts):
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
