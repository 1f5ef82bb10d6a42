"""Reads users' files into model inputs."""

import hashlib

import numpy as np

from keras_tim.images.jpeg import compressed
from keras_tim.images.labels import read_labels, reduce_labels
from keras_tim.images.pictures import (
    PictureError,
    picture_size,
    read_picture,
)
from keras_tim.inference.jpeg_files import deblocked_picture, kept_quantisation
from keras_tim.layers.resampling import bicubic_picture
from keras_tim.tasks.task import ALPHA

# What is measured is made whole: every pixel of the output takes about a
# kilobyte while it is made. Alternatives are made in tiles, and some formats
# hold them whole while they are written, at seven bytes per pixel; of others
# the end is only that of patience.
LARGEST_OUTPUT = 16_000_000
LARGEST_HELD = 500_000_000
LARGEST_ALTERNATIVE = 2_000_000_000


def read_input(tim, path, reduce=1, quality=None, deblock=0):
    """Reads what a model is given from a user's file.

    Args:
        tim: the `TIM`.
        path: str, a picture; for layouts a label map of the size that the
            picture is to have.
        reduce: int, factor by which it is reduced first.
        quality: int or None, JPEG quality at which it is compressed then, for
            tasks that repair that.
        deblock: int, 1 where the flat parts of a JPEG file lose the steps
            between their blocks first; 0 where they stay. See
            `keras_tim.inference.jpeg_files.deblocked_picture`.

    Returns:
        float32 array `[height, width, channels]` in [0, 1].

    Raises:
        PictureError: if the file cannot be used.
    """
    task = tim.task_definition
    if task.reads_labels:
        # By the header: what is too large is not even decoded.
        height, width = (side // reduce for side in picture_size(path))
        if min(height, width) < 2:
            raise PictureError(
                f"{path} is too small: {width} x {height} pixels"
                f"{f', reduced {reduce} times' if reduce > 1 else ''}."
            )
        refuse_large_output(path, height, width)
        if tim.classes is None:
            raise FileNotFoundError(
                "The model does not say what its classes are, and label maps "
                f"such as {path} mean nothing without: give the run folder, or "
                "put the run's classes.csv beside the model."
            )
        labels = read_labels(path, tim.label_classes)
        return tim.condition(reduce_labels(labels, reduce))
    # Colours are not mixed with white where transparency is kept.
    transparent = "spread" if ALPHA in task.keeps else "white"
    picture = _read_reduced(
        path, reduce, tim.output_factor, transparent, deblock
    )
    if quality is not None:
        picture = compressed(picture, quality)
    return tim.condition(picture)


def read_by(tim):
    """What `read_input` goes by beside the file, such as classes.

    Returns:
        str of 64 hexadecimal digits, another one where it is something else.
    """
    content = b""
    if tim.task_definition.reads_labels:
        content = tim.label_classes.as_text().encode()
    elif tim.components is not None:
        arrays = vars(tim.components)
        content = b"".join(
            np.asarray(arrays[name]).tobytes() for name in sorted(arrays)
        )
    return hashlib.sha256(content).hexdigest()


def _read_reduced(path, reduce, scale, transparent, deblock):
    """Reads a picture file, reduces it, and refuses what is too large."""
    height, width = (side // reduce for side in picture_size(path))
    if 0 in (height, width):
        raise PictureError(f"{path} is too small to be reduced {reduce} times.")
    refuse_large_output(path, height, width, scale, LARGEST_ALTERNATIVE)
    given = read_picture(path, transparent=transparent)
    if deblock:
        quantisation = kept_quantisation(path, given)
        if quantisation is not None:
            given = deblocked_picture(given, quantisation)
    if reduce > 1:
        given = bicubic_picture(given, (height, width))
    return given


def refuse_large_output(path, height, width, scale=1, most=None):
    """Raises `PictureError` where an output would not fit in memory.

    Args:
        path: str, the picture that messages name.
        height: int, pixels of the picture.
        width: int.
        scale: int, size of the output relative to the picture.
        most: int, pixels of the output that fit; None for those of a picture
            that is made whole.
    """
    most = LARGEST_OUTPUT if most is None else most
    if height * width * scale**2 <= most:
        return
    times = f"{scale} times larger it" if scale > 1 else "It"
    raise PictureError(
        f"{path} has {width} x {height} pixels. {times} would have more than "
        f"the {most:,} pixels that are made. Crop it, or reduce it first."
    )
