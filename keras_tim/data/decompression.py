"""Repair of JPEGs: a compressed crop in, the crop as it was out."""

import zlib

import numpy as np
import tensorflow as tf

from keras_tim.data.crops import (
    PARALLEL,
    check_divides_into_levels,
    crop_dataset,
    cut_to_multiple,
)
from keras_tim.images.jpeg import check_quality, compressed


def decompression_dataset(
    source=None, *, num_levels=2, crop_size=64, quality=1, **options
):
    """Batches of compressed crops with the crops as they were.

    The crops are compressed and decoded as they come, by libjpeg with its
    colours at half the resolution (4:2:0).

    Args:
        source: As for `crop_dataset`: a folder of photos, `None` for those
            bundled with scikit-image, `"tfds:NAME"`, or arrays.
        num_levels: Levels of the model, each half the size of the next.
        crop_size: Side of the square crop in pixels, a multiple of
            `2 ** (num_levels - 1)`.
        quality: JPEG quality, an integer from 1 (worst) to 100, or a pair of
            the least and the greatest, between which every crop gets its own.
        **options: As for `crop_dataset`: `batch_size`, `augment`, `shuffle`,
            `seed`, `repeat`, `start`, `exclude`, `only`, `tfds_split`,
            `data_dir`, `downsample`, `crops_per_picture` and `cache`.

    Returns:
        A `tf.data.Dataset` of pairs `(compressed, target)`, both RGB of shape
        `(batch, crop_size, crop_size, 3)`, `float32` in `[0, 1]`. They belong
        to the model's finest level, and it makes those of the coarser levels
        from them.

    Raises:
        TypeError: If `source` is of no known kind.
        ValueError: If an argument is not as described, or no picture is
            usable.
        OSError: If a folder is missing or holds no picture.

    Example:
    ```python
    dataset = decompression_dataset(exclude=("chelsea",), quality=1)
    for compressed, target in dataset:
        ...  # (16, 64, 64, 3) twice
    ```
    """
    check_divides_into_levels(crop_size, num_levels)
    least, greatest = (
        quality if isinstance(quality, list | tuple) else (quality, quality)
    )
    check_quality(least)
    check_quality(greatest)
    if least > greatest:
        raise ValueError(
            "`quality` must name the least quality first. Received: "
            f"quality={quality}"
        )

    # NumPy and Pillow only: TensorFlow's operations, called from within one
    # of its own threads, wait for each other for ever.
    def compress(crops):
        return np.stack([compressed(crop, chosen(crop)) for crop in crops])

    def chosen(crop):
        # From the crop itself, so that a data set can begin at any batch.
        seed = zlib.crc32(np.ascontiguousarray(crop))
        rng = np.random.default_rng(seed)
        return int(rng.integers(least, greatest, endpoint=True))

    def to_pair(crops):
        inputs = tf.numpy_function(compress, [crops], tf.float32)
        return tf.ensure_shape(inputs, crops.shape), crops

    crops = crop_dataset(source, crop_size=crop_size, **options)
    return crops.map(to_pair, **PARALLEL).prefetch(tf.data.AUTOTUNE)


def decompression_pair(photo, multiple=1, quality=1):
    """Makes the input and the target from one whole photo.

    Args:
        photo: Array of shape `(height, width, 3)`, `uint8` or floats in
            `[0, 1]`.
        multiple: Integer that the sides are cut to a multiple of, such as
            `TIM.input_multiple`.
        quality: JPEG quality, an integer from 1 to 100.

    Returns:
        `(compressed, target)`, `float32` in `[0, 1]`. The target is the
        centre of the photo; the input is what JPEG leaves of it.

    Raises:
        ValueError: If an argument is not as described, or a side of the photo
            is shorter than `multiple`.
    """
    target = cut_to_multiple(photo, multiple)
    return compressed(target, quality), target
