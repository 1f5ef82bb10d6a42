import keras
import numpy as np
import pytest

from keras_tim import TIM

TINY = {
    "residual_channels": (8, 6),
    "growth_channels": (4, 3),
    "num_blocks": 1,
    "style_dim": 8,
    "noise_channels": 2,
    "mapping_width": 8,
    "mapping_depth": 2,
    "mapping_learning_rate_multiplier": 1.0,
}


def made(task="super_resolution", **kwargs):
    keras.utils.set_random_seed(0)
    if task == "layout_synthesis":
        kwargs = {"input_channels": 4, **kwargs}
    tim = TIM(task=task, **{**TINY, **kwargs})
    # Styles and noise hardly show at the published initial values.
    for weight in tim.trainable_variables:
        if len(weight.shape) == 2:
            weight.assign(5.0 * weight)
    return tim


def pictures_for(tim, batch=2, height=4, width=6, seed=0):
    """Inputs of a task, as a list over what `tim` reads."""
    rng = np.random.default_rng(seed)
    count = 1 if tim.task == "super_resolution" else tim.num_levels
    return [
        rng.random(
            (batch, height * 2**i, width * 2**i, tim.input_channels),
            dtype="float32",
        )
        for i in range(count)
    ]


@pytest.fixture(scope="session")
def make_tim():
    """Callable `(task, **kwargs)` that makes a tiny model."""
    return made


@pytest.fixture(scope="session")
def pictures():
    """Callable `(tim, batch, height, width, seed)` that makes its inputs."""
    return pictures_for


@pytest.fixture
def tim():
    return made()


@pytest.fixture(scope="session")
def shared_tim():
    """A tiny model that no test may change: its traces are kept."""
    return made()
