"""Pairs of pictures of the same names: inputs in one folder, targets beside."""

import os
import pathlib

import numpy as np
import tensorflow as tf
from absl import logging

from keras_tim.data.crops import (
    PARALLEL,
    check_divides_into_levels,
    check_positive,
    crop_dataset,
    cut_to_multiple,
)
from keras_tim.data.photos import (
    Photo,
    choose_files,
    files_by_name,
    list_photos,
    none_left,
)
from keras_tim.data.sources import is_tfds
from keras_tim.images.pictures import PictureError, picture_size


def paired_images_dataset(
    source=None,
    inputs=None,
    *,
    num_levels=4,
    crop_size=64,
    downsample=1,
    exclude=(),
    only=None,
    **options,
):
    """Batches of crops of inputs with the same crops of their targets.

    Pictures are matched by their paths within the two folders, but for the
    suffix, and arrays by their names. Both pictures of a pair are cut,
    flipped and turned alike.

    Args:
        source: The targets: a folder of pictures, `None` for the photos
            bundled with scikit-image, or arrays, as for `crop_dataset`.
        inputs: The inputs, as many pictures of the same sizes: a folder, or
            arrays.
        num_levels: Levels of the model, each half the size of the next.
        crop_size: Side of the square crop in pixels, a multiple of
            `2 ** (num_levels - 1)`.
        downsample: Integer factor by which both pictures of a pair are
            reduced first, antialiased.
        exclude: Names of targets whose pairs are left out, as for
            `crop_dataset`.
        only: Names of targets whose pairs are kept; `None` keeps all.
        **options: As for `crop_dataset`: `batch_size`, `augment`, `shuffle`,
            `seed`, `repeat`, `start`, `crops_per_picture`, `enlarged` and
            `cache`.

    Returns:
        A `tf.data.Dataset` of pairs `(input, target)`, both RGB of shape
        `(batch, crop_size, crop_size, 3)`, `float32` in `[0, 1]`. They belong
        to the model's finest level, and it makes those of the coarser levels
        from them.

    Raises:
        TypeError: If `source` or `inputs` is of no known kind.
        ValueError: If an argument is not as described, a picture has no
            partner or one of another size, or no pair is usable.
        OSError: If a folder is missing or holds no picture.

    Example:
    ```python
    dataset = paired_images_dataset("CLEAN", "RAINY")
    for rainy, clean in dataset:
        ...  # (16, 64, 64, 3) twice
    ```
    """
    check_divides_into_levels(crop_size, num_levels)
    pairs = list_pairs(
        source, inputs, downsample=downsample, exclude=exclude, only=only
    )
    crops = crop_dataset(pairs, crop_size=crop_size, **options)
    return crops.map(
        lambda both: (both[..., 3:], both[..., :3]), **PARALLEL
    ).prefetch(tf.data.AUTOTUNE)


def paired_images_pair(picture, given, multiple=1):
    """Makes the input and the target from one whole pair.

    Args:
        picture: The target, an array of shape `(height, width, 3)`, `uint8`
            or floats in `[0, 1]`.
        given: The input, an array of the same shape.
        multiple: Integer that the sides are cut to a multiple of, such as
            `TIM.input_multiple`.

    Returns:
        `(input, target)`, `float32` in `[0, 1]`: the centres of both.

    Raises:
        ValueError: If an argument is not as described, or a side is shorter
            than `multiple`.
    """
    if np.shape(picture) != np.shape(given):
        raise ValueError(
            "`picture` and `given` must be of one shape. Received: "
            f"{np.shape(picture)} and {np.shape(given)}"
        )
    return cut_to_multiple(given, multiple), cut_to_multiple(picture, multiple)


class PhotoPair(Photo):
    """A target and its input as one photo of six channels.

    What is cut, flipped, turned or reduced is both of them.

    Args:
        target: A `Photo`; the pair has its name.
        given: The input, a `Photo` of the same size.
        downsample: The pair is reduced by this factor when it is read.

    Raises:
        ValueError: If the sizes differ.
    """

    num_channels = 6

    def __init__(self, target, given, downsample=1):
        if target.size != given.size:
            raise ValueError(
                _sizes_differ(target, given, target.size, given.size)
            )
        super().__init__(
            target.name, target.size, path=target.path, downsample=downsample
        )
        self._target = target
        self._given = given

    def _decoded(self):
        target, given = self._target.read(), self._given.read()
        if target.shape != given.shape:  # a file has changed since
            raise PictureError(
                _sizes_differ(
                    self._target, self._given, target.shape, given.shape
                )
            )
        return np.concatenate([target, given], axis=-1)


