"""Signatures of a SavedModel: their inputs, outputs, checks and limits."""

import numpy as np
import tensorflow as tf
from absl import logging

from keras_tim.export.choosing import Choosing
from keras_tim.export.encoded import read_labels, read_rgb
from keras_tim.export.headers import picture_size, require
from keras_tim.export.laying import reduced_and_laid
from keras_tim.export.limits import Checks
from keras_tim.export.tiles import TiledGenerator
from keras_tim.tasks.classes import Classes

# oneDNN's convolutions crash or give wrong results where the same operation
# runs twice at once on a variable (seen with TensorFlow 2.21).
PARALLEL_ITERATIONS = 1


class Signatures:
    """The signatures of an exported model.

    Every input and output has a batch axis in front, as servers that put
    requests together need it. Within, alternatives are made one at a time.

    Args:
        generator: a `keras_tim.models.generator.Generator`.
        limits: a `Limits`; the attribute says them all.
        classes: for layouts: the `keras_tim.data.Classes` by which encoded
            label maps are read, where their ids are not those that the model
            has. None of either: the maps hold the numbers of its channels.
        tile: int, "auto" or None, see `TiledGenerator`.

    Raises:
        ValueError: if the classes are not the model's, or tiles cannot be so
            small.

    Attributes:
        classes: for layouts: the `Classes` that label maps are read by.
        tile: int, or None where pictures are made whole.
    """

    def __init__(self, generator, limits, classes=None, tile="auto"):
        self.generator = generator
        self._pictures = TiledGenerator(generator, tile)
        self.tile = self._pictures.tile
        self.limits = limits.of_model(generator, self.tile is not None)
        self._checks = Checks(generator, self.limits)
        self._tim = generator.tim
        self._factor = generator.output_factor
        # Label maps have the outputs' size, of which the model is given every
        # second row and column.
        self._reduction = 1
        if self._tim.task_definition.reads_labels:
            self._reduction = self._factor
            classes = _classes_of(self._tim, classes)
            self._channel_of_id = classes.from_ids(np.arange(256))
        self.classes = classes

    def functions(self):
        """All signatures.

        Returns:
            dict from name to `(function, specifications)`: the function takes
            one tensor per `tf.TensorSpec` and returns a dict of tensors.
        """
        picture = tf.TensorSpec(
            [None, None, None, self._tim.input_channels], name="picture"
        )
        encoded = tf.TensorSpec([None], tf.string, name="picture_bytes")
        seed = tf.TensorSpec([None], tf.int64, name="seed")
        index = tf.TensorSpec([None, None], tf.int64, name="index")
        size = tf.TensorSpec([None, 2], tf.int64, name="size")
        codes = [
            tf.TensorSpec([None, None, *shape], name=name)
            for name, shape in zip(
                self.generator.code_names(),
                self.generator.code_shapes(),
                strict=True,
            )
        ]
        signatures = {
            **Choosing(self.generator, self._checks).functions(),
            "serving_default": (self.serving_default, [encoded, seed, index]),
            "sample": (self.sample, [picture, seed, index]),
            "decode": (self.decode, [picture, *codes]),
            "draw_codes": (self.draw_codes, [seed, index, size]),
        }
        return {
            name: (_checking_shapes(function, inputs), inputs)
            for name, (function, inputs) in signatures.items()
        }

    def serving_default(self, picture_bytes, seed, index):
        """Encoded pictures in, encoded alternatives out.

        Args:
            picture_bytes: string tensor `[batch]`, PNG or JPEG files of any
                sizes.
            seed: int64 tensor `[batch]`.
            index: int64 tensor `[batch, n]`, the samples' numbers.

        Returns:
            dict: `alternative_bytes` `[batch, n]`, PNG files.
        """
        batch = self._checks.batch(tf.shape(picture_bytes)[0], "picture_bytes")
        seed, index = self._checks.samples(batch, seed, index)
        factor = self._factor // self._reduction
        sizes = tf.map_fn(
            lambda x: self._checks.size(
                picture_size(x), "picture_bytes", factor
            ),
            picture_bytes,
            fn_output_signature=tf.TensorSpec([2], tf.int64),
        )
        sizes = self._checks.total(sizes, tf.shape(index)[1], factor)
        # Nothing is decoded before all sizes are known to be acceptable.
        with tf.control_dependencies([sizes]):
            picture_bytes = tf.identity(picture_bytes)

        def alternatives(row):
            padded, finish = self._read(picture_bytes[row])
            height, width = tf.unstack(tf.cast(sizes[row], tf.int32) * factor)

            def alternative(number):
                made = self._pictures.sample(
                    padded, seed[row], number, as_bytes=finish is None
                )
                return tf.io.encode_png(
                    made[:height, :width] if finish is None else finish(made)
                )

            return _each(alternative, index[row], tf.TensorSpec([], tf.string))

        encoded = _each(
            alternatives, tf.range(batch), tf.TensorSpec([None], tf.string)
        )
        return {"alternative_bytes": encoded}

    def sample(self, picture, seed, index):
        """Pictures in, alternatives out.

        Args:
            picture: float32 tensor `[batch, height, width, channels]`, the
                finest level's input.
            seed: int64 tensor `[batch]`.
            index: int64 tensor `[batch, n]`.

        Returns:
            dict: `alternatives` float32 `[batch, n, height', width', 3]`.
        """
        batch = self._checks.batch(tf.shape(picture)[0], "picture")
        seed, index = self._checks.samples(batch, seed, index)
        count = tf.shape(index)[1]
        picture = self._checks.pictures(picture, count)

        def alternative(number):
            row = number // count
            return self._pictures.sample(
                picture[row], seed[row], index[row, number % count]
            )

        return {"alternatives": self._all(alternative, batch, count)}

    def decode(self, picture, *codes):
        """Pictures and codes in, alternatives out.

        Args:
            picture: as for `sample`.
            *codes: float32 tensors in the order of the generator's
                `code_names`: style `[batch, n, style_dim]`, or with
                `style_cell` `[batch, n, rows, columns, style_dim]`, noise
                `[batch, n, height, width, noise_channels]`.

        Returns:
            dict: `alternatives` as from `sample`.
        """
        batch = self._checks.batch(tf.shape(picture)[0], "picture")
        count = tf.shape(codes[0])[1]
        batch = require(
            batch, *self._checks.few_enough(batch, count, "style_0")
        )
        size = tf.unstack(tf.shape(picture)[1:3])
        codes = self._checks.codes(codes, size, batch, count)
        picture = self._checks.pictures(picture, count)

        def alternative(number):
            row, column = number // count, number % count
            return self._pictures.decode(
                picture[row], [code[row, column] for code in codes]
            )

        return {"alternatives": self._all(alternative, batch, count)}

    def draw_codes(self, seed, index, size):
        """The codes that `sample` would use.

        Args:
            seed: int64 tensor `[batch]`.
            index: int64 tensor `[batch, n]`.
            size: int64 tensor `[batch, 2]`, height and width of the finest
                level's input, the same in every row.

        Returns:
            dict: what `decode` takes besides the picture.
        """
        batch = self._checks.batch(tf.shape(seed)[0], "seed")
        seed, index = self._checks.samples(batch, seed, index)
        count = tf.shape(index)[1]
        size = require(
            size,
            tf.logical_and(
                tf.equal(tf.shape(size)[0], batch),
                tf.reduce_all(tf.equal(size, size[:1])),
            ),
            "`size` must hold one (height, width) per seed, all the same. "
            "Received:",
            size,
        )
        height_width = self._checks.divides(
            self._checks.size(size[0], "size", self._factor), "size"
        )
        rows = tf.tile(height_width[None], [batch, 1])
        height_width = self._checks.total(rows, count, self._factor)[0]
        height, width = tf.unstack(tf.cast(height_width, tf.int32))

        def one(number):
            row = number // count
            return tuple(
                self.generator.draw(
                    seed[row], index[row, number % count], height, width
                )
            )

        drawn = _each(
            one,
            tf.range(batch * count),
            tuple(map(tf.TensorSpec, self.generator.code_shapes())),
        )
        return {
            name: _split_rows(code, batch, count)
            for name, code in zip(
                self.generator.code_names(), drawn, strict=True
            )
        }

    # -- Parts -------------------------------------------------------------

    def _read(self, encoded):
        """What the model is given of an encoded picture, padded.

        And what makes the bytes of a result of what becomes of it; None where
        that has the picture's proportions already.
        """
        task, multiple = self._tim.task_definition, self._tim.input_multiple
        if task.reads_labels:
            return self._read_layout(encoded), None
        rgb = read_rgb(encoded)
        if task.working_side is None:
            return task.of_rgb(_padded(rgb, multiple)), None
        small, finish = reduced_and_laid(task, rgb)
        return task.of_rgb(_padded(small, multiple)), finish

    def _read_layout(self, encoded):
        """The layout of an encoded label map, padded."""
        labels = read_labels(encoded, self._channel_of_id)
        labels = _padded(labels, self._tim.input_multiple * self._reduction)
        labels = labels[:: self._reduction, :: self._reduction]
        return tf.one_hot(labels, self._tim.input_channels)

    def _all(self, alternative, batch, count):
        made = _each(
            alternative,
            tf.range(batch * count),
            tf.TensorSpec([None, None, 3], tf.float32),
        )
        return _split_rows(made, batch, count)


