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


def draw_codes(seeds, indices, sizes, style_dim, noise_channels, levels=None):
    """Draws the codes of some samples.

    Args:
        seeds: int64 tensor `[batch]`.
        indices: int64 tensor `[batch, n]`, the samples' numbers.
        sizes: list over levels of `(height, width)` of the noise.
        style_dim: int.
        noise_channels: int.
        levels: the levels to draw for; all by default.

    Returns:
        List over `levels` of `(style [batch * n, style_dim],
        noise [batch * n, height, width, noise_channels])`, float32.
    """
    levels = range(len(sizes)) if levels is None else levels
    # Outside a graph a compiled copy saves an eager loop over samples; inside
    # one the sizes must stay constants where they are, for XLA's sake.
    draw = _draw_compiled if tf.executing_eagerly() else _draw
    flat = draw(
        tf.convert_to_tensor(seeds, tf.int64),
        tf.convert_to_tensor(indices, tf.int64),
        tuple(tf.stack(sizes[level]) for level in levels),
        tuple(levels),
        style_dim,
        noise_channels,
    )
    count = _static_product(seeds.shape[0], indices.shape[1])
    codes = []
    for (style, noise), level in zip(flat, levels, strict=True):
        height, width = (
            n if isinstance(n, int) else None for n in sizes[level]
        )
        style.set_shape((count, style_dim))
        noise.set_shape((count, height, width, noise_channels))
        codes.append((style, noise))
    return codes


def _static_product(a, b):
    return None if a is None or b is None else a * b


def _draw(seeds, indices, sizes, levels, style_dim, noise_channels):
    num_indices = tf.shape(indices)[1]
    seeds = tf.repeat(seeds, num_indices)
    indices = tf.reshape(indices, [-1])

    def draw_one(key):
        seed, index = key
        return tuple(
            (
                _normal(seed, index, level, STYLE, [style_dim]),
                _normal(
                    seed,
                    index,
                    level,
                    NOISE,
                    tf.concat([tf.cast(size, tf.int32), [noise_channels]], 0),
                ),
            )
            for level, size in zip(levels, sizes, strict=True)
        )

    specification = tuple(
        (
            tf.TensorSpec([style_dim], tf.float32),
            tf.TensorSpec([None, None, noise_channels], tf.float32),
        )
        for _ in levels
    )
    return tf.map_fn(
        draw_one, (seeds, indices), fn_output_signature=specification
    )


_draw_compiled = tf.function(_draw, reduce_retracing=True, autograph=False)


def _normal(seed, index, level, kind, shape):
    key = (index * MAX_LEVELS + level) * 2 + kind
    # The algorithm is named because the default differs between devices.
    return tf.random.stateless_normal(
        shape, seed=tf.stack([seed, key]), alg="philox"
    )
