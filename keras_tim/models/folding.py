"""Weight normalisation folded into plain kernels."""

import keras
import numpy as np
from keras import ops

from keras_tim.layers.weight_norm import weights_follow
from keras_tim.lazy import tensorflow as tf
from keras_tim.models.pretrained import place


def folded(tower, dtype=None):
    """A tower with plain kernels in place of weight normalisation.

    Args:
        tower: a `Tower`.
        dtype: dtype policy of the new one, or None for the same.

    Returns:
        A new tower of the same class with the same outputs, or the given one
        where nothing is to be changed.
    """
    if not tower.weight_norm and dtype in (None, tower.dtype_policy.name):
        return tower
    changes = {"weight_norm": False} | ({"dtype": dtype} if dtype else {})
    with weights_follow():
        plain = type(tower).from_config({**tower.get_config(), **changes})
    _copy_folded(tower, plain)
    return plain


def plain_kernels(tower):
    """The plain kernels of weight-normalised convolutions, as they are now.

    Args:
        tower: a `Tower`.

    Returns:
        dict from the id of a variable `v` to a float32 tensor, see
        `keras_tim.layers.weight_norm.known_kernels`; empty without weight
        normalisation.
    """
    if not tower.weight_norm:
        return {}
    values = {place(weight): weight for weight in tower.weights}
    directions = {
        name: weight for name, weight in values.items() if name.endswith("/v")
    }
    kernels = _fold(
        [ops.convert_to_tensor(weight) for weight in directions.values()],
        [ops.convert_to_tensor(values[f"{name[:-1]}g"]) for name in directions],
    )
    return {
        id(weight): kernel
        for weight, kernel in zip(directions.values(), kernels, strict=True)
    }


def _copy_folded(source, target):
    """Copies a model's weights into a twin without weight normalisation.

    Args:
        source: a `TIM`.
        target: a `TIM` with `weight_norm=False` that is otherwise equal but
            for its dtype; assigned.
    """
    values = {place(weight): weight for weight in source.weights}
    # Plain convolutions have a kernel where the others have v and g.
    folded = [w for w in target.weights if place(w) not in values]
    layers = [place(weight).removesuffix("kernel") for weight in folded]
    kernels = _fold(
        [ops.convert_to_tensor(values[f"{layer}v"]) for layer in layers],
        [ops.convert_to_tensor(values[f"{layer}g"]) for layer in layers],
    )
    for weight, kernel in zip(folded, kernels, strict=True):
        weight.assign(kernel)
    for weight in target.weights:
        if place(weight) in values:
            weight.assign(np.asarray(values[place(weight)]))


def _fold(directions, lengths):
    """Plain kernels, bit for bit those of the layers' calls.

    TensorFlow rewrites the division by a square root where it runs a graph,
    and the last bit with it: the kernels are computed in a graph, too.
    """
    if keras.backend.backend() != "tensorflow":
        return _kernels(directions, lengths)
    # Calling it would warn of retracing where many models are folded.
    compute = tf.function(
        lambda: _kernels(directions, lengths), autograph=False
    ).get_concrete_function()
    return compute()


def _kernels(directions, lengths):
    return [
        v * (g / ops.sqrt(ops.sum(ops.square(v), axis=(0, 1, 2))))
        for v, g in zip(directions, lengths, strict=True)
    ]
