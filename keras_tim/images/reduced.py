"""Reads large pictures of our own at a fraction of their size."""

import math

import numpy as np
from PIL import Image

from keras_tim.images.pictures import decode_picture
from keras_tim.images.png_rows import read_png_rows

# Rows of the reduced picture that are made at a time.
_ROWS = 64


def read_reduced(path, size, times):
    """Reads a picture that `write_picture` wrote, made smaller.

    Of PNG files that came in rows, and of JPEG files, no more than some rows or
    a smaller picture are held.

    Args:
        path: Path of the file.
        size: `(height, width)` of the picture in it.
        times: Integer, how many times smaller it is to be.

    Returns:
        A `float32` array of shape `(height, width, 3)` in `[0, 1]`, over white
        where it is transparent; sides are rounded up.

    Raises:
        PictureError: If the file cannot be read.
    """
    least = tuple(math.ceil(n / times) for n in size)
    try:
        with open(path, "rb") as file:
            bands = [
                _over_white(Image.fromarray(_eight_bits(rows)).reduce(times))
                for rows in read_png_rows(file, size, times * _ROWS)
            ]
        pixels = np.concatenate(bands)
    except (OSError, ValueError):  # another file, which Pillow may know
        pixels = _decoded(path, size, least)
    return pixels.astype(np.float32) / np.float32(255.0)


def _eight_bits(rows):
    """Rows of a PNG file as Pillow takes them."""
    if rows.itemsize == 2:
        rows = (rows >> 8).astype(np.uint8)
    return rows[..., 0] if rows.shape[-1] == 1 else rows


def _decoded(path, size, least):
    def smaller(image):
        if image.mode.startswith("I;16"):
            image = Image.fromarray(_eight_bits(np.asarray(image)[..., None]))
        if image.size == tuple(size[::-1]):
            image = image.reduce(math.ceil(size[0] / least[0]))
        return _over_white(image.resize(least[::-1], Image.Resampling.BOX))

    # Pillow suspects files of that size, but these are ours.
    suspected = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = max(suspected or 0, size[0] * size[1])
    try:
        return decode_picture(path, smaller, least)
    finally:
        Image.MAX_IMAGE_PIXELS = suspected


def _over_white(image):
    """A picture as RGB of 8 bits, over white."""
    image = image.convert("RGBA")
    white = Image.new("RGBA", image.size, "white")
    return np.asarray(Image.alpha_composite(white, image).convert("RGB"))
