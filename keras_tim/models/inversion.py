"""Inversion: which codes come nearest to a given output."""

import typing

import keras
import numpy as np
import tensorflow as tf

from keras_tim.imle.distances import SelectionDistance
from keras_tim.models.inputs import (
    check_count,
    check_inputs,
    check_pictures,
)


class Inversion(typing.NamedTuple):
    """What `TIM.invert` found.

    Attributes:
        codes: list over levels of `(style [batch, style_dim], noise [batch,
            height, width, noise_channels])`, NumPy, the nearest met.
        distances: float array `[batch]`, their distance to the targets: the
            recall of every target.
        losses: float array `[steps + 1, batch]`, the distance at the start
            and after every step.
        pictures: float array `[batch, height, width, 3]`, made from `codes`.
        path: float array `[frames, batch, height, width, 3]`, pictures on the
            way: the first, the last, and some between them.
        path_steps: int array `[frames]`, the steps they were made at.
    """

    codes: list
    distances: np.ndarray
    losses: np.ndarray
    pictures: np.ndarray
    path: np.ndarray
    path_steps: np.ndarray


def invert(
    tim,
    inputs,
    targets,
    steps,
    learning_rate,
    seed,
    distance,
    frames,
    shell_width,
    verbose,
):
    """See `TIM.invert`."""
    inputs = check_inputs(tim, inputs)
    targets = check_pictures(targets, 3, "targets")
    check_count("steps", steps)
    check_count("frames", frames)
    if not learning_rate > 0:
        raise ValueError(
            "`learning_rate` must be positive. Received: "
            f"learning_rate={learning_rate}"
        )
    if not 0 <= shell_width < 1:
        raise ValueError(
            "`shell_width` must be from 0 to below 1. Received: "
            f"shell_width={shell_width}"
        )
    distance = SelectionDistance(distance)
    distance.build(channels=3)
    drawn = tim.draw_codes(inputs, num_samples=1, seed=seed)
    variables = [[tf.Variable(part) for part in code] for code in drawn]
    size = tim.decode(inputs, drawn)[-1].shape
    if tuple(targets.shape) != tuple(size):
        raise ValueError(
            "`targets` must have the shape of the last level's output, "
            f"{tuple(size)}. Received: shape {tuple(targets.shape)}"
        )
    flat = tf.nest.flatten(variables)
    optimizer = keras.optimizers.Adam(learning_rate)
    optimizer.build(flat)
    target_features = distance.features(targets)

    @tf.function(autograph=False, reduce_retracing=True)
    def step():
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(flat)
            made = tim.decode(inputs, [tuple(code) for code in variables])[-1]
            # Every picture has codes of its own: their sum keeps them apart.
            losses = distance.compare(distance.features(made), target_features)
            total = tf.reduce_sum(losses)
        return made, losses, tape.gradient(total, flat)

    @tf.function(autograph=False)
    def move(gradients):
        optimizer.apply(gradients, flat)
        for variable in flat:
            variable.assign(near_shell(variable, shell_width))

    shown = np.unique(np.linspace(0, steps, frames).round().astype(int))
    bar = keras.utils.Progbar(steps) if verbose else None
    losses, path, best = [], [], None
    for number in range(steps + 1):
        made, loss, gradients = step()
        losses.append(loss.numpy())
        if number in shown:
            path.append(made.numpy())
        best = _nearer(best, loss.numpy(), made.numpy(), variables)
        if number < steps:
            move(gradients)
            if bar:
                bar.update(number + 1, [("distance", loss.numpy().mean())])
    distances, pictures, codes = best
    return Inversion(
        codes=codes,
        distances=distances,
        losses=np.stack(losses),
        pictures=pictures,
        path=np.stack(path),
        path_steps=shown,
    )


def near_shell(code, width):
    """Scales a code back to where draws from N(0, I) of its size lie.

    They lie about a shell of radius sqrt(n). A code that is shorter or longer
    by more than `width` of it is no plausible draw, and what it gives says
    nothing of what the model would give.

    Args:
        code: float tensor `[batch, ...]`.
        width: float, how far from the radius a code may lie, relative to it.

    Returns:
        float tensor `[batch, ...]`.
    """
    axes = list(range(1, len(code.shape)))
    mean_square = tf.reduce_mean(tf.square(code), axis=axes, keepdims=True)
    radius = tf.sqrt(mean_square)
    wanted = tf.clip_by_value(radius, 1.0 - width, 1.0 + width)
    return code * tf.math.divide_no_nan(wanted, radius)


def _nearer(best, losses, pictures, variables):
    """The nearest pictures and their codes so far, each for itself."""
    codes = [tuple(part.numpy() for part in code) for code in variables]
    if best is None:
        return losses, pictures, codes
    before, before_pictures, before_codes = best
    nearer = losses < before

    def choose(new, old):
        where = nearer.reshape(-1, *[1] * (new.ndim - 1))
        return np.where(where, new, old)

    codes = [
        tuple(choose(*parts) for parts in zip(new, old, strict=True))
        for new, old in zip(codes, before_codes, strict=True)
    ]
    return choose(losses, before), choose(pictures, before_pictures), codes
