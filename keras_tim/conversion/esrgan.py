"""ESRGAN-type upscalers -> TIM: a trunk that codes are added to.

An ESRGAN (RRDBNet) gives one picture. Its residual blocks are those of the
tower, so that its weights become a tower that computes the same picture where
the codes say nothing. Conditional IMLE then teaches it alternatives.
"""

import os
import re

import numpy as np

from keras_tim.checks import integer
from keras_tim.conversion.errors import CheckpointError
from keras_tim.conversion.ncnn_file import read_convolutions
from keras_tim.conversion.torch_file import read_state_dict
from keras_tim.models.tim import TIM

SCALE = 4
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


def load_esrgan(path, modulated_blocks=4, **overrides):
    """Builds a TIM on the weights of an ESRGAN-type 4x upscaler.

    With codes of zeros the TIM makes the ESRGAN's picture, with whatever
    `consistency` adds. Styles and noise reach the last blocks and the
    enlargements; the blocks before them run once per picture.

    Args:
        path: str or path of a PyTorch `.pth` state dict (with the key names of
            either age, perhaps within "params" or "params_ema"), a
            `.safetensors` file, or ncnn's `.param` or `.bin` file, the other
            one beside it under the same name.
        modulated_blocks: int, how many of the last RRDBs are modulated.
        **overrides: other arguments of `TIM`.

    Returns:
        A `TIM` for super-resolution.

    Raises:
        FileNotFoundError: if there is no such file.
        CheckpointError: if the file is damaged or no 4x RRDBNet of RGB.
    """
    convolutions = read_esrgan(path)
    channels = convolutions[0][0].shape[0]
    num_blocks = (len(convolutions) - OTHER_CONVOLUTIONS) // BLOCK_CONVOLUTIONS
    modulated_blocks = integer("modulated_blocks", modulated_blocks, least=0)
    if modulated_blocks > num_blocks:
        raise ValueError(
            f"`modulated_blocks` must lie between 0 and the {num_blocks} "
            f"blocks of {path}. Received: modulated_blocks={modulated_blocks}"
        )
    tim = TIM(
        **{
            **trunk_arguments(
                channels,
                convolutions[1][0].shape[0],
                num_blocks,
                modulated_blocks,
            ),
            **overrides,
        }
    )
    set_trunk(tim, convolutions)
    return tim


def trunk_arguments(channels, growth, num_blocks, modulated_blocks):
    """Arguments of the `TIM` that an ESRGAN's weights fit into.

    Args:
        channels: int, of the residual stream.
        growth: int, of the dense blocks.
        num_blocks: int.
        modulated_blocks: int.

    Returns:
        dict.
    """
    return {
        "task": "super_resolution",
        "residual_channels": (channels, channels),
        "growth_channels": (growth, growth),
        "num_blocks": (num_blocks, 0),
        "plain_blocks": (num_blocks - modulated_blocks, 0),
        "num_resize_convolutions": (1, 2),
        "modulated_head": (False, True),
        "normalization": "none",
        "output_activation": "linear",
        "weight_norm": False,
        "feature_scale": 1.0,
        "freeze_plain": True,
        "trunk_learning_rate_multiplier": 0.1,
    }


def read_esrgan(path):
    """Reads the convolutions of an RRDBNet, in the order in which they run.

    Args:
        path: as for `load_esrgan`.

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


def set_trunk(tim, convolutions):
    """Puts an ESRGAN's convolutions into a tower that has their shape.

    Args:
        tim: a `TIM` built from `trunk_arguments`; assigned.
        convolutions: what `read_esrgan` returned.
    """
    remaining = iter(convolutions)
    first, second = tim.tower
    _assign(first.head, *next(remaining))
    for block in first.blocks:
        for dense_block in block.dense_blocks:
            for layer in dense_block.convolutions:
                _assign(layer, *next(remaining))
    _assign(first.body_end, *next(remaining))
    _assign(first.resize_convolutions[0], *next(remaining))
    # The second level's head hands the feature through, to begin with: it
    # stands behind the previous output and the noise.
    kernel = np.array(second.head.kernel)
    channels = kernel.shape[-1]
    output_channels = kernel.shape[2] - channels - tim.noise_channels
    kernel[:, :, :output_channels] = 0.0
    kernel[:, :, -channels:] = 0.0
    kernel[1, 1, -channels:] = np.eye(channels)
    second.head.kernel.assign(kernel)
    for layer in (*second.resize_convolutions, second.output_convolution):
        _assign(layer, *next(remaining))


def _assign(layer, kernel, bias):
    # (output, input, height, width) -> (height, width, input, output). A head
    # that also sees noise behind the picture keeps its kernels for that.
    kernel = kernel.transpose(2, 3, 1, 0)
    values = np.array(layer.kernel)
    values[:, :, : kernel.shape[2]] = kernel
    layer.set_weights([values, bias])
