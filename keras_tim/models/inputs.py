"""Checks of a model's inputs, codes, seeds and temperature."""

import keras
import numpy as np
from keras import ops

from keras_tim.checks import check_floating, check_unit_range
from keras_tim.models import jax_codes


def check_inputs(tim, inputs):
    """Turns inputs into a list of float32 tensors, or says what is wrong.

    Args:
        tim: the `TIM` they are for.
        inputs: tensor `[batch, height, width, channels]` in [0, 1] or a list
            of them over levels. From one tensor, the finest level's, the
            coarser levels' inputs are made.

    Returns:
        List of float32 tensors.

    Raises:
        ValueError: on a wrong number of inputs, rank, channels, type or, where
            the values are at hand, range; on sizes that do not divide.
    """
    task = tim.task_definition
    expected = 1 if task.chained else tim.num_levels
    if expected > 1 and not isinstance(inputs, list | tuple):
        finest = check_pictures(inputs, tim.input_channels, "inputs")
        check_divides(finest, tim.input_multiple)
        _check_size(finest, tim.fixed_size)
        return task.input_pyramid(finest, expected)
    listed = list(inputs) if isinstance(inputs, list | tuple) else [inputs]
    if len(listed) != expected:
        raise ValueError(
            f"`inputs` must be {expected} picture batches for task "
            f"{tim.task!r} with {tim.num_levels} levels. Received: "
            f"{len(listed)} of them"
        )
    checked = [
        check_pictures(x, tim.input_channels, _name(index, expected))
        for index, x in enumerate(listed)
    ]
    _check_size(checked[-1], tim.fixed_size)
    return checked


def check_divides(finest, factor):
    """Raises unless the known sides can be halved down to the first level.

    Args:
        finest: array or tensor `[batch, height, width, channels]`.
        factor: int, see `TIM.input_multiple`.

    Raises:
        ValueError: if they cannot.
    """
    for side in finest.shape[1:3]:
        if side is not None and side % factor:
            raise ValueError(
                f"`inputs` must have sides that are multiples of {factor}, so "
                "that every level's input is half the next one's. Received: "
                f"shape {tuple(finest.shape)}. Crop or pad the pictures."
            )


def _check_size(finest, fixed):
    """Raises unless the known sides are those that a model is meant for."""
    sides = tuple(finest.shape[1:3])
    if fixed and any(
        side not in (None, wanted)
        for side, wanted in zip(sides, fixed, strict=True)
    ):
        raise ValueError(
            f"`inputs` must be of {fixed[0]} x {fixed[1]} pixels, whose "
            "components are known to the model. Received: shape "
            f"{tuple(finest.shape)}"
        )


def _name(index, count):
    return "inputs" if count == 1 else f"inputs[{index}]"


def check_pictures(pictures, channels, name):
    """Turns one batch of pictures into a float32 tensor.

    Args:
        pictures: array or tensor `[batch, height, width, channels]`, float in
            [0, 1].
        channels: int, the expected number of channels.
        name: str, what to call it in an error.

    Returns:
        float32 tensor.

    Raises:
        ValueError: on a wrong rank, number of channels, type or range.
    """
    shape = getattr(pictures, "shape", None)
    if shape is None or len(shape) != 4 or shape[-1] != channels:
        raise ValueError(
            f"`{name}` must have shape [batch, height, width, {channels}]. "
            f"Received: {type(pictures).__name__} of shape {shape}"
        )
    check_floating(name, pictures)
    check_unit_range(name, pictures)
    return ops.cast(ops.convert_to_tensor(pictures), "float32")


def check_codes(tim, inputs, codes):
    """Raises unless the codes fit the model and the inputs.

    Args:
        tim: the `TIM` they are for.
        inputs: list of tensors.
        codes: list over levels of `(style, noise)`.

    Raises:
        ValueError: on a wrong number of levels, rank, size or batch.
    """
    if len(codes) != tim.num_levels:
        raise ValueError(
            f"`codes` must have one (style, noise) per level, "
            f"{tim.num_levels} in all. Received: {len(codes)}"
        )
    sizes = tim.noise_sizes(inputs)
    for level, (code, size, style_size) in enumerate(
        zip(codes, sizes, tim.style_map_sizes(sizes), strict=True)
    ):
        style, noise = code
        expected = {
            "style": (style, (None, *style_size, tim.style_dim)),
            "noise": (noise, (None, *size, tim.noise_channels)),
        }
        for name, (array, shape) in expected.items():
            if not _fits(array.shape, shape):
                raise ValueError(
                    f"`codes[{level}]`: the {name} must have shape "
                    f"{_readable(shape)}. Received: shape {array.shape}"
                )
    lengths = {array.shape[0] for code in codes for array in code} - {None}
    if len(lengths) > 1:
        raise ValueError(
            "`codes` must hold as many styles as noises, the same number at "
            f"every level. Received: {sorted(lengths)} of them"
        )
    batch, num_codes = inputs[0].shape[0], codes[0][0].shape[0]
    if batch and num_codes and num_codes % batch:
        raise ValueError(
            "`codes` must hold the same number of codes for every input. "
            f"Received: {num_codes} codes for {batch} inputs"
        )


def _fits(shape, expected):
    return len(shape) == len(expected) and all(
        wanted is None or got is None or not _is_int(wanted) or got == wanted
        for got, wanted in zip(shape, expected, strict=True)
    )


def _readable(shape):
    """The shape with "?" for sizes known only while running."""
    sizes = [str(n) if _is_int(n) else "?" for n in shape]
    return f"[{', '.join(sizes)}]"


def _is_int(size):
    return isinstance(size, int)


def check_seeds(seed, batch):
    """One int64 seed per input.

    Args:
        seed: int, or ints `[batch]`.
        batch: int or scalar tensor.

    Returns:
        int64 tensor `[batch]`; on JAX `jax_codes.words` of them.

    Raises:
        ValueError: if the seeds are not integers or not one per input.
    """
    if isinstance(seed, bool) or (
        not isinstance(seed, int)
        and "int" not in str(getattr(seed, "dtype", np.asarray(seed).dtype))
    ):
        raise ValueError(
            "`seed` must be an integer or one integer per input. Received: "
            f"seed={seed}"
        )
    if isinstance(seed, int) and not -(2**63) <= seed < 2**63:
        raise ValueError(
            f"`seed` must be an integer of 64 bits. Received: seed={seed}"
        )
    if keras.backend.backend() == "jax":
        seeds = jax_codes.words(seed)
        rank = len(seeds.shape) - 1
    else:
        seeds = ops.cast(ops.convert_to_tensor(seed, dtype="int64"), "int64")
        rank = len(seeds.shape)
    if rank == 0:
        return ops.broadcast_to(seeds, (batch, *seeds.shape))
    known = isinstance(batch, int) and seeds.shape[0] is not None
    if rank != 1 or (known and seeds.shape[0] != batch):
        raise ValueError(
            f"`seed` must be one integer or one per input, [{batch}]. "
            f"Received: shape {tuple(seeds.shape[:rank])}"
        )
    return seeds


def check_temperature(temperature):
    """Raises unless it is a finite number from 0 on.

    Args:
        temperature: the value to check.

    Raises:
        ValueError: if it is not.
    """
    # NaN fails every comparison.
    if not 0.0 <= temperature < float("inf"):
        raise ValueError(
            "`temperature` must be a number from 0 on. Received: "
            f"temperature={temperature}"
        )
