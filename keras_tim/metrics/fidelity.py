"""Faithfulness to the input: PSNR, and PSNR at low resolution."""

import numpy as np
import tensorflow as tf


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
    if first.shape[-3:] != second.shape[-3:]:
        raise ValueError(
            "`first` and `second` must agree in height, width and channels. "
            f"Received: first.shape={first.shape}, "
            f"second.shape={second.shape}"
        )
    error = np.mean(np.square(first - second), axis=(-3, -2, -1))
    with np.errstate(divide="ignore"):
        return 10 * np.log10(255.0**2 / error)


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
    images = np.asarray(images)
    if images.ndim < 3 or 0 in images.shape:
        raise ValueError(
            f"`{name}` must have the shape (..., height, width, channels), "
            f"none of them empty. Received: {name}.shape={images.shape}"
        )
    if images.dtype.kind != "f" and images.dtype.name != "bfloat16":
        raise ValueError(
            f"`{name}` must be of a floating type in [0, 1]; divide 8-bit "
            f"values by 255. Received: {name}.dtype={images.dtype}"
        )
    images = images.astype(np.float64)
    low, high = images.min(), images.max()
    # Half a gray level of slack lets rounding errors pass; NaN does not.
    if not (low >= -0.5 / 255 and high <= 1 + 0.5 / 255):
        raise ValueError(
            f"`{name}` must lie in [0, 1], without NaN. Received: {name} "
            f"from {low:g} to {high:g}"
        )
    return np.rint(np.clip(images, 0.0, 1.0) * 255.0)
