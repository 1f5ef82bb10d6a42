"""Checks of arguments that everything shares: integers, pictures in [0, 1]."""

import operator
import re

import numpy as np

from keras_tim.lazy import keras
from keras_tim.lazy import tensorflow as tf

# Half a grey level of 8 bits: what rounding may add, and no file would show.
SLACK = 0.5 / 255

# Room for pictures that were enlarged and not clipped. Bicubic interpolation
# by 4 leaves [0, 1] by up to 0.26, and by more than 0.05 in up to a tenth of
# the values of black text, 0.18 of those of black and white noise. Of a photo
# whose mean was taken off about half are negative.
_OVERSHOOT = 0.5
_PLAIN_OVERSHOOT = 0.05
_LARGEST_SHARE = 0.2


def integer(name, value, least=1, most=None):
    """Gives an argument as an `int`, or says what is wrong with it.

    Args:
        name: str, what to call it in the error.
        value: the argument. Python's and NumPy's integers are taken, and
            arrays and tensors of one; bools and floats are not.
        least: int or None, the smallest value allowed.
        most: int or None, the largest.

    Returns:
        int.

    Raises:
        ValueError: if it is no integer, or out of range.
    """
    try:
        number = None if _is_bool(value) else operator.index(value)
    except (TypeError, AttributeError):  # the latter of TensorFlow's floats
        number = None
    low = number is not None and (least is None or number >= least)
    if not (low and (most is None or number <= most)):
        raise ValueError(
            f"`{name}` must be {_wanted(least, most)}. Received: "
            f"{name}={value!r}"
        )
    return number


def integers(name, values, least=1):
    """Gives a sequence of integers as a tuple of `int`, see `integer`.

    Args:
        name: str, what to call it in the error.
        values: the sequence; an array will do.
        least: int or None, the smallest value allowed.

    Returns:
        tuple of int.

    Raises:
        ValueError: if it is no sequence, or a value is no such integer.
    """
    try:
        values = tuple(values)
    except TypeError as error:
        raise ValueError(
            f"`{name}` must be a sequence of integers. Received: "
            f"{name}={values!r}"
        ) from error
    return tuple(
        integer(f"{name}[{place}]", value, least)
        for place, value in enumerate(values)
    )


def integer_or_several(name, value, least=1):
    """Gives one integer as an `int`, a sequence of them as a tuple.

    Args:
        name: str, what to call it in the error.
        value: the integer, or one per level.
        least: int or None, the smallest value allowed.

    Returns:
        int, or tuple of int.

    Raises:
        ValueError: if it is neither.
    """
    check = integers if np.ndim(value) else integer
    return check(name, value, least)


def one_of(name, value, choices):
    """Raises where an argument is none of those that there are.

    Args:
        name: str, what to call it in the error.
        value: the argument.
        choices: tuple of those that there are, or dict with them as keys.

    Raises:
        ValueError: if the argument is none of them.
    """
    if value not in choices:
        raise ValueError(
            f"`{name}` must be one of {[*choices]}. Received: {name}={value!r}"
        )


def _is_bool(value):
    return isinstance(value, bool) or "bool" in str(getattr(value, "dtype", ""))


def _wanted(least, most):
    if most is not None:
        return f"an integer from {least} to {most}"
    if least is None:
        return "an integer"
    return "a positive integer" if least == 1 else f"an integer from {least} on"


def is_floating(pictures):
    """Whether an array or a tensor is of floating point, bfloat16 too."""
    return "float" in str(pictures.dtype)


def check_floating(name, pictures):
    """Raises unless pictures are of floating point.

    Args:
        name: str, what to call them in the error.
        pictures: array or tensor.

    Raises:
        ValueError: if they are of another type, as 8-bit pictures are.
    """
    if not is_floating(pictures):
        raise ValueError(
            f"`{name}` must be floating point in [0, 1]; divide 8-bit "
            f"values by 255. Received: {name}.dtype={_dtype(pictures)}"
        )


def check_unit_range(name, pictures, overshoot=False):
    """Raises where pictures are not in [0, 1], if their values are at hand.

    Args:
        name: str, what to call them in the error.
        pictures: array or tensor of floating point. Symbols of a graph pass:
            see `unit_range_assertion`.
        overshoot: bool, whether they may leave the range as pictures do that
            were enlarged and not clipped.

    Raises:
        ValueError: if a value is NaN or outside.
    """
    values = _at_hand(pictures)
    if values is None or not values.size:
        return
    with np.errstate(invalid="ignore"):  # NaN of bfloat16
        low, high = float(values.min()), float(values.max())
    room = _OVERSHOOT if overshoot else SLACK
    # NaN fails both comparisons.
    inside = low >= -room and high <= 1 + room
    plainly = ""
    if inside and min(low, 1 - high) < -_PLAIN_OVERSHOOT:
        outside = np.abs(values - 0.5) > 0.5 + _PLAIN_OVERSHOOT
        inside = outside.mean() <= _LARGEST_SHARE
        plainly = f", {outside.mean():.0%} of them plainly outside"
    if not inside:
        raise ValueError(
            f"`{name}` must lie in [0, 1], without NaN; divide 8-bit values "
            f"by 255. Received: {name} from {low:g} to {high:g}{plainly}"
        )


def unit_range_assertion(name, pictures):
    """An operation that fails where pictures are not in [0, 1].

    XLA leaves such operations out.

    Args:
        name: str, what to call them in the error.
        pictures: TensorFlow tensor of floating point.

    Returns:
        The operation, for `tf.control_dependencies`; None outside of graphs,
        where it has been run.
    """
    # The rest is used with other backends, too.
    return tf.debugging.Assert(
        # NaN fails both comparisons.
        tf.reduce_all((pictures >= -SLACK) & (pictures <= 1.0 + SLACK)),
        [
            f"`{name}` must lie in [0, 1], without NaN; divide 8-bit values "
            "by 255. Received values from and to:",
            tf.reduce_min(pictures),
            tf.reduce_max(pictures),
        ],
    )


def _at_hand(pictures):
    """The values as an array, or None where they are symbols of a graph."""
    if isinstance(pictures, np.ndarray):
        return pictures
    try:
        return np.asarray(keras.ops.convert_to_numpy(pictures))
    except Exception:  # every backend has its own error for a symbol
        return None


def _dtype(pictures):
    # TensorFlow's say "<dtype: 'uint8'>".
    return getattr(pictures.dtype, "name", pictures.dtype)


def is_integer(value):
    """Whether `value` is an integer and no bool."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def parsed_size(text):
    """Height and width from text such as "256x512".

    Args:
        text: str or None.

    Returns:
        `(height, width)`, or None for None.

    Raises:
        ValueError: if the text is something else.
    """
    if text is None:
        return None
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if not match:
        raise ValueError(
            "`size` must be height and width in pixels, such as 256x512. "
            f"Received: size={text!r}"
        )
    return int(match[1]), int(match[2])


def check_tensorflow(what):
    """Raises `ValueError` where Keras runs on another backend.

    Args:
        what: str, what needs TensorFlow, as the error says it.
    """
    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            f"{what} needs TensorFlow: set KERAS_BACKEND=tensorflow. Received: "
            f"Keras' backend {keras.backend.backend()!r}"
        )
