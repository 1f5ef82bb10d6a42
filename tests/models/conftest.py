import numpy as np
import pytest


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
def pictures():
    """Callable `(tim, batch, height, width, seed)` that makes its inputs."""
    return pictures_for


@pytest.fixture
def tim(make_tim):
    return make_tim()


@pytest.fixture(scope="session")
def shared_tim(make_tim):
    """A tiny model that no test may change: its traces are kept."""
    return make_tim()
