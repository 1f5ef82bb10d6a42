"""What a picture file holds that a network is not given, kept for its results.

Grey, 16 bits, transparency, a colour profile, and what a camera wrote down: a
result is a file like the one that it was made of.
"""

import contextlib
import dataclasses

import numpy as np
from PIL import ExifTags, Image

from keras_tim.inference.colours import from_srgb
from keras_tim.inference.pictures import as_float, read_decoded
from keras_tim.layers.resampling import bicubic_resize

# What results may keep; all but the suffix is up to an `Original`.
GREY, GAMUT, DEPTH, ALPHA, PROFILE, EXIF, SUFFIX = (
    *("grey", "gamut", "depth", "alpha"),
    *("profile", "exif", "suffix"),
)
# Differences that come of rounding to 8 bits, in dark tones the most.
_ROUNDING = 3.0 / 255.0

# As Pillow turns colours into grey: ITU-R BT.601.
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_BASE = ExifTags.Base
# What holds of a result, too. Of a TIFF file the other tags are its layout.
_KEPT_TAGS = (
    _BASE.ImageDescription,
    _BASE.Make,
    _BASE.Model,
    _BASE.XResolution,
    _BASE.YResolution,
    _BASE.ResolutionUnit,
    _BASE.Software,
    _BASE.DateTime,
    _BASE.Artist,
    _BASE.HostComputer,
    _BASE.Copyright,
    _BASE.XPTitle,
    _BASE.XPComment,
    _BASE.XPAuthor,
    _BASE.XPKeywords,
    _BASE.XPSubject,
)
_INTEROPERABILITY = 0xA005


@dataclasses.dataclass(frozen=True)
class Original:
    """What results take over from the file that they were made of.

    Attributes:
        path: str, the file, for messages.
        grey: bool, whether results are grey.
        deep: bool, whether they have 16 bits, where their format does.
        alpha: float32 array `[height, width]` in [0, 1] or None.
        profile: ICC profile as bytes, or None.
        beyond: float32 array `[height, width, 3]` or None: what colours in
            the space of the profile have beyond those of sRGB.
        exif: `PIL.Image.Exif` or None.
    """

    path: str
    grey: bool = False
    deep: bool = False
    alpha: np.ndarray | None = None
    profile: bytes | None = None
    beyond: np.ndarray | None = None
    exif: Image.Exif | None = None

    def over_white(self, picture):
        """Shows transparency, as sheets do.

        Args:
            picture: float array `[height, width, 3]` in [0, 1], of any size.

        Returns:
            float array of the same shape.
        """
        if self.alpha is None:
            return picture
        alpha = self._alpha(picture.shape[:2])
        return picture * alpha + (1.0 - alpha)

    def fitted(self, picture, with_alpha, with_depth, with_grey):
        """A result as its file is to hold it.

        Args:
            picture: float array `[height, width, 3]` in [0, 1], in sRGB.
            with_alpha: bool, whether the file can be transparent; if not, the
                picture is laid over white.
            with_depth: bool, whether it can have 16 bits.
            with_grey: bool, whether it can be grey.

        Returns:
            `(pixels, profile)`: array `[height, width, channels]` of uint8 or
            uint16, of 1 to 4 channels, the last of 2 or 4 being alpha; and the
            ICC profile that its colours are in, None for sRGB.
        """
        picture = np.asarray(picture, np.float32)
        if not with_alpha:
            picture = self.over_white(picture)
        grey = self.grey and with_grey
        if self.grey:
            picture = (picture @ _LUMA)[..., None]
            if not grey:
                picture = picture.repeat(3, axis=-1)
        picture, profile = from_srgb(picture, self.profile, grey, self.path)
        if self.beyond is not None and profile and not self.grey:
            picture = picture + _resized(self.beyond, picture.shape[:2])
        if self.alpha is not None and with_alpha:
            alpha = self._alpha(picture.shape[:2])
            picture = np.concatenate([picture, alpha], axis=-1)
        highest, dtype = 255, np.uint8
        if self.deep and with_depth:
            highest, dtype = 65535, np.uint16
        picture = np.clip(picture, 0.0, 1.0)
        return np.rint(picture * highest).astype(dtype), profile

    def described(self, size):
        """The EXIF data of a result.

        Args:
            size: `(height, width)` of it.

        Returns:
            List of `PIL.Image.Exif`, the fullest first: a file may refuse the
            first ones, being too long or damaged.
        """
        if self.exif is None:
            return [Image.Exif()]
        versions = []
        for without in ((), (_BASE.MakerNote,)):
            with contextlib.suppress(Exception):  # whatever is damaged in it
                versions.append(_carried(self.exif, size, without))
        return [*versions, Image.Exif()]

    def _alpha(self, size):
        """The transparency at a size, `[height, width, 1]`."""
        return np.clip(_resized(self.alpha[..., None], size), 0.0, 1.0)


def read_original(path, keeps):
    """Reads what results are to take over from a file.

    Args:
        path: path of the picture file.
        keeps: names of what they take over, such as `GREY`.

    Returns:
        An `Original`.

    Raises:
        PictureError: if the file cannot be used.
    """
    if not keeps:
        return Original(path)
    decoded = read_decoded(path)
    beyond = None
    if GAMUT in keeps and PROFILE in keeps and decoded.stored is not None:
        beyond = _beyond_srgb(decoded, path)
    return Original(
        path,
        grey=GREY in keeps and decoded.grey,
        deep=DEPTH in keeps and decoded.colours.dtype != np.uint8,
        alpha=as_float(decoded.alpha)
        if ALPHA in keeps and decoded.alpha is not None
        else None,
        profile=decoded.profile if PROFILE in keeps else None,
        beyond=beyond,
        exif=decoded.exif if EXIF in keeps else None,
    )


def _beyond_srgb(decoded, path):
    """See `Original.beyond`: what is lost on the way to sRGB and back."""
    there = as_float(decoded.colours)
    back, profile = from_srgb(there, decoded.profile, False, path)
    if profile is None:
        return None
    lost = as_float(decoded.stored) - back
    lost[np.abs(lost).max(axis=-1) <= _ROUNDING] = 0.0
    if decoded.alpha is not None:
        lost[decoded.alpha == 0] = 0.0
    return lost if lost.any() else None


def _resized(values, size):
    """An array `[height, width, channels]` at another size, bicubically."""
    if values.shape[:2] == tuple(size):
        return values
    return np.asarray(bicubic_resize(values[None], *size))[0]


def _carried(exif, size, without):
    """What of EXIF data holds of a result of some size."""
    carried = Image.Exif()
    for tag in _KEPT_TAGS:
        if tag in exif:
            carried[tag] = exif[tag]
    details = carried.get_ifd(ExifTags.IFD.Exif)
    details.update(exif.get_ifd(ExifTags.IFD.Exif))
    for tag in (_INTEROPERABILITY, *without):
        details.pop(tag, None)
    if details:
        details[_BASE.ExifImageHeight], details[_BASE.ExifImageWidth] = size
        carried[_BASE.ExifOffset] = details
    place = exif.get_ifd(ExifTags.IFD.GPSInfo)
    if place:
        carried.get_ifd(ExifTags.IFD.GPSInfo).update(place)
        carried[_BASE.GPSInfo] = carried.get_ifd(ExifTags.IFD.GPSInfo)
    if len(exif):
        # The pixels have been turned.
        carried[_BASE.Orientation] = 1
    carried.tobytes()
    return carried
