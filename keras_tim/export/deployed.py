"""The generator of an export: plain kernels, in the dtype that is asked for."""

from keras_tim.checks import one_of
from keras_tim.models.folding import folded
from keras_tim.models.generator import Generator

DTYPES = ("float32", "bfloat16")


def deployed(tim, dtype="float32", frozen=False):
    """The generator of a model's pictures, with plain kernels.

    Args:
        tim: a `TIM`, left as it is.
        dtype: "float32", or "bfloat16" for convolutions and their weights in
            half precision. What is delicate stays in float32 either way, and
            so do inputs and outputs.
        frozen: bool, see `Generator`.

    Returns:
        A `keras_tim.models.generator.Generator`.

    Raises:
        ValueError: if `dtype` is another.
    """
    one_of("dtype", dtype, DTYPES)
    return Generator(folded(tim, dtype), frozen)
