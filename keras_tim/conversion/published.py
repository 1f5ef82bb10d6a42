"""Published PyTorch checkpoints -> TIM."""

import json
import os
import re
import zipfile
from typing import Any

import numpy as np

from keras_tim.assets.archives import open_zip
from keras_tim.assets.damage import damage_explained
from keras_tim.assets.errors import CheckpointError
from keras_tim.assets.npz import NpzError, read_npz
from keras_tim.assets.torch_file import read_state_dict
from keras_tim.checks import one_of
from keras_tim.models.sizes import least_parameters
from keras_tim.models.tower import ARCHITECTURES
from keras_tim.tasks import get_task
from keras_tim.tim import TIM

# What the published training gave its mapping networks.
MAPPING_LEARNING_RATE_MULTIPLIER = 0.01
MAPPING_GAIN = 0.1

_ARRAY_PREFIX = "param/"


def load_published_checkpoint(
    path: str | os.PathLike,
    architecture: str = "camnet",
    task: str = "super_resolution",
    feature_scale: float | None = None,
    noise_channels: int | None = None,
    classes: Any = None,
) -> TIM:
    """Builds a TIM from a checkpoint of the published PyTorch code.

    Every width is worked out from the arrays. PyTorch is not needed.

    Args:
        path: str or path of a `.pth` state dict, or of an `.npz` with the
            same arrays under keys `param/NAME`.
        architecture: "camnet" or "hyperrim", the code it comes from.
        task: str, a task's name, see `TIM`.
        feature_scale: float or None for the task's published one (0.1;
            layouts 1.0), factor on the feature handed to the next level.
        noise_channels: int or None. The arrays tell it for every task but
            layouts, whose number of classes is unknown too. There None means
            `code_nc` of the `.npz` file's `config` (JSON as bytes), where it
            has one, else the published 10.
        classes: for layouts: the `keras_tim.data.Classes` of the label maps
            that the checkpoint was trained on, which its arrays do not tell.

    Returns:
        A `TIM` with the checkpoint's weights.

    Raises:
        FileNotFoundError: if there is no such file.
        CheckpointError: if the file is damaged or its arrays are not those of
            that architecture and task.
        ValueError: if there is no such architecture or task.
    """
    path = os.fspath(path)
    one_of("architecture", architecture, ARCHITECTURES)
    get_task(task)
    if not os.path.isfile(path):
        raise FileNotFoundError(f"There is no checkpoint at {path}")
    if _is_torch(path):
        arrays = read_state_dict(path)
    else:
        arrays, stated = _read_npz(path)
        noise_channels = stated if noise_channels is None else noise_channels
    reader = _Arrays(arrays, path)
    arguments = _architecture(reader, task, noise_channels)
    try:
        # Shapes are cheap to claim, for arrays without elements.
        if least_parameters({"task": task, **arguments}) > reader.size:
            raise reader.error(
                "its arrays hold less than the model that their shapes ask for."
            )
        tim = TIM(
            task=task,
            architecture=architecture,
            feature_scale=feature_scale,
            classes=classes,
            mapping_learning_rate_multiplier=MAPPING_LEARNING_RATE_MULTIPLIER,
            mapping_gain=MAPPING_GAIN,
            **arguments,
        )
    except CheckpointError:
        raise
    except ValueError as error:
        raise CheckpointError(
            f"{path} does not fit task {task!r}: {error}"
        ) from error
    _assign(reader, tim)
    return tim


def _is_torch(path):
    # Both kinds are zip archives: PyTorch's holds a pickle named data.pkl.
    if not zipfile.is_zipfile(path):
        return not path.endswith(".npz")
    with damage_explained(path, CheckpointError), open_zip(path) as archive:
        return any(name.endswith("data.pkl") for name in archive.namelist())


def _read_npz(path):
    """The arrays, and the number of noise channels if the file states it."""
    try:
        stored = read_npz(path)
    except NpzError as error:
        raise CheckpointError(str(error)) from error
    arrays = {
        name.removeprefix(_ARRAY_PREFIX): array
        for name, array in stored.items()
        if name.startswith(_ARRAY_PREFIX)
    }
    if not arrays:
        raise CheckpointError(
            f"{path} holds no arrays under keys {_ARRAY_PREFIX}NAME."
        )
    noise_channels = None
    if "config" in stored:
        with damage_explained(path, CheckpointError):
            config = json.loads(stored["config"].tobytes())
            noise_channels = config.get("code_nc")
            if not isinstance(noise_channels, int | None):
                raise ValueError("`code_nc` in its config is no integer")
    return arrays, noise_channels


class _Arrays:
    """The checkpoint's arrays, with errors that name file and array."""

    def __init__(self, arrays, path):
        self._arrays = arrays
        self._path = path
        self._read = set()

    def __contains__(self, name):
        return name in self._arrays

    def __getitem__(self, name):
        if name not in self._arrays:
            raise CheckpointError(
                f"{self._path} has no array {name}: it belongs to another "
                "architecture or task, or is incomplete."
            )
        self._read.add(name)
        return self._arrays[name]

    def unread(self):
        """Names of the arrays that nobody asked for."""
        return sorted(self._arrays.keys() - self._read)

    def count(self, pattern):
        """How many different first groups `pattern` has among the names."""
        found = (re.fullmatch(pattern, name) for name in self._arrays)
        return len({match.group(1) for match in found if match})

    @property
    def size(self):
        """Elements of all arrays together."""
        return sum(array.size for array in self._arrays.values())

    def filters(self, name):
        """Shape of a convolution `(output, input, height, width)`."""
        stored = f"{name}.weight_v"
        return self._shape(stored if stored in self else f"{name}.weight", 4)

    def units(self, name):
        """Shape of a dense layer `(output, input)`."""
        return self._shape(f"{name}.weight", 2)

    def _shape(self, name, axes):
        shape = self[name].shape
        if len(shape) != axes:
            raise self.error(f"array {name} has {len(shape)} axes, not {axes}.")
        return shape

    def error(self, message):
        return CheckpointError(f"{self._path}: {message}")


