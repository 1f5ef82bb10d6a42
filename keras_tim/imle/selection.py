"""Selection: which of many candidate codes comes nearest to the target.

Conditional IMLE draws m codes per input and keeps the one whose output is
nearest to the observed one. Candidates are made a few at a time and only the
best so far is kept, so that memory does not grow with m.
"""

import typing

import keras
from keras import ops

from keras_tim.imle.backend import backend


class Selection(typing.NamedTuple):
    """The codes chosen for a group of images.

    Attributes:
        codes: list over levels of `(style [batch, style_dim], noise [batch,
            height, width, channels])`.
        indices: list over the selections made, of each level or of whole
            codes, of int32 `[batch]`: which candidate won.
        distances: list over the supervised levels of float32 `[batch]`: its
            distance to the level's target.
    """

    codes: list
    indices: list
    distances: list


def select_hierarchical(
    tim, inputs, targets, distance, draw, num_samples, candidate_chunk
):
    """Chooses codes level by level (CAM-Net, section 3.2).

    Level 1's code is chosen by level 1's own distance and fixed; then level
    2's, given level 1's output and feature, which are kept rather than made
    again; and so on.

    Args:
        tim: the `TIM`.
        inputs: list of tensors `[batch, height, width, channels]`.
        targets: list over levels of what `distance.features` returned for
            the level's target.
        distance: object with `features(outputs)` and `compare(a, b)`.
        draw: callable `(level, first, count) -> (style, noise)`: candidates
            `first` to `first + count` of every image, `[batch * count, ...]`,
            those of one image together.
        num_samples: list of int, candidates per level.
        candidate_chunk: int, candidates of each image made at a time.

    Returns:
        A `Selection` over every level.
    """
    batch = ops.shape(inputs[0])[0]
    sizes = tim.noise_sizes(inputs)
    codes, indices, distances = [], [], []
    output, feature = None, None
    for level, count in enumerate(num_samples):
        make = level_maker(tim, level, inputs, output, feature)

        def candidates(first, n, level=level, make=make):
            code = draw(level, first, n)
            made, pictures = make(code, n)
            differences = _compare(distance, pictures, targets[level], batch, n)
            return differences, (*code, *made)

        output_shape, feature_shape = tim.output_shapes(
            level, batch, sizes[level]
        )
        best = _best_candidate(
            candidates,
            count,
            candidate_chunk,
            batch,
            (
                *_code_template(tim, batch, sizes[level]),
                (output_shape, "float32"),
                (feature_shape, tim.compute_dtype),
            ),
        )
        style, noise, output, feature = best.values
        codes.append((style, noise))
        indices.append(best.index)
        distances.append(best.distance)
    return Selection(codes, indices, distances)


def level_maker(tim, level, inputs, previous_output, previous_feature):
    """A function that makes candidates of one level.

    What the candidates of an image share is made once, here.

    Args:
        tim: the `TIM`.
        level: int.
        inputs: list of tensors `[batch, height, width, channels]`.
        previous_output: of the level below, or None at level 0.
        previous_feature: of the level below, or None at level 0.

    Returns:
        Callable `(code, n) -> ((output, feature), pictures)` for n codes of
        every image, those of one image together.
    """
    level_input = tim.level_input(level, inputs, previous_output)
    observed = tim.observed(level, inputs)
    begun = tim.begin_level(level, level_input, previous_feature)

    def make(code, n):
        made = tim.run_level(
            level,
            _repeat(level_input, n),
            None if previous_feature is None else _repeat(previous_feature, n),
            code,
            observed=_repeat(observed, n),
            begun=[_repeat(x, n) for x in begun],
        )
        return made, tim.to_picture(made[0], _repeat(observed, n))

    return make


