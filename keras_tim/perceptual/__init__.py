"""Perceptual distances, and where their published weights come from."""

from keras_tim.perceptual.hypercolumns import Hypercolumns
from keras_tim.perceptual.lpips import LPIPS
from keras_tim.perceptual.mixed import MixedLPIPS
from keras_tim.perceptual.weights import (
    WeightsError,
    cached_weights,
    fetch_weights,
)

__all__ = [
    "LPIPS",
    "Hypercolumns",
    "MixedLPIPS",
    "WeightsError",
    "cached_weights",
    "fetch_weights",
]