def _architecture(arrays, task, noise_channels):
    """Constructor arguments of the TIM that the arrays belong to."""
    num_levels = arrays.count(r"level_(\d+)_feat\.0\.bias")
    if num_levels == 0:
        raise arrays.error(
            "no array level_1_feat.0.bias: this is no checkpoint of CAM-Net "
            "or HyperRIM."
        )
    levels = range(1, num_levels + 1)
    body = "level_1_style.sub"
    mapping_network = "level_1_map.0.weight" in arrays
    seen = arrays.filters("level_1_feat.0")[1]
    input_channels = get_task(task).input_channels
    if input_channels is None:
        published = get_task(task).noise_channels
        noise_channels = published if noise_channels is None else noise_channels
        input_channels = seen - noise_channels
    elif noise_channels is None:
        noise_channels = seen - input_channels
    if (
        min(input_channels, noise_channels) < 1
        or input_channels + noise_channels != seen
    ):
        raise arrays.error(
            f"the first convolution sees {seen} channels, which do not part "
            f"into {input_channels} of the input and {noise_channels} of "
            "noise. Give the right `task`, or `noise_channels`."
        )
    arguments = {
        "residual_channels": tuple(
            arrays.filters(f"level_{i}_feat.0")[0] for i in levels
        ),
        "growth_channels": tuple(
            arrays.filters(f"level_{i}_style.sub.0.RDB1.conv1.0")[0]
            for i in levels
        ),
        "num_blocks": arrays.count(
            r"level_1_style\.sub\.transform_(\d+)\.weight"
        ),
        "input_channels": input_channels,
        "noise_channels": noise_channels,
        "weight_norm": "level_1_feat.0.weight_v" in arrays,
        "mapping_network": mapping_network,
        "style_dim": arrays.units(
            "level_1_map.0" if mapping_network else f"{body}.transform_0"
        )[1],
    }
    if mapping_network:
        arguments["mapping_width"] = arrays.units("level_1_map.0")[0]
        arguments["mapping_depth"] = arrays.count(r"level_1_map\.(\d+)\.weight")
    return arguments


def _assign(arrays, tim):
    for level, module in enumerate(tim.tower):
        prefix = f"level_{level + 1}"
        if module.mapping is not None:
            for index, layer in enumerate(module.mapping.dense_layers):
                # Every second entry is the LeakyReLU.
                _set_dense(arrays, f"{prefix}_map.{2 * index}", layer)
        _set_convolution(arrays, f"{prefix}_feat.0", module.head)
        body = f"{prefix}_style.sub"
        for index, block in enumerate(module.blocks):
            for i, dense_block in enumerate(block.dense_blocks):
                for j, layer in enumerate(dense_block.convolutions):
                    name = f"{body}.{index}.RDB{i + 1}.conv{j + 1}.0"
                    _set_convolution(arrays, name, layer)
            _set_dense(
                arrays,
                f"{body}.transform_{index}",
                module.modulations[index].dense,
            )
        _set_convolution(arrays, f"{body}.lr_conv.0", module.body_end)
        # The enlargement, where there is one, is entry 0.
        first = 1 if module.resize == "up" else 0
        for index, layer in enumerate(module.resize_convolutions):
            _set_convolution(arrays, f"{prefix}_up.{first + 2 * index}", layer)
        _set_convolution(arrays, f"{prefix}_out.0", module.output_convolution)
    # CAM-Net's decompression has an enlargement at its end that never runs.
    idle = (f"level_{tim.num_levels}_up.1.", f"level_{tim.num_levels}_up.3.")
    ignore_idle = tim.architecture == "camnet" and module.resize == "none"
    unread = [
        name
        for name in arrays.unread()
        if not (ignore_idle and name.startswith(idle))
    ]
    if unread:
        raise arrays.error(
            f"{len(unread)} arrays have no place in the model, such as "
            f"{unread[0]}: the checkpoint belongs to another architecture or "
            "task, or is incomplete."
        )


def _set_dense(arrays, name, layer):
    _set(
        arrays,
        name,
        layer,
        {"weight": lambda x: x.T, "bias": lambda x: x},
    )


def _set_convolution(arrays, name, layer):
    def kernel(x):
        # (output, input, height, width) -> (height, width, input, output)
        return x.transpose(2, 3, 1, 0)

    if f"{name}.weight_v" in arrays:
        conversions = {
            "weight_v": kernel,
            "weight_g": lambda x: x.reshape(-1),
            "bias": lambda x: x,
        }
    else:
        conversions = {"weight": kernel, "bias": lambda x: x}
    _set(arrays, name, layer, conversions)


def _set(arrays, name, layer, conversions):
    expected = [tuple(w.shape) for w in layer.weights]
    received = [arrays[f"{name}.{part}"] for part in conversions]
    try:
        # What is too large for float32 becomes infinite.
        with np.errstate(over="ignore"):
            values = [
                convert(np.asarray(value, "float32"))
                for convert, value in zip(
                    conversions.values(), received, strict=True
                )
            ]
        fits = [value.shape for value in values] == expected
    except ValueError:  # other axes, or text
        fits = False
    if not fits:
        raise arrays.error(
            f"arrays of {name} have shapes {[x.shape for x in received]}, "
            f"which do not turn into {expected}: the checkpoint belongs to "
            "another architecture or task."
        )
    if not all(np.isfinite(value).all() for value in values):
        raise arrays.error(f"arrays of {name} hold NaN or infinity.")
    layer.set_weights(values)
