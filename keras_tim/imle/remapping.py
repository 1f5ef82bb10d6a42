"""A graph optimization that computing gradients does better without."""

import contextlib

from keras_tim.lazy import tensorflow as tf


@contextlib.contextmanager
def without_remapping():
    """The scope in which TensorFlow fuses no convolutions with what follows.

    Gradients need what lies between, so that it tries in vain where they are
    computed, and says so as an error on the console. The option is TensorFlow's
    own, for all threads: it is put back at the end.
    """
    name = "remapping"
    before = tf.config.optimizer.get_experimental_options().get(name, True)
    tf.config.optimizer.set_experimental_options({name: False})
    try:
        yield
    finally:
        tf.config.optimizer.set_experimental_options({name: before})
