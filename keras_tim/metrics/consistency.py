"""Consistency with the input that samples were made from.

Samples are measured as they would be in a file, rounded to 8 bits.
"""

import io

import numpy as np
from PIL import Image

from keras_tim.checks import integer, one_of
from keras_tim.lazy import tensorflow as tf
from keras_tim.metrics.fidelity import checked, psnr, quantised

# CIE luminance of linear sRGB (D65, 2 degrees), IEC 61966-2-1.
_LUMINANCE = (0.212671, 0.715160, 0.072169)

_SUBSAMPLINGS = ("4:4:4", "4:2:2", "4:2:0")


def low_resolution_psnr(samples, low_resolution):
    """How well samples keep to the low-resolution input they were made from.

    Every sample is rounded to 8 bits, reduced to the size of the input by
    antialiased bicubic filtering, rounded again, and compared with the input.
    NTIRE 2021's challenge on learning the super-resolution space asks for at
    least 45 dB.

    Args:
        samples: Array of shape `(samples, height, width, channels)`, floats
            in `[0, 1]`.
        low_resolution: Array of shape `(low_height, low_width, channels)`,
            floats in `[0, 1]`. Each side of a sample is the same whole
            multiple of the input's.

    Returns:
        A `float64` array of shape `(samples,)`, in dB; `inf` where the two
        are equal.

    Raises:
        ValueError: If the images are not as described.
    """
    samples = quantised(samples, "samples")
    low_resolution = quantised(low_resolution, "low_resolution")
    if samples.ndim != 4 or low_resolution.ndim != 3:
        raise ValueError(
            "`samples` must have the shape (samples, height, width, channels) "
            "and `low_resolution` (low_height, low_width, channels). "
            f"Received: samples.shape={samples.shape}, "
            f"low_resolution.shape={low_resolution.shape}"
        )
    low_height, low_width, channels = low_resolution.shape
    scale = max(samples.shape[1] // low_height, 1)
    expected = (low_height * scale, low_width * scale, channels)
    if samples.shape[1:] != expected:
        raise ValueError(
            "Each side of `samples` must be the same whole multiple of "
            "`low_resolution`'s, and the channels must agree. Received: "
            f"samples.shape={samples.shape}, "
            f"low_resolution.shape={low_resolution.shape}"
        )
    reduced = tf.image.resize(
        samples.astype(np.float32) / np.float32(255.0),
        (low_height, low_width),
        method="bicubic",
        antialias=True,
    )
    reduced = np.clip(reduced.numpy(), 0.0, 1.0)
    return psnr(reduced, low_resolution / 255.0)


def lightness_error(samples, lightness):
    """How well colourized samples keep to the lightness they were made from.

    Every sample is rounded to 8 bits and its CIE lightness compared with the
    given one. Rounding alone costs about 0.1; colours that sRGB lacks, and
    that were clipped, cost more.

    Args:
        samples: Array of shape `(samples, height, width, 3)`, floats in
            `[0, 1]`, sRGB.
        lightness: Array of shape `(height, width)` or `(height, width, 1)`,
            floats in `[0, 1]`: CIE lightness L over 100.

    Returns:
        A `float64` array of shape `(samples,)`: the mean absolute difference
        over the pixels in units of L, which runs from 0 to 100.

    Raises:
        ValueError: If the images are not as described.
    """
    samples = quantised(samples, "samples")
    lightness = np.asarray(lightness)
    if lightness.ndim == 2:
        lightness = lightness[..., None]
    # Not rounded: lightness is a number here, not a picture in a file.
    lightness = checked(lightness, "lightness")
    if samples.ndim != 4 or samples.shape[1:] != (*lightness.shape[:2], 3):
        raise ValueError(
            "`samples` must have the shape (samples, height, width, 3) and "
            "`lightness` (height, width) or (height, width, 1). Received: "
            f"samples.shape={samples.shape}, lightness.shape={lightness.shape}"
        )
    if lightness.shape[-1] != 1:
        raise ValueError(
            "`lightness` must have one channel. Received: "
            f"lightness.shape={lightness.shape}"
        )
    found = np.stack([_cie_lightness(sample / 255.0) for sample in samples])
    return np.mean(np.abs(found - 100.0 * lightness[..., 0]), axis=(1, 2))


def recompressed_psnr(samples, compressed, quality=1, subsampling="4:2:0"):
    """How well samples keep to the JPEG picture they were made from.

    Every sample is rounded to 8 bits, compressed with the settings of the
    input, decoded, and compared with the decoded input.

    Args:
        samples: Array of shape `(samples, height, width, 3)`, floats in
            `[0, 1]`.
        compressed: Array of shape `(height, width, 3)`, floats in `[0, 1]`:
            the input, decoded.
        quality: Int from 1 to 100, the JPEG quality of the input, on the
            scale of libjpeg and Pillow.
        subsampling: Chroma subsampling of the input: `"4:4:4"`, `"4:2:2"` or
            `"4:2:0"`.

    Returns:
        A `float64` array of shape `(samples,)`, in dB; `inf` where the two
        are equal.

    Raises:
        ValueError: If an argument is not as described.
    """
    samples = quantised(samples, "samples")
    compressed = quantised(compressed, "compressed")
    if samples.ndim != 4 or samples.shape[1:] != compressed.shape:
        raise ValueError(
            "`samples` must have the shape (samples, height, width, 3) and "
            "`compressed` (height, width, 3), of the same height and width. "
            f"Received: samples.shape={samples.shape}, "
            f"compressed.shape={compressed.shape}"
        )
    if compressed.shape[-1] != 3:
        raise ValueError(
            "`compressed` must have three channels. Received: "
            f"compressed.shape={compressed.shape}"
        )
    quality = integer("quality", quality, most=100)
    one_of("subsampling", subsampling, _SUBSAMPLINGS)
    again = np.stack([_jpeg_and_back(s, quality, subsampling) for s in samples])
    return psnr(again / 255.0, compressed / 255.0)


def _cie_lightness(rgb):
    """CIE lightness, 0 to 100, of sRGB in [0, 1]: `[..., 3]` -> `[...]`."""
    # Apart from the models' own conversion: a measure must not share the
    # mistakes of what it measures.
    linear = np.where(
        rgb > 0.04045, ((rgb + 0.055) / 1.055) ** 2.4, rgb / 12.92
    )
    luminance = linear @ np.array(_LUMINANCE)
    return np.where(
        luminance > (6 / 29) ** 3,
        116.0 * np.cbrt(luminance) - 16.0,
        (29 / 3) ** 3 * luminance,
    )


def _jpeg_and_back(levels, quality, subsampling):
    """Whole levels `[height, width, 3]` after a round through JPEG."""
    stream = io.BytesIO()
    Image.fromarray(levels.astype(np.uint8)).save(
        stream, format="JPEG", quality=quality, subsampling=subsampling
    )
    with Image.open(stream, formats=["JPEG"]) as image:
        return np.asarray(image).astype(np.float64)
