"""Perceptual distances, and where their published weights come from."""

from typing import TYPE_CHECKING

from keras_tim.lazy import lazy_names

if TYPE_CHECKING:
    from keras_tim.assets.downloads import (
        WeightsError,
        cached_weights,
        fetch_weights,
    )
    from keras_tim.perceptual.hypercolumns import Hypercolumns
    from keras_tim.perceptual.lpips import LPIPS
    from keras_tim.perceptual.mixed import MixedLPIPS

__all__ = [
    "LPIPS",
    "Hypercolumns",
    "MixedLPIPS",
    "WeightsError",
    "cached_weights",
    "fetch_weights",
]

# Which weights there are is known without Keras.
__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "keras_tim.perceptual.hypercolumns": ["Hypercolumns"],
        "keras_tim.perceptual.lpips": ["LPIPS"],
        "keras_tim.perceptual.mixed": ["MixedLPIPS"],
        "keras_tim.assets.downloads": [
            "WeightsError",
            "cached_weights",
            "fetch_weights",
        ],
    },
)
