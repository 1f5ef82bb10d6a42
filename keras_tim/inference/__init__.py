"""Alternatives of picture files: drawn, made again, walked through."""

import warnings

import keras_tim.images
from keras_tim.inference.again import sample_again
from keras_tim.inference.samples import sample_files
from keras_tim.inference.walks import film_file, walk

__all__ = ["film_file", "sample_again", "sample_files", "walk"]


def __getattr__(name):
    # What stood here before 0.2.
    if name not in keras_tim.images.__all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    warnings.warn(
        f"keras_tim.inference.{name} is now keras_tim.images.{name}",
        DeprecationWarning,
        stacklevel=2,
    )
    return getattr(keras_tim.images, name)
