"""Codes chosen by a person: near others, between two, of several by region.

What is mixed stays a plausible draw: its variance is that of what it is mixed
from, also where these have parts in common. The functions work on codes as
`TIM.draw_codes` lays them out, on every Keras backend; `vary`, which draws, on
TensorFlow and JAX.
"""

import math

import numpy as np
from keras import ops

from keras_tim.checks import integer, integers
from keras_tim.layers.resampling import linear_resize
from keras_tim.models.codes import draw_codes
from keras_tim.models.inputs import check_temperature

# Below this sine two codes are so nearly parallel that their arc is a line.
_PARALLEL = 1e-3
_TINY = 1e-12


def take(codes, numbers):
    """Some of several codes.

    Args:
        codes: list over levels of `(style [n, ...], noise [n, ...])`.
        numbers: ints, which of them, in the order wanted.

    Returns:
        Codes laid out alike, as many as there are numbers.
    """
    numbers = integers("numbers", numbers, least=0)
    return [
        tuple(
            ops.take(ops.convert_to_tensor(part), np.array(numbers), axis=0)
            for part in code
        )
        for code in codes
    ]


def join(*several):
    """Several codes in one.

    Args:
        *several: codes, each a list over levels of `(style [n, ...], noise
            [n, ...])`, for pictures of one size.

    Returns:
        Codes laid out alike, of as many as all of them together.
    """
    return [
        tuple(
            ops.concatenate(parts, axis=0) for parts in zip(*level, strict=True)
        )
        for level in zip(*several, strict=True)
    ]


def vary(tim, codes, amount, seed, levels=None, temperature=1.0):
    """See `TIM.vary`."""
    codes = _checked(tim, codes, "codes")
    amount, levels = check_varied(tim, amount, levels, temperature)
    count = ops.shape(codes[0][0])[0]
    seeds, indices = _draws(seed, count)
    draws = draw_codes(
        seeds,
        indices,
        [ops.shape(noise)[1:3] for _, noise in codes],
        tim.style_dim,
        tim.noise_channels,
        levels=levels,
        style_sizes=[ops.shape(style)[1:-1] for style, _ in codes],
    )
    draws = dict(zip(levels, draws, strict=True))
    if count == 1 and seeds.size > 1:
        codes = [
            tuple(ops.repeat(part, seeds.size, axis=0) for part in code)
            for code in codes
        ]
    return mixed_in(codes, draws, amount, temperature)


def mixed_in(codes, draws, amount, temperature=1.0):
    """Mixes draws into codes, see `TIM.vary`.

    Args:
        codes: list over levels of `(style [n, ...], noise [n, ...])`.
        draws: dict from level to `(style, noise)` laid out alike.
        amount: float in [0, 1].
        temperature: float, of the draws.

    Returns:
        Codes laid out alike.
    """
    kept = math.sqrt(1.0 - amount**2)
    varied = []
    for level, code in enumerate(codes):
        if level in draws:
            code = [
                kept * part + (amount * temperature) * drawn
                for part, drawn in zip(code, draws[level], strict=True)
            ]
        varied.append(tuple(code))
    return varied


def check_varied(tim, amount, levels, temperature):
    """How much and which levels are varied, or says what is wrong with it.

    Args:
        tim: a `TIM`.
        amount: number.
        levels: ints or None.
        temperature: number.

    Returns:
        `(amount, levels)`, a float and numbers of levels, ascending.
    """
    check_temperature(temperature)
    return _share("amount", amount), _checked_levels(tim, levels)


def interpolate(tim, a, b, t):
    """See `TIM.interpolate`."""
    a, b = _checked(tim, a, "a"), _checked(tim, b, "b")
    t = _share("t", t)
    for level, pair in enumerate(zip(a, b, strict=True)):
        for parts in zip(*pair, strict=True):
            shapes = [tuple(part.shape) for part in parts]
            if shapes[0] != shapes[1]:
                raise ValueError(
                    "`a` and `b` must be as many codes for pictures of one "
                    f"size. Received: shapes {shapes[0]} and {shapes[1]} at "
                    f"level {level}"
                )
    return [
        tuple(between(*parts, t) for parts in zip(*pair, strict=True))
        for pair in zip(a, b, strict=True)
    ]


