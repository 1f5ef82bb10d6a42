"""Super-resolution: a low-resolution crop in, the pyramid above it out."""

import math

import numpy as np
import tensorflow as tf

from keras_tim.checks import integer, is_integer
from keras_tim.data.crops import (
    PARALLEL,
    check_positive,
    crop_dataset,
    cut_to_multiple,
    resized,
    whole_photos,
)
from keras_tim.data.photos import sample_photos
from keras_tim.images.degradation import degraded as degrade

SCALES = (2, 4, 8, 16)


def super_resolution_dataset(
    source=None,
    *,
    scale=4,
    crop_size=64,
    num_levels=None,
    degraded=False,
    **options,
):
    """Batches of low-resolution crops with the pyramids of their targets.

    A crop is the last target; its antialiased bicubic reductions by 2, 4, ...
    are the targets before it, and its reduction by `scale` is the input.

    Args:
        source: As for `crop_dataset`: a folder of photos, `None` for those
            bundled with scikit-image, its textures among them (see
            `sample_photos`), `"tfds:NAME"`, or arrays.
        scale: Ratio of the sizes of the crop and of the input: 2, 4, 8 or 16.
        crop_size: Side of the square crop in pixels, a multiple of `scale`.
        num_levels: How many levels of the pyramid to give, counted from the
            crop downwards; `None` for all `log2(scale)`.
        degraded: Whether the inputs are blurred, noisy and compressed, as
            photos are that people have, see
            `keras_tim.images.degradation.degraded`; otherwise they are clean.
        **options: As for `crop_dataset`: `batch_size`, `augment`, `shuffle`,
            `seed`, `repeat`, `start`, `exclude`, `only`, `tfds_split`,
            `data_dir`, `downsample`, `crops_per_picture`, `enlarged` and
            `cache`.

    Returns:
        A `tf.data.Dataset` of pairs `(low_resolution, targets)`. The first is
        of shape `(batch, crop_size / scale, crop_size / scale, 3)`; the
        second is a tuple of images, coarsest first, each twice as large as
        the one before, the last of shape `(batch, crop_size, crop_size, 3)`.
        All are `float32` in `[0, 1]`.

    Raises:
        TypeError: If `source` is of no known kind.
        ValueError: If an argument is not as described, or no picture is
            usable.
        OSError: If a folder is missing or holds no picture.

    Example:
    ```python
    dataset = super_resolution_dataset(exclude=("chelsea",), scale=4)
    for low_resolution, (halfway, full) in dataset:
        ...  # (16, 16, 16, 3), (16, 32, 32, 3), (16, 64, 64, 3)
    ```
    """
    scale = _check_scale(scale)
    crop_size = check_positive("crop_size", crop_size)
    if crop_size % scale:
        raise ValueError(
            "`crop_size` must be a multiple of `scale`. Received: "
            f"crop_size={crop_size}, scale={scale}"
        )
    all_levels = int(math.log2(scale))
    if num_levels is None:
        num_levels = all_levels
    num_levels = integer("num_levels", num_levels, most=all_levels)
    sides = [crop_size >> level for level in reversed(range(num_levels))]

    low_side = crop_size // scale

    # NumPy and Pillow only: TensorFlow's operations, called from within one
    # of its own threads, wait for each other for ever.
    def all_degraded(crops):
        return np.stack([degrade(crop, scale) for crop in crops])

    def to_pair(crop):
        targets = [resized(crop, (side, side)) for side in sides[:-1]]
        if not degraded:
            return resized(crop, (low_side, low_side)), (*targets, crop)
        low = tf.numpy_function(all_degraded, [crop], tf.float32)
        low = tf.ensure_shape(low, (crop.shape[0], low_side, low_side, 3))
        return low, (*targets, crop)

    if source is None:
        source = sample_photos(textures=True)
    crops = crop_dataset(source, crop_size=crop_size, **options)
    return crops.map(to_pair, **PARALLEL).prefetch(tf.data.AUTOTUNE)


def super_resolution_pair(photo, scale, degraded=False):
    """Makes the input and the target from one whole photo.

    Args:
        photo: Array of shape `(height, width, 3)`, `uint8` or floats in
            `[0, 1]`.
        scale: 2, 4, 8 or 16.
        degraded: Whether the input is also blurred, noisy and compressed, the
            same photo always alike, see `keras_tim.images.degradation`.

    Returns:
        `(low_resolution, target)`, `float32` in `[0, 1]`. The target is the
        centre of the photo, its sides cut to multiples of `scale`; the input
        is its antialiased bicubic reduction, or what is degraded.

    Raises:
        ValueError: If an argument is not as described, or a side of the photo
            is shorter than `scale`.
    """
    scale = _check_scale(scale)
    target = cut_to_multiple(photo, scale)
    if degraded:
        return degrade(target, scale), target
    size = [side // scale for side in target.shape[:2]]
    return resized(target[None], size)[0].numpy(), target


def held_out_pictures(source=None, *, scale=4, **options):
    """Whole pictures for evaluation, in the order of the source.

    Args:
        source: As for `crop_dataset`.
        scale: 2, 4, 8 or 16.
        **options: As for `keras_tim.data.whole_photos`: `exclude`, `only`,
            `tfds_split`, `data_dir` and `downsample`.

    Returns:
        A list of `(name, low_resolution, target)`, see
        `super_resolution_pair`.

    Raises:
        TypeError: If `source` is of no known kind.
        ValueError: If an argument is not as described, or no picture is
            usable.
        OSError: If a folder is missing or holds no picture.
    """
    scale = _check_scale(scale)
    return [
        (name, *super_resolution_pair(pixels, scale))
        for name, pixels in whole_photos(source, smallest_side=scale, **options)
    ]


def _check_scale(scale):
    if not is_integer(scale) or scale not in SCALES:
        raise ValueError(
            f"`scale` must be one of {SCALES}. Received: scale={scale!r}"
        )
    return int(scale)
