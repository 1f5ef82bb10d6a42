"""Picture files as they are written."""

import io

import numpy as np
from PIL import Image

from keras_tim.images.deep import write_deep_tiff
from keras_tim.images.jpeg_rows import write_jpeg
from keras_tim.images.png_rows import write_png
from keras_tim.images.records import (
    exif_with_record,
    record_options,
    record_text,
)

# Formats by suffix.
WRITERS = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".jpe": "JPEG",
    ".jfif": "JPEG",
    ".webp": "WEBP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".avif": "AVIF",
}
WITH_ALPHA = ("PNG", "TIFF", "WEBP", "AVIF")
WITH_DEPTH = ("PNG", "TIFF")
WITH_GREY = ("PNG", "TIFF", "JPEG", "AVIF")
# Formats that large pictures are written in without being held.
IN_ROWS = ("PNG", "JPEG")
# Pixels along a side that a format has numbers for.
LARGEST_SIDES = {"JPEG": 65500, "WEBP": 16383, "AVIF": 65535}
_OPTIONS = {
    "JPEG": {"quality": 95, "subsampling": 0},
    "WEBP": {"quality": 95, "alpha_quality": 100, "method": 4},
    # One thread: more of them would make other files on other machines.
    "AVIF": {
        "quality": 90,
        "subsampling": "4:4:4",
        "max_threads": 1,
        "autotiling": False,
    },
    # Compressed by libtiff, it could hold no EXIF data.
    "TIFF": {"compression": "raw"},
}


def writable_suffixes():
    """Suffixes of the files that this installation of Pillow writes."""
    Image.init()
    return tuple(s for s, name in WRITERS.items() if name in Image.SAVE)


def encode(file, pixels, format, profile=None, described=(), record=None):
    """Writes a picture to an open file.

    Args:
        file: Binary file to write to.
        pixels: Array of shape `(height, width, channels)` of `uint8` or, for
            PNG and TIFF, `uint16`; 2 and 4 channels end in alpha.
        format: A value of `WRITERS`.
        profile: ICC profile as bytes, or `None`.
        described: List of `PIL.Image.Exif`; the first one that the format
            takes is stored.
        record: Dictionary that JSON can hold, or `None`, see
            `keras_tim.images.records`.
    """
    start = file.tell()
    described = list(described) or [Image.Exif()]
    for number, exif in enumerate(described):
        try:
            return _encode(file, pixels, format, profile, exif, record)
        # Pillow raises nearly anything where a tag is of a wrong type.
        except (ValueError, TypeError, RuntimeError, KeyError):
            if number == len(described) - 1:
                raise
            file.seek(start)
            file.truncate()


def encode_rows(
    file, parts, size, format, profile=None, described=(), record=None
):
    """Writes a picture that comes in rows to an open file.

    Args:
        file: Binary file to write to.
        parts: Iterable of arrays as `encode` takes them, one below the other.
        size: `(height, width)` of the picture.
        format: `"PNG"` or `"JPEG"`.
        profile: As for `encode`.
        described: The same.
        record: The same.
    """

    def strip(pixels, number):
        stream = io.BytesIO()
        if number == 0:
            encode(stream, pixels, "JPEG", profile, described, record)
        else:
            encode(stream, pixels, "JPEG")
        return stream.getvalue()

    if format == "JPEG":
        write_jpeg(file, parts, size, strip)
    else:
        _write_png(file, parts, size, profile, _first_block(described), record)


def _first_block(described):
    """The first EXIF data that can be stored, as bytes; or None."""
    for exif in described:
        try:
            return _block(exif)
        except (ValueError, TypeError, RuntimeError, KeyError):
            continue
    return None


def _block(exif):
    return exif.tobytes() if len(exif) else None


def _write_png(file, parts, size, profile, block, record):
    text = None if record is None else record_text(record)
    write_png(file, parts, size, profile, block, text)


def _encode(file, pixels, format, profile, exif, record):
    if format != "PNG":
        exif = exif_with_record(exif, record)
    block = _block(exif)
    if pixels.dtype == np.uint16:
        if format == "TIFF":
            write_deep_tiff(file, pixels, profile, block)
        else:
            size = pixels.shape[:2]
            _write_png(file, [pixels], size, profile, block, record)
        return
    options = dict(_OPTIONS.get(format, {}))
    if format == "PNG":
        options |= record_options(record, "PNG")
    if block:
        options["exif"] = block
    if profile:
        options["icc_profile"] = profile
    if pixels.shape[-1] == 1:
        pixels = pixels[..., 0]
    Image.fromarray(pixels).save(file, format=format, **options)
