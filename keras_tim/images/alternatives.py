"""Sheets of alternatives: everything about one input, to look at."""

import itertools

import numpy as np

from keras_tim.images.pictures import as_uint8
from keras_tim.images.sheets import (
    LARGEST_CELL,
    contact_sheet,
    deviation_map,
    fitted,
    pixel_deviation,
    stacked,
)

COLUMNS = 4
# More alternatives than these are not shown on one sheet.
MOST_SHOWN = 32
# Side of the close-up in pixels of the output, where that is shown whole.
CLOSE_UP = 64
# Where it had to be reduced, close-ups are not: their height and width at most,
# how many stand in a row, of how many alternatives and places they are.
FULL_SIZE = (280, 380)
FULL_SIZE_COLUMNS = 5
MOST_CLOSE_UPS = 8
PLACES = 2


def alternative_name(seed, index):
    """What sheets call sample `index` of a seed.

    Args:
        seed: int.
        index: int.

    Returns:
        str, "alternative 3", or "seed 5, alternative 3" where the seed is not
        0, the default everywhere: what `keras-tim sample --seed=5
        --alternatives=3` makes.
    """
    name = f"alternative {index}"
    return name if seed == 0 else f"seed {seed}, {name}"


def alternatives_sheet(
    title,
    given,
    samples,
    titles=None,
    target=None,
    footer=None,
    baseline=None,
    deviation=None,
    reduced=1,
):
    """Everything about one input on one sheet.

    The sheet is of a size that can be shown, however large the pictures are:
    large ones are reduced to cells of 480 pixels, and shown beside one another
    at full size where they differ most.

    Args:
        title: str.
        given: the input as a picture `[h, w, 3]`, float in [0, 1].
        samples: the alternatives `[n, H, W, 3]`, or a sequence of `[H, W, 3]`,
            of which one at a time is looked at.
        titles: list of str, one per alternative; by default those of the
            first samples of seed 0, see `alternative_name`.
        target: the observed output `[H, W, 3]`, or None.
        footer: str or None.
        baseline: tuple `(name, picture [H, W, 3])` of a baseline, or
            None.
        deviation: what `pixel_deviation` gives for the samples, where that is
            known.
        reduced: int, how many times smaller the alternatives are given than
            they are.

    Returns:
        float array `[height, width, 3]` in [0, 1]: the input beside the plain
        answer, the observed output and a map of where the alternatives
        differ; the alternatives in rows, at most 32 of them, spread evenly
        over all; close-ups of where they differ most.
    """
    titles = titles or [alternative_name(0, k) for k in range(len(samples))]
    if deviation is None:
        deviation = pixel_deviation(samples)
    columns, cell = _grid(*deviation.shape)
    whole = deviation.shape[0] <= cell[0] and deviation.shape[1] <= cell[1]
    size = (CLOSE_UP, CLOSE_UP) if whole else FULL_SIZE
    if deviation.shape[0] > deviation.shape[1]:
        size = size[::-1]
    places = most_different(deviation, size, 1 if whole else PLACES)
    shown = spread(range(len(samples)), MOST_SHOWN)
    # Each is looked at once: a file may be behind it.
    small, details = [], [[] for _ in places]
    for number in shown:
        sample = as_uint8(samples[number], f"samples[{number}]")
        small.append(_reduced(sample, cell))
        for place, parts in zip(places, details, strict=True):
            parts.append(sample[place])

    first = [("input", given)]
    # Where nothing plainer can be done than to leave the input as it is, it
    # need not stand there twice.
    if baseline is not None and not np.array_equal(baseline[1], given):
        first.append(baseline)
    fixed = [] if baseline is None else [baseline]
    if target is not None:
        first.append(("observed", target))
        fixed.append(first[-1])
    several = len(samples) > 1
    if several:
        differences, peak = deviation_map(deviation)
        if not whole:
            _frame(differences, places, cell)
        label = f"where they differ\n(brightest: {peak:.2f})"
        first.append((label, differences))
    first = [
        (name, _reduced(as_uint8(picture, name), cell))
        for name, picture in first
    ]
    if len(shown) < len(samples):
        title = f"{title}, {len(shown)} of {len(samples)} alternatives"
    names = [titles[k] for k in shown]
    rows = _rows(first, columns, largest_cell=cell, title=title)
    rows += _rows(
        list(zip(names, small, strict=True)), columns, largest_cell=cell
    )
    full_size = "at full size" if reduced == 1 else f"reduced {reduced} times"
    # What is shown whole has close-ups that are enlarged, as room allows.
    room = (rows[0].shape[1] - 60) // COLUMNS
    scale = max(1, room // max(details[0][0].shape[:2])) if whole else 1
    for number, (place, pictures) in enumerate(
        zip(places, details, strict=True), start=1
    ):
        chosen = (
            _farthest_apart(pictures)
            if whole
            else spread(range(len(shown)), MOST_CLOSE_UPS)
        )
        caption = "Close-up"
        if len(places) > 1:
            caption += f" {number}"
        if several:
            caption += " of where they differ most"
        rows += _rows(
            [(name, picture[place]) for name, picture in fixed]
            + [(names[k], pictures[k]) for k in chosen],
            COLUMNS if whole else FULL_SIZE_COLUMNS,
            scale=scale,
            title=caption if whole else f"{caption}, {full_size}",
            footer=footer if number == len(places) else None,
        )
    return stacked(rows)


def spread(items, count):
    """So many of a sequence's items, spread evenly; all if `count` is None."""
    if count is None or count >= len(items):
        return list(items)
    places = np.linspace(0, len(items) - 1, count).round().astype(int)
    return [items[place] for place in places]


def _grid(height, width):
    """Columns of a sheet, and the largest cell, for pictures of a size."""
    if max(height, width) <= max(LARGEST_CELL) or (
        2 * max(height, width) <= 5 * min(height, width)
    ):
        return COLUMNS, LARGEST_CELL
    # Of panoramas and strips little is left in such a cell.
    if height > width:
        return COLUMNS, (2 * LARGEST_CELL[0], LARGEST_CELL[1])
    columns = 2 if width <= 5 * height else 1
    return columns, (LARGEST_CELL[0], COLUMNS * LARGEST_CELL[1] // columns)


def _rows(items, columns, title=None, footer=None, **options):
    """Sheets of one row each, of titles and pictures."""
    rows = []
    for start in range(0, len(items), columns):
        part = items[start : start + columns]
        part = [*part, *[("", None)] * (columns - len(part))]
        last = start + columns >= len(items)
        rows.append(
            contact_sheet(
                [[picture for _, picture in part]],
                column_titles=[name for name, _ in part],
                title=title if start == 0 else None,
                footer=footer if last else None,
                **options,
            )
        )
    return rows


def _reduced(picture, cell):
    """A uint8 picture, made smaller where it exceeds a cell."""
    height, width = picture.shape[:2]
    if height <= cell[0] and width <= cell[1]:
        return picture
    return fitted(picture, *cell)


def most_different(deviation, size, count=1):
    """Windows in which samples differ most, the first most of all.

    Args:
        deviation: array `[H, W]`, see `pixel_deviation`.
        size: `(height, width)` of a window, smaller where the picture is.
        count: int, how many are wanted.

    Returns:
        List of pairs of slices, at least one: where nothing differs, the
        middle.
    """
    height, width = map(min, size, deviation.shape)
    if not deviation.any():
        top, left = (
            (side - part) // 2
            for side, part in zip(deviation.shape, (height, width), strict=True)
        )
        return [(slice(top, top + height), slice(left, left + width))]
    places = []
    variance = np.square(deviation, dtype=np.float64)
    while variance.any() and len(places) < count:
        sums = window_sums(variance, height, width)
        top, left = np.unravel_index(np.argmax(sums), sums.shape)
        place = (slice(top, top + height), slice(left, left + width))
        variance[place] = 0.0
        places.append(place)
    return places


def window_sums(values, height, width):
    """Sums over all windows of a size that fit into an array of two axes."""
    # They are differences of the summed-area table.
    table = np.pad(values.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    return (
        table[height:, width:]
        - table[:-height, width:]
        - table[height:, :-width]
        + table[:-height, :-width]
    )


def _frame(picture, places, cell):
    """Draws white frames that are still seen in a cell."""
    height, width = picture.shape[:2]
    line = max(1, round(max(height / cell[0], width / cell[1])))
    for rows, columns in places:
        for part in (
            np.s_[rows.start : rows.start + line, columns],
            np.s_[rows.stop - line : rows.stop, columns],
            np.s_[rows, columns.start : columns.start + line],
            np.s_[rows, columns.stop - line : columns.stop],
        ):
            picture[part] = 1.0


def _farthest_apart(samples):
    """Numbers of the two uint8 samples that differ most, or of the only one."""
    if len(samples) == 1:
        return [0]
    samples = [sample.astype(np.int16) for sample in samples]
    pairs = itertools.combinations(range(len(samples)), 2)
    return max(
        pairs,
        key=lambda pair: np.abs(samples[pair[0]] - samples[pair[1]]).mean(),
    )
