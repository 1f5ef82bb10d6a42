"""A graph optimization that computing gradients does better without."""

import contextlib

import tensorflow as tf


@contextlib.contextmanager
def without_remapping():
    """The scope in which TensorFlow fuses no convolutions with what follows.

    Where gradients are computed they need what lies between, so that it tries
    in vain, and reports each time as an error on the console. Elsewhere it
    goes on as before.
    """
    name = "remapping"
    before = tf.config.optimizer.get_experimental_options().get(name, True)
    tf.config.optimizer.set_experimental_options({name: False})
    try:
        yield
    finally:
        tf.config.optimizer.set_experimental_options({name: before})
