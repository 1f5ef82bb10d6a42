"""Models read from `.keras` files that may be damaged, or anybody's."""

import io
import json
import os
import zipfile

import h5py  # Keras needs it
import keras

from keras_tim.assets.archives import open_zip, read_member
from keras_tim.assets.damage import damage_explained
from keras_tim.layers.weight_norm import weights_follow
from keras_tim.models.sizes import least_parameters
from keras_tim.models.tower import Tower

_CONFIG, _WEIGHTS = "config.json", "model.weights.h5"
_MEMBERS = [_CONFIG, "metadata.json", _WEIGHTS]

_TIM = "keras_tim>TIM"

# Configurations have about 2,000 bytes.
_LARGEST_CONFIG = 2**20

# Keras' own classes that a model of this package is made and trained of. Others
# read files, or take as much memory as they are told to.
_KERAS_MODULES = (
    "keras.losses",
    "keras.metrics",
    "keras.optimizers",
    "keras.optimizers.schedules",
)
_KERAS_CLASSES = (("keras", "DTypePolicy"),)

# Some metrics keep a square of a number that they are told.
_LARGEST_IN_METRICS = 4096


class ModelFileError(ValueError):
    """A `.keras` file is damaged, or holds no model of this package."""


def load_tim(path, compile=False):
    """Loads a `TIM` from a `.keras` file.

    What the file claims is held against what it holds before memory is taken
    for it, checksums included. No code in it is run, and no other file that it
    names is opened.

    Args:
        path: str or path of the file.
        compile: bool, whether it is compiled as it was when it was saved.

    Returns:
        A `TIM`.

    Raises:
        OSError: if there is no such file.
        ModelFileError: if the file is damaged or holds something else.
    """
    path = os.fspath(path)
    kind = "damaged or not a model of this package"
    with open(path, "rb") as file, damage_explained(path, ModelFileError, kind):
        with open_zip(file) as archive:
            config, weights = _members(archive)
        _check(config, weights, compile)
        del weights  # Keras reads them once more
        with weights_follow():
            return keras.models.load_model(
                path, compile=compile, safe_mode=True
            )


def _members(archive):
    """The configuration and the bytes of the weights, checksums included."""
    if sorted(archive.namelist()) != sorted(_MEMBERS):
        raise ValueError(f"it does not hold {', '.join(_MEMBERS)} alone")
    for info in archive.infolist():
        # Compressed, they may unpack to more than they say.
        if info.compress_type != zipfile.ZIP_STORED:
            raise ValueError(f"{info.filename} is compressed")
    if archive.getinfo(_CONFIG).file_size > _LARGEST_CONFIG:
        raise ValueError(f"{_CONFIG} has more than {_LARGEST_CONFIG} bytes")
    config = json.loads(read_member(archive, _CONFIG))
    if not isinstance(config, dict):
        raise ValueError(f"{_CONFIG} describes no model")
    # Keras does not look at their checksum.
    return config, read_member(archive, _WEIGHTS)


def _check(config, weights, compile):
    """Raises unless a file holds the model that its configuration asks for."""
    name = config.get("registered_name")
    made = _registered(name)
    # The class that is sampled stands above this module.
    wanted = _registered(_TIM) or Tower
    if not (isinstance(made, type) and issubclass(made, wanted)):
        raise ValueError(f"it holds a {_shown(config)}, not a TIM")
    arguments = config.get("config")
    if not isinstance(arguments, dict):
        raise ValueError(f"{_CONFIG} describes no model")
    _check_classes(arguments)
    if compile:
        _check_classes(config.get("compile_config"))
    _check_arrays(weights)
    # A class of the user's own may have other arguments.
    if name == _TIM or "residual_channels" in arguments:
        # Two bytes a number in half precision, else four.
        least = 2 * least_parameters(arguments)
        if least > len(weights):
            raise ValueError(
                f"its model takes at least {least} bytes, its weights have "
                f"{len(weights)}"
            )


def _registered(name):
    """What is registered by that name with Keras, or None."""
    if not isinstance(name, str):
        return None
    return keras.saving.get_registered_object(name)


def _nodes(config):
    """A configuration and all that it holds."""
    pending = [config]
    while pending:
        node = pending.pop()
        if isinstance(node, list):
            pending += node
        elif isinstance(node, dict):
            pending += node.values()
        yield node


def _check_classes(config):
    """Raises if a configuration asks for classes that no model needs."""
    for node in _nodes(config):
        if isinstance(node, dict) and "class_name" in node:
            _check_class(node)


def _check_class(node):
    function = node["class_name"] == "function"
    name = node.get("config") if function else node.get("registered_name")
    if _registered(name) is not None:
        return
    module, class_name = node.get("module"), node["class_name"]
    known = module in _KERAS_MODULES or (module, class_name) in _KERAS_CLASSES
    if not known or not isinstance(class_name, str):
        raise ValueError(
            f"it asks for {_shown(node)}, which no model of this package needs"
        )
    if module == "keras.metrics":
        _check_numbers(node.get("config"))


def _check_numbers(config):
    """Raises if a metric's configuration holds large numbers."""
    for node in _nodes(config):
        if isinstance(node, int) and abs(node) > _LARGEST_IN_METRICS:
            raise ValueError("a metric is told a number that is too large")


def _shown(node):
    """The class that a configuration names, as error messages say it."""
    return f"{node.get('module')}.{node.get('class_name')}"[:80]


def _check_arrays(content):
    """Raises unless an HDF5 file holds all of the arrays that it claims."""
    claimed = 0

    # What these return ends the visit; h5py loses what they raise.
    def fault_of_link(name, link):
        # Others lead to other files.
        if not isinstance(link, h5py.HardLink):
            return f"has a link at {name[:80]}"
        return None

    def fault_of_item(name, item):
        nonlocal claimed
        if not isinstance(item, h5py.Dataset):
            return None
        # Opaque bytes are bfloat16.
        plain = item.dtype.kind in "fiubV" and item.dtype.names is None
        if not plain or item.external or item.is_virtual:
            return f"holds no numbers at {name[:80]}"
        claimed += item.dtype.itemsize * item.size
        if claimed > len(content):
            return "claims more arrays than it holds"
        return None

    with h5py.File(io.BytesIO(content), "r") as file:
        fault = file.visititems_links(fault_of_link)
        fault = fault or file.visititems(fault_of_item)
    if fault:
        raise ValueError(f"{_WEIGHTS} {fault}")
