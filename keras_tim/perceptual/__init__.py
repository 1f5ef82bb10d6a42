"""Perceptual distances, and where their published weights come from."""

from keras_tim.perceptual.lpips import LPIPS
from keras_tim.perceptual.weights import (
    WeightsError,
    cached_weights,
    fetch_weights,
)

__all__ = ["LPIPS", "WeightsError", "cached_weights", "fetch_weights"]
