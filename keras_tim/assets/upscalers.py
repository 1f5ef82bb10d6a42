"""The convolutions of ESRGAN-type upscalers, from every format they come in."""

import os
import re

import numpy as np

from keras_tim.assets.errors import CheckpointError
from keras_tim.assets.ncnn_file import read_convolutions
from keras_tim.assets.torch_file import read_state_dict

BLOCK_CONVOLUTIONS = 15
# The first convolution; behind the blocks: their end, two enlargements, two
# more.
OTHER_CONVOLUTIONS = 6

# Names of the same convolutions in the two ages of the published code, `{n}`
# standing for the number of a block and of what is in it.
NEW_NAMES = (
    "conv_first",
    "body.{n}.rdb{i}.conv{j}",
    "conv_body",
    "conv_up1",
    "conv_up2",
    "conv_hr",
    "conv_last",
)
MIDDLE_NAMES = (
    "conv_first",
    "RRDB_trunk.{n}.RDB{i}.conv{j}",
    "trunk_conv",
    "upconv1",
    "upconv2",
    "HRconv",
    "conv_last",
)
OLD_NAMES = (
    "model.0",
    "model.1.sub.{n}.RDB{i}.conv{j}.0",
    "model.1.sub.{count}",
    "model.3",
    "model.6",
    "model.8",
    "model.10",
)


def read_esrgan(path):
    """Reads the convolutions of an RRDBNet, in the order in which they run.

    Args:
        path: of a PyTorch `.pth` state dict (with the key
            names of either age, perhaps within "params" or "params_ema"), a
            `.safetensors` file, or ncnn's `.param` or `.bin` file, the other
            one beside it under the same name.

    Returns:
        List of pairs `(kernel [output, input, 3, 3], bias [output])`, float32.

    Raises:
        FileNotFoundError: if there is no such file.
        CheckpointError: if the file is damaged or no 4x RRDBNet of RGB.
    """
    path = os.fspath(path)
    stem, ending = os.path.splitext(path)
    if ending in (".param", ".bin"):
        convolutions = read_convolutions(f"{stem}.param", f"{stem}.bin")
    elif not os.path.isfile(path):
        raise FileNotFoundError(f"There is no checkpoint at {path}.")
    elif ending == ".safetensors":
        convolutions = _ordered(_read_safetensors(path), path)
    else:
        convolutions = _ordered(read_state_dict(path), path)
    _check_shapes(convolutions, path)
    return convolutions


def _read_safetensors(path):
    try:
        from safetensors import SafetensorError
        from safetensors.numpy import load_file
    except ImportError as error:
        raise CheckpointError(
            f"{path} needs the package safetensors: pip install safetensors"
        ) from error
    try:
        return load_file(path)
    except (SafetensorError, ValueError, KeyError) as error:
        raise CheckpointError(
            f"{path} is damaged or no safetensors file: {error}"
        ) from error


def _ordered(arrays, path):
    """The state dict's convolutions in the order in which they run."""
    arrays = {
        re.sub(r"^(params_ema|params|module)\.", "", name): array
        for name, array in arrays.items()
    }
    for names in (NEW_NAMES, MIDDLE_NAMES, OLD_NAMES):
        first, block, *behind = names
        if f"{first}.weight" not in arrays:
            continue
        pattern = re.escape(block).replace(r"\{n\}", r"(\d+)")
        pattern = pattern.replace(r"\{i\}", "1").replace(r"\{j\}", "1")
        found = (re.fullmatch(f"{pattern}\\.weight", name) for name in arrays)
        count = len([match for match in found if match])
        if not count:
            continue
        listed = [
            first,
            *(
                block.format(n=n, i=i, j=j)
                for n in range(count)
                for i in (1, 2, 3)
                for j in (1, 2, 3, 4, 5)
            ),
            *(name.format(count=count) for name in behind),
        ]
        return [_convolution(arrays, name, path) for name in listed]
    raise CheckpointError(
        f"{path} holds no RRDBNet: none of its {len(arrays)} arrays is called "
        "as in ESRGAN's code."
    )


def _convolution(arrays, name, path):
    try:
        kernel, bias = (arrays[f"{name}.{part}"] for part in ("weight", "bias"))
    except KeyError as error:
        raise CheckpointError(
            f"{path} has no array {error.args[0]}: it is incomplete, or not a "
            "4x RRDBNet."
        ) from error
    kernel, bias = (np.asarray(x, "float32") for x in (kernel, bias))
    if not (np.isfinite(kernel).all() and np.isfinite(bias).all()):
        raise CheckpointError(f"{path}: {name} holds NaN or infinity.")
    return kernel, bias


def _check_shapes(convolutions, path):
    """Raises unless these are the convolutions of a 4x RRDBNet of RGB."""
    blocks, rest = divmod(
        len(convolutions) - OTHER_CONVOLUTIONS, BLOCK_CONVOLUTIONS
    )
    if rest or blocks < 1:
        raise CheckpointError(
            f"{path} has {len(convolutions)} convolutions, which no 4x RRDBNet "
            "has."
        )
    channels = convolutions[0][0].shape[0]
    growth = convolutions[1][0].shape[0]
    dense = [(growth, channels + j * growth) for j in range(4)]
    dense.append((channels, channels + 4 * growth))
    expected = [
        (channels, 3),
        *dense * 3 * blocks,
        *[(channels, channels)] * 4,
        (3, channels),
    ]
    for number, ((kernel, bias), shape) in enumerate(
        zip(convolutions, expected, strict=True)
    ):
        if kernel.shape != (*shape, 3, 3) or bias.shape != shape[:1]:
            raise CheckpointError(
                f"{path}: convolution {number} has kernels of shape "
                f"{kernel.shape}, where a 4x RRDBNet of RGB has "
                f"{(*shape, 3, 3)}."
            )
