"""Where photos come from: scikit-image, a folder, TFDS or arrays."""

import functools
import importlib
import os
import pathlib
import threading

import numpy as np
from absl import logging
from PIL import Image

from keras_tim.checks import check_unit_range, is_floating
from keras_tim.data.sources import TFDS_PREFIX, is_tfds
from keras_tim.data.tfds_pictures import TfdsPictures
from keras_tim.images.pictures import (
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


class MemoryBudget:
    """Memory that decoded photos share.

    Args:
        num_bytes: How much of it there is.
    """

    def __init__(self, num_bytes):
        self._left = num_bytes
        self._lock = threading.Lock()

    def take(self, num_bytes):
        """Takes some of it, if there is as much; says whether it did."""
        with self._lock:
            enough = num_bytes <= self._left
            if enough:
                self._left -= num_bytes
        return enough


class Photo:
    """One photo of a source: a name, a size, and pixels on demand.

    Args:
        name: What messages call the photo.
        size: `(height, width)` before reduction, or `None` for a photo whose
            header is read when its size is asked for.
        pixels: `uint8` array of shape `(height, width, 3)`, or `None` for a
            photo that is read each time.
        path: Path of the file, or `None`.
        encoded: Function without arguments that gives an `EncodedPicture`, in
            place of a path, or `None`.
        downsample: The photo is reduced by this factor when it is read.

    Attributes:
        num_channels: Integer, channels of what `read` gives.
        smallest_side: A photo found to be smaller cannot be read.
        budget: `MemoryBudget` or `None`: decoded pixels are kept while it
            lasts.
    """

    num_channels = 3

    def __init__(
        self,
        name,
        size,
        pixels=None,
        path=None,
        encoded=None,
        downsample=1,
    ):
        self.name = name
        self.path = path
        self.downsample = downsample
        self.smallest_side = 1
        self.budget = None
        self._size = None if size is None else self._reduced(size)
        self._pixels = pixels
        self._encoded = encoded
        self._kept = None

    @property
    def is_measured(self):
        """Whether the size is known without reading anything."""
        return self._size is not None

    @property
    def size(self):
        """`(height, width)` of the reduced photo.

        Raises:
            PictureError: If its file has to be read for that, and cannot.
        """
        if self._size is None:
            self._size = self._reduced(picture_size(self._file()))
        return self._size

    @property
    def num_bytes(self):
        """Bytes that the reduced photo takes in memory."""
        return self.size[0] * self.size[1] * self.num_channels

    def read(self):
        """The reduced photo as `uint8`, `(height, width, num_channels)`.

        It may be shared: it must not be changed.

        Raises:
            PictureError: If the file cannot be used, or is too small.
        """
        if self._kept is not None:
            return self._kept
        pixels = self._decoded()
        if self.downsample != 1 and min(self._reduced(pixels.shape)) > 0:
            pixels = reduce_photo(pixels, self.downsample)
        if min(pixels.shape[:2]) < self.smallest_side:
            raise PictureError(self.too_small(self.smallest_side))
        if (
            self.budget is not None
            and pixels is not self._pixels
            and self.budget.take(pixels.nbytes)
        ):
            self._kept = pixels
        return pixels

    def too_small(self, side):
        """A sentence that says that the photo is smaller than `side`."""
        height, width = self.size
        reduced = ""
        if self.downsample > 1:
            reduced = f" once reduced by {self.downsample}"
        return (
            f"`{self.name}` measures {height} x {width} pixels{reduced}, less "
            f"than the {side} x {side} that are needed. Use a larger picture "
            "or a smaller crop."
        )

    def _decoded(self):
        """The photo before reduction."""
        if self._pixels is not None:
            return self._pixels
        return read_picture(self._file(), dtype="uint8")

    def _file(self):
        return self.path if self._encoded is None else self._encoded()

    def _reduced(self, size):
        return tuple(int(side) // self.downsample for side in size[:2])


def reduce_photo(pixels, factor):
    """Reduces a photo by a whole factor with antialiased bicubic filtering.

    Args:
        pixels: `uint8` array of shape `(height, width, channels)`, every three
            of the channels being colours.
        factor: Integer, at least 1. Rows and columns beyond a multiple of it
            are cut from the bottom and the right.

    Returns:
        A `uint8` array of shape `(height // factor, width // factor,
        channels)`.
    """
    height, width = (side // factor for side in pixels.shape[:2])
    whole = pixels[: height * factor, : width * factor]
    return np.concatenate(
        [
            Image.fromarray(whole[..., first : first + 3]).resize(
                (width, height), Image.Resampling.BICUBIC
            )
            for first in range(0, pixels.shape[-1], 3)
        ],
        axis=-1,
    )


def list_photos(
    source=None,
    *,
    exclude=(),
    only=None,
    tfds_split=None,
    held_out=False,
    data_dir=None,
    downsample=1,
    unusable=None,
):
    """Lists the photos of a source, without decoding files.

    Args:
        source: `None` for `sample_photos()`; a folder of pictures;
            `"tfds:NAME"` or `"tfds:NAME:SPLIT"` for a prepared TensorFlow
            data set; an array of shape `(count, height, width, 3)`; a list of
            arrays of shape `(height, width, 3)`; or a dictionary from name to
            such arrays. Arrays are `uint8`, or floats in `[0, 1]`. A list of
            `Photo` is listed already: no other argument counts.
        exclude: Names to leave out. A file answers to its path within the
            folder, its name, and its name without suffix; a picture of a
            TensorFlow data set to `NAME/SPLIT/NUMBER`, and to the splits that
            it is in, such as `"train[90%:]"`.
        only: Names to keep; `None` keeps all. Those of a TensorFlow data set
            may be of any split.
        tfds_split: Split of the TensorFlow data set, in place of one that
            `source` names. `None` for `TfdsPictures.training_split`.
        held_out: Whether `None` stands for the split that `source` names,
            else `TfdsPictures.held_out_split`, instead.
        data_dir: Folder of prepared TensorFlow data sets.
        downsample: Integer factor by which every photo is reduced.
        unusable: List or `None`; it gets the names of files that cannot be
            read.

    Returns:
        A list of `Photo`.

    Raises:
        TypeError: If `source` is of no known kind.
        ValueError: If an argument is not as described, or no photo remains.
    """
    if is_tfds(source):
        pictures = TfdsPictures(source, data_dir)
        return _tfds_photos(
            pictures,
            _tfds_places(pictures, exclude, only, tfds_split, held_out),
            downsample,
        )
    if isinstance(source, list) and any(isinstance(x, Photo) for x in source):
        return source
    if source is None:
        arrays = sample_photos()
    elif isinstance(source, (str, os.PathLike)):
        arrays = None
    elif isinstance(source, dict):
        arrays = source
    elif isinstance(source, (list, tuple)) or hasattr(source, "__array__"):
        arrays = {f"photo {i}": array for i, array in enumerate(source)}
    else:
        raise TypeError(
            "`source` must be None, a folder, "
            f'"{TFDS_PREFIX}NAME", a list, a dictionary or an array of '
            f"pictures. Received: source={source!r} of type "
            f"{type(source).__name__}"
        )
    if arrays is None:
        return _folder_photos(
            pathlib.Path(source), exclude, only, downsample, unusable
        )
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


def _folder_photos(folder, exclude, only, downsample, unusable):
    paths = files_by_name(folder)
    chosen = choose_files(paths, exclude, only)
    photos = []
    for name in chosen:
        try:
            size = picture_size(paths[name])
        except PictureError as error:
            logging.warning("Skipped a picture. %s", error)
            if unusable is not None:
                unusable.append(name)
            continue
        photos.append(
            Photo(name, size, path=paths[name], downsample=downsample)
        )
    if not photos:
        raise ValueError(none_left(f"`{folder}`", len(paths), len(chosen)))
    return photos


def files_by_name(folder):
    """Dictionary from a picture's path within a folder to its path."""
    folder = pathlib.Path(folder)
    return {str(p.relative_to(folder)): p for p in find_pictures(folder)}


def choose_files(paths, exclude=(), only=None):
    """Names of the chosen ones of `files_by_name`.

    Args:
        paths: Dictionary from name to path.
        exclude: As for `list_photos`.
        only: As for `list_photos`.

    Returns:
        A list of str.

    Raises:
        ValueError: If a picture to leave out or to keep is unknown.
    """
    return _choose(
        {name: (name, p.name, p.stem) for name, p in paths.items()},
        exclude,
        only,
    )


def _tfds_places(pictures, exclude, only, split, held_out):
    """The places of a TensorFlow data set that are meant."""

    def named(argument, names):
        places = {}
        for name in (names,) if isinstance(names, str) else names:
            place = pictures.place_named(name)
            if place is None and "/" in name:
                raise ValueError(
                    f"`{argument}` must name pictures of the source, such as "
                    f"{pictures.name}/train/0, or splits. Received: "
                    f"{argument}={names!r}, of which {name!r} is unknown"
                )
            found = [place] if place is not None else pictures.places(name)
            places |= dict.fromkeys(found)
        return places

    if only is not None:
        places = named("only", only)
    else:
        if split is None and held_out:
            split = pictures.split or pictures.held_out_split
        places = pictures.places(split or pictures.training_split)
    left_out = named("exclude", exclude)
    places = [place for place in places if place not in left_out]
    if not places:
        raise ValueError(
            f'"{pictures.source}" must hold at least one picture after '
            f"`exclude` and `only`. Received: exclude={exclude!r}, "
            f"only={only!r}"
        )
    return places


def _tfds_photos(pictures, places, downsample):
    return [
        Photo(
            pictures.name_of(place),
            pictures.size,
            encoded=functools.partial(pictures.read, place),
            downsample=downsample,
        )
        for place in places
    ]


def none_left(source, found, unreadable):
    """Says why no picture of a source remains.

    Args:
        source: Str, what to call it.
        found: Integer, pictures in it.
        unreadable: Integer, those that are not left out by name.

    Returns:
        Str.
    """
    left_out = found - unreadable
    reasons = []
    if left_out:
        reasons.append(f"{left_out} held out from training or left out by name")
    if unreadable:
        reasons.append(f"{unreadable} unreadable, named in the warnings above")
    advice = "Add pictures"
    if left_out:
        advice += (
            ": to train, two or more are needed, since one is held out to show "
            "samples of, unless others are named"
        )
    return (
        f"No usable picture in {source}: {found} found, "
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
