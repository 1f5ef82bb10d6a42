"""A checksum of a model's configuration and weights."""

import hashlib
import json

import numpy as np


def fingerprint(model):
    """A hash of a model's configuration and weights.

    Its name does not count: Keras numbers the models that a process makes.

    Args:
        model: a `keras.Model`.

    Returns:
        str of 64 hexadecimal digits.
    """
    config = {k: v for k, v in model.get_config().items() if k != "name"}
    hashed = hashlib.sha256(
        json.dumps(config, sort_keys=True, default=str).encode()
    )
    for weight in model.get_weights():
        hashed.update(np.ascontiguousarray(weight).tobytes())
    return hashed.hexdigest()
