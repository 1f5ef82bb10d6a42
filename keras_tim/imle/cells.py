"""Selection where every part of a picture has a code of its own.

With a map of styles (`TIM.style_cell`) the nearest candidate is chosen cell by
cell. What is put together of the winners' codes is again a draw from N(0, I),
and m candidates stand for m to the power of the number of cells.
"""

import keras
from keras import ops

from keras_tim.imle.selection import (
    Selection,
    candidate_loop,
    level_maker,
)
from keras_tim.layers.resampling import repeat_cells


def select_hierarchical_by_cell(
    tim, inputs, targets, distance, draw, num_samples, candidate_chunk
):
    """Chooses codes level by level, and within a level cell by cell.

    A candidate's distance is taken over every cell apart, though its picture
    depends on the neighbours' codes as well: the level is run once more with
    the codes that were put together, and the next level builds upon that.

    Args:
        tim: a `TIM` with `style_cell`.
        inputs: list of tensors `[batch, height, width, channels]`.
        targets: list over levels of what `distance.features` returned for
            the level's target.
        distance: object with `features(outputs)` and `cell_distances(a, b,
            rows, columns)`.
        draw: as in `select_hierarchical`.
        num_samples: list of int, candidates per level.
        candidate_chunk: int, candidates of each image made at a time.

    Returns:
        A `Selection` over every level, its indices `[batch, rows, columns]`
        and its distances the means over cells, `[batch]`.
    """
    batch = ops.shape(inputs[0])[0]
    sizes = tim.noise_sizes(inputs)
    maps = tim.style_map_sizes(sizes)
    codes, indices, distances = [], [], []
    output, feature = None, None
    for level, count in enumerate(num_samples):
        make = level_maker(tim, level, inputs, output, feature)
        side = tim.style_cell * 2**level
        cells, size = maps[level], sizes[level]

        def candidates(first, n, level=level, make=make, cells=cells):
            code = draw(level, first, n)
            _, pictures = make(code, n)
            differences = distance.cell_distances(
                distance.features(pictures),
                keras.tree.map_structure(
                    lambda x: ops.repeat(x, n, axis=0), targets[level]
                ),
                *cells,
            )
            return _grouped(differences, batch, n), code

        def improve(
            first, n, best, candidates=candidates, side=side, size=size
        ):
            found, code = candidates(first, n)
            found = ops.where(ops.isnan(found), float("inf"), found)
            place = ops.cast(ops.argmin(found, axis=1), "int32")
            nearest = ops.min(found, axis=1)
            better = nearest < best[0]
            style, noise = (_grouped(part, batch, n) for part in code)
            spread = [
                repeat_cells(x[..., None], side, *size) for x in (place, better)
            ]
            return (
                ops.where(better, nearest, best[0]),
                ops.where(better, ops.cast(first, "int32") + place, best[1]),
                ops.where(
                    better[..., None], _pick(style, place[..., None]), best[2]
                ),
                ops.where(spread[1], _pick(noise, spread[0]), best[3]),
            )

        best = candidate_loop(
            improve,
            count,
            candidate_chunk,
            (
                ops.full((batch, *cells), float("inf"), dtype="float32"),
                ops.zeros((batch, *cells), dtype="int32"),
                ops.zeros((batch, *cells, tim.style_dim)),
                ops.zeros((batch, *size, tim.noise_channels)),
            ),
        )
        codes.append((best[2], best[3]))
        indices.append(best[1])
        distances.append(ops.mean(best[0], axis=(1, 2)))
        if level + 1 < len(num_samples):
            (output, feature), _ = make(codes[-1], 1)
    return Selection(codes, indices, distances)


def _grouped(x, batch, n):
    return ops.reshape(x, (batch, n, *ops.shape(x)[1:]))


def _pick(candidates, place):
    """Of `[batch, n, h, w, c]` the one numbered `place` `[batch, h, w, 1]`."""
    return ops.take_along_axis(candidates, place[:, None], axis=1)[:, 0]