def combine(tim, codes, masks):
    """See `TIM.combine`."""
    codes = _checked(tim, codes, "codes")
    masks = _checked_masks(masks)
    count, alternatives = ops.shape(codes[0][0])[0], masks.shape[1]
    if count % alternatives or masks.shape[0] not in (1, count // alternatives):
        raise ValueError(
            "`masks` must have one mask for each of an input's codes, "
            "[alternatives, height, width] or [batch, alternatives, height, "
            f"width]. Received: masks of shape {tuple(masks.shape)} for "
            f"{count} codes"
        )
    return by_region(tim, codes, masks)


def by_region(tim, codes, masks):
    """`combine` of codes and masks that have been checked.

    Args:
        tim: a `Tower`.
        codes: list over levels of `(style [batch * n, ...], noise [batch * n,
            ...])`.
        masks: float tensor `[batch or 1, n, height, width]`, with sum 1 over
            n. Where n is not known beforehand, in a graph, it must be the
            number of codes of each input.

    Returns:
        Codes laid out alike, one of each input.
    """
    combined = []
    for level, (style, noise) in enumerate(codes):
        weights = _resized(masks, *ops.shape(noise)[1:3], level)
        if tim.style_cell:
            cell = tim.style_cell * 2**level
            of_style = _over_cells(weights, cell, *ops.shape(style)[1:3])
        else:
            of_style = _shares(ops.mean(weights, axis=(2, 3)))
        combined.append(
            (
                _blended(style, of_style[..., None]),
                _blended(noise, weights[..., None]),
            )
        )
    return combined


def _draws(seed, count):
    """Seeds `[n]` and indices `[n, k]` of what is mixed in.

    No sample has a negative index: the codes themselves are never drawn again,
    whatever seed they are from.
    """
    if not np.ndim(seed):
        seeds, indices = [seed], np.arange(count)[None, :]
    elif len(seed) == count or count == 1:
        seeds, indices = seed, np.zeros((len(seed), 1), "int64")
    else:
        raise ValueError(
            "`seed` must be an integer, or one integer per code, or several "
            f"for a single code. Received: {len(seed)} seeds for {count} codes"
        )
    limits = {"least": -(2**63), "most": 2**63 - 1}
    seeds = [integer("seed", number, **limits) for number in seeds]
    return np.array(seeds, "int64"), -1 - indices


def between(a, b, t):
    """A point on the arc from one part of codes to another.

    Args:
        a: float tensor `[n, ...]`.
        b: the same.
        t: number from 0 to 1, or tensor of such that goes with `a`.

    Returns:
        float tensor of `a`'s shape.
    """
    equal = ops.equal(a, b)
    angle = ops.arccos(ops.clip(_correlation(a, b), -1.0, 1.0))
    sine = ops.sin(angle)
    parallel = sine < _PARALLEL
    sine = ops.where(parallel, 1.0, sine)
    first = ops.where(parallel, 1.0 - t, ops.sin((1.0 - t) * angle) / sine)
    second = ops.where(parallel, t, ops.sin(t * angle) / sine)
    return ops.where(equal, a, first * a + second * b)


def _blended(part, weights):
    """Mixes a part of the codes of several alternatives.

    Divided by the standard deviation that the weighted sum has.

    Args:
        part: float tensor `[batch * n, ...]`.
        weights: float tensor `[batch or 1, n, ...]`, with sum 1 over n.

    Returns:
        float tensor `[batch, ...]`.
    """
    n = ops.shape(weights)[1]
    part = ops.reshape(part, (-1, n, *ops.shape(part)[1:]))
    total = ops.sum(weights * part, axis=1)

    def with_pair(i, j, variance):
        shared = _correlation(part[:, i], part[:, j])
        return variance + 2.0 * (weights[:, i] * weights[:, j]) * shared

    variance = ops.sum(ops.square(weights), axis=1)
    if isinstance(n, int):
        for i in range(n):
            for j in range(i):
                variance = with_pair(i, j, variance)
    else:
        # The same pairs in the same order; of the sum's shape at once.
        variance = variance + ops.zeros_like(total)
        *_, variance = ops.while_loop(
            lambda i, j, variance: i < n,
            lambda i, j, variance: (
                ops.where(j + 1 < i, i, i + 1),
                ops.where(j + 1 < i, j + 1, 0),
                with_pair(i, j, variance),
            ),
            (ops.array(1), ops.array(0), variance),
        )
    return total / ops.sqrt(ops.maximum(variance, _TINY))


def _correlation(a, b):
    """How alike two parts are, `[n, ...]`, from -1 to 1.

    It is 1 where they are equal, as they are after `vary` of other levels or
    where they were combined of the same. Over all the rest it is one number
    per code.
    """
    equal = ops.equal(a, b)
    apart = ops.cast(ops.logical_not(equal), "float32")
    axes = tuple(range(1, len(a.shape)))
    product, square_a, square_b = (
        ops.sum(apart * x, axis=axes, keepdims=True)
        for x in (a * b, a * a, b * b)
    )
    size = ops.sqrt(square_a) * ops.sqrt(square_b)
    return ops.where(equal, 1.0, product / ops.maximum(size, _TINY))


def _resized(masks, height, width, level):
    """Masks at the size of a level's noise, with sum 1 over n."""
    batch, n, given_height, given_width = ops.shape(masks)
    known = all(
        isinstance(side, int)
        for side in (height, width, given_height, given_width)
    )
    if known and given_height * width != given_width * height:
        raise ValueError(
            "`masks` must be as high and wide as the input or the output, or "
            f"in the same proportion. Received: masks of {given_height} x "
            f"{given_width} pixels for codes of {height} x {width} at level "
            f"{level}"
        )
    images = ops.reshape(masks, (batch * n, given_height, given_width, 1))
    resized = linear_resize(images, height, width)
    return _shares(ops.reshape(resized, (batch, n, height, width)))


def _over_cells(weights, cell, rows, columns):
    """The mean of weights over every cell of a map of styles."""
    batch, n, height, width = ops.shape(weights)
    # Zeros beyond the border count for nothing.
    sides = (0, rows * cell - height), (0, columns * cell - width)
    padded = ops.pad(weights, ((0, 0), (0, 0), *sides))
    cells = ops.reshape(padded, (batch, n, rows, cell, columns, cell))
    return _shares(ops.sum(cells, axis=(3, 5)))


def _shares(weights):
    """Weights `[batch, n, ...]` with sum 1 over n, to the last bit for one."""
    return weights / ops.sum(weights, axis=1, keepdims=True)


def _share(name, value):
    # NaN fails every comparison.
    if isinstance(value, bool) or np.ndim(value) or not 0.0 <= value <= 1.0:
        raise ValueError(
            f"`{name}` must be a number from 0 to 1. Received: {name}={value!r}"
        )
    return float(value)


def _checked_levels(tim, levels):
    """Numbers of levels, ascending."""
    if levels is None:
        return list(range(tim.num_levels))
    count = tim.num_levels
    numbers = {
        integer("levels", level, least=-count, most=count - 1) % count
        for level in levels
    }
    if not numbers:
        raise ValueError(
            "`levels` must be None or name at least one level. Received: "
            f"levels={levels!r}"
        )
    return sorted(numbers)


def _checked(tim, codes, name):
    """Codes as float32 tensors, or says what is wrong with them."""
    if not isinstance(codes, list | tuple) or len(codes) != tim.num_levels:
        raise ValueError(
            f"`{name}` must be a list of one (style, noise) per level, "
            f"{tim.num_levels} in all, see `draw_codes`. Received: "
            f"{type(codes).__name__} of length {len(codes)}"
        )
    style_rank = 4 if tim.style_cell else 2
    checked, counts = [], set()
    for level, code in enumerate(codes):
        style, noise = (
            ops.cast(ops.convert_to_tensor(part), "float32") for part in code
        )
        expected = (style_rank, tim.style_dim), (4, tim.noise_channels)
        for part, (rank, channels) in zip(
            (style, noise), expected, strict=True
        ):
            if len(part.shape) != rank or part.shape[-1] != channels:
                raise ValueError(
                    f"`{name}[{level}]` must be a style of rank {style_rank} "
                    f"with {tim.style_dim} channels and a noise of rank 4 with "
                    f"{tim.noise_channels}. Received: shapes "
                    f"{tuple(style.shape)} and {tuple(noise.shape)}"
                )
            counts.add(part.shape[0])
        checked.append((style, noise))
    if len(counts) > 1:
        raise ValueError(
            f"`{name}` must hold as many styles as noises, the same number at "
            f"every level. Received: {sorted(counts)} of them"
        )
    return checked


def _checked_masks(masks):
    """Masks `[batch or 1, n, height, width]`, float32 with sum 1 over n."""
    masks = np.asarray(masks, "float32")
    if masks.ndim == 3:
        masks = masks[None]
    if masks.ndim != 4 or not masks.size:
        raise ValueError(
            "`masks` must have shape [alternatives, height, width] or [batch, "
            f"alternatives, height, width]. Received: shape {masks.shape}"
        )
    total = masks.sum(axis=1, keepdims=True)
    # NaN fails every comparison.
    if not (masks.min() >= 0.0 and total.min() > 0.0 and total.max() < np.inf):
        raise ValueError(
            "`masks` must be finite numbers from 0 on, one above 0 for every "
            f"pixel. Received: values from {masks.min():g} to "
            f"{masks.max():g}, sums over the alternatives from "
            f"{total.min():g} to {total.max():g}"
        )
    return masks / total
