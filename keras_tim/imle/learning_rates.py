"""Learning-rate factors per variable (mapping networks, trunks)."""

import contextlib
import functools

import keras
from keras import ops

from keras_tim.imle.backend import backend
from keras_tim.imle.fused_adam import fused_update_step


def learning_rate_multipliers(tim):
    """The variables of a model that learn at another rate.

    Those of the mapping networks, and those of a trunk: all convolutions but
    the ones that bring noise in and the lower levels' outputs, which a trunk
    lacks.

    Args:
        tim: a `TIM`.

    Returns:
        List of pairs of a variable and its factor on the learning rate.
    """
    parts = []
    for module in tim.tower:
        if module.mapping is not None:
            parts.append(
                (module.mapping, module.mapping.learning_rate_multiplier)
            )
        if tim.trunk_learning_rate_multiplier != 1:
            last = module is tim.tower[-1]
            parts += [
                (layer, tim.trunk_learning_rate_multiplier)
                for layer in module.trunk_layers(with_output=last)
            ]
    return [
        (variable, factor)
        for layer, factor in parts
        if factor != 1
        for variable in layer.trainable_variables
    ]


@contextlib.contextmanager
def scaled_learning_rates(optimizer, multipliers, fused=()):
    """The scope in which an optimizer has another rate for some variables.

    Whatever the optimizer does with its learning rate, weight decay included,
    it does with the multiplied one: the steps are those of an optimizer that
    was made with it. (Storing divided weights or scaling gradients would give
    that for some optimizers alone.)

    Args:
        optimizer: a Keras optimizer; `apply` or `stateless_apply` is to be
            called within the scope.
        multipliers: list of pairs of a variable and a factor.
        fused: list of variables for which steps may be fused, see
            `fused_update_step`.

    Example:
    >>> with scaled_learning_rates(optimizer, learning_rate_multipliers(tim)):
    ...     optimizer.apply(gradients, tim.trainable_variables)
    """
    parts = list(_parts(optimizer)) if multipliers or fused else []
    for part in parts:
        _scale_steps(part, multipliers, fused)
    try:
        yield
    finally:
        for part in parts:
            # Replicas share the optimizer: another one may have been here.
            for name in ("apply", "update_step"):
                vars(part).pop(name, None)


def _parts(optimizer):
    """The optimizers that take the steps, behind those that wrap others."""
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        yield from _parts(optimizer.inner_optimizer)
    elif hasattr(optimizer, "optimizers"):
        # Keras 3.12 has no MultiOptimizer yet.
        for inner in optimizer.optimizers:
            yield from _parts(inner)
    else:
        yield optimizer


def _scale_steps(optimizer, multipliers, fused):
    """Overrides two methods of this one optimizer."""
    apply = functools.partial(type(optimizer).apply, optimizer)
    factors = {
        id(part): (place, multiplier)
        for place, (variable, multiplier) in enumerate(multipliers)
        for part in backend.known_as(variable)
    }
    starts = []
    update_step = None

    def apply_noting_starts(grads, trainable_variables=None):
        nonlocal update_step
        update_step = fused_update_step(optimizer, fused)
        if optimizer.weight_decay is not None:
            starts[:] = [ops.copy(v) for v, _ in multipliers]
        apply(grads, trainable_variables)

    def update_step_scaled(gradient, variable, learning_rate):
        if id(variable) in factors:
            place, multiplier = factors[id(variable)]
            learning_rate = multiplier * learning_rate
            if starts:
                # Weights have decayed by now, at the optimizer's own rate.
                decay = variable - starts[place]
                variable.assign(starts[place] + multiplier * decay)
        update_step(gradient, variable, learning_rate)

    optimizer.apply = apply_noting_starts
    optimizer.update_step = update_step_scaled
