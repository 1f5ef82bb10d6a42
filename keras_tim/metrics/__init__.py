"""Measures of fidelity, diversity and consistency."""

from keras_tim.metrics.consistency import (
    lightness_error,
    low_resolution_psnr,
    recompressed_psnr,
)
from keras_tim.metrics.diversity import (
    faithfulness_weighted_variance,
    lpips_diversity,
    ntire_diversity,
)
from keras_tim.metrics.features import feature_batches, picture_features
from keras_tim.metrics.fidelity import (
    FidelitySummary,
    fidelity_summary,
    lpips_to_target,
    psnr,
    ssim,
)
from keras_tim.metrics.frechet import (
    FeatureStatistics,
    FrechetEstimate,
    SampleSizeWarning,
    frechet_distance,
    frechet_estimate,
    frechet_inception_distance,
)
from keras_tim.metrics.inception import InceptionFeatures
from keras_tim.metrics.kernel_distance import (
    KernelDistance,
    kernel_distance,
    kernel_inception_distance,
)
from keras_tim.metrics.picture_sets import (
    FrechetInceptionDistance,
    KernelInceptionDistance,
)

__all__ = [
    "FeatureStatistics",
    "FidelitySummary",
    "FrechetEstimate",
    "FrechetInceptionDistance",
    "InceptionFeatures",
    "KernelDistance",
    "KernelInceptionDistance",
    "SampleSizeWarning",
    "faithfulness_weighted_variance",
    "feature_batches",
    "fidelity_summary",
    "frechet_distance",
    "frechet_estimate",
    "frechet_inception_distance",
    "kernel_distance",
    "kernel_inception_distance",
    "lightness_error",
    "low_resolution_psnr",
    "lpips_diversity",
    "lpips_to_target",
    "ntire_diversity",
    "picture_features",
    "psnr",
    "recompressed_psnr",
    "ssim",
]
