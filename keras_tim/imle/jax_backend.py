"""Conditional IMLE on JAX, see `tensorflow_backend` for what is not said here.

Keras' variables are set within a `keras.StatelessScope`, of which JAX knows
nothing: loops, gradients and branches hand their values in and out. Sizes are
known; only one device is thought of.
"""

import contextlib

import keras
import numpy as np

from keras_tim.checks import check_unit_range, is_floating
from keras_tim.lazy import jax
from keras_tim.models.jax_codes import key_of, words

# -- Steps -----------------------------------------------------------------


def stateless_step(tim, function, state, data):
    """Calls `function(data)` as Keras wants a step on JAX.

    Args:
        tim: the `TIM`.
        function: callable of the data, which may set the model's variables.
        state: tuple of lists of values, of the variables that train, the
            others, the optimizer's and the metrics'; without the optimizer's
            in a test, and of the first two in a prediction.
        data: what is to be handed on.

    Returns:
        Tuple of what the function returned and of the new state; in a
        prediction of the second list alone.
    """
    groups = [tim.trainable_variables, tim.non_trainable_variables]
    if len(state) == 4:
        groups.append(tim.optimizer.variables)
    if len(state) > 2:
        groups.append(tim.metrics_variables)
    variables = [variable for group in groups for variable in group]
    values = [value for group in state for value in group]
    result, values = _with_values(function, variables, values, data)
    values = iter(values)
    state = tuple([next(values) for _ in group] for group in groups)
    return result, state if len(state) > 2 else state[1]


def _with_values(function, variables, values, *arguments):
    """What a function returns where variables have values, and their new ones.

    Scopes do not see what is around them: all variables that the function
    touches have to be among these.
    """
    mapping = list(zip(variables, values, strict=True))
    with keras.StatelessScope(state_mapping=mapping) as scope:
        result = function(*arguments)
    return result, [scope.get_current_value(x) for x in variables]


def at_hand(variable):
    """Whether a variable's value is known now, and is not being traced."""
    return not isinstance(variable.value, jax.core.Tracer)


@contextlib.contextmanager
def without_remapping():
    """A scope in which nothing is different: JAX has no such optimization."""
    yield


def check_arrays(inputs, targets):
    """Raises where arrays are not in [0, 1], which compiled steps do not see.

    Args:
        inputs: what `fit` was given: an array or a list of them is looked at,
            a data set is not.
        targets: the same.
    """
    for name, given in (("inputs", inputs), ("targets", targets)):
        for x in given if isinstance(given, list | tuple) else [given]:
            if hasattr(x, "shape") and is_floating(x):
                check_unit_range(name, x)


def checked(inputs, targets, masks):
    """The same tensors; within compiled steps they are not checked."""
    for name, pictures in (("inputs", inputs), ("targets", targets)):
        for x in pictures:
            check_unit_range(name, x)
    return inputs, targets, masks


# -- Gradients -------------------------------------------------------------


def gradients(function, optimizer, variables, state):
    """Values of several losses, and the gradient of their sum."""
    known = {id(variable) for variable in variables}
    others = [x for x in state if id(x) not in known]
    other_values = [x.value for x in others]

    def scaled(values):
        def losses():
            losses = function()
            return optimizer.scale_loss(sum(losses)), losses

        return _with_values(
            losses, [*variables, *others], [*values, *other_values]
        )[0]

    found, gradients = jax.value_and_grad(scaled, has_aux=True)(
        [x.value for x in variables]
    )
    return found[1], gradients


def global_norm(gradients):
    """The norm of all gradients together, a float32 scalar."""
    squares = [
        jax.numpy.sum(jax.numpy.square(x.astype("float32"))) for x in gradients
    ]
    return jax.numpy.sqrt(sum(squares))


def in_replicas():
    """Whether this is one of several replicas of the model: never."""
    return False


def call_if(condition, function, variables):
    """Calls a function, and undoes it unless a condition holds.

    A branch would have the device ask the host.
    """
    before = [x.value for x in variables]
    function()
    for variable, old in zip(variables, before, strict=True):
        variable.assign(jax.numpy.where(condition, variable.value, old))


def known_as(variable):
    """A variable: optimizers know it as what it is."""
    yield variable


# -- Seeds -----------------------------------------------------------------


def image_seeds(seed, key, length):
    """See `tensorflow_backend`; uint32 array `[length, 2]`."""
    return jax.random.bits(_key(seed, key), (length, 2), "uint32")


def equal_seeds(seed, key, length):
    """The same seed for every image, see `image_seeds`."""
    seeds = jax.random.bits(_key(seed, key), (2,), "uint32")
    return jax.numpy.broadcast_to(seeds, (length, 2))


def mini_batch_rows(seed, number, length, size):
    """Rows of the `number`-th mini-batch, shuffled anew for every pass."""
    first = number * size
    key = jax.random.fold_in(key_of(seed), first // length)
    order = jax.random.permutation(key, length)
    return order[(first + np.arange(size)) % length]


def _key(seed, key):
    return jax.random.fold_in(key_of(words(seed)), key)


# -- Loops -----------------------------------------------------------------


def length_of(nested):
    """Size of the first axis."""
    return jax.tree.leaves(nested)[0].shape[0]


def take(nested, rows):
    """Some rows of every array `[batch, ...]` of a nest."""
    return jax.tree.map(lambda x: x[rows], nested)


def while_loop(condition, body, values):
    """`keras.ops.while_loop` of a tuple of values."""
    return jax.lax.while_loop(
        lambda values: condition(*values), lambda values: body(*values), values
    )


def repeat(count, function, variables=()):
    """Calls `function(number)` for every number below `count`, in order."""

    def body(number, values):
        return _with_values(function, variables, values, number)[1]

    start = [x.value for x in variables]
    values = jax.lax.fori_loop(0, count, body, start)
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def for_each_group(nested, size, function, jit_compile=False, variables=()):
    """Calls `function(group)` for groups of a batch, one after another."""
    length = length_of(nested)
    if size is None or length <= size:
        function(nested)
        return

    def call(number):
        function(take(nested, number * size + np.arange(size)))

    repeat(length // size, call, variables)
    if length % size:
        function(take(nested, slice(-(length % size), None)))


def map_in_groups(function, nested, size):
    """Applies a function to a batch, `size` rows at a time."""
    length = length_of(nested)
    if length <= size:
        return function(nested)
    # The last group steps back to be as long as the others.
    starts = np.minimum(np.arange(0, length, size), length - size)
    mapped = jax.lax.map(
        lambda start: function(take(nested, start + np.arange(size))), starts
    )
    rows = np.arange(length)
    places = rows // size * size + rows - starts[rows // size]
    return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:])[places], mapped)


def unless_empty(nested, function):
    """Calls `function()` but for a batch that holds nothing."""
    if length_of(nested):
        function()


def one_at_least(inputs, targets=None, sample_weight=None):
    """The three again: there are no replicas."""
    return inputs, targets, sample_weight