def _classes_of(tim, given):
    """The classes that label maps are read by: those given, or the model's."""
    known = None if tim.classes is None else Classes(tim.classes)
    if given is None and known is not None and known.has_ids:
        return known
    if given is None:
        logging.warning(
            "The model does not say which ids its classes have: label maps are "
            "taken to hold the numbers of its channels. Give `classes` if they "
            "hold other ids."
        )
        names = (
            [f"channel {number}" for number in range(tim.input_channels - 1)]
            if known is None
            else known.names
        )
        return Classes((name, n, None) for n, name in enumerate(names))
    if known is not None and given.names != known.names:
        # In another order, or of another data set, they would be others.
        raise ValueError(
            f"`classes` must be the model's, {', '.join(known.names)}; their "
            f"ids may differ. Received: {', '.join(given.names)}"
        )
    if given.num_channels != tim.input_channels:
        raise ValueError(
            f"`classes` must be the model's, which has {tim.input_channels} "
            f"channels for them and 'other'. Received: {given.num_channels}"
        )
    if not given.has_ids:
        raise ValueError(
            "`classes` must have ids: encoded label maps are read by them. "
            "Received: classes with colours alone"
        )
    return given


def _checking_shapes(function, specifications):
    """The function behind a check of its inputs' ranks and fixed sides.

    Python checks them before a graph runs, servers in C++ do not.
    """

    def checked(*tensors):
        return function(
            *(
                _with_shape(tensor, specification)
                for tensor, specification in zip(
                    tensors, specifications, strict=True
                )
            )
        )

    return checked


