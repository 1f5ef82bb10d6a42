"""Conditional IMLE on TensorFlow: loops, seeds, gradients and checks.

Everything works inside a graph and outside, and with sizes that only the graph
knows. `jax_backend` has the same functions.
"""

import contextlib

from keras_tim.checks import unit_range_assertion
from keras_tim.lazy import tensorflow as tf

# -- Steps -----------------------------------------------------------------


def stateless_step(tim, function, data):
    """Calls `function(data)`: TensorFlow's variables are set in place."""
    return function(data)


def at_hand(variable):
    """Whether a variable's value is known now, and not that of a graph."""
    return tf.executing_eagerly()


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


def check_arrays(inputs, targets):
    """Nothing, since steps check every batch, see `checked`."""


def checked(inputs, targets, masks):
    """The same tensors, behind a check of their values.

    XLA leaves such checks out.

    Args:
        inputs: list of tensors, pictures in [0, 1].
        targets: the same.
        masks: list over levels of weights of pixels, or empty.

    Returns:
        Tuple of the three lists.
    """
    checks = [_assert_weights(x) for x in masks[-1:]]
    checks += [
        unit_range_assertion(name, x)
        for name, pictures in (("inputs", inputs), ("targets", targets))
        for x in pictures
    ]
    with tf.control_dependencies([c for c in checks if c is not None]):
        return tuple(
            [tf.identity(x) for x in listed]
            for listed in (inputs, targets, masks)
        )


def _assert_weights(mask):
    """Fails on negative, infinite or missing weights of pixels."""
    usable = tf.reduce_all((mask >= 0.0) & (mask < mask.dtype.max))
    return tf.debugging.Assert(
        usable,
        [
            "`sample_weight` must be finite and not negative. Received values "
            "from and to:",
            tf.reduce_min(mask),
            tf.reduce_max(mask),
        ],
    )


# -- Gradients -------------------------------------------------------------


def gradients(function, optimizer, variables, state):
    """Values of several losses, and the gradient of their sum.

    Args:
        function: callable that gives the list of losses.
        optimizer: Keras optimizer, by whose factor the sum is scaled.
        variables: list of the variables to differentiate by.
        state: list of all variables that `function` may read.

    Returns:
        Tuple of the losses and the list of gradients, scaled.
    """
    with tf.GradientTape() as tape:
        losses = function()
        # Gradients are summed over replicas.
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        scaled = optimizer.scale_loss(tf.add_n(losses) / replicas)
    return losses, tape.gradient(scaled, variables)


def global_norm(gradients):
    """The norm of all gradients together, a float32 scalar."""
    # Styles stay float32 where `keras.config.floatx` is another type.
    return tf.linalg.global_norm(
        [tf.cast(x, tf.float32) for x in gradients if x is not None]
    )


def in_replicas():
    """Whether this is one of several replicas of the model."""
    return tf.distribute.has_strategy()


def call_if(condition, function, variables):
    """Calls a function where a condition holds.

    Args:
        condition: scalar bool tensor.
        function: callable, run for its effects.
        variables: list of the variables that it sets.
    """

    def call():
        function()
        return condition

    tf.cond(condition, call, lambda: condition)


def known_as(variable):
    """A variable, and what it is to an optimizer of TensorFlow."""
    yield variable
    yield variable.value
    strategy = tf.distribute.get_strategy()
    yield from strategy.experimental_local_results(variable.value)


# -- Seeds -----------------------------------------------------------------


def image_seeds(seed, key, length):
    """A seed for every image of a group, from the run's seed.

    Args:
        seed: int, of 64 bits.
        key: integer tensor, other for every group.
        length: int or scalar tensor, images of the group.

    Returns:
        int64 tensor `[length]`.
    """
    # Every replica takes its part, so that no two images share candidates.
    context = tf.distribute.get_replica_context()
    seeds = _seed(seed, key, [length * context.num_replicas_in_sync])
    first = length * context.replica_id_in_sync_group
    return seeds[first : first + length]


def equal_seeds(seed, key, length):
    """The same seed for every image, see `image_seeds`."""
    return tf.fill([length], _seed(seed, key))


def mini_batch_rows(seed, number, length, size):
    """Rows of the `number`-th mini-batch of `size` out of `length` images.

    The images are shuffled anew for every pass through them.
    """
    first = number * size
    order = tf.argsort(
        tf.random.stateless_uniform(
            [length],
            seed=tf.stack([seed, tf.cast(first // length, tf.int64)]),
            alg="philox",
        )
    )
    return tf.gather(order, (first + tf.range(size)) % length)


def _seed(seed, key, shape=()):
    """Seeds made of another one and a key, int64 of a shape."""
    return tf.random.stateless_uniform(
        shape,
        seed=tf.stack([tf.constant(seed, tf.int64), tf.cast(key, tf.int64)]),
        minval=None,
        maxval=None,
        dtype=tf.int64,
        alg="philox",
    )


# -- Loops -----------------------------------------------------------------


def length_of(nested):
    """Size of the first axis: an int where known, else a scalar tensor."""
    first = tf.nest.flatten(nested)[0]
    return tf.shape(first)[0] if first.shape[0] is None else first.shape[0]


def ceil_divide(a, b):
    """`a / b`, rounded up."""
    return -(-a // b)


def take(nested, rows):
    """Some rows of every tensor `[batch, ...]` of a nest."""
    return tf.nest.map_structure(lambda x: tf.gather(x, rows), nested)


def while_loop(condition, body, values):
    """`keras.ops.while_loop`, one turn after another.

    TensorFlow runs up to ten turns of a loop at once, each with kernels and
    repeated inputs of its own, unless told otherwise.
    """
    return tf.while_loop(condition, body, values, parallel_iterations=1)


def repeat(count, function, variables=()):
    """Calls `function(number)` for every number below `count`, in order.

    Args:
        count: int or scalar tensor.
        function: callable of a scalar int32 tensor, run for its effects.
        variables: list of the variables that it sets.
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


def for_each_group(nested, size, function, jit_compile=False, variables=()):
    """Calls `function(group)` for groups of a batch, one after another.

    Args:
        nested: nest of tensors `[batch, ...]`.
        size: int or None for one group. The last group may be smaller.
        function: callable of a nest like `nested`, run for its effects.
        jit_compile: bool, whether XLA compiles this. It has to know how large
            every group is, and knows how large the batch is.
        variables: list of the variables that it sets.
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
    return take(nested, start + tf.range(size))
