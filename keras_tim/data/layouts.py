"""Layouts: semantic label maps in, the pictures they were drawn from out."""

import concurrent.futures
import dataclasses
import fnmatch
import itertools
import os
import pathlib

import keras
import numpy as np
import tensorflow as tf
from absl import logging
from PIL import Image

from keras_tim.checks import integer, integers
from keras_tim.data.class_files import Classes, read_classes
from keras_tim.data.crops import (
    LARGEST_SEED,
    PARALLEL,
    centre_cut,
    check_cache,
    check_positive,
    cut_to_multiple,
)
from keras_tim.data.passes import of_length, successive_passes
from keras_tim.data.photos import reduce_photo, sample_photos
from keras_tim.data.rarity import load_rarity
from keras_tim.images.alternatives import spread, window_sums
from keras_tim.images.labels import GREY_MODES, read_labels, reduce_labels
from keras_tim.images.pictures import (
    PictureError,
    decode_picture,
    find_pictures,
    picture_size,
    read_picture,
)
from keras_tim.tasks.layout_synthesis import one_hot_layout

# What data sets add to the names of their pictures and of their label maps.
# Of several maps of one picture the first in this order is taken.
_PICTURE_ENDINGS = ("", "_leftImg8bit")
_LABEL_ENDINGS = (
    "",
    "_L",
    "_gtFine_labelIds",
    "_gtCoarse_labelIds",
    "_train_id",
    "_gtFine_color",
    "_gtCoarse_color",
    "_train_color",
)
# Pictures and labels are kept in memory up to this many bytes.
_MEMORY_LIMIT = 2**31
# A progress bar is worth its line from about a second of decoding.
_WORTH_A_BAR = 500

# The bundled stand-in: tones by lightness, each smooth or rough.
_TONES = ("dark", "dim", "light", "bright")
_TILE = (96, 128)
_ROUGH = 0.05


@dataclasses.dataclass(frozen=True)
class Layout:
    """A picture and its label map.

    Attributes:
        name: what it is called: the picture's path within its folder.
        size: `(height, width)` in pixels.
        paths: paths of the picture and of the label map; None for those that
            come with the package.
        arrays: `(picture, labels)` where there are no paths.
        classes: the `Classes` of the label map.
    """

    name: str
    size: tuple
    paths: list | None
    arrays: tuple | None
    classes: Classes

    @property
    def aliases(self):
        """The names that the layout answers to."""
        path = pathlib.PurePath(self.name)
        return {self.name, path.name, path.stem}

    def read(self):
        """The picture `[height, width, 3]` and its labels, both uint8.

        Raises:
            PictureError: if a file cannot be used; the message names it.
        """
        if self.arrays is not None:
            return self.arrays
        picture, labels = self.paths
        return (
            read_picture(picture, dtype="uint8"),
            read_labels(labels, self.classes),
        )


