"""Passes over a source, one after another, from any batch on."""

import itertools

import numpy as np
import tensorflow as tf


def successive_passes(one_pass, length, batch_size, repeat, start=0):
    """Examples of one pass after another.

    A pass must depend on its number alone. Then an endless data set may begin
    at any batch, at no cost, and gives what it would have given there.

    Args:
        one_pass: Function from the number of a pass and of the examples to
            leave out at its front, both scalar `int64` tensors, to a
            `tf.data.Dataset` of the others.
        length: Integer, examples in a pass.
        batch_size: Integer, examples in the batches that are made of them.
        repeat: Whether passes follow one another for ever. Otherwise every
            iteration over the data set is one pass, the next.
        start: Integer, or scalar integer `tf.Variable` that is read whenever
            an iteration begins: batches to leave out. For endless data sets.

    Returns:
        A `tf.data.Dataset`.

    Raises:
        ValueError: If `start` is not as described.
    """
    if not isinstance(start, tf.Variable):
        if isinstance(start, bool) or not isinstance(start, (int, np.integer)):
            raise ValueError(
                "`start` must be an integer or a `tf.Variable`. Received: "
                f"start={start!r}"
            )
        if start < 0 or (start and not repeat):
            raise ValueError(
                "`start` must not be negative, and 0 without `repeat`. "
                f"Received: start={start}, repeat={repeat}"
            )
    if not repeat:
        numbers = itertools.count()

        def next_pass(_):
            number = tf.numpy_function(
                lambda: np.int64(next(numbers)), [], tf.int64
            )
            return one_pass(number, tf.constant(0, tf.int64))

        return tf.data.Dataset.range(1).flat_map(next_pass)

    def from_start(_):
        examples = batch_size * tf.cast(start, tf.int64)
        first, left_out = examples // length, examples % length
        passes = tf.data.Dataset.range(first, tf.int64.max)
        return passes.flat_map(
            lambda number: one_pass(
                number, tf.where(number == first, left_out, 0)
            )
        )

    return tf.data.Dataset.range(1).flat_map(from_start)


def of_length(dataset, batches):
    """A data set that says how long it is.

    Args:
        dataset: `tf.data.Dataset`.
        batches: Integer, how many it has; `None` where it goes on for ever.

    Returns:
        The same data set.
    """
    return dataset.apply(
        tf.data.experimental.assert_cardinality(
            tf.data.INFINITE_CARDINALITY if batches is None else batches
        )
    )
