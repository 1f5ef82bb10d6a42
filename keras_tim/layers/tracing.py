"""Graphs that are quick to trace."""

import keras

from keras_tim.lazy import tensorflow as tf


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