def _with_shape(tensor, specification):
    expected = [-1 if n is None else n for n in specification.shape]
    # An operation that forgets the specified shape: what is known beforehand
    # is not looked at when the graph runs.
    forgotten = tf.raw_ops.PlaceholderWithDefault(
        input=tensor, shape=tf.TensorShape(None)
    )
    shape = tf.shape(forgotten)
    fits = tf.cond(
        tf.equal(tf.size(shape), len(expected)),
        lambda: tf.reduce_all(
            tf.equal(shape, expected) | tf.equal(expected, -1)
        ),
        lambda: tf.constant(False),
    )
    return require(
        tensor,
        fits,
        f"`{specification.name}` must have shape {expected}, where -1 stands "
        "for any number. Received:",
        shape,
    )


def _each(function, elements, specification):
    """Applies a function to one element after another."""
    return tf.map_fn(
        function,
        elements,
        fn_output_signature=specification,
        parallel_iterations=PARALLEL_ITERATIONS,
    )


def _split_rows(stacked, batch, count):
    """From `[batch * count, ...]` to `[batch, count, ...]`."""
    shape = tf.concat([[batch, count], tf.shape(stacked)[1:]], 0)
    split = tf.reshape(stacked, shape)
    return tf.ensure_shape(split, [None, None, *stacked.shape[1:]])


def _padded(picture, multiple):
    """Repeats edge pixels up to multiples of the sides."""
    if multiple == 1:
        return picture
    for axis in (0, 1):
        side = tf.shape(picture)[axis]
        padded = -(-side // multiple) * multiple
        picture = tf.gather(
            picture, tf.minimum(tf.range(padded), side - 1), axis=axis
        )
    return picture
