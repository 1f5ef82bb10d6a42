"""Where photos come from: scikit-image, a folder, TFDS or arrays."""

import importlib
import os
import pathlib

import keras
import numpy as np
from absl import logging
from PIL import Image

from keras_tim.checks import check_unit_range, is_floating
from keras_tim.inference.pictures import (
    PictureError,
    find_pictures,
    picture_size,
    read_picture,
)

# Files of scikit-image's wheel. They are read from disk by name because its
# own loaders download what a wheel lacks.
_BUNDLED = {
    "astronaut": "astronaut.png",
    "coffee": "coffee.png",
    "chelsea": "chelsea.png",
    "rocket": "rocket.jpg",
    "motorcycle": "motorcycle_left.png",
    "hubble_deep_field": "hubble_deep_field.jpg",
    "retina": "retina.jpg",
    "immunohistochemistry": "ihc.png",
}
# Grey: they say much about detail, and nothing about colours.
_BUNDLED_TEXTURES = {
    "brick": "brick.png",
    "camera": "camera.png",
    "grass": "grass.png",
    "gravel": "gravel.png",
}
_TFDS_PREFIX = "tfds:"
_TFDS_IMAGE_KEYS = ("image", "hr")


def sample_photos(textures=False):
    """Photos that come with scikit-image; nothing is downloaded.

    Args:
        textures: Whether grey photos of brick, grass, gravel and a man with a
            camera follow the colour photos. They teach what fine detail looks
            like, and would teach a model of colours that most things are
            grey.

    Returns:
        A dictionary from name to `uint8` array of shape `(height, width, 3)`.

    Raises:
        ImportError: If scikit-image is not installed.
        FileNotFoundError: If its wheel bundles none of the photos.
    """
    try:
        package = importlib.import_module("skimage.data")
    except ImportError as error:
        raise ImportError(
            "The sample photos are those bundled with scikit-image, which is "
            'not installed. Run `pip install "keras-tim[demo]"`, or name a '
            "folder of your own pictures."
        ) from error
    folder = pathlib.Path(package.__file__).parent
    names = _BUNDLED | _BUNDLED_TEXTURES if textures else _BUNDLED
    photos = {
        name: read_picture(folder / file, dtype="uint8")
        for name, file in names.items()
        if (folder / file).is_file()
    }
    if not photos:
        raise FileNotFoundError(
            f"scikit-image's folder `{folder}` holds none of the sample "
            'photos. Run `pip install --force-reinstall "keras-tim[demo]"`, '
            "or name a folder of your own pictures."
        )
    return photos


