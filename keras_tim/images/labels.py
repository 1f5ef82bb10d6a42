"""Label maps in files."""

import numpy as np

from keras_tim.images.pictures import PictureError, decode_picture

GREY_MODES = ("1", "L", "P", "I", "I;16", "I;16L", "I;16B")


def read_labels(path, classes):
    """Reads a label map.

    Args:
        path: Path of the file: 8-bit grey or palette mode for ids, RGB for
            colours. A palette-mode file is read by its colours where the
            class list has no ids.
        classes: A `Classes`.

    Returns:
        `uint8` array of shape `(height, width)`: numbers of classes.

    Raises:
        PictureError: If the file cannot be read, or holds ids or colours that
            the class list does not allow.
    """

    def convert(image):
        by_id = image.mode in GREY_MODES and not (
            image.mode == "P" and not classes.has_ids
        )
        if not (classes.has_ids if by_id else classes.has_colours):
            held, missing = ("ids", "id") if by_id else ("colours", "colour")
            raise PictureError(
                f"Cannot use `{path}`: it holds {held}, but no class of the "
                f"class list has {'an' if by_id else 'a'} {missing}."
            )
        try:
            if by_id:
                return classes.from_ids(np.asarray(image).astype(np.int64))
            return classes.from_colours(np.asarray(image.convert("RGB")))
        except ValueError as error:
            raise PictureError(
                f"Cannot use `{path}` as a label map: {error}."
            ) from error

    return decode_picture(path, convert)


def reduce_labels(labels, factor):
    """Every `factor`-th label, each from the middle of the part it stands for.

    Args:
        labels: array `[height, width]`.
        factor: int, at least 1. Rows and columns beyond a multiple of it are
            cut from the bottom and the right.

    Returns:
        Array `[height // factor, width // factor]`.
    """
    height, width = (side // factor * factor for side in labels.shape)
    start = factor // 2
    return labels[start:height:factor, start:width:factor]
