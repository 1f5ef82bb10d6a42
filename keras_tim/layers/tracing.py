"""Graphs that are quick to trace."""

import contextlib
import contextvars
import json

import keras

from keras_tim.lazy import tensorflow as tf

_ALIKE = contextvars.ContextVar("traces of layers that are alike", default=None)


def traced_once(function):
    """A function that is traced once, however often a graph calls it.

    To trace an operation takes a thousand times as long as to run it on a
    small picture.

    Args:
        function: of tensors alone, without variables, that is called several
            times with tensors of the same shapes.

    Returns:
        The same function; within TensorFlow's graphs a `tf.function` of it,
        which TensorFlow puts in its place again before it runs the graph.
    """
    if keras.backend.backend() != "tensorflow" or tf.executing_eagerly():
        return function
    return tf.function(function, autograph=False)


@contextlib.contextmanager
def layers_alike_traced_once():
    """The scope in which a graph traces layers that are alike once for all.

    A model has dozens of blocks that differ in nothing but their weights, and a
    training step runs each of them several times. TensorFlow, too, looks at
    their operations and gradients once, and not for each block again.
    """
    token = _ALIKE.set({})
    try:
        yield
    finally:
        _ALIKE.reset(token)


def call_alike(layer, function, inputs):
    """Calls what a layer does with its inputs and weights.

    Args:
        layer: a built `keras.Layer`, whose configuration decides what it does
            but for its weights.
        function: callable of the inputs, what `layer.call` is to do.
        inputs: tensor.

    Returns:
        What `function(inputs)` returns. Within the graphs of a scope of
        `layers_alike_traced_once` it is traced for the first of all layers
        with this configuration and such inputs.
    """
    traces = _ALIKE.get()
    if (
        traces is None
        or keras.backend.backend() != "tensorflow"
        or tf.executing_eagerly()
    ):
        return function(inputs)
    weights = layer.trainable_variables, layer.non_trainable_variables
    values = [[variable.value for variable in part] for part in weights]
    # What is mirrored on several devices a function takes for its own.
    if any(
        isinstance(value, tf.distribute.DistributedValues)
        for part in values
        for value in part
    ):
        return function(inputs)
    key = json.dumps(
        [
            type(layer).__name__,
            {**layer.get_config(), "name": None},
            [len(part) for part in weights],
            list(inputs.shape),
            inputs.dtype.name,
        ]
    )
    if key not in traces:

        def run(inputs, trainable, non_trainable):
            token = _ALIKE.set(None)
            try:
                outputs, _ = layer.stateless_call(
                    trainable, non_trainable, inputs
                )
            finally:
                _ALIKE.reset(token)
            return outputs

        traces[key] = tf.function(
            run,
            autograph=False,
            # Else TensorFlow puts the operations in its place.
            experimental_attributes={"_noinline": True},
        )
    return traces[key](inputs, *values)
