"""ESRGAN-type upscalers -> TIM."""

import os
from typing import Any

from keras_tim.assets.upscalers import (
    BLOCK_CONVOLUTIONS,
    OTHER_CONVOLUTIONS,
    read_esrgan,
)
from keras_tim.checks import integer
from keras_tim.models.trunk import set_trunk, trunk_arguments
from keras_tim.tim import TIM


def load_esrgan(
    path: str | os.PathLike, modulated_blocks: int = 4, **overrides: Any
) -> TIM:
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
