"""Alternatives of picture files: drawn, made again, walked through."""

import warnings
from typing import TYPE_CHECKING

from keras_tim import images
from keras_tim.lazy import lazy_names

if TYPE_CHECKING:
    from keras_tim.inference.again import read_recipe, sample_again
    from keras_tim.inference.reading import read_input
    from keras_tim.inference.samples import sample_files
    from keras_tim.inference.sizing import repairs
    from keras_tim.inference.walks import film_file, walk

__all__ = [
    "film_file",
    "read_input",
    "read_recipe",
    "repairs",
    "sample_again",
    "sample_files",
    "walk",
]

# Commands name them before TensorFlow is there.
_get, __dir__ = lazy_names(
    __name__,
    {
        "keras_tim.inference.again": ["read_recipe", "sample_again"],
        "keras_tim.inference.reading": ["read_input"],
        "keras_tim.inference.samples": ["sample_files"],
        "keras_tim.inference.sizing": ["repairs"],
        "keras_tim.inference.walks": ["film_file", "walk"],
    },
)


def __getattr__(name):
    if name not in images.__all__:
        return _get(name)
    # What stood here before 0.2.
    warnings.warn(
        f"keras_tim.inference.{name} is now keras_tim.images.{name}",
        DeprecationWarning,
        stacklevel=2,
    )
    return getattr(images, name)
