"""What JPEG files say of how they were compressed."""

import dataclasses

import numpy as np
from PIL import JpegImagePlugin

from keras_tim.images.pictures import (
    opened_picture,
    orientation_of,
    turns_aside,
)

BLOCK = 8
# Pillow's numbers: how many pixels one value of the colours stands for.
_CELLS = {0: (1, 1), 1: (1, 2), 2: (2, 2)}


@dataclasses.dataclass(frozen=True)
class Quantisation:
    """How coarsely a JPEG file keeps coefficients, and where its blocks lie.

    All is as the picture is shown, after its EXIF orientation.

    Attributes:
        luminance: int array `[8, 8]`, steps by vertical and horizontal
            frequency.
        chrominance: the same of the colour differences, or None.
        cell: `(height, width)` in pixels, what one value of the colour
            differences stands for.
        from_end: two bools, whether blocks are counted from the last row, and
            from the last column.
    """

    luminance: np.ndarray
    chrominance: np.ndarray | None
    cell: tuple[int, int] = (1, 1)
    from_end: tuple[bool, bool] = (False, False)

    @property
    def unit(self):
        """Height and width in pixels that whole blocks of all planes have."""
        return tuple(BLOCK * n for n in self.cell)

    def padding(self, height, width):
        """What is missing to whole units of a picture, for `numpy.pad`."""
        return [
            (-n % unit, 0) if from_end else (0, -n % unit)
            for n, unit, from_end in zip(
                (height, width), self.unit, self.from_end, strict=True
            )
        ]

    def turned(self, orientation):
        """The same of a picture that an EXIF orientation turns."""
        cell, tables = self.cell, [self.luminance, self.chrominance]
        if turns_aside(orientation):
            cell = cell[::-1]
            tables = [None if table is None else table.T for table in tables]
        return Quantisation(
            *tables,
            cell,
            (orientation in (3, 4, 7, 8), orientation in (2, 3, 6, 7)),
        )


def read_quantisation(path):
    """Reads how a JPEG file was compressed, from its header.

    Args:
        path: path of a picture file, or an `EncodedPicture`.

    Returns:
        A `Quantisation`; None for files that are no JPEG, have four channels,
        or colours that are halved in unusual ways.

    Raises:
        PictureError: if the file is missing, damaged or no picture.
    """
    with opened_picture(path) as image:
        if not isinstance(image, JpegImagePlugin.JpegImageFile):
            return None
        tables = [
            np.reshape(image.quantization[number], (BLOCK, BLOCK))
            for number in sorted(image.quantization)
        ]
        if image.mode == "L":
            found = Quantisation(tables[0], None)
        elif image.mode == "RGB":
            cell = _CELLS.get(JpegImagePlugin.get_sampling(image))
            if cell is None:
                return None
            # Who writes one table uses it for all.
            found = Quantisation(
                tables[0], tables[min(1, len(tables) - 1)], cell
            )
        else:
            return None
        return found.turned(orientation_of(image))
