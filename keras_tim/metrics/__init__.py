"""Measures of fidelity, diversity and consistency."""

from typing import TYPE_CHECKING

from keras_tim.lazy import lazy_names

if TYPE_CHECKING:
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
    from keras_tim.metrics.kernel import (
        KernelDistance,
        kernel_distance,
        kernel_inception_distance,
    )

__all__ = [
    "FeatureStatistics",
    "FidelitySummary",
    "FrechetEstimate",
    "InceptionFeatures",
    "KernelDistance",
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

# Some need networks and TensorFlow, others NumPy alone.
__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "keras_tim.metrics.consistency": [
            "lightness_error",
            "low_resolution_psnr",
            "recompressed_psnr",
        ],
        "keras_tim.metrics.diversity": [
            "faithfulness_weighted_variance",
            "lpips_diversity",
            "ntire_diversity",
        ],
        "keras_tim.metrics.features": [
            "feature_batches",
            "picture_features",
        ],
        "keras_tim.metrics.fidelity": [
            "FidelitySummary",
            "fidelity_summary",
            "lpips_to_target",
            "psnr",
            "ssim",
        ],
        "keras_tim.metrics.frechet": [
            "FeatureStatistics",
            "FrechetEstimate",
            "SampleSizeWarning",
            "frechet_distance",
            "frechet_estimate",
            "frechet_inception_distance",
        ],
        "keras_tim.metrics.inception": ["InceptionFeatures"],
        "keras_tim.metrics.kernel": [
            "KernelDistance",
            "kernel_distance",
            "kernel_inception_distance",
        ],
    },
)
