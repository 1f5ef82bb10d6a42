"""Fidelity to the observed output: PSNR, SSIM, LPIPS."""

from typing import NamedTuple

import numpy as np

from keras_tim.checks import check_floating, check_unit_range, one_of
from keras_tim.perceptual import LPIPS

# SSIM as published: a Gaussian window of 11 pixels, constants for 8 bits.
_WINDOW_RADIUS = 5
_WINDOW_SIGMA = 1.5
_LUMINANCE_CONSTANT = (0.01 * 255.0) ** 2
_CONTRAST_CONSTANT = (0.03 * 255.0) ** 2
# The sides of what the window fits into.
SMALLEST_FOR_SSIM = 2 * _WINDOW_RADIUS + 1


class FidelitySummary(NamedTuple):
    """One measure of several samples of one input.

    Attributes:
        mean: mean over the samples.
        best: that of the best sample.
        mean_image: that of the samples' pixel-wise mean.
    """

    mean: float
    best: float
    mean_image: float


def fidelity_summary(samples, target, measure, distance=None):
    """Measures samples of one input against the observed output.

    Args:
        samples: Array of shape `(samples, height, width, 3)`, floats in
            `[0, 1]`.
        target: Array of shape `(height, width, 3)`, floats in `[0, 1]`.
        measure: `"psnr"`, `"ssim"` or `"lpips"`.
        distance: A `keras_tim.LPIPS` for `"lpips"`; AlexNet's by default.

    Returns:
        A `FidelitySummary`. The best is the largest PSNR or SSIM, and the
        smallest LPIPS.

    Raises:
        ValueError: If an argument is not as described.
    """
    samples, target = np.asarray(samples), np.asarray(target)
    if samples.ndim != 4 or samples.shape[1:] != target.shape:
        raise ValueError(
            "`samples` must have the shape (samples, height, width, 3) and "
            "`target` (height, width, 3), of the same height and width. "
            f"Received: samples.shape={samples.shape}, "
            f"target.shape={target.shape}"
        )
    measures = {
        "psnr": (psnr, np.max),
        "ssim": (ssim, np.max),
        "lpips": (lambda s, t: lpips_to_target(s, t, distance), np.min),
    }
    one_of("measure", measure, measures)
    measured, best = measures[measure]
    values = measured(samples, target)
    mean_image = np.mean(samples, axis=0, keepdims=True, dtype=np.float64)
    return FidelitySummary(
        mean=float(np.mean(values)),
        best=float(best(values)),
        mean_image=float(measured(mean_image, target)[0]),
    )


def psnr(first, second):
    """Peak signal-to-noise ratio of 8-bit images.

    Both are rounded to 8 bits first, as they would be in a file.

    Args:
        first: Array of shape `(..., height, width, channels)`, floats in
            `[0, 1]`; any leading axes.
        second: Array of a shape that broadcasts to that of `first` in its
            leading axes and equals it in the last three.

    Returns:
        A `float64` array of the leading shape, in dB; `inf` where the images
        are equal.

    Raises:
        ValueError: If the images are not as described.
    """
    first = quantised(first, "first")
    second = quantised(second, "second")
    _check_same_size(first, second)
    error = np.mean(np.square(first - second), axis=(-3, -2, -1))
    with np.errstate(divide="ignore"):
        return 10 * np.log10(255.0**2 / error)


def ssim(first, second):
    """Structural similarity of 8-bit images.

    Both are rounded to 8 bits first. Means, variances and covariances are
    taken under a Gaussian window of 11 x 11 pixels and standard deviation
    1.5, where it fits within the images; the channels are averaged.

    Args:
        first: Array of shape `(..., height, width, channels)`, floats in
            `[0, 1]`, at least 11 pixels wide and high; any leading axes.
        second: Array of a shape that broadcasts to that of `first` in its
            leading axes and equals it in the last three.

    Returns:
        A `float64` array of the leading shape; 1 where the images are equal.

    Raises:
        ValueError: If the images are not as described.

    Reference:
        Wang et al., "Image Quality Assessment: From Error Visibility to
        Structural Similarity", IEEE TIP 2004.
    """
    first = quantised(first, "first")
    second = quantised(second, "second")
    _check_same_size(first, second)
    if min(first.shape[-3:-1]) < SMALLEST_FOR_SSIM:
        raise ValueError(
            f"`first` must be at least {SMALLEST_FOR_SSIM} pixels wide and "
            f"high. Received: first.shape={first.shape}"
        )
    leading = np.broadcast_shapes(first.shape[:-3], second.shape[:-3])
    size = first.shape[-3:]
    pairs = zip(
        np.broadcast_to(first, (*leading, *size)).reshape(-1, *size),
        np.broadcast_to(second, (*leading, *size)).reshape(-1, *size),
        strict=True,
    )
    # One pair at a time: the maps take several times an image's memory.
    return np.array([_ssim(a, b) for a, b in pairs]).reshape(leading)


