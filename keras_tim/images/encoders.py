"""Picture files as they are written."""

import numpy as np
from PIL import Image

from keras_tim.images.deep import write_deep_png, write_deep_tiff
from keras_tim.images.own import (
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
            `keras_tim.images.own`.
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


def _encode(file, pixels, format, profile, exif, record):
    if format != "PNG":
        exif = exif_with_record(exif, record)
    block = exif.tobytes() if len(exif) else None
    if pixels.dtype == np.uint16:
        if format == "TIFF":
            write_deep_tiff(file, pixels, profile, block)
        else:
            text = None if record is None else record_text(record)
            write_deep_png(file, pixels, profile, block, text)
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
