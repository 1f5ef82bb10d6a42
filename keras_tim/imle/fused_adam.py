"""Adam's steps by TensorFlow's own operation, one for each variable.

Keras makes some thirty operations of a variable's step: for all variables of a
model they take as long to trace as the rest of a training step.
"""

import keras
from keras import ops

from keras_tim.imle.backend import backend
from keras_tim.lazy import tensorflow as tf


def fused_update_step(optimizer, variables):
    """What may stand in for an optimizer's `update_step`.

    The steps are Keras' but for rounding: TensorFlow takes 1 - beta in float32,
    which changes a step by some 1e-5 of itself. Momenta and velocities are the
    optimizer's own, and are saved with it.

    Args:
        optimizer: a Keras optimizer, built.
        variables: list of variables that it updates.

    Returns:
        Callable `(gradient, variable, learning_rate)`, good for one call of
        `apply`. It leaves to Keras what is not Keras' Adam or AdamW in
        float32, what replicas share, and backends other than TensorFlow.
    """
    kind = type(optimizer)
    plain = (
        keras.backend.backend() == "tensorflow"
        and getattr(kind, "update_step", None)
        is keras.optimizers.Adam.update_step
        and not optimizer.amsgrad
        and not backend.in_replicas()
    )
    slots = _slots(optimizer, variables) if plain else {}
    shared = {}

    def update_step(gradient, variable, learning_rate):
        if id(variable) not in slots or not isinstance(gradient, tf.Tensor):
            kind.update_step(optimizer, gradient, variable, learning_rate)
            return
        if not shared:
            shared.update(_shared_by_variables(optimizer))
        variable, momentum, velocity = slots[id(variable)]
        tf.raw_ops.ResourceApplyAdam(
            var=variable.value.handle,
            m=momentum.value.handle,
            v=velocity.value.handle,
            lr=learning_rate,
            grad=gradient,
            **shared,
        )

    return update_step


def _shared_by_variables(optimizer):
    """What is the same for all variables is made once."""
    values = {
        "beta1": tf.constant(optimizer.beta_1, tf.float32),
        "beta2": tf.constant(optimizer.beta_2, tf.float32),
        "epsilon": tf.constant(optimizer.epsilon, tf.float32),
    }
    step = ops.cast(optimizer.iterations + 1, "float32")
    for name in ("beta1", "beta2"):
        values[f"{name}_power"] = ops.power(values[name], step)
    return values


def _slots(optimizer, variables):
    """Variables with their momentum and velocity, by all they are known as."""
    named = {}
    for slot in optimizer.variables:
        named.setdefault(slot.name, []).append(slot)
    slots = {}
    for variable in variables:
        name = variable.path.replace("/", "_")
        found = [
            named.get(f"{name}_{part}", []) for part in ("momentum", "velocity")
        ]
        if variable.dtype == "float32" and all(len(x) == 1 for x in found):
            entry = (variable, *(x[0] for x in found))
            slots.update(
                dict.fromkeys(map(id, backend.known_as(variable)), entry)
            )
    return slots
