import pathlib

import pytest

from keras_tim.perceptual import WeightsError, fetch_weights


@pytest.fixture(scope="session")
def golden_dir():
    """Folder of reference outputs; not part of the checkout."""
    folder = pathlib.Path(__file__).parents[2] / "shared" / "golden"
    if not folder.is_dir():
        pytest.skip(f"no reference outputs: {folder} does not exist")
    return folder


@pytest.fixture(scope="session")
def lpips_weights():
    """Makes sure that the published LPIPS weights are in the cache."""
    try:
        return {n: fetch_weights(f"lpips_{n}") for n in ("alex", "vgg")}
    except WeightsError as error:
        pytest.skip(f"the published LPIPS weights cannot be had: {error}")
