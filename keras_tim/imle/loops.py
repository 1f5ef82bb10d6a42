"""Loops over parts of a batch, inside a TensorFlow graph or outside."""

from keras_tim.lazy import tensorflow as tf


def length_of(nested):
    """Size of the first axis: an int where known, else a scalar tensor."""
    first = tf.nest.flatten(nested)[0]
    return tf.shape(first)[0] if first.shape[0] is None else first.shape[0]


def ceil_divide(a, b):
    """`a / b`, rounded up."""
    return -(-a // b)


def repeat(count, function):
    """Calls `function(number)` for every number below `count`, in order.

    Args:
        count: int or scalar tensor.
        function: callable of a scalar int32 tensor, run for its effects.
    """
    if isinstance(count, int) and tf.distribute.has_strategy():
        # Replicas, even a single one, cannot meet inside a graph's loop to add
        # up gradients.
        for number in range(count):
            function(tf.constant(number))
        return

    def body(number):
        function(number)
        return (number + 1,)

    tf.while_loop(
        lambda number: number < count,
        body,
        (tf.constant(0),),
        parallel_iterations=1,
    )


def for_each_group(nested, size, function, jit_compile=False):
    """Calls `function(group)` for groups of a batch, one after another.

    Args:
        nested: nest of tensors `[batch, ...]`.
        size: int or None for one group. The last group may be smaller.
        function: callable of a nest like `nested`, run for its effects.
        jit_compile: bool, whether XLA compiles this. It has to know how large
            every group is, and knows how large the batch is.
    """
    length = length_of(nested)
    if size is None or (isinstance(length, int) and length <= size):
        function(nested)
    elif isinstance(length, int):
        # Whole groups have a known size; the rest is traced apart.
        repeat(
            length // size,
            lambda number: function(_part(nested, number * size, size)),
        )
        if length % size:
            function(
                tf.nest.map_structure(lambda x: x[-(length % size) :], nested)
            )
    elif jit_compile:
        repeat(
            length // size,
            lambda number: function(_part(nested, number * size, size)),
        )

        def rest():
            # Never empty, since it is compiled though there be no rest.
            length = length_of(nested)
            number = (length - 1) % size + 1
            function(_part(nested, length - number, number))
            return True

        tf.cond(length % size > 0, rest, lambda: True)
    else:
        repeat(
            ceil_divide(length, size),
            lambda number: function(
                tf.nest.map_structure(
                    lambda x: x[number * size : (number + 1) * size], nested
                )
            ),
        )


def map_in_groups(function, nested, size):
    """Applies a function to a batch, `size` rows at a time.

    Args:
        function: callable from a nest of tensors `[n, ...]` to another.
        nested: nest of tensors `[batch, ...]`.
        size: int.

    Returns:
        What `function(nested)` would return, with the memory of `size` rows.
    """
    length = length_of(nested)
    if isinstance(length, int) and length <= size:
        return function(nested)
    # Smaller than one group only where the length is not known beforehand.
    size = size if isinstance(length, int) else tf.minimum(size, length)
    count = ceil_divide(length, size)
    # The last group steps back to be as long as the others.
    starts = tf.minimum(tf.range(count) * size, length - size)

    def at(start):
        return _part(nested, start, size)

    if tf.executing_eagerly():
        parts = [function(at(start)) for start in starts]
        mapped = tf.nest.map_structure(lambda *x: tf.stack(x), *parts)
    else:
        # One trace serves both the signature of the results and the loop.
        traced = tf.function(function, autograph=False)
        results = traced.get_concrete_function(at(starts[0])).structured_outputs
        mapped = tf.map_fn(
            lambda start: traced(at(start)),
            starts,
            parallel_iterations=1,
            fn_output_signature=tf.nest.map_structure(
                lambda x: tf.TensorSpec(x.shape, x.dtype), results
            ),
        )

    rows = tf.range(length)
    group = rows // size
    place = group * size + rows - tf.gather(starts, group)
    exact = isinstance(length, int) and length % size == 0

    def join(x):
        flat = tf.reshape(x, tf.concat([[-1], tf.shape(x)[2:]], 0))
        flat.set_shape((length if exact else None, *x.shape[2:]))
        if exact:
            return flat
        flat = tf.gather(flat, place)
        flat.set_shape(
            (length if isinstance(length, int) else None, *x.shape[2:])
        )
        return flat

    return tf.nest.map_structure(join, mapped)


# TensorFlow's convolutions may fail on empty batches (seen with oneDNN): the
# two that follow keep them from the tower.


def unless_empty(nested, function):
    """Calls `function()` but for a batch that holds nothing.

    Args:
        nested: nest of tensors `[batch, ...]`.
        function: callable, run for its effects.
    """
    length = length_of(nested)
    # Replicas cannot meet inside a condition to add up gradients: see
    # `one_at_least`.
    if tf.distribute.has_strategy():
        function()
    elif isinstance(length, int):
        if length:
            function()
    else:
        tf.cond(length > 0, function, lambda: None)


def one_at_least(inputs, targets=None, sample_weight=None):
    """Gives a replica for which no image was left a black one of weight 0.

    Args:
        inputs: list of tensors `[batch, height, width, channels]`.
        targets: tensor or tuple of tensors `[batch, height, width, 3]`, or
            None.
        sample_weight: tensor `[batch, ...]` or None.

    Returns:
        The three again.
    """
    length = length_of(inputs)
    if isinstance(length, int) or not tf.distribute.has_strategy():
        return inputs, targets, sample_weight
    if sample_weight is None:
        sample_weight = tf.ones([length])
    missing = tf.maximum(1 - length, 0)

    def padded(x):
        rest = [[0, 0]] * (len(x.shape) - 1)
        grown = tf.pad(x, [[0, missing], *rest])
        return tf.ensure_shape(grown, [None, *x.shape[1:]])

    return tf.nest.map_structure(
        lambda x: None if x is None else padded(x),
        (inputs, targets, sample_weight),
    )


def _part(nested, start, size):
    # Not a slice: XLA does not see that one between two tensors has that size.
    rows = start + tf.range(size)
    return tf.nest.map_structure(lambda x: tf.gather(x, rows), nested)