def _sizes_differ(target, given, size, other):
    return (
        "A picture and its input must be of one size. Received: "
        f"{target.path or target.name} of {size[1]} x {size[0]}, and "
        f"{given.path or given.name} of {other[1]} x {other[0]} pixels."
    )


def list_pairs(
    source, inputs, *, downsample=1, exclude=(), only=None, unusable=None
):
    """Lists pairs of pictures, without decoding files.

    Pairs of which a file cannot be read are left out, with a warning.

    Args:
        source: As for `paired_images_dataset`, as are the next four.
        inputs: Folder or arrays.
        downsample: Integer.
        exclude: Names to leave out.
        only: Names to keep, or `None`.
        unusable: List or `None`; it gets the names of targets whose pair is
            left out.

    Returns:
        A list of `PhotoPair`, in the order of the targets.

    Raises:
        TypeError: If `source` or `inputs` is of no known kind.
        ValueError: If a picture has no partner, or one of another size, or no
            pair remains.
        OSError: If a folder is missing or holds no picture.
    """
    downsample = check_positive("downsample", downsample)
    if inputs is None:
        raise ValueError(
            "`inputs` must be a folder of pictures, or arrays. Received: "
            "inputs=None"
        )
    for name, value in (("source", source), ("inputs", inputs)):
        if is_tfds(value):
            raise ValueError(
                f"`{name}` must be a folder of pictures, or arrays: data sets "
                f"of TensorFlow have no pairs. Received: {name}={value!r}"
            )
    folders = [os.path.realpath(x) for x in (source, inputs) if _is_folder(x)]
    if len(folders) > len(set(folders)):
        raise ValueError(
            "`source` and `inputs` must be two folders. Received: "
            f"{os.fspath(source)!r} for both"
        )
    targets, givens = _pictures(source), _pictures(inputs)
    partners = _matched(source, inputs, targets, givens)
    if _is_folder(source):
        chosen = choose_files(targets, exclude, only)
    else:
        chosen = [
            photo.name
            for photo in list_photos(source, exclude=exclude, only=only)
        ]
    pairs = []
    for name in chosen:
        partner = partners[name]
        try:
            target = _photo(name, targets[name])
            given = _photo(partner, givens[partner])
        except PictureError as error:
            logging.warning("Skipped a picture. %s", error)
            if unusable is not None:
                unusable.append(name)
        else:
            pairs.append(PhotoPair(target, given, downsample))
    if not pairs:
        place = f"`{os.fspath(source)}`" if _is_folder(source) else "`source`"
        raise ValueError(none_left(place, len(targets), len(chosen)))
    return pairs


def _pictures(source):
    """Dictionary from name to path or, of arrays, to `Photo`."""
    if _is_folder(source):
        return files_by_name(source)
    return {photo.name: photo for photo in list_photos(source)}


def _photo(name, picture):
    if isinstance(picture, Photo):
        return picture
    return Photo(name, picture_size(picture), path=picture)


def _matched(source, inputs, targets, givens):
    """Dictionary from the name of a target to that of its input.

    Raises:
        ValueError: If a picture is alone, or two have one name.
    """
    sides = (
        ("output", source, _by_key("source", source, targets)),
        ("input", inputs, _by_key("inputs", inputs, givens)),
    )
    for (kind, place, ours), (other, there, theirs) in (sides, sides[::-1]):
        alone = [name for key, name in ours.items() if key not in theirs]
        if alone:
            some = ", ".join(alone[:5])
            raise ValueError(
                f"Every {kind}{_within(place)} must have an {other} of the "
                f"same name{_within(there)}. Received: {len(alone)} of "
                f"{len(ours)} without one: {some}. One there is called "
                f"{next(iter(theirs.values()))}. Files may differ in their "
                "suffix alone."
            )
    (_, _, ours), (_, _, theirs) = sides
    return {name: theirs[key] for key, name in ours.items()}


def _by_key(argument, source, names):
    """Names by what both pictures of a pair are called."""
    found = {}
    for name in names:
        key = name
        if _is_folder(source):
            key = str(pathlib.PurePath(name).with_suffix(""))
        if key in found:
            raise ValueError(
                f"`{argument}` must hold one picture of a name, whatever its "
                f"suffix. Received: {found[key]} and {name} in "
                f"{os.fspath(source)}. Move one of them away."
            )
        found[key] = name
    return found


def _within(source):
    return f" in {os.fspath(source)}" if _is_folder(source) else ""


def _is_folder(source):
    return isinstance(source, str | os.PathLike)
