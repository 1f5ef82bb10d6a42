"""Pictures of 16 bits per channel, which Pillow reads and writes at 8."""

import io
import re
import sys

import numpy as np
from PIL import ExifTags, Image, TiffImagePlugin

from keras_tim.lazy import tensorflow as tf

# How Pillow unpacks 16 bits: the high byte of every value.
_UNPACKED = re.compile(r"(RGB|RGBA|RGBX|LA);16([LBN])")


def is_deep_colour(image):
    """Whether an open picture, not yet loaded, has 16 bits in its colours.

    Args:
        image: `PIL.Image.Image` of a PNG or TIFF file; others are never deep.
    """
    return image.format in ("PNG", "TIFF") and _unpacking(image) is not None


def read_deep_colours(image, path, formats):
    """Reads colours of 16 bits; the picture itself is loaded by it.

    Args:
        image: what `is_deep_colour` is true of.
        path: `pathlib.Path` of its file, or an `EncodedPicture`.
        formats: Names of the formats that the file may be in.

    Returns:
        A `uint16` array of shape `(height, width, channels)`; 2 channels are
        grey and alpha, 4 are colours and alpha.
    """
    if image.format == "PNG":
        return _read_png(image, path)
    mode, order = _unpacking(image)
    if order == "N":
        order = "L" if sys.byteorder == "little" else "B"
    other = f"{mode};16{'B' if order == 'L' else 'L'}"
    image.load()
    # Read in the other order of bytes, what is taken is the low one.
    with (
        path.open("rb") as file,
        Image.open(file, formats=formats) as low,
    ):
        low.tile = [
            tile._replace(args=(other, *tile.args[1:])) for tile in low.tile
        ]
        low.load()
        values = np.asarray(image).astype(np.uint16) << 8
        values |= np.asarray(low)
    return values[..., :3] if mode == "RGBX" else values


def _unpacking(image):
    """Mode and order of bytes of 16-bit colours; None for others."""
    if not image.tile:
        return None
    arguments = image.tile[0].args
    if isinstance(arguments, tuple):
        arguments = arguments[0] if arguments else ""
    match = _UNPACKED.fullmatch(arguments or "")
    return match and match.groups()


def _read_png(image, path):
    with path.open("rb") as file:
        content = file.read()
    key = image.info.get("transparency")
    mode, _ = _unpacking(image)
    channels = 3 if mode == "RGB" else 4
    image.load()  # raises what is damaged, and reads what stands behind it
    values = tf.io.decode_png(content, channels, tf.uint16).numpy()
    if mode == "LA":
        return values[..., [0, 3]]
    if key is None or channels != 3:
        return values
    # One colour that stands for nothing.
    alpha = np.where((values == key).all(axis=-1), 0, 65535).astype(np.uint16)
    return np.dstack([values, alpha])


def write_deep_tiff(file, pixels, profile=None, exif=None):
    """Writes a TIFF file of 16 bits per channel, uncompressed.

    Args:
        file: Binary file to write to.
        pixels: `uint16` array of shape `(height, width, channels)` of 1 to 4
            channels.
        profile: ICC profile as bytes, or `None`.
        exif: EXIF block as bytes, or `None`.
    """
    if pixels.shape[-1] == 2:  # nothing that Pillow could read
        pixels = pixels[..., [0, 0, 0, 1]]
    height, width, channels = pixels.shape
    pixels = np.ascontiguousarray(pixels, "<u2")
    head = TiffImagePlugin.ImageFileDirectory_v2(b"II*\0\0\0\0\0")
    if exif:
        carried = Image.Exif()
        carried.load(exif)
        for tag in carried:
            is_folder = tag in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo)
            head[tag] = carried.get_ifd(tag) if is_folder else carried[tag]
    head[TiffImagePlugin.IMAGEWIDTH] = width
    head[TiffImagePlugin.IMAGELENGTH] = height
    head[TiffImagePlugin.BITSPERSAMPLE] = (16,) * channels
    head[TiffImagePlugin.COMPRESSION] = 1
    black_is_zero, rgb = 1, 2
    kind = black_is_zero if channels == 1 else rgb
    head[TiffImagePlugin.PHOTOMETRIC_INTERPRETATION] = kind
    head[TiffImagePlugin.SAMPLESPERPIXEL] = channels
    head[TiffImagePlugin.ROWSPERSTRIP] = height
    head[TiffImagePlugin.STRIPBYTECOUNTS] = pixels.nbytes
    # What is here is counted from the end of this directory.
    head[TiffImagePlugin.STRIPOFFSETS] = 0
    if channels == 4:
        head[TiffImagePlugin.EXTRASAMPLES] = 2  # alpha, not premultiplied
    if profile:
        head.tagtype[TiffImagePlugin.ICCPROFILE] = 7
        head[TiffImagePlugin.ICCPROFILE] = profile
    buffer = io.BytesIO()
    head.save(buffer)
    file.write(buffer.getvalue())
    file.write(pixels.tobytes())
