"""Inversion: which codes come nearest to a given output."""

import typing

import keras
import numpy as np

from keras_tim.checks import check_tensorflow, integer
from keras_tim.imle.backend import backend
from keras_tim.imle.distances import SelectionDistance
from keras_tim.lazy import tensorflow as tf
from keras_tim.models.inputs import check_inputs, check_pictures


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


@backend.without_remapping()
def invert(
    tim,
    inputs,
    targets,
    steps,
    learning_rate,
    seed,
    distance,
    num_starts,
    frames,
    shell_width,
    verbose,
):
    """See `TIM.invert`."""
    check_tensorflow("`TIM.invert`")
    inputs = check_inputs(tim, inputs)
    targets = check_pictures(targets, 3, "targets")
    if not inputs[0].shape[0]:
        raise ValueError(
            "`inputs` must hold at least one picture. Received: shape "
            f"{tuple(inputs[0].shape)}"
        )
    steps = integer("steps", steps)
    num_starts = integer("num_starts", num_starts)
    frames = integer("frames", frames)
    if not learning_rate > 0:
        raise ValueError(
            "`learning_rate` must be positive. Received: "
            f"learning_rate={learning_rate}"
        )
    if not shell_width >= 0:
        raise ValueError(
            "`shell_width` must be 0 or more. Received: "
            f"shell_width={shell_width}"
        )
    samples = tim.sample(inputs, num_samples=num_starts, seed=seed)
    if tuple(targets.shape) != (len(samples), *samples.shape[2:]):
        raise ValueError(
            "`targets` must have the shape of the last level's output, "
            f"{(len(samples), *samples.shape[2:])}. Received: shape "
            f"{tuple(targets.shape)}"
        )
    distance = SelectionDistance(distance)
    distance.build(channels=3)
    target_features = distance.features(targets)
    nearest = np.argmin(
        [
            distance.compare(distance.features(draw), target_features)
            for draw in np.moveaxis(samples, 1, 0)
        ],
        axis=0,
    )
    drawn = _chosen_draws(tim, inputs, num_starts, seed, nearest)
    variables = [[tf.Variable(part) for part in code] for code in drawn]
    flat = tf.nest.flatten(variables)
    # Ever smaller steps: the last ones settle what the first ones found.
    optimizer = keras.optimizers.Adam(
        keras.optimizers.schedules.CosineDecay(learning_rate, steps)
    )
    optimizer.build(flat)

    @tf.function(autograph=False, reduce_retracing=True)
    def step():
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(flat)
            made = tim.decode(inputs, [tuple(code) for code in variables])[-1]
            # Every picture has codes of its own: their sum keeps them apart.
            losses = distance.compare(distance.features(made), target_features)
            total = tf.reduce_sum(losses)
        # What the model does not use stays: a regression uses nothing.
        gradients = tape.gradient(
            total, flat, unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
        return made, losses, gradients

    @tf.function(autograph=False)
    def move(gradients):
        optimizer.apply(gradients, flat)
        for variable in flat:
            # About the standard deviation of a draw's radius, relative to it.
            size = np.prod(variable.shape[1:])
            deviation = 1.0 / np.sqrt(2.0 * size)
            variable.assign(near_shell(variable, shell_width * deviation))

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


def _chosen_draws(tim, inputs, count, seed, chosen):
    """One of every input's draws: the codes of sample `chosen[i]`."""
    rows = np.arange(len(chosen)) * count + chosen
    drawn = tim.draw_codes(inputs, num_samples=count, seed=seed)
    return [tuple(tf.gather(part, rows) for part in code) for code in drawn]


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
