"""Alternatives of picture files: what the `sample` command makes."""

import itertools
import os

import keras
import numpy as np
from absl import logging

from keras_tim.inference.pictures import PictureError, write_picture
from keras_tim.inference.sheets import contact_sheet, difference_map, stacked
from keras_tim.layers.resampling import bicubic_resize

# Side of the close-up in pixels of the output.
CLOSE_UP = 64


def sample_files(tim, recipe, paths, folder, seeds, **reading):
    """Writes alternatives of picture files.

    Of `photo.png` and seeds 0 to 7 the folder gets `photo_seed0000.png` to
    `photo_seed0007.png`, `photo_sheet.png` with all of them, and
    `photo_differences.png`, a map of where they differ. Files that cannot be
    read are reported and skipped.

    Args:
        tim: a `TIM`.
        recipe: the `keras_tim.recipes.Recipe` of its task.
        paths: list of picture files.
        folder: where the results go; made if missing.
        seeds: list of int, one alternative each.
        **reading: how the pictures are read, as the recipe's `read_input`
            takes it: for every task `reduce`, a factor to reduce them by.

    Returns:
        List of the written alternatives' paths.

    Raises:
        ValueError: if no file could be used.
    """
    os.makedirs(folder, exist_ok=True)
    written = []
    names = _unique_names(paths)
    for number, (path, name) in enumerate(zip(paths, names, strict=True)):
        try:
            given = recipe.read_input(tim, path, **reading)
        except PictureError as error:
            logging.warning("Skipped a picture. %s", error)
            continue
        logging.info("%s (%d of %d)", path, number + 1, len(paths))
        samples = _sample_seeds(tim, given, seeds)
        for seed, sample in zip(seeds, samples, strict=True):
            result = os.path.join(folder, f"{name}_seed{seed:04d}.png")
            write_picture(result, sample)
            written.append(result)
        sheet = alternatives_sheet(
            name,
            recipe.shown(given),
            samples,
            titles=[f"seed {seed}" for seed in seeds],
            baseline=recipe.baseline(given, samples.shape[1:3]),
        )
        write_picture(os.path.join(folder, f"{name}_sheet.png"), sheet)
        if len(seeds) > 1:
            differences, peak = difference_map(samples)
            write_picture(
                os.path.join(folder, f"{name}_differences.png"), differences
            )
            logging.info(
                "%s: the alternatives differ by a standard deviation of up to "
                "%.3f per pixel.",
                name,
                peak,
            )
    if not written:
        raise ValueError(
            f"None of the {len(paths)} pictures could be used; see the "
            "warnings above."
        )
    return written


def alternatives_sheet(
    title,
    given,
    samples,
    titles=None,
    target=None,
    footer=None,
    baseline=None,
):
    """Everything about one input on one sheet.

    Args:
        title: str.
        given: the input as a picture `[h, w, 3]`, float in [0, 1].
        samples: the alternatives `[n, H, W, 3]`.
        titles: list of str, one per alternative.
        target: the observed output `[H, W, 3]`, or None.
        footer: str or None.
        baseline: tuple `(name, picture [H, W, 3])` of a plain answer, or
            None.

    Returns:
        float array `[height, width, 3]` in [0, 1]: the input beside the plain
        answer, the observed output and a map of where the alternatives
        differ; the alternatives in rows of four; a close-up of where they
        differ most.
    """
    titles = titles or [f"alternative {k}" for k in range(len(samples))]
    first, first_titles = [given], ["input"]
    # Where nothing plainer can be done than to leave the input as it is, it
    # need not stand there twice.
    if baseline is not None and not np.array_equal(baseline[1], given):
        first.append(baseline[1])
        first_titles.append(baseline[0])
    if target is not None:
        first.append(target)
        first_titles.append("observed")
    several = len(samples) > 1
    if several:
        differences, peak = difference_map(samples)
        first.append(differences)
        first_titles.append(f"where they differ\n(brightest: {peak:.2f})")
    first += [None] * (4 - len(first))
    first_titles += [""] * (4 - len(first_titles))
    sheets = [contact_sheet([first], column_titles=first_titles, title=title)]
    sheets += [
        contact_sheet([_four(samples, k)], column_titles=_four(titles, k, ""))
        for k in range(0, len(samples), 4)
    ]
    window = _most_different(samples)
    pair = _farthest_apart([x[window] for x in samples])
    details = [samples[k][window] for k in pair]
    detail_titles = [titles[k] for k in pair]
    if baseline is not None:
        details.insert(0, baseline[1][window])
        detail_titles.insert(0, baseline[0])
    if target is not None:
        details.append(target[window])
        detail_titles.append("observed")
    columns = 4
    cell = (sheets[0].shape[1] - 60) // columns
    sheets.append(
        contact_sheet(
            [_four(details, 0)],
            column_titles=_four(detail_titles, 0, ""),
            title="Close-up of where they differ most"
            if several
            else "Close-up",
            footer=footer,
            scale=max(1, cell // max(details[0].shape[:2])),
        )
    )
    return stacked(sheets)


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


def _four(items, start, filler=None):
    part = list(items[start : start + 4])
    return part + [filler] * (4 - len(part))


def _most_different(samples):
    """The window of `CLOSE_UP` pixels in which samples differ most."""
    height, width = samples.shape[1:3]
    side_y, side_x = min(CLOSE_UP, height), min(CLOSE_UP, width)
    variance = samples.var(axis=0).mean(axis=-1)
    # Sums over windows are differences of the summed-area table.
    table = np.pad(variance.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    sums = (
        table[side_y:, side_x:]
        - table[:-side_y, side_x:]
        - table[side_y:, :-side_x]
        + table[:-side_y, :-side_x]
    )
    top, left = np.unravel_index(np.argmax(sums), sums.shape)
    return slice(top, top + side_y), slice(left, left + side_x)


def _farthest_apart(samples):
    """Numbers of the two samples that differ most, or of the only one."""
    if len(samples) == 1:
        return [0]
    pairs = itertools.combinations(range(len(samples)), 2)
    return max(
        pairs,
        key=lambda pair: np.abs(samples[pair[0]] - samples[pair[1]]).mean(),
    )


def _sample_seeds(tim, given, seeds):
    """Sample 0 of every seed, `[n, H, W, 3]`, one at a time."""
    height, width = (tim.output_factor * n for n in given.shape[:2])
    padded = _padded(given, tim.input_multiple)[None]
    bar = keras.utils.Progbar(len(seeds))
    samples = []
    for seed in seeds:
        sample = tim.sample(padded, num_samples=1, seed=seed)[0, 0]
        samples.append(sample[:height, :width])
        bar.update(len(samples))
    return np.stack(samples)


def _padded(given, multiple):
    """The input with edge pixels repeated up to a multiple of the sides."""
    missing = [(0, -n % multiple) for n in given.shape[:2]]
    return np.pad(given, (*missing, (0, 0)), mode="edge")


def _unique_names(paths):
    """A name per path: the stem, numbered where two files share it."""
    names, taken = [], set()
    for path in paths:
        stem = os.path.splitext(os.path.basename(path))[0]
        name, number = stem, 2
        while name in taken:
            name, number = f"{stem}-{number}", number + 1
        taken.add(name)
        names.append(name)
    return names
