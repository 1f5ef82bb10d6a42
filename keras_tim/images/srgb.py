"""Colours of picture files: from the colour space of a file to sRGB."""

import functools
import io

import numpy as np
from absl import logging
from PIL import Image, ImageCms

from keras_tim.images.profiles import matrix_profile, srgb_profile

# As browsers show pictures: colours that sRGB has stay as they are, and black
# becomes black, also where ink on paper is meant.
_INTENT = ImageCms.Intent.RELATIVE_COLORIMETRIC
_FLAGS = ImageCms.Flags.BLACKPOINTCOMPENSATION
# What a profile is for, by the modes of the pictures that it may belong to.
_MODES = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK"}
_GREY = ("1", "L", "LA", "La")
# Of one profile it is said once, and of a folder of them not for ever.
_MOST_WARNINGS = 5


def to_srgb(image, path):
    """Converts a picture to sRGB by the ICC profile that is embedded in it.

    A profile that is damaged, or of another kind than the picture, is left
    aside: the values are taken as they are, which is what browsers do.

    Args:
        image: `PIL.Image.Image` of 8 bits per channel, whose transparency is
            ignored.
        path: Path of the file, for messages.

    Returns:
        A `PIL.Image.Image` of mode RGB.
    """
    profile = image.info.get("icc_profile")
    if image.mode == "LAB":
        return ImageCms.applyTransform(image, _from_lab())
    if not profile:
        return image.convert("RGB")
    try:
        mode, transform = _transform(profile)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError) as error:
        logging.log_first_n(
            logging.WARNING,
            "`%s` has a colour profile that cannot be used (%s). Its colours "
            "are taken for sRGB.",
            _MOST_WARNINGS,
            path,
            error,
        )
        return image.convert("RGB")
    if transform is None or not _belongs(mode, image.mode):
        return image.convert("RGB")
    return ImageCms.applyTransform(image.convert(mode), transform)


def grey_to_srgb(grey, info, path):
    """The same for grey of more than 8 bits.

    Args:
        grey: `float32` array of shape `(height, width)` in `[0, 1]`.
        info: Dictionary of the picture, see `PIL.Image.Image.info`.
        path: Path of the file, for messages.

    Returns:
        A `float32` array of shape `(height, width, 3)` in `[0, 1]`.
    """
    levels = np.arange(256)
    curve = _grey_curve(info.get("icc_profile"), path)
    if curve is None:
        return np.repeat(grey[..., None], 3, axis=-1)
    return np.stack(
        [
            np.interp(grey * 255.0, levels, curve[:, channel]) / 255.0
            for channel in range(3)
        ],
        axis=-1,
    ).astype(np.float32)


def deep_to_srgb(picture, info, path):
    """The same for colours of more than 8 bits.

    Args:
        picture: `float32` array of shape `(height, width, 3)` in `[0, 1]`.
        info: Dictionary of the picture, see `PIL.Image.Image.info`.
        path: Path of the file, for messages.

    Returns:
        A `float32` array of the same shape. By a profile that goes by a table
        it holds 8 bits, those that LittleCMS converts here.
    """
    profile = info.get("icc_profile")
    if not profile:
        return picture
    rounded = Image.fromarray(np.rint(picture * 255).astype(np.uint8))
    plain = np.asarray(rounded)
    rounded.info["icc_profile"] = profile
    converted = np.asarray(to_srgb(rounded, path))
    if np.array_equal(converted, plain):  # sRGB, or left aside
        return picture
    if (matrix := matrix_profile(profile)) is not None:
        return matrix.convert(picture, srgb_profile())
    return converted.astype(np.float32) / np.float32(255.0)