def select_vanilla(
    tim, inputs, targets, distance, draw, num_samples, candidate_chunk
):
    """Chooses whole codes by what is trained on (sections 3.1 and 4.1).

    That is the last level's distance, or, with intermediate supervision, the
    sum of all levels' distances.

    Args:
        tim: the `TIM`.
        inputs: list of tensors `[batch, height, width, channels]`.
        targets: list over `tim.supervised_levels` of what `distance.features`
            returned for the level's target.
        distance: as in `select_hierarchical`.
        draw: as in `select_hierarchical`.
        num_samples: int, candidates.
        candidate_chunk: int, candidates of each image made at a time.

    Returns:
        A `Selection` with one entry of indices.
    """
    batch = ops.shape(inputs[0])[0]
    levels = tim.supervised_levels

    def candidates(first, n):
        drawn = [draw(level, first, n) for level in range(tim.num_levels)]
        pictures = tim.decode([_repeat(x, n) for x in inputs], drawn)
        differences = [
            ops.cast(
                _compare(distance, pictures[level], target, batch, n), "float32"
            )
            for level, target in zip(levels, targets, strict=True)
        ]
        parts = [part for code in drawn for part in code]
        flat = [ops.reshape(x, (-1,)) for x in differences]
        return sum(differences), (*parts, *flat)

    templates = [
        template
        for size in tim.noise_sizes(inputs)
        for template in _code_template(tim, batch, size)
    ]
    best = _best_candidate(
        candidates,
        num_samples,
        candidate_chunk,
        batch,
        [*templates, *[((batch,), "float32")] * len(levels)],
    )
    parts = best.values[: len(templates)]
    # Where every candidate diverged, none was chosen.
    distances = [
        ops.where(ops.isfinite(best.distance), x, best.distance)
        for x in best.values[len(templates) :]
    ]
    codes = list(zip(parts[::2], parts[1::2], strict=True))
    return Selection(codes, [best.index], distances)


class _Best(typing.NamedTuple):
    distance: typing.Any
    index: typing.Any
    values: tuple


def _best_candidate(candidates, count, chunk, batch, templates):
    """Running argmin over candidates made `chunk` at a time.

    Args:
        candidates: callable `(first, n) -> (distances [batch, n], values)`,
            the values a tuple of tensors `[batch * n, ...]`.
        count: int, candidates in all.
        chunk: int, candidates at a time.
        batch: int or scalar tensor.
        templates: list of `(shape, dtype)` of the values of one candidate,
            the batch included.

    Returns:
        `_Best`: of every image the smallest distance, its candidate's number
        (the first of equals) and its values `[batch, ...]`.
    """
    start = _Best(
        ops.full((batch,), float("inf"), dtype="float32"),
        ops.zeros((batch,), dtype="int32"),
        tuple(ops.zeros(shape, dtype=dtype) for shape, dtype in templates),
    )

    def improve(first, n, best):
        distances, values = candidates(first, n)
        # A diverging candidate must not win, nor hide the others.
        distances = ops.where(
            ops.isnan(distances), float("inf"), ops.cast(distances, "float32")
        )
        place = ops.cast(ops.argmin(distances, axis=1), "int32")
        rows = ops.arange(batch, dtype="int32") * n + place
        nearest = ops.min(distances, axis=1)
        better = nearest < best.distance
        return _Best(
            ops.where(better, nearest, best.distance),
            ops.where(better, ops.cast(first, "int32") + place, best.index),
            tuple(
                _where(better, ops.take(new, rows, axis=0), old)
                for new, old in zip(values, best.values, strict=True)
            ),
        )

    return candidate_loop(improve, count, chunk, start)


def candidate_loop(improve, count, chunk, start):
    """Looks at candidates `chunk` at a time and keeps the best so far.

    Args:
        improve: callable `(first, n, best) -> best`, which looks at candidates
            `first` to `first + n`. It keeps what it has where the new ones are
            not nearer.
        count: int, candidates in all.
        chunk: int, candidates at a time.
        start: nest of tensors, the best before any.

    Returns:
        The last `best`.
    """
    chunk = min(chunk, count)
    steps = -(-count // chunk)
    if steps == 1:
        return improve(ops.convert_to_tensor(0, dtype="int32"), chunk, start)
    _, best = backend.while_loop(
        lambda step, best: step < steps,
        # The last chunk steps back to be as long as the others: what is looked
        # at twice cannot win twice, and every shape stays the same.
        lambda step, best: (
            step + 1,
            improve(ops.minimum(step * chunk, count - chunk), chunk, best),
        ),
        (ops.convert_to_tensor(0, dtype="int32"), start),
    )
    return best


def _compare(distance, outputs, target, batch, n):
    """Distances `[batch, n]` of n outputs per image to the image's target."""
    features = keras.tree.map_structure(
        lambda x: ops.reshape(x, (batch, n, *ops.shape(x)[1:])),
        distance.features(outputs),
    )
    target = keras.tree.map_structure(lambda x: x[:, None], target)
    return distance.compare(features, target)


def _code_template(tim, batch, size):
    return (
        ((batch, tim.style_dim), "float32"),
        ((batch, *size, tim.noise_channels), "float32"),
    )


def _repeat(x, n):
    return ops.repeat(x, n, axis=0)


def _where(condition, new, old):
    ones = (1,) * (len(new.shape) - 1)
    return ops.where(ops.reshape(condition, (-1, *ones)), new, old)
