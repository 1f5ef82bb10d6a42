"""Convolution weights from the files of the ncnn inference engine."""

import os

import numpy as np

from keras_tim.conversion.errors import CheckpointError

MAGIC = "7767517"
# The mark before weights stored in half precision; 0 stands for float32.
HALF_MARK = 0x01306B47
FULL_MARK = 0
# No `.param` of an upscaler is longer; the text is read whole.
LARGEST_PARAM = 4_000_000
PLAIN_LAYERS = ("Input", "Split", "Concat", "Eltwise", "BinaryOp", "Interp")


def read_convolutions(param_path, bin_path):
    """The convolutions of a network, in the order of its layers.

    Args:
        param_path: str, the text file that lists the layers.
        bin_path: str, the file of their weights, in half or single precision.

    Returns:
        List of pairs `(kernel [output, input, height, width], bias [output])`,
        float32.

    Raises:
        FileNotFoundError: if a file is missing.
        CheckpointError: if the files are damaged, do not belong together, or
            hold layers with weights that are no convolutions.
    """
    for path in (param_path, bin_path):
        if not os.path.isfile(path):
            raise FileNotFoundError(f"There is no file {path}.")
    shapes = [
        _convolution_shape(line, param_path) for line in _layers(param_path)
    ]
    with open(bin_path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        read = [
            _read_convolution(file, *shape, size - file.tell(), bin_path)
            for shape in shapes
            if shape is not None
        ]
        if file.read(1):
            raise CheckpointError(
                f"{bin_path} is longer than {param_path} says: they do not "
                "belong together."
            )
    return read


def _layers(path):
    """The lines of layers."""
    if os.path.getsize(path) > LARGEST_PARAM:
        raise CheckpointError(f"{path} is too large for an ncnn `.param` file.")
    try:
        with open(path, encoding="ascii") as file:
            lines = file.read().split("\n")
    except UnicodeDecodeError as error:
        raise CheckpointError(
            f"{path} is no ncnn `.param` file: {error}"
        ) from error
    if lines[0].strip() != MAGIC:
        raise CheckpointError(
            f"{path} is no ncnn `.param` file: it begins with "
            f"{lines[0][:20]!r}, not {MAGIC}."
        )
    return [line.split() for line in lines[2:] if line.strip()]


def _convolution_shape(fields, path):
    """`(outputs, inputs, side)` of a convolution, None for other layers."""
    kind = fields[0]
    if kind in PLAIN_LAYERS:
        return None
    if kind != "Convolution":
        raise CheckpointError(
            f"{path} has a layer {kind}. Only networks of convolutions, "
            "concatenations, sums and enlargements can be read."
        )
    stated = dict(field.split("=", 1) for field in fields if "=" in field)
    try:
        outputs, side, weights = (int(stated[key]) for key in ("0", "1", "6"))
        inputs, rest = divmod(weights, outputs * side * side)
        biased = int(stated.get("5", 0)) == 1
    except (KeyError, ValueError, ZeroDivisionError) as error:
        raise CheckpointError(
            f"{path} is damaged: the convolution {fields[1]!r} does not say "
            f"what it is ({error!r})."
        ) from error
    if min(outputs, side, inputs) < 1 or rest or not biased:
        raise CheckpointError(
            f"{path} is damaged or unusual: the convolution {fields[1]!r} has "
            f"{weights} weights for {outputs} outputs of {side} x {side} "
            f"pixels, {'a' if biased else 'no'} bias."
        )
    return outputs, inputs, side


def _read_convolution(file, outputs, inputs, side, left, path):
    """One kernel and its bias, after their sizes are known to be there."""
    count = outputs * inputs * side * side
    mark = int.from_bytes(file.read(4), "little")
    if mark not in (HALF_MARK, FULL_MARK):
        raise CheckpointError(
            f"{path} is damaged or quantised: weights begin with {mark:#x}, "
            "which is neither half nor single precision."
        )
    dtype = "<f2" if mark == HALF_MARK else "<f4"
    length = count * np.dtype(dtype).itemsize
    # Weights end at a multiple of four bytes; the bias is float32.
    needed = 4 + -(-length // 4) * 4 + 4 * outputs
    if needed > left:
        raise CheckpointError(
            f"{path} ends too early: {needed} bytes are needed where {left} "
            "are left."
        )
    kernel = np.frombuffer(file.read(-(-length // 4) * 4), dtype, count)
    bias = np.frombuffer(file.read(4 * outputs), "<f4")
    if not (np.isfinite(kernel).all() and np.isfinite(bias).all()):
        raise CheckpointError(f"{path} holds NaN or infinity.")
    return (
        kernel.astype("float32").reshape(outputs, inputs, side, side),
        bias.astype("float32"),
    )