def _ssim(first, second):
    """SSIM of two images of whole levels `[height, width, channels]`."""
    mean_1, mean_2 = _windowed(first), _windowed(second)
    variance_1 = _windowed(first * first) - mean_1 * mean_1
    variance_2 = _windowed(second * second) - mean_2 * mean_2
    covariance = _windowed(first * second) - mean_1 * mean_2
    luminance = (2.0 * mean_1 * mean_2 + _LUMINANCE_CONSTANT) / (
        mean_1 * mean_1 + mean_2 * mean_2 + _LUMINANCE_CONSTANT
    )
    structure = (2.0 * covariance + _CONTRAST_CONSTANT) / (
        variance_1 + variance_2 + _CONTRAST_CONSTANT
    )
    return np.mean(luminance * structure)


def _windowed(image):
    """Gaussian means of `[height, width, channels]`, where they fit."""
    offsets = np.arange(-_WINDOW_RADIUS, _WINDOW_RADIUS + 1)
    weights = np.exp(-0.5 * (offsets / _WINDOW_SIGMA) ** 2)
    weights /= weights.sum()
    height, width = (side - 2 * _WINDOW_RADIUS for side in image.shape[:2])
    rows = sum(w * image[i : i + height] for i, w in enumerate(weights))
    return sum(w * rows[:, i : i + width] for i, w in enumerate(weights))


def lpips_to_target(samples, target, distance=None):
    """LPIPS of every sample of one input to the observed output.

    Args:
        samples: array `[m, height, width, 3]`, float in [0, 1].
        target: array `[height, width, 3]`, float in [0, 1].
        distance: a `keras_tim.LPIPS`; AlexNet's by default.

    Returns:
        float32 array `[m]`.

    Raises:
        ValueError: if the pictures are not as described.
    """
    for name, pictures in (("samples", samples), ("target", target)):
        check_floating(name, np.asarray(pictures))
        check_unit_range(name, np.asarray(pictures))
    distance = distance or LPIPS("alex")
    target = [f[0] for f in distance.features(batch_of_one(target))]
    return np.array(
        [
            float(
                distance.compare(
                    [f[0] for f in distance.features(batch_of_one(sample))],
                    target,
                )
            )
            for sample in samples
        ],
        dtype="float32",
    )


def batch_of_one(picture):
    """A picture as a float32 batch, as LPIPS takes it."""
    return np.asarray(picture, dtype="float32")[None]


def _check_same_size(first, second):
    if first.shape[-3:] != second.shape[-3:]:
        raise ValueError(
            "`first` and `second` must agree in height, width and channels. "
            f"Received: first.shape={first.shape}, "
            f"second.shape={second.shape}"
        )


def quantised(images, name):
    """Validates images and rounds them to 8 bits.

    Args:
        images: Array of shape `(..., height, width, channels)`, floats in
            `[0, 1]`.
        name: What error messages call the images.

    Returns:
        A `float64` array of whole numbers from 0 to 255.

    Raises:
        ValueError: If the shape, the type or the values are not as described.
    """
    return np.rint(255.0 * checked(images, name))


def checked(images, name):
    """Validates images; `float64`, clipped to `[0, 1]`. See `quantised`."""
    images = np.asarray(images)
    if images.ndim < 3 or 0 in images.shape:
        raise ValueError(
            f"`{name}` must have the shape (..., height, width, channels), "
            f"none of them empty. Received: {name}.shape={images.shape}"
        )
    check_floating(name, images)
    images = images.astype(np.float64)
    check_unit_range(name, images)
    return np.clip(images, 0.0, 1.0)
