"""Exported models: for servers, for devices, for other stacks."""

import os
from typing import Any

import keras

from keras_tim.checks import one_of
from keras_tim.export.limits import Limits
from keras_tim.export.onnx import export_onnx
from keras_tim.export.saved_model import export_saved_model
from keras_tim.export.tflite import export_tflite

FORMATS = {
    "tf_saved_model": export_saved_model,
    "tflite": export_tflite,
    # What Keras calls it.
    "litert": export_tflite,
    "onnx": export_onnx,
}


def export_model(
    tim: keras.Model,
    filepath: str | os.PathLike,
    format: str = "tf_saved_model",
    verbose: bool = True,
    **options: Any,
) -> str | dict:
    """Exports a model in one of the formats; see `TIM.export`.

    Args:
        tim: a `TIM`.
        filepath: str or path.
        format: a key of `FORMATS`.
        verbose: bool, whether to print where it was saved.
        **options: those of the format's function.

    Returns:
        What the format's function returns.

    Raises:
        ValueError: if there is no such format.
    """
    one_of("format", format, FORMATS)
    exported = FORMATS[format](tim, filepath, **options)
    if verbose:
        saved = exported if isinstance(exported, str) else filepath
        print(f"Saved artifact at '{saved}'.")
    return exported


__all__ = [
    "FORMATS",
    "Limits",
    "export_model",
    "export_onnx",
    "export_saved_model",
    "export_tflite",
]
