"""What tells one model from every other."""

import hashlib
import json

import numpy as np


def fingerprint(model):
    """A hash of a model's configuration and weights.

    Args:
        model: a `keras.Model`.

    Returns:
        str of 64 hexadecimal digits.
    """
    hashed = hashlib.sha256(
        json.dumps(model.get_config(), sort_keys=True, default=str).encode()
    )
    for weight in model.get_weights():
        hashed.update(np.ascontiguousarray(weight).tobytes())
    return hashed.hexdigest()
