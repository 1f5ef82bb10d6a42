"""Latent codes: N(0, I) as a pure function of (seed, index, level).

Each code is drawn under a key of its own. A draw of shape
`[batch, samples, ...]` under one key would change with the batch and with the
number of samples; this one does not, so that sample k of a seed is the same
picture in every process, batch and replica.

A value also depends on its place alone, so that a part of a large field can be
drawn without the rest.

This is TensorFlow's way, which draws the same on every device. On JAX
`jax_codes` draws, other values of the same distribution.
"""

import functools

import keras
from keras import ops

from keras_tim.lazy import tensorflow as tf
from keras_tim.models import jax_codes

# Keys of one index: up to this many levels, two kinds of code each.
MAX_LEVELS = 16
STYLE, NOISE = 0, 1
# TensorFlow's number of the algorithm, and how many values it makes at a time.
_PHILOX, _GROUP = 1, 4


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
    if keras.backend.backend() == "jax":
        return jax_codes.draw_codes(
            seeds,
            indices,
            noise_sizes,
            style_dim,
            noise_channels,
            levels,
            style_sizes,
        )
    levels = range(len(noise_sizes)) if levels is None else levels
    style_sizes = style_sizes or [()] * len(noise_sizes)
    # Outside a graph a compiled copy saves an eager loop over samples; inside
    # one the sizes must stay constants where they are, for XLA's sake.
    draw = _compiled_draw() if tf.executing_eagerly() else _draw
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


def sample_numbers(first, count, batch):
    """Numbers of samples, the same for every image, as `draw_codes` takes them.

    Args:
        first: int or scalar integer tensor.
        count: int.
        batch: int or scalar tensor.

    Returns:
        int64 tensor `[batch, count]`: `first` and those that follow. On JAX
        `jax_codes.words` of them.
    """
    if keras.backend.backend() == "jax":
        return jax_codes.sample_numbers(first, count, batch)
    numbers = ops.convert_to_tensor(first, dtype="int64") + tf.range(
        count, dtype=tf.int64
    )
    return tf.tile(numbers[None, :], [batch, 1])


def draw_style(seed, index, level, style_dim):
    """The style of a level where there is one for the whole picture.

    Args:
        seed: scalar int64 tensor.
        index: scalar int64 tensor, the sample's number.
        level: int.
        style_dim: int.

    Returns:
        float32 tensor `[style_dim]`.
    """
    return _normal(seed, index, level, STYLE, [style_dim])


def draw_window(seed, index, level, kind, field, start, size):
    """A rectangle of the field of codes that `draw_codes` draws.

    It holds the very values that the field has there, and takes the memory of
    the rectangle alone.

    Args:
        seed: scalar int64 tensor.
        index: scalar int64 tensor, the sample's number.
        level: int.
        kind: `STYLE`, whose field is the map of styles, or `NOISE`.
        field: `(width, channels)` of the field.
        start: `(row, column)` of the rectangle's first place.
        size: `(rows, columns)` of the rectangle.

    Returns:
        float32 tensor `[rows, columns, channels]`.
    """
    width, channels = (tf.cast(n, tf.int64) for n in field)
    top, left = (tf.cast(n, tf.int64) for n in start)
    rows, columns = (tf.cast(n, tf.int64) for n in size)
    length = columns * channels
    key, counter = tf.raw_ops.StatelessRandomGetKeyCounter(
        seed=_key(seed, index, level, kind)
    )

    def draw_row(row):
        first = (row * width + left) * channels
        # Philox counts in groups of four values.
        counted = tf.stack([first // _GROUP, tf.zeros_like(first)])
        values = tf.raw_ops.StatelessRandomNormalV2(
            shape=(length + _GROUP - 1)[None],
            key=key,
            counter=counter + tf.cast(counted, tf.uint64),
            alg=_PHILOX,
        )
        return values[first % _GROUP :][:length]

    drawn = tf.map_fn(
        draw_row,
        tf.range(top, top + rows),
        fn_output_signature=tf.TensorSpec([None], tf.float32),
    )
    return tf.reshape(drawn, tf.stack([rows, columns, channels]))


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


@functools.cache
def _compiled_draw():
    return tf.function(_draw, reduce_retracing=True, autograph=False)


def _normal(seed, index, level, kind, shape):
    # The algorithm is named because the default differs between devices.
    return tf.random.stateless_normal(
        tf.stack(shape), seed=_key(seed, index, level, kind), alg="philox"
    )


def _key(seed, index, level, kind):
    return tf.stack([seed, (index * MAX_LEVELS + level) * 2 + kind])
