"""Codes of candidates, drawn on JAX.

`TIM.compile` draws them with TensorFlow's generators; the codes of a seed are
others here.
"""

import functools

import jax
from jax import numpy as jnp


def drawing(tim, keys, sizes):
    """What selection draws candidates by; candidate j of an image is its own.

    Args:
        tim: the `TIM`.
        keys: array of one key per image.
        sizes: list over levels of the noise's size.

    Returns:
        Function `(level, first, count) -> (style, noise)`.
    """
    maps = tim.style_map_sizes(sizes)

    def draw(level, first, count):
        def one(key, number):
            key = jax.random.fold_in(jax.random.fold_in(key, number), level)
            style_key, noise_key = jax.random.split(key)
            return (
                jax.random.normal(style_key, (*maps[level], tim.style_dim)),
                jax.random.normal(
                    noise_key, (*sizes[level], tim.noise_channels)
                ),
            )

        numbers = first + jnp.arange(count)
        drawn = jax.vmap(
            lambda key: jax.vmap(functools.partial(one, key))(numbers)
        )(keys)
        return [x.reshape(-1, *x.shape[2:]) for x in drawn]

    return draw
