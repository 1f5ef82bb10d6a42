"""Latent codes: N(0, I) as a pure function of (seed, index, level).

Each code is drawn under a key of its own. A draw of shape
`[batch, samples, ...]` under one key would change with the batch and with the
number of samples; this one does not, so that sample k of a seed is the same
picture in every process, batch and replica.
"""

import tensorflow as tf

# Keys of one index: up to this many levels, two kinds of code each.
MAX_LEVELS = 16
STYLE, NOISE = 0, 1


def draw_codes(
    seeds,
    indices,
    noise_sizes,
    style_dim,
    noise_channels,
    levels=None,
    style_sizes=None,
):
    """Draws the codes of some samples.

    Args:
        seeds: int64 tensor `[batch]`.
        indices: int64 tensor `[batch, n]`, the samples' numbers.
        noise_sizes: list over levels of `(height, width)` of the noise.
        style_dim: int.
        noise_channels: int.
        levels: the levels to draw for; all by default.
        style_sizes: list over levels of `(rows, columns)` of a map of styles,
            or of empty tuples for one style per sample, as by default.

    Returns:
        List over `levels` of `(style [batch * n, style_dim] or [batch * n,
        rows, columns, style_dim],
        noise [batch * n, height, width, noise_channels])`, float32.
    """
    levels = range(len(noise_sizes)) if levels is None else levels
    style_sizes = style_sizes or [()] * len(noise_sizes)
    # Outside a graph a compiled copy saves an eager loop over samples; inside
    # one the sizes must stay constants where they are, for XLA's sake.
    draw = _draw_compiled if tf.executing_eagerly() else _draw
    flat = draw(
        tf.convert_to_tensor(seeds, tf.int64),
        tf.convert_to_tensor(indices, tf.int64),
        tuple(
            (
                _shape(*style_sizes[level], style_dim),
                _shape(*noise_sizes[level], noise_channels),
            )
            for level in levels
        ),
        tuple(levels),
    )
    count = _static_product(seeds.shape[0], indices.shape[1])
    codes = []
    for (style, noise), level in zip(flat, levels, strict=True):
        style.set_shape((count, *_known(style_sizes[level]), style_dim))
        noise.set_shape((count, *_known(noise_sizes[level]), noise_channels))
        codes.append((style, noise))
    return codes


def _shape(*sizes):
    return tuple(tf.cast(size, tf.int32) for size in sizes)


def _known(sizes):
    return [n if isinstance(n, int) else None for n in sizes]


def _static_product(a, b):
    return None if a is None or b is None else a * b


def _draw(seeds, indices, shapes, levels):
    num_indices = tf.shape(indices)[1]
    seeds = tf.repeat(seeds, num_indices)
    indices = tf.reshape(indices, [-1])

    def draw_one(key):
        seed, index = key
        return tuple(
            (
                _normal(seed, index, level, STYLE, style_shape),
                _normal(seed, index, level, NOISE, noise_shape),
            )
            for level, (style_shape, noise_shape) in zip(
                levels, shapes, strict=True
            )
        )

    specification = tuple(
        tuple(tf.TensorSpec([None] * len(shape), tf.float32) for shape in pair)
        for pair in shapes
    )
    return tf.map_fn(
        draw_one, (seeds, indices), fn_output_signature=specification
    )


_draw_compiled = tf.function(_draw, reduce_retracing=True, autograph=False)


def _normal(seed, index, level, kind, shape):
    key = (index * MAX_LEVELS + level) * 2 + kind
    # The algorithm is named because the default differs between devices.
    return tf.random.stateless_normal(
        tf.stack(shape), seed=tf.stack([seed, key]), alg="philox"
    )
