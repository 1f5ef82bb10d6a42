"""JPEG compression."""

import io

import numpy as np
from PIL import Image

from keras_tim.checks import integer
from keras_tim.images.pictures import as_uint8

# What cameras and the web use: colours at half the resolution.
SUBSAMPLING = "4:2:0"


def compressed(photo, quality=1):
    """What is left of a photo after JPEG compression.

    Args:
        photo: Array of shape `(height, width, 3)`, `uint8` or floats in
            `[0, 1]`, which are rounded to 8 bits.
        quality: JPEG quality on libjpeg's scale, an integer from 1 to 100.

    Returns:
        A `float32` array of the same shape in `[0, 1]`.

    Raises:
        ValueError: If an argument is not as described.
    """
    stream = io.BytesIO(jpeg_file(photo, quality))
    with Image.open(stream, formats=["JPEG"]) as image:
        return np.asarray(image).astype(np.float32) / np.float32(255.0)


def jpeg_file(photo, quality):
    """A photo as a JPEG file, colours at half the resolution.

    Args:
        photo: as for `compressed`.
        quality: the same.

    Returns:
        Bytes of the file.

    Raises:
        ValueError: If an argument is not as described.
    """
    quality = check_quality(quality)
    stream = io.BytesIO()
    Image.fromarray(as_uint8(photo, "photo")).save(
        stream, format="JPEG", quality=quality, subsampling=SUBSAMPLING
    )
    return stream.getvalue()


def check_quality(quality):
    """Gives `quality` as an `int`; `ValueError` unless it is from 1 to 100."""
    return integer("quality", quality, most=100)
