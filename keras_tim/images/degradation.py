"""Small pictures as people have them: blurred, noisy, compressed."""

import io
import zlib

import numpy as np
from PIL import Image, ImageFilter

from keras_tim.images.pictures import as_uint8

_FILTERS = (
    Image.Resampling.BICUBIC,
    Image.Resampling.BILINEAR,
    Image.Resampling.BOX,
    Image.Resampling.LANCZOS,
)


def degraded(photo, scale, rng=None):
    """A photo reduced as cameras, editors and web sites do it.

    Random blur, then at random a first reduction with noise and JPEG, then the
    reduction to the final size by one of four filters, noise, blur and JPEG: a
    milder and shorter form of what Real-ESRGAN is trained for (Wang et al.,
    2021, section 3).

    Args:
        photo: Array of shape `(height, width, 3)`, `uint8` or floats in
            `[0, 1]`, which are rounded to 8 bits.
        scale: Integer that both sides are divided by.
        rng: `numpy.random.Generator`; `None` draws from the photo's own
            pixels, so that the same photo is always degraded alike.

    Returns:
        A `float32` array of shape `(height // scale, width // scale, 3)` in
        `[0, 1]`.

    Raises:
        ValueError: If the photo is not as described, or smaller than `scale`.
    """
    pixels = as_uint8(photo, "photo")
    height, width = (side // scale for side in pixels.shape[:2])
    if min(height, width) < 1:
        raise ValueError(
            f"`photo` must measure at least {scale} pixels each way. "
            f"Received: photo.shape={pixels.shape}"
        )
    if rng is None:
        seed = zlib.crc32(np.ascontiguousarray(pixels))
        rng = np.random.default_rng(seed)
    image = Image.fromarray(pixels)
    if rng.random() < 0.7:
        image = _blurred(image, rng, 0.2, 2.5)
    if rng.random() < 0.4:
        factor = rng.uniform(1.0, 2.0)
        between = [max(1, round(factor * side)) for side in (width, height)]
        image = _noisy(image.resize(between, rng.choice(_FILTERS)), rng)
        if rng.random() < 0.7:
            image = _compressed(image, rng, 40)
    image = _noisy(image.resize((width, height), rng.choice(_FILTERS)), rng)
    if rng.random() < 0.3:
        image = _blurred(image, rng, 0.2, 0.8)
    if rng.random() < 0.8:
        image = _compressed(image, rng, 35)
    return np.asarray(image, np.float32) / np.float32(255.0)


def _blurred(image, rng, least, most):
    return image.filter(ImageFilter.GaussianBlur(rng.uniform(least, most)))


def _noisy(image, rng):
    """With noise of the light or of each colour, or as it is."""
    if rng.random() > 0.5:
        return image
    values = np.asarray(image, np.float32)
    deviation = rng.uniform(1.0, 12.0)
    channels = 1 if rng.random() < 0.4 else 3
    noise = rng.normal(0.0, deviation, (*values.shape[:2], channels))
    values = np.rint(np.clip(values + noise, 0.0, 255.0))
    return Image.fromarray(values.astype(np.uint8))


def _compressed(image, rng, least):
    stream = io.BytesIO()
    image.save(
        stream,
        "JPEG",
        quality=int(rng.integers(least, 95, endpoint=True)),
        subsampling="4:2:0" if rng.random() < 0.7 else "4:4:4",
    )
    with Image.open(stream, formats=["JPEG"]) as decoded:
        return decoded.convert("RGB")
