"""Pictures of prepared TensorFlow data sets, read one at a time."""

import functools
import itertools
import os
import struct
import threading

import numpy as np
from absl import logging

from keras_tim.data.sources import TFDS_PREFIX, parse_tfds
from keras_tim.images.pictures import EncodedPicture, PictureError
from keras_tim.lazy import tensorflow as tf
from keras_tim.lazy import tensorflow_datasets as tfds

_IMAGE_KEYS = ("image", "hr")
# What a data set calls the part that nothing is learnt from, the best first.
_HELD_OUT_SPLITS = ("test", "validation", "val", "dev")
# Where there is none: one in so many pictures of the training split, no more
# than so many in all.
_HELD_OUT_SHARE = 10
_MOST_HELD_OUT = 1000
_RECORD_HEADER = struct.Struct("<QI")  # length and its checksum
_RECORD_FOOTER = 4  # checksum of what was stored


class TfdsPictures:
    """The pictures of a prepared TensorFlow data set.

    Nothing is downloaded, and nothing is read but what is asked for. A place
    is a pair of a split and a number in it. Splits are named as TFDS does, and
    cut and added likewise: "train", "train[:80%]", "train+validation".

    Args:
        source: `"tfds:NAME"`, NAME being as in `tensorflow_datasets.load`,
            with a configuration and a version if need be;
            `"tfds:NAME:SPLIT"` also says what of it is meant.
        data_dir: Folder of prepared TensorFlow data sets.

    Attributes:
        name: Name of the data set.
        split: The split that `source` names, or `None`.
        builder: The `tfds.core.DatasetBuilder`.

    Raises:
        ValueError: If there is no such data set or split, or it holds no
            pictures that can be used.
    """

    def __init__(self, source, data_dir=None):
        self.source = source
        name, self.split = parse_tfds(source)
        if name is None:
            raise ValueError(
                f'A TensorFlow data set is named "{TFDS_PREFIX}NAME" or '
                f'"{TFDS_PREFIX}NAME:SPLIT". Received: {source!r}'
            )
        self.name = name.split(":")[0]
        try:
            self.builder = tfds.builder(name, data_dir=data_dir)
            splits = self.builder.info.splits
        # TFDS raises its own classes. Their texts list all data sets.
        except Exception as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise ValueError(self._missing(data_dir, reason)) from error
        if not splits:
            folder = self.builder.data_dir
            raise ValueError(
                self._missing(data_dir, f"{folder} holds no prepared data.")
            )
        self._lengths = {
            name: info.num_examples for name, info in splits.items()
        }
        self._readers = {}
        self._lock = threading.Lock()
        self._key = self._image_key()
        if self.split is not None:
            self.places(self.split)  # raises what is wrong

    def _missing(self, data_dir, reason):
        name = self.source.removeprefix(TFDS_PREFIX)
        return (
            f'Cannot load "{self.source}" from data_dir={data_dir!r}: '
            f"{reason}\nNothing is downloaded here. Check the name and "
            "`data_dir`, or prepare the data set once with "
            f'`tensorflow_datasets.load("{name}", data_dir=...)`.'
        )

    def _image_key(self):
        features = self.builder.info.features
        for key in _IMAGE_KEYS:
            if (
                key in features
                and isinstance(features[key], tfds.features.Image)
                and features[key].np_dtype != np.float32
            ):
                return key
        raise ValueError(
            f'"{self.source}" must have a feature named '
            f"{' or '.join(_IMAGE_KEYS)} that is a picture of 8 or 16 bits. "
            f"Received: features={features}"
        )

    @functools.cached_property
    def size(self):
        """`(height, width)` where it is the same for all, else `None`."""
        size = self.builder.info.features[self._key].shape[:2]
        return None if None in size else tuple(size)

    def places(self, split):
        """All places of a split.

        Args:
            split: Str, as TFDS understands it.

        Returns:
            A list of `(split, number)`, each place once.

        Raises:
            ValueError: If there is no such split.
        """
        splits = self.builder.info.splits
        try:
            parts = tfds.core.ReadInstruction.from_spec(split)
            parts = parts.to_absolute(splits)
        except Exception as error:
            raise ValueError(
                f'"{TFDS_PREFIX}{self.name}" has the splits '
                f"{', '.join(self._lengths)}, and parts of them such as "
                f"{next(iter(self._lengths))}[:80%]. Received: split={split!r}"
            ) from error
        found = {}
        for part in parts:
            end = self._lengths[part.splitname] if part.to is None else part.to
            for number in range(part.from_ or 0, end):
                found[part.splitname, number] = None
        return list(found)

    def place_named(self, name):
        """The place that `name_of` calls by a name, or `None`."""
        *names, split, number = ["", *str(name).rsplit("/", 2)][-3:]
        if names != [self.name] or not number.isdecimal():
            return None
        in_split = int(number) < self._lengths.get(split, 0)
        return (split, int(number)) if in_split else None

    def name_of(self, place):
        """What messages and reports call the picture at a place."""
        return f"{self.name}/{place[0]}/{place[1]}"

    @functools.cached_property
    def training_split(self):
        """What is trained on: nothing of it is in `held_out_split`.

        The source's split, else "train", else the only split there is.
        """
        held_out = set(self.places(self.held_out_split))
        places = self.places(self._asked_for)
        if held_out.isdisjoint(places):
            return self._asked_for
        return _as_split([place for place in places if place not in held_out])

    @functools.cached_property
    def _asked_for(self):
        if self.split is not None:
            return self.split
        if "train" in self._lengths:
            return "train"
        if len(self._lengths) == 1:
            return next(iter(self._lengths))
        raise ValueError(
            f'"{self.source}" has no split named train. Say which of '
            f"{', '.join(self._lengths)} is meant, such as "
            f"{self.source}:{next(iter(self._lengths))}"
        )

    @functools.cached_property
    def held_out_split(self):
        """What is kept from training where nothing else is asked for.

        The test split if there is one that is not trained on, else the
        validation split, else the last tenth of what is trained on.

        Raises:
            ValueError: If there are fewer than two pictures to train on.
        """
        training = self.places(self._asked_for)
        trained_on = set(training)
        for split in _HELD_OUT_SPLITS:
            if split in self._lengths:
                places = self.places(split)
                if places and trained_on.isdisjoint(places):
                    return split
        if len(training) < 2:
            raise ValueError(
                f'"{self.source}" must hold at least two pictures to train '
                f"on, one of which is held out. Received: {len(training)}"
            )
        count = min(max(1, len(training) // _HELD_OUT_SHARE), _MOST_HELD_OUT)
        split = _as_split(training[-count:])
        logging.info(
            "%s has neither a test nor a validation split beside what is "
            "trained on: its last %d of %d pictures are held out (%s).",
            self.source,
            count,
            len(training),
            split,
        )
        return split

    def read(self, place):
        """The picture at a place, as it is stored.

        Args:
            place: See the class.

        Returns:
            An `EncodedPicture`.

        Raises:
            PictureError: If the data set is damaged there.
        """
        split, number = place
        name = f"{TFDS_PREFIX}{self.name_of(place)}"
        with self._lock:
            if split not in self._readers:
                self._readers[split] = self._reader(split)
        try:
            content = self._readers[split](number)
        # What a damaged file raises depends on its format.
        except Exception as error:
            raise PictureError(f"Cannot read `{name}`: {error}") from error
        return EncodedPicture(name, content)

    def _reader(self, split):
        """Function from a number to what is stored of that picture."""
        info = self.builder.info
        if info.file_format.value == "tfrecord":
            shards = [
                _RecordFile(os.fspath(path), length)
                for path, length in zip(
                    info.splits[split].filepaths,
                    info.splits[split].shard_lengths,
                    strict=True,
                )
            ]
            return functools.partial(_read_example, shards, self._key)
        source = self.builder.as_data_source(
            split=split, decoders={self._key: tfds.decode.SkipDecoding()}
        )

        def read(number):
            with self._lock:
                return source[number][self._key]

        return read


def _as_split(places):
    """How TFDS calls some places."""
    parts = []
    for split, group in itertools.groupby(places, key=lambda place: place[0]):
        numbers = [number for _, number in group]
        breaks = np.flatnonzero(np.diff(numbers) != 1) + 1
        for run in np.split(numbers, breaks):
            parts.append(f"{split}[{run[0]}:{run[-1] + 1}]")
    return "+".join(parts)


class _RecordFile:
    """A TFRecord file whose records can be read in any order.

    Args:
        path: Path of the file.
        length: How many records it holds.
    """

    def __init__(self, path, length):
        self.path = path
        self.length = length

    @functools.cached_property
    def _places(self):
        """Start and end of every record, from the lengths between them."""
        places = np.empty((self.length, 2), np.int64)
        size = os.path.getsize(self.path)
        position = 0
        with open(self.path, "rb") as file:
            for place in places:
                file.seek(position)
                header = file.read(_RECORD_HEADER.size)
                end = size + 1
                if len(header) == _RECORD_HEADER.size:
                    start = position + _RECORD_HEADER.size
                    end = start + _RECORD_HEADER.unpack(header)[0]
                position = end + _RECORD_FOOTER
                if position > size:
                    raise ValueError(
                        f"{self.path} is damaged, or was cut short: it must "
                        f"hold {self.length} records"
                    )
                place[:] = start, end
        return places

    def read(self, number):
        start, end = self._places[number].tolist()
        with open(self.path, "rb") as file:
            file.seek(start)
            return file.read(end - start)


def _read_example(shards, key, number):
    for shard in shards:
        if number < shard.length:
            example = tf.train.Example.FromString(shard.read(number))
            return example.features.feature[key].bytes_list.value[0]
        number -= shard.length
    raise ValueError("there is no such picture")
