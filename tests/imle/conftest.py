import keras
import numpy as np
import pytest
from keras import ops


@keras.saving.register_keras_serializable(package="test_imle")
def mean_square(pictures, targets):
    return ops.mean((pictures - targets) ** 2, axis=(1, 2, 3))


def pairs_for(tim, batch=3, height=3, width=5, seed=0, pyramid=False):
    """Inputs `[batch, ...]` of super-resolution and targets."""
    rng = np.random.default_rng(seed)
    shapes = [
        (batch, height * 2**i, width * 2**i, 3)
        for i in range(tim.num_levels + 1)
    ]
    inputs, *targets = [rng.random(s, dtype="float32") for s in shapes]
    return inputs, tuple(targets) if pyramid else targets[-1]


@pytest.fixture(scope="session")
def make_pairs():
    """Callable `(tim, batch, height, width, seed, pyramid)`."""
    return pairs_for


@pytest.fixture(scope="session")
def mean_square_distance():
    """A serialisable distance `(pictures, targets) -> [batch]`."""
    return mean_square
