"""What a picture file holds that a network is not given, kept for its results.

Grey, 16 bits, transparency, a colour profile, and what a camera wrote down: a
result is a file like the one that it was made of.
"""

import contextlib
import dataclasses

import numpy as np
from PIL import ExifTags, Image

from keras_tim.images.pictures import as_float, read_decoded
from keras_tim.images.resizing import resized_band
from keras_tim.images.rows import (
    band_height,
    in_bands,
    whole,
    with_profile,
)
from keras_tim.images.srgb import from_srgb
from keras_tim.layers.resampling import bicubic_resize
from keras_tim.tasks.task import ALPHA, DEPTH, EXIF, GAMUT, GREY, PROFILE

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
# Rows beside a band that its bicubic interpolation takes, and one more.
_BESIDE = 3


@dataclasses.dataclass(frozen=True)
class Original:
    """What results take over from the file that they were made of.

    Attributes:
        path: str, the file, for messages.
        grey: bool, whether results are grey.
        deep: bool, whether they have 16 bits, where their format does.
        alpha: float32 array `[height, width]` in [0, 1] or None.
        profile: ICC profile as bytes, or None.
        beyond: float16 array `[height, width, 3]` or None: what colours in
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
        alpha = _resized(self.alpha[..., None], picture.shape[:2])
        alpha = np.clip(alpha, 0.0, 1.0)
        return picture * alpha + (1.0 - alpha)

    def fitted(self, picture, with_alpha, with_depth, with_grey):
        """A result as its file is to hold it.

        Args:
            picture: array `[height, width, 3]` in sRGB, float in [0, 1] or
                uint8. It is looked at in bands: large ones take no more
                memory than the result and a little.
            with_alpha: bool, whether the file can be transparent; if not, the
                picture is laid over white.
            with_depth: bool, whether it can have 16 bits.
            with_grey: bool, whether it can be grey.

        Returns:
            `(pixels, profile)`: array `[height, width, channels]` of uint8 or
            uint16, of 1 to 4 channels, the last of 2 or 4 being alpha; and the
            ICC profile that its colours are in, None for sRGB.
        """
        if self._is_plain(self.deep and with_depth) and (
            picture.dtype == np.uint8
        ):
            return picture, None
        size = picture.shape[:2]
        bands = self.fitted_rows(
            [picture], size, with_alpha, with_depth, with_grey
        )
        parts, profile = with_profile(bands)
        return whole(parts, size), profile

    def fitted_rows(self, parts, size, with_alpha, with_depth, with_grey):
        """A result that comes in rows, as its file is to hold it.

        Args:
            parts: iterable of arrays `[rows, width, 3]`, one below the other,
                as `fitted` takes them.
            size: `(height, width)` of the whole.
            with_alpha: as for `fitted`.
            with_depth: the same.
            with_grey: the same.

        Yields:
            `(pixels, profile)` as `fitted` returns them, of some rows. They do
            not depend on how the picture is cut into parts.
        """
        deep = self.deep and with_depth
        highest, dtype = (65535, np.uint16) if deep else (255, np.uint8)
        top = 0
        for rows in in_bands(parts, band_height(size[1])):
            band = slice(top, top + len(rows))
            part, profile = self._fitted(
                as_float(rows), size, band, with_alpha, with_grey
            )
            part = np.clip(part, 0.0, 1.0) * highest
            yield np.rint(part).astype(dtype), profile
            top = band.stop

    def _is_plain(self, deep):
        """Whether results are as they come."""
        kept = (self.alpha, self.profile, self.beyond)
        return not (self.grey or deep) and all(x is None for x in kept)

    def _fitted(self, picture, size, band, with_alpha, with_grey):
        """Some rows of a result of some size, in [0, 1] or nearly."""
        picture = np.asarray(picture, np.float32)
        alpha = None
        if self.alpha is not None:
            alpha = _resized(self.alpha[..., None], size, band)
            alpha = np.clip(alpha, 0.0, 1.0)
            if not with_alpha:
                picture = picture * alpha + (1.0 - alpha)
        grey = self.grey and with_grey
        if self.grey:
            picture = (picture @ _LUMA)[..., None]
            if not grey:
                picture = picture.repeat(3, axis=-1)
        picture, profile = from_srgb(picture, self.profile, grey, self.path)
        if self.beyond is not None and profile and not self.grey:
            picture = picture + _resized(self.beyond, size, band)
        if alpha is not None and with_alpha:
            picture = np.concatenate([picture, alpha], axis=-1)
        return picture, profile

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
    height, width = decoded.colours.shape[:2]
    beyond = None
    rows = band_height(width)
    for top in range(0, height, rows):
        band = slice(top, top + rows)
        there = as_float(decoded.colours[band])
        back, profile = from_srgb(there, decoded.profile, False, path)
        if profile is None:
            return None
        lost = as_float(decoded.stored[band]) - back
        lost[np.abs(lost).max(axis=-1) <= _ROUNDING] = 0.0
        if decoded.alpha is not None:
            lost[decoded.alpha[band] == 0] = 0.0
        if beyond is None and lost.any():
            beyond = np.zeros((height, width, 3), np.float16)
        if beyond is not None:
            beyond[band] = lost
    return beyond


def _resized(values, size, band=slice(None)):
    """Rows of an array `[h, w, channels]` at another size, bicubically."""
    height, width = size
    start, stop, _ = band.indices(height)
    if values.shape[:2] == (height, width):
        return values[start:stop]
    factor = height // values.shape[0]
    if (height, width) != tuple(factor * n for n in values.shape[:2]):
        return resized_band(values, size, start, stop)
    # What is far from the band does not matter to it.
    first = max(0, start // factor - _BESIDE)
    last = -(-stop // factor) + _BESIDE
    part = values[first:last].astype(np.float32)
    resized = bicubic_resize(part[None], len(part) * factor, width)
    above = first * factor
    return np.asarray(resized)[0, start - above : stop - above]


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
