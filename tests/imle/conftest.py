import keras
import numpy as np
import pytest
from keras import ops

from keras_tim import TIM

TINY = {
    "residual_channels": (6, 5),
    "growth_channels": (4, 3),
    "num_blocks": 1,
    "style_dim": 8,
    "noise_channels": 2,
    "mapping_width": 8,
    "mapping_depth": 2,
    "mapping_learning_rate_multiplier": 1.0,
}


@keras.saving.register_keras_serializable(package="test_imle")
def mean_square(pictures, targets):
    return ops.mean((pictures - targets) ** 2, axis=(1, 2, 3))


def made(quick=False, task="super_resolution", **kwargs):
    keras.utils.set_random_seed(0)
    arguments = {**TINY, **kwargs}
    if quick:
        # Head, resize and output alone: traced in a second or two. Noise
        # sets the samples apart.
        arguments |= {"num_blocks": 0, "mapping_network": False}
    tim = TIM(task=task, **arguments)
    for weight in tim.trainable_variables:
        if len(weight.shape) == 2:
            weight.assign(5.0 * weight)
    return tim


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
def make_tim():
    """Callable `(quick, task, **kwargs)` that makes a tiny model."""
    return made


@pytest.fixture(scope="session")
def make_pairs():
    """Callable `(tim, batch, height, width, seed, pyramid)`."""
    return pairs_for


@pytest.fixture(scope="session")
def mean_square_distance():
    """A serialisable distance `(pictures, targets) -> [batch]`."""
    return mean_square
