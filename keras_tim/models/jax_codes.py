"""Latent codes on JAX, see `codes`: others than TensorFlow's of a seed.

JAX computes with 32 bits, while seeds and samples' numbers have 64: they are
two words each, the upper one first.
"""

import functools

import numpy as np

from keras_tim.lazy import jax

# Named, since the default may be set.
_ALGORITHM = "threefry2x32"


def words(integers):
    """Integers of 64 bits as two of 32.

    Args:
        integers: int, sequence of int, or NumPy or JAX array of them.

    Returns:
        uint32 array of the shape of the integers and a last axis of 2.
    """
    if isinstance(integers, jax.Array):
        upper = jax.numpy.where(integers < 0, -1, 0)
        parts = [upper, integers]
        return jax.numpy.stack([x.astype("uint32") for x in parts], axis=-1)
    integers = np.asarray(integers, "int64")
    parts = [integers >> 32, integers & 0xFFFFFFFF]
    return np.stack([x.astype("uint32") for x in parts], axis=-1)


def key_of(seed):
    """A JAX key made of a seed's two words."""
    return jax.random.wrap_key_data(seed, impl=_ALGORITHM)


def sample_numbers(first, count, batch):
    """See `codes.sample_numbers`; uint32 array `[batch, count, 2]`."""
    if isinstance(first, jax.Array):
        numbers = first + jax.numpy.arange(count)
    else:
        numbers = first + np.arange(count, dtype="int64")
    return jax.numpy.tile(words(numbers)[None], (batch, 1, 1))


def draw_codes(
    seeds,
    indices,
    noise_sizes,
    style_dim,
    noise_channels,
    levels=None,
    style_sizes=None,
):
    """See `codes.draw_codes`; seeds and numbers may be given as `words`."""
    levels = range(len(noise_sizes)) if levels is None else levels
    style_sizes = style_sizes or [()] * len(noise_sizes)
    shapes = tuple(
        (
            level,
            (*map(int, style_sizes[level]), style_dim),
            (*map(int, noise_sizes[level]), noise_channels),
        )
        for level in levels
    )
    known = [
        x if getattr(x, "dtype", None) == np.uint32 else words(x)
        for x in (seeds, indices)
    ]
    return _compiled_draw()(*known, shapes)


@functools.cache
def _compiled_draw():
    return jax.jit(_draw, static_argnums=2)


def _draw(seeds, numbers, shapes):
    def draw_one(seed, number):
        upper, lower = number
        key = jax.random.fold_in(jax.random.fold_in(key_of(seed), upper), lower)
        return [
            tuple(
                jax.random.normal(
                    jax.random.fold_in(key, 2 * level + kind), shape
                )
                for kind, shape in enumerate(pair)
            )
            for level, *pair in shapes
        ]

    of_image = jax.vmap(draw_one, in_axes=(None, 0))
    drawn = jax.vmap(of_image)(seeds, numbers)
    return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), drawn)
