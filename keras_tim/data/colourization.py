"""Colourization: the lightness of a crop in, its colours out."""

import numpy as np
import tensorflow as tf

from keras_tim.data.crops import (
    PARALLEL,
    check_divides_into_levels,
    crop_dataset,
    cut_to_multiple,
)
from keras_tim.tasks.colourization import rgb_to_lightness


def colourization_dataset(
    source=None, *, num_levels=3, crop_size=64, **options
):
    """Batches of the lightness of crops with the crops themselves.

    Any photos serve: what is taken from them is given back.

    Args:
        source: As for `crop_dataset`: a folder of photos, `None` for those
            bundled with scikit-image, `"tfds:NAME"`, or arrays.
        num_levels: Levels of the model, each half the size of the next.
        crop_size: Side of the square crop in pixels, a multiple of
            `2 ** (num_levels - 1)`.
        **options: As for `crop_dataset`: `batch_size`, `augment`, `shuffle`,
            `seed`, `repeat`, `start`, `exclude`, `only`, `tfds_split`,
            `data_dir`, `downsample`, `crops_per_picture` and `cache`.

    Returns:
        A `tf.data.Dataset` of pairs `(lightness, target)`: CIE lightness over
        100, of shape `(batch, crop_size, crop_size, 1)`, and RGB of shape
        `(batch, crop_size, crop_size, 3)`, both `float32` in `[0, 1]`. They
        belong to the model's finest level, and it makes those of the coarser
        levels from them.

    Raises:
        TypeError: If `source` is of no known kind.
        ValueError: If an argument is not as described, or no picture is
            usable.
        OSError: If a folder is missing or holds no picture.

    Example:
    ```python
    dataset = colourization_dataset(exclude=("chelsea",), num_levels=3)
    for lightness, target in dataset:
        ...  # (16, 64, 64, 1), (16, 64, 64, 3)
    ```
    """
    check_divides_into_levels(crop_size, num_levels)
    crops = crop_dataset(source, crop_size=crop_size, **options)
    pairs = crops.map(lambda crop: (rgb_to_lightness(crop), crop), **PARALLEL)
    return pairs.prefetch(tf.data.AUTOTUNE)


def colourization_pair(photo, multiple=1):
    """Makes the input and the target from one whole photo.

    Args:
        photo: Array of shape `(height, width, 3)`, `uint8` or floats in
            `[0, 1]`.
        multiple: Integer that the sides are cut to a multiple of, such as
            `TIM.input_multiple`.

    Returns:
        `(lightness, target)`, `float32` in `[0, 1]`, of shapes
        `(height, width, 1)` and `(height, width, 3)`. The target is the
        centre of the photo.

    Raises:
        ValueError: If an argument is not as described, or a side of the photo
            is shorter than `multiple`.
    """
    target = cut_to_multiple(photo, multiple)
    return np.asarray(rgb_to_lightness(target)), target


# The other spelling.
colorization_dataset = colourization_dataset
colorization_pair = colourization_pair
