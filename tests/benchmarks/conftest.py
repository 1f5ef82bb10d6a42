import importlib
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from keras_tim.images import write_picture
from keras_tim.perceptual import WeightsError, fetch_weights

BENCHMARKS = pathlib.Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def run_benchmark():
    """Callable `(script, *flags)` that runs a script and gives its output."""

    def run(script, *flags):
        finished = subprocess.run(
            [sys.executable, str(BENCHMARKS / script), *flags],
            check=False,
            capture_output=True,
            text=True,
        )
        assert finished.returncode == 0, finished.stderr
        return finished.stdout

    return run


@pytest.fixture
def run_refused():
    """Callable like `run_benchmark` of what must fail; gives what it says."""

    def run(script, *flags):
        finished = subprocess.run(
            [sys.executable, str(BENCHMARKS / script), *flags],
            check=False,
            capture_output=True,
            text=True,
        )
        assert finished.returncode != 0
        return finished.stdout + finished.stderr

    return run


@pytest.fixture
def noise_photos(tmp_path):
    """Folder of two pictures of noise, 70 x 40 pixels."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for seed in range(2):
        picture = np.random.RandomState(seed).rand(40, 70, 3)
        write_picture(folder / f"{seed}.png", picture)
    return folder


@pytest.fixture
def import_benchmark(monkeypatch):
    """Callable that imports a module of benchmarks/ that defines no flags."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module


@pytest.fixture(scope="session")
def inception_weights():
    """Makes sure that Inception's weights are in the cache."""
    try:
        return fetch_weights("inception")
    except WeightsError as error:
        pytest.skip(f"the published Inception weights cannot be had: {error}")
