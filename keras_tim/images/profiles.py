"""ICC profiles of displays: three primaries and a curve for each.

Nearly every profile of a photo is one. LittleCMS, by way of Pillow, converts
colours of 8 bits; here they are converted in floating point, so that 16 bits
stay 16 and dark tones do not go through the steps of another space.

Reference: ICC.1:2010, sections 8.3, 9.2, 10.5 and 10.15.
"""

import functools
import struct

import numpy as np
from PIL import ImageCms

_STEPS = 65536
# Rows that are converted at a time: what is in between takes double precision.
_PIXELS = 1 << 20


class MatrixProfile:
    """A profile of primaries and curves.

    Args:
        content: The profile as bytes.

    Raises:
        ValueError: If it is another kind of profile, or damaged.
    """

    def __init__(self, content):
        try:
            tags = _tags(content)
            # Where there is a table it takes precedence.
            if any(name in tags for name in (b"A2B0", b"A2B1")):
                raise ValueError("it goes by a table")
            self._to_xyz = np.stack(
                [_xyz(tags[c + b"XYZ"]) for c in (b"r", b"g", b"b")], axis=-1
            )
            self._from_xyz = np.linalg.inv(self._to_xyz)
            # What comes of wild exponents is told from numbers below.
            with np.errstate(all="ignore"):
                self._curves = [
                    _curve(tags[c + b"TRC"]) for c in (b"r", b"g", b"b")
                ]
        except (KeyError, struct.error, IndexError) as error:
            raise ValueError(f"it is damaged or lacks {error}") from error
        except np.linalg.LinAlgError as error:
            raise ValueError("its primaries lie on a line") from error
        if not all(
            np.isfinite(c).all() for c in (self._from_xyz, *self._curves)
        ):
            raise ValueError("its numbers are none")

    def convert(self, colours, target):
        """Converts colours; what the target lacks becomes the nearest it has.

        Args:
            colours: Float array of shape `(height, width, 3)` in `[0, 1]`.
            target: `MatrixProfile` of the space to convert them to.

        Returns:
            A `float32` array of the same shape in `[0, 1]`.
        """
        matrix = (target._from_xyz @ self._to_xyz).T.astype(np.float32)
        converted = np.empty(colours.shape, np.float32)
        rows = max(1, _PIXELS // max(1, colours.shape[1]))
        for start in range(0, len(colours), rows):
            part = np.asarray(colours[start : start + rows], np.float32)
            part = np.stack(
                [
                    _looked_up(c, part[..., k])
                    for k, c in enumerate(self._curves)
                ],
                axis=-1,
            )
            # Of dark tones the cube root tells more apart.
            part = np.cbrt(np.clip(part @ matrix, 0.0, 1.0))
            for k, curve in enumerate(target._inverse):
                converted[start : start + rows, :, k] = _looked_up(
                    curve, part[..., k]
                )
        return converted

    @functools.cached_property
    def _inverse(self):
        """Values of the profile at evenly spaced cube roots of linear ones."""
        values = np.linspace(0.0, 1.0, _STEPS)
        return [np.interp(values**3, curve, values) for curve in self._curves]


@functools.cache
def srgb_profile():
    """The `MatrixProfile` of sRGB."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    return MatrixProfile(profile.tobytes())


@functools.lru_cache(maxsize=16)
def matrix_profile(content):
    """The `MatrixProfile` of an ICC profile, `None` if it is of no such kind.

    Args:
        content: The profile as bytes.
    """
    try:
        return MatrixProfile(content)
    except ValueError:
        return None


def _tags(content):
    """Bodies of a profile's tags by their names."""
    (count,) = struct.unpack_from(">I", content, 128)
    if count > 1000 or content[16:20] != b"RGB " or content[20:24] != b"XYZ ":
        raise ValueError("it is none of primaries")
    tags = {}
    for number in range(count):
        name, start, size = struct.unpack_from(
            ">4sII", content, 132 + 12 * number
        )
        tags[name] = content[start : start + size]
    return tags


def _xyz(body):
    return np.array(struct.unpack_from(">3i", body, 8)) / 65536.0


def _curve(body):
    """A curve at evenly spaced values, from 0 to 1 and never falling."""
    x = np.linspace(0.0, 1.0, _STEPS)
    if body[:4] == b"para":
        y = _parametric(body, x)
    elif body[:4] == b"curv":
        (count,) = struct.unpack_from(">I", body, 8)
        if count == 0:
            y = x
        elif count == 1:
            y = x ** (struct.unpack_from(">H", body, 12)[0] / 256.0)
        else:
            table = np.frombuffer(body, ">u2", count, 12) / 65535.0
            y = np.interp(x, np.linspace(0.0, 1.0, count), table)
    else:
        raise ValueError("a curve is of an unknown kind")
    return np.maximum.accumulate(np.clip(y, 0.0, 1.0))


def _looked_up(curve, x):
    """A curve of `_STEPS` values at `x` in [0, 1], straight in between."""
    place = x * np.float32(_STEPS - 1)
    before = np.minimum(place.astype(np.int32), _STEPS - 2)
    curve = curve.astype(np.float32)
    step = np.diff(curve)
    return curve[before] + (place - before) * step[before]


def _parametric(body, x):
    (kind,) = struct.unpack_from(">H", body, 8)
    count = {0: 1, 1: 3, 2: 4, 3: 5, 4: 7}.get(kind)
    if count is None:
        raise ValueError("a curve is of an unknown kind")
    numbers = np.array(struct.unpack_from(f">{count}i", body, 12)) / 65536.0
    gamma, a, b, c, d, e, f = (*numbers, *[0.0] * (7 - count))
    if kind == 0:
        return x**gamma
    power = np.maximum(a * x + b, 0.0) ** gamma
    if kind in (1, 2):  # a x + b below 0 counts as 0, and c is added to all
        return power + c
    return np.where(x >= d, power + e, c * x + f)
