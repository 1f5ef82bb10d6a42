"""Measures of fidelity, diversity and consistency."""

from keras_tim.metrics.fidelity import low_resolution_psnr, psnr
from keras_tim.metrics.perceptual import lpips_diversity, lpips_to_target

__all__ = [
    "low_resolution_psnr",
    "lpips_diversity",
    "lpips_to_target",
    "psnr",
]