def layout_dataset(
    pictures=None,
    labels=None,
    classes=None,
    *,
    num_levels=3,
    size=None,
    downsample=1,
    rarity=None,
    batch_size=16,
    shuffle=True,
    seed=0,
    repeat=False,
    start=0,
    exclude=(),
    only=None,
    cache="auto",
):
    """Batches of one-hot layouts with the pictures they belong to.

    Pictures and label maps are matched by their paths within the two folders,
    but for the suffix and for what is usual in CamVid (`_L`), Cityscapes
    (`_leftImg8bit`, `_gtFine_labelIds`, `_gtFine_color`) and BDD100K
    (`_train_id`). Nothing is flipped or turned, as published.

    A layout is half as large as its picture, since each level of the model
    doubles. The batches depend on the arguments alone.

    Args:
        pictures: Folder of pictures, or `None` for a stand-in made of the
            photos bundled with scikit-image (see `sample_layouts`).
        labels: Folder of label maps: 8-bit ids, palette-mode ids, or colours.
        classes: As for `keras_tim.data.read_classes`: a class file or the
            name of a known data set. `None` takes every id that occurs in
            the maps for a class, but 255, which is "other".
        num_levels: Integer, levels of the model. The sides of pictures are
            cut at the centre to multiples of `2 ** num_levels`.
        size: `(height, width)` that pictures (antialiased bicubic) and labels
            (nearest) are resized to first. It is needed where sizes differ.
        downsample: Integer factor by which both are reduced instead.
        rarity: What `keras-tim rarity` wrote, or a `Rarity`, or `None`. With
            it pictures of rare appearance are drawn more often, and every
            pixel gets a weight.
        batch_size: Integer, examples in a batch. The last batch of a pass is
            smaller where the examples do not divide evenly.
        shuffle: Whether every pass has a new order. Without it `rarity`
            weighs pixels alone.
        seed: Integer from 0 to 2**31 - 1.
        repeat: Whether the data set goes on for ever. All batches are full
            then, and every iteration begins at the same batch.
        start: As for `keras_tim.data.crop_dataset`.
        exclude: Names of pictures to leave out: a path within the folder, a
            file's name, with or without its suffix, or a pattern such as
            `"val/*"`.
        only: Names of pictures to keep; `None` keeps all.
        cache: `True` reads all pictures at once and keeps them in memory,
            `False` reads a picture when it is used, and `"auto"` keeps them
            where they take less than 2 GiB.

    Returns:
        A `tf.data.Dataset` of pairs `(layouts, pictures)`, `float32`: one-hot
        `(batch, height / 2, width / 2, classes + 1)` and `(batch, height,
        width, 3)` in `[0, 1]`. With `rarity` triples, the last being weights
        `(batch, height, width)`: what `fit` takes for `sample_weight`.

    Raises:
        ValueError: If an argument is not as described, a picture has no label
            map or one of another size, or a file cannot be used.
        OSError: If a folder is missing or holds no picture.
    """
    batch_size = check_positive("batch_size", batch_size)
    seed = integer("seed", seed, 0, LARGEST_SEED)
    check_cache(cache)
    layouts, classes = list_layouts(
        pictures, labels, classes, exclude=exclude, only=only
    )
    fit = Fit(num_levels, size, downsample)
    height, width = common_size(layouts, fit)
    channels = classes.num_channels
    if cache == "auto":
        cache = 4 * height * width * len(layouts) <= _MEMORY_LIMIT
    if rarity is not None:
        rarity = load_rarity(rarity).of([x.name for x in layouts], classes)
    kept = _read_all(layouts, fit) if cache else None

    def read(index):
        # NumPy and Pillow only: TensorFlow's operations, called from within
        # one of its own threads, wait for each other for ever.
        return kept[index] if cache else fit(*layouts[index].read())

    def read_in_graph(index):
        picture, labels = tf.numpy_function(read, [index], (tf.uint8, tf.uint8))
        picture.set_shape((height, width, 3))
        labels.set_shape((height, width))
        return picture, labels, index

    def to_example(picture, labels, index):
        one_hot = tf.one_hot(labels[:, ::2, ::2], channels)
        picture = tf.cast(picture, tf.float32) / 255.0
        if rarity is None:
            return one_hot, picture
        weights = tf.gather(tf.constant(rarity.weights), index)
        weights = tf.gather(weights, tf.cast(labels, tf.int32), batch_dims=1)
        return one_hot, picture, weights

    count = len(layouts)
    bins = None if rarity is None else rarity.bins
    one_pass = _orders(count, bins, shuffle, seed)
    dataset = successive_passes(one_pass, count, batch_size, repeat, start)
    dataset = dataset.map(read_in_graph, **PARALLEL)
    dataset = dataset.batch(batch_size).map(to_example, **PARALLEL)
    batches = None if repeat else -(-count // batch_size)
    return of_length(dataset, batches).prefetch(tf.data.AUTOTUNE)


def _read_all(layouts, fit):
    """Pictures and labels of all layouts, brought to size."""
    examples = []
    bar = None
    if len(layouts) > _WORTH_A_BAR:
        bar = keras.utils.Progbar(len(layouts), unit_name="picture")
    # Decoding releases Python's lock.
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for example in pool.map(lambda x: fit(*x.read()), layouts):
            examples.append(example)
            if bar is not None:
                bar.update(len(examples))
    return examples


def _orders(count, bins, shuffle, seed):
    """A function that gives the picture numbers of a pass.

    See `successive_passes`.
    """

    def order(number):
        if not shuffle:
            return np.arange(count)
        # From seed and number of the pass, so that prefetching and
        # unfinished passes change nothing.
        random = np.random.default_rng((seed, int(number)))
        if bins is None:
            return random.permutation(count)
        return np.searchsorted(bins, random.random(count), side="right") - 1

    def one_pass(number, left_out):
        numbers = tf.numpy_function(order, [number], tf.int64)
        numbers.set_shape((count,))
        return tf.data.Dataset.from_tensor_slices(numbers[left_out:])

    return one_pass


def layout_pair(picture, labels, classes, num_levels=3):
    """Makes the input and the target from one picture and its labels.

    Args:
        picture: Array of shape `(height, width, 3)`, `uint8` or floats in
            `[0, 1]`.
        labels: Array of shape `(height, width)`: numbers of classes, as
            `read_labels` gives them.
        classes: The `Classes` of the labels.
        num_levels: Integer, levels of the model.

    Returns:
        `(layout, target)`, `float32`: the one-hot labels of every second row
        and column, and the picture in `[0, 1]`. The target's sides are cut at
        the centre to multiples of `2 ** num_levels`.

    Raises:
        ValueError: If an argument is not as described.
    """
    num_levels = check_positive("num_levels", num_levels)
    picture, labels = np.asarray(picture), np.asarray(labels)
    if labels.shape != picture.shape[:2] or labels.dtype.kind not in "ui":
        raise ValueError(
            "`labels` must be integers of the picture's height and width. "
            f"Received: labels of shape {labels.shape} and {labels.dtype}, a "
            f"picture of shape {picture.shape}"
        )
    multiple = 2**num_levels
    target = cut_to_multiple(picture, multiple)
    if labels.min() < 0 or labels.max() >= classes.num_channels:
        raise ValueError(
            f"`labels` must be in [0, {classes.num_channels - 1}]. Received: "
            f"values from {labels.min()} to {labels.max()}"
        )
    labels = centre_cut(labels, multiple)
    return one_hot_layout(labels, classes), target


def held_out_layouts(
    pictures=None,
    labels=None,
    classes=None,
    *,
    num_levels=3,
    size=None,
    downsample=1,
    exclude=(),
    only=None,
    count=None,
):
    """Whole examples for evaluation, in the order of their names.

    Args:
        pictures: As for `layout_dataset`, as are all that follow but `count`.
        labels: Folder or `None`.
        classes: Class file, name, `Classes` or `None`.
        num_levels: Integer, levels of the model.
        size: `(height, width)` or `None`.
        downsample: Integer.
        exclude: Names or patterns to leave out.
        only: Names or patterns to keep, or `None`.
        count: Integer, how many to give, spread evenly over all of them, as
            neighbours are often alike; `None` for all.

    Returns:
        A list of `(name, layout, target)`, see `layout_pair`.

    Raises:
        ValueError: If an argument is not as described, a picture has no label
            map or one of another size, or a file cannot be used.
        OSError: If a folder is missing or holds no picture.
    """
    layouts, classes = list_layouts(
        pictures, labels, classes, exclude=exclude, only=only
    )
    layouts = spread(layouts, count)
    fit = Fit(num_levels, size, downsample)
    examples = []
    for layout in layouts:
        fit.size_of(layout)  # raises where it is too small
        pair = layout_pair(*fit(*layout.read()), classes, num_levels)
        examples.append((layout.name, *pair))
    return examples


def list_layouts(
    pictures=None,
    labels=None,
    classes=None,
    *,
    exclude=(),
    only=None,
    unusable=None,
):
    """Lists pictures with their label maps, without decoding them.

    Args:
        pictures: As for `layout_dataset`, as are all that follow.
        labels: Folder or `None`.
        classes: Class file, name, `Classes` or `None`.
        exclude: Names or patterns to leave out.
        only: Names or patterns to keep, or `None`.
        unusable: `None`, or a list that gets the names of pictures of which a
            file cannot be read. They are then left out, with a warning.

    Returns:
        Tuple of a list of `Layout` and the `Classes`.

    Raises:
        ValueError: If a picture has no label map or one of another size, or
            nothing remains.
        OSError: If a folder is missing or holds no picture.
    """
    if (pictures is None) != (labels is None):
        raise ValueError(
            "`pictures` and `labels` must be given both, or neither for the "
            f"bundled stand-in. Received: pictures={pictures!r}, "
            f"labels={labels!r}"
        )
    if pictures is None:
        if classes is not None:
            raise ValueError(
                "`classes` must be None without `pictures` and `labels`. "
                f"Received: classes={classes!r}"
            )
        layouts, classes = sample_layouts()
    else:
        pairs = _matched(pathlib.Path(pictures), pathlib.Path(labels))
        if unusable is not None:
            pairs = _readable(pairs, unusable)
        if classes is None:
            classes = _found_classes([label for _, _, label in pairs])
        classes = read_classes(classes)
        layouts = [
            Layout(name, _common_size(*paths), paths, None, classes)
            for name, *paths in pairs
        ]
    left_out = named(layouts, exclude, "exclude")
    kept = None if only is None else named(layouts, only, "only")
    chosen = [
        layout
        for layout in layouts
        if layout.name not in left_out and (kept is None or layout.name in kept)
    ]
    if not chosen:
        raise ValueError(
            "`exclude` and `only` must leave at least one picture. Training "
            "holds one out, unless others are named, and needs one more at "
            f"least. Received: {len(layouts)} pictures, exclude={exclude!r}, "
            f"only={only!r}"
        )
    return chosen, classes


def named(layouts, patterns, argument):
    """Names of the layouts that patterns name.

    Args:
        layouts: list of `Layout`.
        patterns: names or patterns, see `layout_dataset`.
        argument: str, what error messages call them.

    Returns:
        Set of str.

    Raises:
        ValueError: if one of them names nothing.
    """
    patterns = (patterns,) if isinstance(patterns, str) else tuple(patterns)
    named = set()
    for pattern in patterns:
        found = {
            layout.name
            for layout in layouts
            if pattern in layout.aliases
            or any(fnmatch.fnmatchcase(x, pattern) for x in layout.aliases)
        }
        if not found:
            some = ", ".join(layout.name for layout in layouts[:10])
            raise ValueError(
                f"`{argument}` must name pictures of the source. Received: "
                f"{pattern!r}, which is unknown. The source holds "
                f"{len(layouts)} pictures: {some}"
            )
        named |= found
    return named


def _matched(pictures, labels):
    """Tuples `(name, picture, label map)` in the order of their names."""
    maps = {}
    for path in find_pictures(labels):
        key = str(path.relative_to(labels).with_suffix(""))
        if key in maps:
            raise ValueError(
                f"There are two label maps for one picture: {maps[key]} and "
                f"{path}. Move one of them away."
            )
        maps[key] = path
    pairs, alone = [], []
    for path in find_pictures(pictures):
        name = path.relative_to(pictures)
        stem = str(name.with_suffix(""))
        candidates = [
            stem.removesuffix(ending) + added
            for ending in _PICTURE_ENDINGS
            if stem.endswith(ending)
            for added in _LABEL_ENDINGS
        ]
        found = next((maps[key] for key in candidates if key in maps), None)
        if found is None:
            alone.append(str(name))
        pairs.append((str(name), path, found))
    if alone:
        some = ", ".join(alone[:5])
        example = next(iter(maps.values())).relative_to(labels)
        raise ValueError(
            f"Every picture in {pictures} must have a label map of the same "
            f"name in {labels}. Received: {len(alone)} of {len(pairs)} without "
            f"one: {some}. A label map there is called {example}. Files may "
            "differ in their suffix, and in endings such as "
            f"{', '.join(_LABEL_ENDINGS[1:3])} and {_PICTURE_ENDINGS[1]}."
        )
    return pairs


def _readable(pairs, unusable):
    """The pairs whose headers can be read; the others' names are added."""
    readable = []
    for name, *paths in pairs:
        try:
            for path in paths:
                picture_size(path)
        except PictureError as error:
            logging.warning("Skipped a picture. %s", error)
            unusable.append(name)
        else:
            readable.append((name, *paths))
    if not readable:
        raise ValueError(
            f"None of the {len(pairs)} pictures with their label maps can be "
            "read. The warnings above name what is wrong with each."
        )
    return readable


def _common_size(picture, label):
    size, other = picture_size(picture), picture_size(label)
    if size != other:
        raise ValueError(
            "A picture and its label map must be of one size. Received: "
            f"{picture} of {size[1]} x {size[0]} and {label} of {other[1]} x "
            f"{other[0]} pixels."
        )
    return size


def _found_classes(paths):
    """A class for every id that occurs in label maps."""
    ids = np.zeros(256, bool)
    bar = keras.utils.Progbar(len(paths), unit_name="label map")

    def convert(image):
        if image.mode not in GREY_MODES:
            raise PictureError(
                f"Cannot use `{path}`: it holds colours, so that `classes` "
                "must say which they are."
            )
        found = np.unique(np.asarray(image))
        if found.max() > 255:
            raise PictureError(
                f"Cannot use `{path}` as a label map: labels must be in [0, "
                f"255]. Received: {found.max()}."
            )
        return found

    for number, path in enumerate(paths):
        ids[decode_picture(path, convert).astype(int)] = True
        bar.update(number + 1)
    return Classes.of_ids(np.flatnonzero(ids))


@dataclasses.dataclass(frozen=True)
class Fit:
    """How pictures and labels are brought to the size they are trained at.

    Attributes:
        num_levels: int, levels of the model: sides become multiples of
            `2 ** num_levels`.
        size: `(height, width)` to resize to, or None.
        downsample: int, factor to reduce by where there is no `size`.
    """

    num_levels: int = 3
    size: tuple | None = None
    downsample: int = 1

    def __post_init__(self):
        num_levels = check_positive("num_levels", self.num_levels)
        downsample = check_positive("downsample", self.downsample)
        size = None if self.size is None else integers("size", self.size)
        # It is frozen.
        object.__setattr__(self, "num_levels", num_levels)
        object.__setattr__(self, "downsample", downsample)
        object.__setattr__(self, "size", size)
        if size is None:
            return
        height, width = size
        if height % self.multiple or width % self.multiple:
            raise ValueError(
                f"`size` must be multiples of {self.multiple}, for "
                f"{self.num_levels} levels. Received: size={self.size}"
            )
        if self.downsample != 1:
            raise ValueError(
                "`downsample` must be 1 where `size` is given. Received: "
                f"size={self.size}, downsample={self.downsample}"
            )

    @property
    def multiple(self):
        """What the sides are multiples of."""
        return 2**self.num_levels

    def size_of(self, layout):
        """The size that a `Layout` is brought to."""
        if self.size is not None:
            return tuple(self.size)
        height, width = (
            side // self.downsample // self.multiple * self.multiple
            for side in layout.size
        )
        if 0 in (height, width):
            raise ValueError(
                f"{layout.name} is too small: its {layout.size[1]} x "
                f"{layout.size[0]} pixels, reduced {self.downsample} times, "
                f"are less than the {self.multiple} each way that "
                f"{self.num_levels} levels need."
            )
        return height, width

    def __call__(self, picture, labels):
        """Brings both to size: the picture antialiased, labels nearest.

        Args:
            picture: uint8 array `[height, width, 3]`.
            labels: uint8 array `[height, width]`.

        Returns:
            Both again, smaller.
        """
        if self.size is not None:
            size = self.size[::-1]
            picture = Image.fromarray(picture)
            picture = picture.resize(size, Image.Resampling.BICUBIC)
            labels = Image.fromarray(labels)
            labels = labels.resize(size, Image.Resampling.NEAREST)
            return np.array(picture), np.array(labels)
        picture = reduce_photo(picture, self.downsample)
        labels = reduce_labels(labels, self.downsample)
        return (
            np.ascontiguousarray(centre_cut(picture, self.multiple)),
            np.ascontiguousarray(centre_cut(labels, self.multiple)),
        )


def common_size(layouts, fit):
    """The one size that layouts are brought to.

    Args:
        layouts: list of `Layout`.
        fit: a `Fit`.

    Returns:
        `(height, width)`.

    Raises:
        ValueError: if there are several.
    """
    first = fit.size_of(layouts[0])
    for layout in layouts[1:]:
        size = fit.size_of(layout)
        if size != first:
            raise ValueError(
                "Pictures of several sizes need a `size` to be resized to. "
                f"Received: {layouts[0].name} of {first[1]} x {first[0]} and "
                f"{layout.name} of {size[1]} x {size[0]} pixels."
            )
    return first


def sample_layouts():
    """A stand-in for label maps, made of photos bundled with scikit-image.

    No label maps come with any package, so that these are computed: a class
    is a tone (dark, dim, light or bright) that is smooth or rough. They say
    nothing of colour, so that many colours are right. The photos are cut into
    tiles of 96 x 128 pixels, at their own size and at half and a third of it.

    Returns:
        Tuple of a list of `Layout` and the `Classes`.

    Raises:
        ImportError: if scikit-image is not installed.
    """
    classes = Classes(
        [
            (f"{tone} {surface}", number, _stand_in_colour(number))
            for number, (tone, surface) in enumerate(
                itertools.product(_TONES, ("smooth", "rough"))
            )
        ]
    )
    photos = sample_photos()
    layouts = []
    # The others are of no such scenes.
    for name in ("astronaut", "chelsea", "coffee", "motorcycle", "rocket"):
        for factor in (1, 2, 3):
            photo = reduce_photo(photos[name], factor)
            labels = _tones(photo)
            corners = itertools.product(
                *(
                    range(0, side - tile + 1, tile)
                    for side, tile in zip(labels.shape, _TILE, strict=True)
                )
            )
            for top, left in corners:
                rows = slice(top, top + _TILE[0])
                columns = slice(left, left + _TILE[1])
                arrays = photo[rows, columns], labels[rows, columns]
                title = f"{name} 1:{factor} {top},{left}"
                layouts.append(Layout(title, _TILE, None, arrays, classes))
    return layouts, classes


def _stand_in_colour(number):
    """Greys for what is smooth, browns for what is rough."""
    level = 40 + 30 * (number // 2 * 2)
    return (level, level, level) if number % 2 == 0 else (level + 35, level, 0)


def _tones(photo):
    """Labels of the stand-in: twice the tone, and one where it is rough."""
    lightness = photo @ np.array([0.299, 0.587, 0.114]) / 255.0
    mean = _box_mean(lightness, 4)
    variance = _box_mean(lightness**2, 4) - mean**2
    tone = np.minimum(_box_mean(mean, 4) * len(_TONES), len(_TONES) - 1)
    rough = _box_mean(np.sqrt(np.maximum(variance, 0.0)), 4) > _ROUGH
    return (2 * tone.astype(np.uint8) + rough).astype(np.uint8)


def _box_mean(values, radius):
    """Means over squares of `2 * radius + 1` pixels, edges repeated."""
    side = 2 * radius + 1
    padded = np.pad(values, radius, mode="edge")
    return window_sums(padded, side, side) / side**2
