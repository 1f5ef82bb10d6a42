"""The codes of a window of a picture, drawn alone or cut out of all of it."""

from keras_tim.lazy import tensorflow as tf
from keras_tim.models import codes


def drawn_of_window(tim, sample, corner, extent, size):
    """The codes of a window of a picture, and nothing of the rest.

    Args:
        tim: a `Tower`.
        sample: int64 tensor `[2]`, seed and index.
        corner: int64 tensor `[2]`, the window's first row and column, in
            pixels of the finest input.
        extent: int64 tensor `[2]`, its height and width.
        size: int64 tensor `[2]`, those of the picture.

    Returns:
        List over levels of `(style, noise)` without a batch.
    """
    drawn = []
    for level in range(tim.num_levels):
        first, count, whole = (
            _at_level(tim, level, n) for n in (corner, extent, size)
        )
        if tim.style_cell:
            cell = tim.style_cell * 2**level
            style = codes.draw_window(
                *(sample[0], sample[1], level, codes.STYLE),
                (-(-whole[1] // cell), tim.style_dim),
                tf.unstack(first // cell),
                tf.unstack(-(-count // cell)),
            )
        else:  # the one style of the picture
            style = codes.draw_style(sample[0], sample[1], level, tim.style_dim)
        noise = codes.draw_window(
            *(sample[0], sample[1], level, codes.NOISE),
            (whole[1], tim.noise_channels),
            tf.unstack(first),
            tf.unstack(count),
        )
        drawn.append((style, noise))
    return drawn


def cut_of_window(tim, code, corner, extent):
    """The codes of a window, cut out of those of a picture.

    Args:
        tim: a `Tower`.
        code: list over levels of `(style, noise)` without a batch.
        corner: as for `drawn_of_window`.
        extent: the same.

    Returns:
        What `drawn_of_window` returns.
    """
    cut = []
    for level, (style, noise) in enumerate(code):
        first, count = (_at_level(tim, level, n) for n in (corner, extent))
        if tim.style_cell:
            cell = tim.style_cell * 2**level
            style = _rectangle(style, first // cell, -(-count // cell))
        cut.append((style, _rectangle(noise, first, count)))
    return cut


def _rectangle(field, first, count):
    stop = first + count
    return field[first[0] : stop[0], first[1] : stop[1]]


def _at_level(tim, level, pixels):
    """Pixels of the finest input as those of a level's input."""
    if tim.task_definition.chained:
        return pixels * 2**level
    return pixels // 2 ** (tim.num_levels - 1 - level)
