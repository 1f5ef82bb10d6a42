"""Weight normalisation folded into plain kernels."""

import numpy as np


def copy_folded(source, target):
    """Copies a weight-normalised model's weights into a plain twin.

    Args:
        source: a `TIM` with `weight_norm=True`.
        target: a `TIM` that differs in `weight_norm=False` alone; assigned.
    """
    values = {_place(weight): np.asarray(weight) for weight in source.weights}
    for weight in target.weights:
        place = _place(weight)
        if place in values:
            weight.assign(values[place])
            continue
        # Plain convolutions have a kernel where the others have v and g.
        layer = place.removesuffix("kernel")
        direction, length = values[f"{layer}v"], values[f"{layer}g"]
        norm = np.sqrt(np.square(direction).sum(axis=(0, 1, 2)))
        weight.assign(direction * (length / norm))


def _place(weight):
    """The weight's path within the tower, "level0/head/v"."""
    return weight.path[weight.path.rindex("level") :]