class Photo:
    """One photo of a source: a name, a size, and pixels on demand.

    Args:
        name: What messages call the photo.
        size: `(height, width)` before reduction.
        pixels: `uint8` array of shape `(height, width, 3)`, or `None` for a
            photo that is read from `path` each time.
        path: Path of the file, or `None`.
        downsample: The photo is reduced by this factor when it is read.
    """

    def __init__(self, name, size, pixels=None, path=None, downsample=1):
        self.name = name
        self.path = path
        self.downsample = downsample
        self.size = tuple(int(side) // downsample for side in size)
        self._pixels = pixels

    @property
    def num_bytes(self):
        """Bytes that the reduced photo takes in memory."""
        return self.size[0] * self.size[1] * 3

    def read(self):
        """Returns the reduced photo as `uint8`, `(height, width, 3)`."""
        pixels = self._pixels
        if pixels is None:
            pixels = read_picture(self.path, dtype="uint8")
        if self.downsample == 1:
            return pixels
        return reduce_photo(pixels, self.downsample)


def reduce_photo(pixels, factor):
    """Reduces a photo by a whole factor with antialiased bicubic filtering.

    Args:
        pixels: `uint8` array of shape `(height, width, 3)`.
        factor: Integer, at least 1. Rows and columns beyond a multiple of it
            are cut from the bottom and the right.

    Returns:
        A `uint8` array of shape `(height // factor, width // factor, 3)`.
    """
    height, width = (side // factor for side in pixels.shape[:2])
    whole = Image.fromarray(pixels[: height * factor, : width * factor])
    return np.array(whole.resize((width, height), Image.Resampling.BICUBIC))


def list_photos(
    source=None,
    *,
    exclude=(),
    only=None,
    tfds_split="train",
    data_dir=None,
    downsample=1,
    memory_limit=None,
):
    """Lists the photos of a source, without decoding those in a folder.

    Args:
        source: `None` for `sample_photos()`; a folder of pictures;
            `"tfds:NAME"` for a prepared TensorFlow data set; an array of
            shape `(count, height, width, 3)`; a list of arrays of shape
            `(height, width, 3)`; or a dictionary from name to such arrays.
            Arrays are `uint8`, or floats in `[0, 1]`.
        exclude: Names to leave out. A file answers to its path within the
            folder, its name, and its name without suffix.
        only: Names to keep; `None` keeps all.
        tfds_split: Split of the TensorFlow data set.
        data_dir: Folder of prepared TensorFlow data sets.
        downsample: Integer factor by which every photo is reduced.
        memory_limit: Bytes that a TensorFlow data set may take once decoded;
            `None` for no limit.

    Returns:
        A list of `Photo`.

    Raises:
        TypeError: If `source` is of no known kind.
        ValueError: If an argument is not as described, or no photo remains.
    """
    if source is None:
        arrays = sample_photos()
    elif isinstance(source, str) and source.startswith(_TFDS_PREFIX):
        arrays = _tfds_photos(
            source[len(_TFDS_PREFIX) :],
            tfds_split,
            data_dir,
            downsample,
            memory_limit,
        )
    elif isinstance(source, (str, os.PathLike)):
        arrays = None
    elif isinstance(source, dict):
        arrays = source
    elif isinstance(source, (list, tuple)) or hasattr(source, "__array__"):
        arrays = {f"photo {i}": array for i, array in enumerate(source)}
    else:
        raise TypeError(
            "`source` must be None, a folder, "
            f'"{_TFDS_PREFIX}NAME", a list, a dictionary or an array of '
            f"pictures. Received: source={source!r} of type "
            f"{type(source).__name__}"
        )
    if arrays is None:
        return _folder_photos(pathlib.Path(source), exclude, only, downsample)
    chosen = _choose({name: (name,) for name in arrays}, exclude, only)
    photos = []
    for name in chosen:
        pixels = _as_photo(arrays[name], name)
        photos.append(
            Photo(name, pixels.shape[:2], pixels, downsample=downsample)
        )
    if not photos:
        raise ValueError(
            "`source` must hold at least one picture after `exclude` and "
            f"`only`. Received: {len(arrays)} pictures, exclude={exclude!r}, "
            f"only={only!r}"
        )
    return photos


def _folder_photos(folder, exclude, only, downsample):
    paths = {str(p.relative_to(folder)): p for p in find_pictures(folder)}
    chosen = _choose(
        {name: (name, p.name, p.stem) for name, p in paths.items()},
        exclude,
        only,
    )
    photos = []
    for name in chosen:
        try:
            size = picture_size(paths[name])
        except PictureError as error:
            logging.warning("Skipped a picture. %s", error)
            continue
        photos.append(
            Photo(name, size, path=paths[name], downsample=downsample)
        )
    if not photos:
        raise ValueError(_none_left(folder, len(paths), len(chosen)))
    return photos


def _tfds_photos(name, split, data_dir, downsample, memory_limit):
    """Reads a prepared TensorFlow data set into a dictionary of arrays."""
    # Imported here because it takes seconds and few callers need it.
    import tensorflow_datasets as tfds

    try:
        dataset, info = tfds.load(
            name,
            split=split,
            data_dir=data_dir,
            download=False,
            with_info=True,
        )
    # TFDS raises its own classes, AssertionError among them.
    except Exception as error:
        raise ValueError(
            f'Cannot load "{_TFDS_PREFIX}{name}", split {split!r}, from '
            f"data_dir={data_dir!r}: {error}\nNothing is downloaded here. "
            "Check name, split and `data_dir`, or prepare the data set once "
            f'with `tensorflow_datasets.load("{name}", data_dir=...)`.'
        ) from error
    features = list(info.features)
    key = next((key for key in _TFDS_IMAGE_KEYS if key in features), None)
    if key is None:
        raise ValueError(
            f'"{_TFDS_PREFIX}{name}" must have a feature named '
            f"{' or '.join(_TFDS_IMAGE_KEYS)}. Received: "
            f"features={features}"
        )
    total = info.splits[split].num_examples
    progress = keras.utils.Progbar(total, unit_name="picture")
    photos, num_bytes = {}, 0
    for index, example in enumerate(tfds.as_numpy(dataset)):
        pixels = example[key]
        if pixels.shape[-1] == 1:
            pixels = np.repeat(pixels, 3, axis=-1)
        photos[f"{name}/{split}/{index}"] = pixels[..., :3]
        num_bytes += pixels.shape[0] * pixels.shape[1] * 3
        if memory_limit is not None and num_bytes > memory_limit:
            raise ValueError(
                f'"{_TFDS_PREFIX}{name}", split {split!r}, takes more than '
                f"{memory_limit / 2**30:.1f} GiB of memory once decoded. "
                f'Take a part, e.g. tfds_split="{split}[:{index}]", or pass '
                "cache=True to keep all of it."
            )
        if index % 100 == 0 or index + 1 == total:
            progress.update(index + 1)
    return photos


def _none_left(folder, found, unreadable):
    """Why no picture of a folder remains."""
    left_out = found - unreadable
    reasons = []
    if left_out:
        reasons.append(f"{left_out} held out from training or left out by name")
    if unreadable:
        reasons.append(f"{unreadable} unreadable, named in the warnings above")
    advice = "Add pictures"
    if left_out:
        advice += (
            ": one is held out to show samples of, unless others are named, "
            "and at least one more is needed to train on"
        )
    return (
        f"No usable picture in `{folder}`: {found} found, "
        f"{' and '.join(reasons)}. {advice}."
    )


def _as_photo(array, name):
    array = np.asarray(array)
    if array.ndim != 3 or array.shape[-1] != 3 or 0 in array.shape:
        raise ValueError(
            "Every picture of `source` must have the shape "
            f"(height, width, 3). Received: {name} of shape {array.shape}"
        )
    if array.dtype == np.uint8:
        return array
    if not is_floating(array):
        raise ValueError(
            "Every picture of `source` must be of uint8, or of a floating "
            f"type in [0, 1]. Received: {name} of type {array.dtype}"
        )
    check_unit_range(name, array)
    return np.rint(np.clip(array, 0, 1) * 255).astype(np.uint8)


def _choose(names, exclude, only):
    """Applies `exclude` and `only` to a dictionary from name to its names."""
    known = {alias for aliases in names.values() for alias in aliases}
    wanted = {}
    for argument, values in (("exclude", exclude), ("only", only)):
        if isinstance(values, str):
            values = (values,)
        wanted[argument] = None if values is None else set(values)
        unknown = sorted((wanted[argument] or set()) - known)
        if unknown:
            some = ", ".join(list(names)[:20])
            raise ValueError(
                f"`{argument}` must name pictures of the source. Received: "
                f"{argument}={values!r}, of which {unknown} are unknown. The "
                f"source holds {len(names)} pictures: {some}"
            )
    return [
        name
        for name, aliases in names.items()
        if not wanted["exclude"].intersection(aliases)
        and (only is None or wanted["only"].intersection(aliases))
    ]
