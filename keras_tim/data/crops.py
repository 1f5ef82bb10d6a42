"""Random crops of photos, and whole photos: what the photo tasks share."""

import threading

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from keras_tim.checks import integer
from keras_tim.data.passes import of_length, successive_passes
from keras_tim.data.photos import MemoryBudget, list_photos
from keras_tim.images.pictures import PictureError, as_uint8
from keras_tim.lazy import keras_cv

# Decoded photos are kept up to this many bytes. Becoming one tensor takes them
# twice for a moment.
_MEMORY_LIMIT = 2**30
# A progress bar is worth its line from about a second of decoding.
_BYTES_WORTH_A_BAR = 2**26
# Top, left, horizontal flip, vertical flip, turn, enlargement.
_NUM_DRAWS = 6
LARGEST_SEED = 2**31 - 1
PARALLEL = {"num_parallel_calls": tf.data.AUTOTUNE, "deterministic": True}


def crop_dataset(
    source=None,
    *,
    crop_size=64,
    batch_size=16,
    augment=True,
    shuffle=True,
    seed=0,
    repeat=False,
    start=0,
    exclude=(),
    only=None,
    tfds_split=None,
    data_dir=None,
    downsample=1,
    crops_per_picture=1,
    enlarged=0.0,
    cache="auto",
):
    """Batches of random square crops of photos.

    Every picture gives `crops_per_picture` random crops a pass.

    The batches depend on the arguments alone: the n-th pass over the data set
    is the same in every process, whatever TensorFlow's global seed. With
    `shuffle` each pass has its own order, crops, flips and turns; without it
    all passes are the same. Crops, flips and turns copy pixels; only
    `enlarged` interpolates.

    Pictures that cannot be read or are smaller than a crop are skipped; a
    warning names each of them once. Where `repeat` is combined with
    `cache=False`, the next readable picture stands in for one that is found
    damaged.

    Args:
        source: `None` for the photos bundled with scikit-image; a folder of
            pictures; `"tfds:NAME"` or `"tfds:NAME:SPLIT"` for a prepared
            TensorFlow data set (with a feature `image` or `hr`; gray becomes
            RGB); an array of shape `(count, height, width, 3)`; a list of
            arrays of shape `(height, width, 3)`; or a dictionary from name to
            such arrays. Arrays are `uint8`, or floats in `[0, 1]`.
        crop_size: Side of the square crop in pixels.
        batch_size: Integer, examples in a batch. The last batch of a pass is
            smaller where the examples do not divide evenly.
        augment: Whether crops are flipped and turned by quarters, all eight
            orientations being equally likely.
        shuffle: Whether every pass has a new order and new random draws.
        seed: Integer from 0 to 2**31 - 1.
        repeat: Whether the data set goes on for ever. All batches are full
            then, and every iteration begins at the same batch.
        start: Integer, batches that an endless data set leaves out at its
            front, at no cost: what goes on there sees what it would have
            seen. A scalar `tf.Variable` is read whenever an iteration begins.
        exclude: Names of pictures to leave out, e.g. those held out for
            evaluation. A file answers to its path within the folder, its
            name, and its name without suffix; a picture of a TensorFlow data
            set to `NAME/SPLIT/NUMBER`, and to the splits that it is in.
        only: Names of pictures to keep; `None` keeps all.
        tfds_split: Split of the TensorFlow data set, such as `"train[:80%]"`.
            `None` for the one that `source` names, else for "train"; but for
            the last tenth where there is neither a test nor a validation
            split to hold out.
        data_dir: Folder of prepared TensorFlow data sets.
        downsample: Integer factor by which the pictures are reduced first,
            antialiased. It gives more detail per pixel and hides compression.
        crops_per_picture: Integer, crops of every picture in a pass.
        enlarged: Share of the crops, from 0 to 1, whose middle is enlarged
            twice to fill the crop. They look like what is out of focus, which
            a few sharp photos show too little of to learn that it must stay
            smooth.
        cache: `True` decodes all pictures once and keeps them in memory,
            `False` decodes a picture whenever it is used, and `"auto"` does
            the first where they take less than 1 GiB. Of more, or of
            pictures of unknown size, it keeps as many as that.

    Returns:
        A `tf.data.Dataset` of `float32` tensors in `[0, 1]`, of shape
        `(batch, crop_size, crop_size, 3)`.

    Raises:
        TypeError: If `source` is of no known kind.
        ValueError: If an argument is not as described, or no picture is
            usable.
        OSError: If a folder is missing or holds no picture.
    """
    crop_size = check_positive("crop_size", crop_size)
    batch_size = check_positive("batch_size", batch_size)
    downsample = check_positive("downsample", downsample)
    crops_per_picture = check_positive("crops_per_picture", crops_per_picture)
    seed = integer("seed", seed, 0, LARGEST_SEED)
    if not 0.0 <= enlarged <= 1.0:
        raise ValueError(
            f"`enlarged` must be from 0 to 1. Received: enlarged={enlarged!r}"
        )
    check_cache(cache)
    photos = list_photos(
        source,
        exclude=exclude,
        only=only,
        tfds_split=tfds_split,
        data_dir=data_dir,
        downsample=downsample,
    )
    photos = _large_enough(photos, crop_size, measure=cache is True)
    if cache == "auto":
        cache = all(photo.is_measured for photo in photos) and (
            sum(photo.num_bytes for photo in photos) <= _MEMORY_LIMIT
        )
        if not cache:
            budget = MemoryBudget(_MEMORY_LIMIT)
            for photo in photos:
                photo.budget = budget
    build = _examples_from_memory if cache else _examples_from_source
    one_pass, crop_batch, length = build(
        photos,
        crop_size,
        _PassDraws(seed, shuffle, crops_per_picture),
        batch_size,
        stand_in=repeat,
    )
    dataset = successive_passes(one_pass, length, batch_size, repeat, start)
    orient = _orientation() if augment else None

    def to_batch(place, draws):
        crop = tf.cast(crop_batch(place, draws), tf.float32) / 255.0
        if enlarged:
            chosen = draws[:, 5, None, None, None] < enlarged
            crop = tf.where(chosen, _middle_enlarged(crop), crop)
        return crop if orient is None else orient(crop, draws)

    dataset = dataset.batch(batch_size).map(to_batch, **PARALLEL)
    if repeat or cache:  # otherwise damaged files may shorten a pass
        batches = None if repeat else -(-length // batch_size)
        dataset = of_length(dataset, batches)
    return dataset


def whole_photos(
    source=None,
    *,
    smallest_side=1,
    exclude=(),
    only=None,
    tfds_split=None,
    data_dir=None,
    downsample=1,
    count=None,
):
    """Whole photos for evaluation, in the order of the source.

    Args:
        source: As for `crop_dataset`.
        smallest_side: Integer; photos with a shorter side are skipped.
        exclude: Names of pictures to leave out.
        only: Names of pictures to keep; `None` keeps all.
        tfds_split: Split of the TensorFlow data set. `None` for the one that
            `source` names, else for "test", else for "validation", else for
            the last tenth of "train".
        data_dir: Folder of prepared TensorFlow data sets.
        downsample: Integer factor by which the pictures are reduced first.
        count: Integer, how many to read at most; `None` for all.

    Returns:
        A list of `(name, photo)`, the photo being a `uint8` array of shape
        `(height, width, 3)`.

    Raises:
        TypeError: If `source` is of no known kind.
        ValueError: If an argument is not as described, or no picture is
            usable.
        OSError: If a folder is missing or holds no picture.
    """
    photos = large_photos(
        source,
        smallest_side=smallest_side,
        exclude=exclude,
        only=only,
        tfds_split=tfds_split,
        data_dir=data_dir,
        downsample=downsample,
    )
    pictures = []
    for photo in photos:
        if count is not None and len(pictures) >= count:
            break
        try:
            pictures.append((photo.name, photo.read()))
        except PictureError as error:
            logging.warning("Skipped a picture. %s", error)
    if not pictures:
        raise ValueError(_none_readable(photos))
    return pictures


def large_photos(
    source=None,
    *,
    smallest_side=1,
    exclude=(),
    only=None,
    tfds_split=None,
    data_dir=None,
    downsample=1,
    unusable=None,
    measure=False,
):
    """Lists what `whole_photos` reads, without decoding a folder's pictures.

    Args:
        source: As for `whole_photos`, as are all that follow.
        smallest_side: Integer.
        exclude: Names of pictures to leave out.
        only: Names of pictures to keep; `None` keeps all.
        tfds_split: As for `whole_photos`.
        data_dir: Folder of prepared TensorFlow data sets.
        downsample: Integer factor by which the pictures are reduced.
        unusable: List or `None`; it gets the names of pictures that cannot be
            read or are too small.
        measure: Whether the pictures of a TensorFlow data set are looked
            into, to leave out such ones. Otherwise that is found when they
            are read.

    Returns:
        A list of `keras_tim.data.photos.Photo`.

    Raises:
        TypeError: If `source` is of no known kind.
        ValueError: If an argument is not as described, or no picture is
            large enough.
        OSError: If a folder is missing or holds no picture.
    """
    downsample = check_positive("downsample", downsample)
    photos = list_photos(
        source,
        exclude=exclude,
        only=only,
        tfds_split=tfds_split,
        held_out=True,
        data_dir=data_dir,
        downsample=downsample,
        unusable=unusable,
    )
    return _large_enough(photos, smallest_side, unusable, measure)


def cut_to_multiple(photo, multiple):
    """The centre of a photo, as floats, its sides cut to a multiple.

    Args:
        photo: Array of shape `(height, width, 3)`, `uint8` or floats in
            `[0, 1]`.
        multiple: Integer that both sides are cut to a multiple of.

    Returns:
        A `float32` array in `[0, 1]`.

    Raises:
        ValueError: If the photo is not as described, or a side of it is
            shorter than `multiple`.
    """
    photo, multiple = np.asarray(photo), integer("multiple", multiple)
    if photo.dtype == np.uint8 and photo.ndim == 3 and photo.shape[-1] == 3:
        target = photo.astype(np.float32) / np.float32(255.0)
    else:
        as_uint8(photo, "photo")  # raises what is wrong
        target = np.clip(photo.astype(np.float32), 0.0, 1.0)
    if min(target.shape[:2]) < multiple:
        raise ValueError(
            f"`photo` must measure at least {multiple} pixels each way. "
            f"Received: photo.shape={photo.shape}"
        )
    return centre_cut(target, multiple)


def centre_cut(array, multiple):
    """The centre of an array, height and width cut to a multiple."""
    height, width = (side // multiple * multiple for side in array.shape[:2])
    top = (array.shape[0] - height) // 2
    left = (array.shape[1] - width) // 2
    return array[top : top + height, left : left + width]


def resized(images, size):
    """Antialiased bicubic interpolation, clipped to `[0, 1]`.

    Args:
        images: Float tensor `(batch, height, width, channels)`.
        size: `(height, width)` to resize to.

    Returns:
        A `float32` tensor of that size.
    """
    images = tf.image.resize(images, size, method="bicubic", antialias=True)
    return tf.clip_by_value(images, 0.0, 1.0)


class _PassDraws:
    """The order and the random numbers of each pass over the photos.

    They follow from `(seed, number of the pass)` without a generator's state,
    so that prefetching and unfinished passes change nothing.
    """

    def __init__(self, seed, shuffle, crops_per_picture):
        self.shuffle = shuffle
        self.crops_per_picture = crops_per_picture
        self._seed = seed

    def _key(self, number):
        number = number if self.shuffle else tf.zeros_like(number)
        return tf.stack([tf.cast(self._seed, tf.int64), number])

    def draws(self, number, num_photos):
        """Numbers in `[0, 1)`, `(num_photos, crops_per_picture, 6)`.

        They decide on top, left, two flips, turn, enlargement.
        """
        # The numbers must be the same on every machine, so the algorithm is
        # not left to be chosen.
        return tf.random.stateless_uniform(
            (num_photos, self.crops_per_picture, _NUM_DRAWS),
            self._key(number),
            alg="philox",
        )

    def order(self, number, count):
        """The numbers below `count` in the order of the pass."""
        numbers = tf.range(count)
        if not self.shuffle:
            return numbers
        return tf.random.experimental.stateless_shuffle(
            numbers, self._key(number), alg="philox"
        )


def _examples_from_memory(photos, crop_size, draws, batch_size, stand_in):
    """Examples cut from one tensor that holds all photos.

    Returns:
        A function that gives a pass of `(place, draws)`, see
        `successive_passes`; a function that turns a batch of them into
        `uint8` crops; and the number of examples in a pass.
    """
    pixels = np.empty(sum(photo.num_bytes for photo in photos), np.uint8)
    progress = None
    if pixels.size > _BYTES_WORTH_A_BAR:
        progress = keras.utils.Progbar(len(photos), unit_name="picture")
    starts, heights, widths, end = [], [], [], 0
    for index, photo in enumerate(photos):
        try:
            array = photo.read()
        except PictureError as error:
            logging.warning("Skipped a picture. %s", error)
        else:
            pixels[end : end + array.size] = array.ravel()
            starts.append(end)
            heights.append(array.shape[0])
            widths.append(array.shape[1])
            end += array.size
        if progress is not None:
            progress.update(index + 1)
    if not starts:
        raise ValueError(_none_readable(photos))
    num_photos, channels = len(starts), photos[0].num_channels
    length = num_photos * draws.crops_per_picture
    pixels = tf.constant(pixels[:end])
    starts = tf.constant(starts, tf.int64)
    heights = tf.constant(heights, tf.int64)
    widths = tf.constant(widths, tf.int64)

    def one_pass(number, left_out):
        places = draws.order(number, length)[left_out:]
        drawn = tf.reshape(draws.draws(number, num_photos), (-1, _NUM_DRAWS))
        return tf.data.Dataset.from_tensor_slices(
            (places // draws.crops_per_picture, tf.gather(drawn, places))
        )

    def crop_batch(photo, drawn):
        """Cuts a batch of crops from the flat tensor in a single gather."""
        height, width = tf.gather(heights, photo), tf.gather(widths, photo)
        top = _position(drawn[:, 0], height - crop_size)
        left = _position(drawn[:, 1], width - crop_size)
        first = tf.gather(starts, photo) + channels * (top * width + left)
        rows = channels * width[:, None] * tf.range(crop_size, dtype=tf.int64)
        row_bytes = tf.range(channels * crop_size, dtype=tf.int64)
        crops = tf.gather(
            pixels, (first[:, None] + rows)[..., None] + row_bytes
        )
        return tf.reshape(crops, (-1, crop_size, crop_size, channels))

    return one_pass, crop_batch, length


def _examples_from_source(photos, crop_size, draws, batch_size, stand_in):
    """Examples from photos that are decoded each time they are used.

    Returns:
        As `_examples_from_memory`. Without `stand_in` there are fewer
        examples than that where files turn out to be damaged.
    """
    damaged, lock = {}, threading.Lock()
    shape = (crop_size, crop_size, photos[0].num_channels)

    def read(index):
        """The photo, or None where it is found damaged."""
        try:
            return photos[index].read()
        except PictureError as error:
            with lock:
                known = index in damaged
                damaged[index] = error
            if len(damaged) == len(photos):
                raise ValueError(_none_readable(photos)) from error
            if not known:
                logging.warning("Skipped a picture. %s", error)
            return None

    def cut(index, drawn):
        crops = np.empty((len(drawn), *shape), np.uint8)
        # Passes of a known length can be begun anywhere: another photo takes
        # the place of one that is damaged.
        for further in range(len(photos) if stand_in else 1):
            photo = read((int(index) + further) % len(photos))
            if photo is not None:
                break
        if photo is None:
            return crops[:0], drawn[:0]
        # NumPy only: TensorFlow's operations, called from within one of its
        # own threads, wait for each other for ever.
        space = np.array(photo.shape[:2], np.int64) - crop_size
        corners = drawn[:, :2].astype(np.float64) * (space + 1)
        corners = np.minimum(corners.astype(np.int64), space)
        for row, (top, left) in enumerate(corners):
            crops[row] = photo[top : top + crop_size, left : left + crop_size]
        return crops, drawn

    def crops_of_photo(index, drawn):
        crops, drawn = tf.numpy_function(
            cut, [index, drawn], (tf.uint8, tf.float32)
        )
        crops.set_shape((None, *shape))
        drawn.set_shape((None, _NUM_DRAWS))
        return crops, drawn

    def one_pass(number, left_out):
        places = draws.order(number, len(photos))
        # Single crops are left out before their photos are decoded.
        single = draws.crops_per_picture == 1
        places = places[left_out:] if single else places
        drawn = tf.gather(draws.draws(number, len(photos)), places)
        dataset = tf.data.Dataset.from_tensor_slices((places, drawn))
        dataset = dataset.map(crops_of_photo, **PARALLEL)
        # Crops of one photo are spread over as many batches as there are
        # crops.
        dataset = dataset.interleave(
            lambda *crops: tf.data.Dataset.from_tensor_slices(crops),
            cycle_length=min(batch_size, len(photos)) if draws.shuffle else 1,
        )
        return dataset if single else dataset.skip(left_out)

    length = len(photos) * draws.crops_per_picture
    return one_pass, lambda crops, _: crops, length


def _middle_enlarged(crops):
    """The middle half of square crops, enlarged twice."""
    side = crops.shape[1]
    quarter = side // 4
    middle = crops[:, quarter : side - quarter, quarter : side - quarter]
    return resized(middle, (side, side))


def _position(draw, space):
    """A whole position from 0 to `space`, both included, for a draw."""
    position = tf.cast(draw, tf.float64) * tf.cast(space + 1, tf.float64)
    return tf.minimum(tf.cast(position, tf.int64), space)


def _orientation():
    """Returns a function that flips and turns a batch by its draws.

    KerasCV's layers do the work. The random numbers are handed to them, since
    the layers' own generators would make the batches depend on how far an
    earlier pass was read ahead. Its `RandomCrop` is not used: it samples a
    photo of side n at steps of `crop * (n - 1) / (n * (crop - 1))` pixels and
    so leaves out a row and a column within nearly every crop, it converts the
    whole photo to floats, and it enlarges photos that are too small.
    """
    flip = keras_cv.layers.RandomFlip(
        "horizontal_and_vertical", rate=0.5, seed=0, dtype="float32"
    )
    # Nearest neighbours copy pixels exactly at a quarter turn of a square.
    turn = keras_cv.layers.RandomRotation(
        (0.0, 0.25), interpolation="nearest", seed=0, dtype="float32"
    )

    def orient(images, draws):
        images = flip.augment_images(
            images,
            {
                "flip_horizontals": draws[:, 2:3],
                "flip_verticals": draws[:, 3:4],
            },
        )
        quarter = tf.where(draws[:, 4] > 0.5, np.pi / 2, 0.0)
        return turn.augment_images(images, {"angles": quarter})

    return orient


def _large_enough(photos, side, unusable=None, measure=False):
    """Drops photos smaller than `side` and warns of each by name.

    Photos whose files would have to be read for that are kept, and refuse to
    be read if they are smaller; unless `measure` is true.
    """
    kept, largest = [], (0, 0)
    for photo in photos:
        photo.smallest_side = side
        if not photo.is_measured and not measure:
            kept.append(photo)
            continue
        try:
            size = photo.size
        except PictureError as error:
            logging.warning("Skipped a picture. %s", error)
        else:
            if min(size) >= side:
                kept.append(photo)
                continue
            largest = max(largest, size)
            logging.warning("Skipped %s", photo.too_small(side))
        if unusable is not None:
            unusable.append(photo.name)
    if not kept:
        raise ValueError(
            f"`source` must hold pictures of at least {side} x {side} pixels "
            f"(after `downsample`). Received: {len(photos)} pictures, the "
            f"largest of (height, width)={largest}"
        )
    return kept


def _none_readable(photos):
    folder = f" in `{photos[0].path.parent}`" if photos[0].path else ""
    return (
        f"None of the {len(photos)} pictures{folder} can be read. The "
        "warnings above name what is wrong with each; copy or download them "
        "again."
    )


def check_positive(name, value):
    """Gives `value` as an `int`; `ValueError` unless it is positive."""
    return integer(name, value)


def check_cache(cache):
    """Raises `ValueError` unless `cache` is as for `crop_dataset`."""
    if cache not in (True, False, "auto"):
        raise ValueError(
            f'`cache` must be True, False or "auto". Received: cache={cache!r}'
        )


def check_divides_into_levels(crop_size, num_levels):
    """Raises `ValueError` unless a crop can be halved for every level."""
    crop_size = check_positive("crop_size", crop_size)
    num_levels = check_positive("num_levels", num_levels)
    if crop_size % 2 ** (num_levels - 1):
        raise ValueError(
            "`crop_size` must be a multiple of 2 ** (num_levels - 1). "
            f"Received: crop_size={crop_size}, num_levels={num_levels}"
        )
