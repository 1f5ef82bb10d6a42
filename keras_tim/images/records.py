"""Records that files of this package hold, so that none is taken for a photo.

Every sheet, map and alternative holds a record of how it came about. Folders
are never searched for photos among them: a model must not learn from its own
samples, nor be shown a heat map.
"""

import json
import os
import re

from PIL import ExifTags, Image
from PIL.PngImagePlugin import PngInfo

# Key of the text in a PNG file, and the first word of a comment elsewhere.
_KEY = "keras_tim"
_FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "TIFF", "AVIF")
_SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif"),
    *(".gif", ".webp", ".tif", ".tiff", ".avif"),
)
# What EXIF has a comment begin with that is plain text.
_ASCII = b"ASCII\0\0\0"
# A folder with `config.json` and one of these holds a run.
_CONFIG = "config.json"
_BESIDE_CONFIG = (
    "checkpoints",
    "contact_sheet.png",
    "history.csv",
    "model.keras",
    "training_samples.png",
)
# Written before there were records: alternatives with both of their sheets.
_ALTERNATIVE = re.compile(r"(.+)_seed\d{4,}\.png")


def record_text(record):
    """The key and the text of a record, as a PNG file holds them."""
    return _KEY, json.dumps(record, sort_keys=True)


def record_options(record, format):
    """Arguments of `PIL.Image.Image.save` that put a record into a file.

    Args:
        record: Dictionary that JSON can hold, or `None` for no record.
        format: `"PNG"`, `"GIF"` or `"WEBP"`.

    Returns:
        Dictionary.
    """
    if record is None:
        return {}
    if format == "PNG":
        info = PngInfo()
        info.add_text(*record_text(record))
        return {"pnginfo": info}
    if format == "WEBP":
        return {"exif": exif_with_record(Image.Exif(), record)}
    return {"comment": " ".join(record_text(record)).encode("ascii")}


def exif_with_record(exif, record):
    """EXIF data with a record for their comment.

    Args:
        exif: `PIL.Image.Exif`; it is changed.
        record: Dictionary that JSON can hold, or `None` for no record.

    Returns:
        `exif`.
    """
    if record is not None:
        comment = _ASCII + " ".join(record_text(record)).encode("ascii")
        details = exif.get_ifd(ExifTags.IFD.Exif)
        details[ExifTags.Base.UserComment] = comment
        exif[ExifTags.Base.ExifOffset] = details
    return exif


def read_record(path):
    """Reads the record of a picture that this package wrote.

    Args:
        path: Path of the file.

    Returns:
        Dictionary, or `None` for every other file.
    """
    if not os.fspath(path).lower().endswith(_SUFFIXES):
        return None
    # Ours may be larger than Pillow likes; no pixel of them is decoded here.
    suspected, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    # Whatever is wrong with a file, then it holds no record.
    try:
        with Image.open(path, formats=_FORMATS) as image:
            if image.format == "PNG":
                text = f"{_KEY} {image.info[_KEY]}"
            elif image.format == "GIF":
                text = image.info["comment"].decode("ascii")
            else:
                text = _exif_text(image)
        first, _, text = text.partition(" ")
        record = json.loads(text) if first == _KEY else None
    except Exception:
        return None
    finally:
        Image.MAX_IMAGE_PIXELS = suspected
    return record if isinstance(record, dict) else None


def _exif_text(image):
    """The comment in an open file; before, JPEG and WebP had it elsewhere."""
    exif = image.getexif()
    details = exif.get_ifd(ExifTags.IFD.Exif)
    comment = details.get(ExifTags.Base.UserComment, b"")
    if comment.startswith(_ASCII):
        return comment.removeprefix(_ASCII).decode("ascii")
    if image.format == "WEBP":
        return exif[ExifTags.Base.ImageDescription]
    return image.info["comment"].decode("ascii")


def holds_run(folder):
    """Whether a folder is that of a training run."""
    return os.path.isfile(os.path.join(folder, _CONFIG)) and any(
        os.path.exists(os.path.join(folder, name)) for name in _BESIDE_CONFIG
    )


def own_names(folder, names):
    """Which of a folder's pictures this package wrote.

    Args:
        folder: Path of the folder.
        names: Names of the picture files in it.

    Returns:
        Set of names.
    """
    present = set(names)
    own = set()
    for name in names:
        match = _ALTERNATIVE.fullmatch(name)
        sheets = match and {
            f"{match[1]}_sheet.png",
            f"{match[1]}_differences.png",
        }
        if sheets and sheets <= present:
            own |= {name, *sheets}
    return own | {
        name
        for name in present - own
        if read_record(os.path.join(folder, name)) is not None
    }