def from_srgb(picture, profile, grey, path):
    """Converts a picture back into the space of a file's profile.

    Args:
        picture: `float32` array of shape `(height, width, channels)` in
            `[0, 1]`, one channel where `grey`, else three.
        profile: ICC profile as bytes, or `None`.
        grey: Whether the picture is grey.
        path: Path of the file that held the profile, for messages.

    Returns:
        `(picture, profile)`: the converted picture, and the profile that
        belongs to it; `None` for sRGB, where the profile is of no use.
    """
    if not profile:
        return picture, None
    try:
        mode, transform = _transform(profile)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return picture, None  # `to_srgb` has said so
    if mode == "CMYK" or not _belongs(mode, "L" if grey else "RGB"):
        return picture, None
    if transform is None:
        return picture, profile
    if grey:
        curve = _grey_curve(profile, path)
        if curve is not None:
            curve = np.maximum.accumulate(curve.mean(axis=-1))
            levels = np.arange(256)
            picture = np.interp(picture * 255.0, curve, levels) / 255.0
        return picture.astype(np.float32), profile
    if (matrix := matrix_profile(profile)) is not None:
        return srgb_profile().convert(picture, matrix), profile
    try:
        back = ImageCms.buildTransform(
            ImageCms.createProfile("sRGB"),
            ImageCms.ImageCmsProfile(io.BytesIO(profile)),
            "RGB",
            "RGB",
            renderingIntent=_INTENT,
            flags=_FLAGS,
        )
    except (ImageCms.PyCMSError, OSError):  # it knows one direction only
        return picture, None
    rounded = Image.fromarray(np.rint(picture * 255).astype(np.uint8))
    converted = np.asarray(ImageCms.applyTransform(rounded, back))
    return converted.astype(np.float32) / np.float32(255.0), profile


def _grey_curve(profile, path):
    """256 levels of grey in sRGB, `[256, 3]`; None where it is the same."""
    levels = np.arange(256, dtype=np.uint8)
    ramp = Image.fromarray(levels[None])
    ramp.info["icc_profile"] = profile
    curve = np.asarray(to_srgb(ramp, path))[0]
    if np.array_equal(curve, levels[:, None].repeat(3, 1)):
        return None
    # LittleCMS converts 8 bits here. Means over neighbours take the steps out
    # of the curve, which is straight in between.
    padded = np.pad(
        curve.astype(float), ((2, 2), (0, 0)), "reflect", reflect_type="odd"
    )
    return (
        np.stack([padded[k : k + 256] for k in range(5)])
        .mean(axis=0)
        .clip(0, 255)
    )


@functools.lru_cache(maxsize=16)
def _transform(profile):
    """The mode that a profile is for, and its conversion to sRGB.

    The conversion is None where it would change nothing but the rounding.
    """
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    space = source.profile.xcolor_space
    if space not in _MODES:
        raise ValueError(f"it is for the colour space {space.strip()!r}")
    mode = _MODES[space]
    transform = ImageCms.buildTransform(
        source,
        ImageCms.createProfile("sRGB"),
        mode,
        "RGB",
        renderingIntent=_INTENT,
        flags=_FLAGS,
    )
    if mode == "CMYK":
        return mode, transform
    steps = np.arange(0, 256, 15, dtype=np.uint8)
    probe = np.stack(np.meshgrid(steps, steps, steps), axis=-1)
    if mode == "L":
        probe = np.arange(256, dtype=np.uint8)
    probe = Image.fromarray(probe.reshape(1, -1, *probe.shape[3:]))
    plain = np.asarray(probe.convert("RGB"), np.int16)
    converted = np.asarray(ImageCms.applyTransform(probe, transform), np.int16)
    return mode, transform if np.abs(converted - plain).max() > 1 else None


@functools.cache
def _from_lab():
    return ImageCms.buildTransform(
        ImageCms.createProfile("LAB"),
        ImageCms.createProfile("sRGB"),
        "LAB",
        "RGB",
        renderingIntent=_INTENT,
    )


def _belongs(profile_mode, mode):
    """Whether pictures of a mode can be what a profile describes."""
    if profile_mode == "CMYK" or mode == "CMYK":
        return profile_mode == mode
    # Grey in the values of an RGB space is grey there.
    return profile_mode == "RGB" or mode in _GREY
