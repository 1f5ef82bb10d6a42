"""Random crops of pictures that presets are trained on, cut by JAX."""

import functools

import jax
from jax import numpy as jnp

from keras_tim.layers.resampling import bicubic_resize


def crop_function(pictures, inputs, factor, multiple, side, settings):
    """Random crops of pictures and of what was made of them, on the card.

    Args:
        pictures: uint8 array `[count, height, width, 3]`.
        inputs: uint8 array `[variants, count, height / factor, width / factor,
            channels]`, or None.
        factor: int, how much smaller the inputs are.
        multiple: int, of which the crops' places are multiples, in pixels of
            the inputs.
        side: tuple of int, the crops' height and width.
        settings: dict: "enlarged" (share of crops whose middle is enlarged)
            and "turns" (False where up and down differ).

    Returns:
        Function `(key, count) -> (targets, inputs)`, float32 targets and
        uint8 inputs, which are None without inputs.
    """
    pictures = jnp.asarray(pictures)
    inputs = None if inputs is None else jnp.asarray(inputs)
    step = factor * multiple
    places = [
        (n - s) // step + 1
        for n, s in zip(pictures.shape[1:3], side, strict=True)
    ]

    def one(key):
        keys = jax.random.split(key, 5)
        number = jax.random.randint(keys[0], (), 0, len(pictures))
        row, column = (
            multiple * jax.random.randint(k, (), 0, n)
            for k, n in zip(keys[1:3], places, strict=True)
        )
        flips = jax.random.bernoulli(keys[3], shape=(3,))
        flips = flips & jnp.array([settings["turns"], True, settings["turns"]])

        def turned(x):
            x = jnp.where(flips[0], x[::-1], x)
            x = jnp.where(flips[1], x[:, ::-1], x)
            square = x.shape[0] == x.shape[1]
            return jnp.where(flips[2], x.swapaxes(0, 1), x) if square else x

        target = jax.lax.dynamic_slice(
            pictures,
            (number, row * factor, column * factor, 0),
            (1, *side, 3),
        )[0]
        if inputs is None:
            return turned(target), jnp.zeros((0,), "uint8")
        variant = jax.random.randint(keys[4], (), 0, len(inputs))
        small = jax.lax.dynamic_slice(
            inputs,
            (variant, number, row, column, 0),
            (1, 1, *[n // factor for n in side], inputs.shape[-1]),
        )[0, 0]
        return turned(target), turned(small)

    @functools.partial(jax.jit, static_argnums=1)
    def crops(key, count):
        keys = jax.random.split(key, count + 1)
        targets, made = jax.vmap(one)(keys[1:])
        targets = targets.astype("float32") / 255.0
        if inputs is None and settings["enlarged"]:
            quarter = [n // 4 for n in side]
            middle = targets[
                :, quarter[0] : -quarter[0], quarter[1] : -quarter[1]
            ]
            middle = jnp.clip(bicubic_resize(middle, *side), 0.0, 1.0)
            chosen = jax.random.uniform(keys[0], (count, 1, 1, 1))
            targets = jnp.where(chosen < settings["enlarged"], middle, targets)
        return targets, None if inputs is None else made

    return crops
