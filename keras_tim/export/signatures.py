"""Signatures of a SavedModel: their inputs, outputs, checks and limits."""

import dataclasses

import numpy as np
import tensorflow as tf
from absl import logging

from keras_tim.checks import integer, unit_range_assertion
from keras_tim.export.encoded import read_labels, read_rgb
from keras_tim.export.headers import picture_size, require
from keras_tim.export.tiles import TiledGenerator
from keras_tim.tasks.classes import Classes

# Larger ones would overflow the keys that codes are drawn under.
LARGEST_INDEX = 2**58 - 1
# oneDNN's convolutions crash or give wrong results where the same operation
# runs twice at once on a variable (seen with TensorFlow 2.21).
PARALLEL_ITERATIONS = 1
# Bytes that one alternative may take unless a limit is given.
MEMORY = 8 * 10**9
# Where it is made in tiles, bytes per pixel of its input and of the output: the
# input unpacked, rows that are finished, and the picture that they become.
READ, FINISHED = 64, 24
# Pixels of one answer as floats: messages of servers hold less than 2 GB.
MOST_FLOATS = 170_000_000


@dataclasses.dataclass(frozen=True)
class Limits:
    """What one request may ask for. Beyond it lies an error of the client's.

    Attributes:
        output_pixels: int, height times width of one alternative. None for as
            many as `MEMORY` is enough for. Alternatives are made one after
            another, so that a request takes the memory of one.
        alternatives: int, alternatives of all inputs together.
        total_pixels: int, pixels of all alternatives together: what has to be
            kept, encoded or as 12 bytes each, until the answer is complete. Of
            the latter no more than `MOST_FLOATS` are.
    """

    output_pixels: int | None = None
    alternatives: int = 256
    total_pixels: int = 200_000_000

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value is not None or field.default is not None:
                value = integer(field.name, value)
                object.__setattr__(self, field.name, value)  # it is frozen

    def of_model(self, generator, tiled=False):
        """The same limits with `output_pixels` for a `Generator`.

        Args:
            generator: the `Generator`.
            tiled: bool, whether pictures are made in tiles, or whole.

        Returns:
            The limits.
        """
        if self.output_pixels is not None:
            return self
        each = generator.bytes_per_output_pixel
        if tiled:
            given = READ + 8 * generator.tim.input_channels
            each = FINISHED + given / generator.output_factor**2
        pixels = max(int(MEMORY / each) // 100_000, 1) * 100_000
        pixels = min(pixels, self.total_pixels)
        return dataclasses.replace(self, output_pixels=pixels)


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
        batch = self._batch(tf.shape(picture_bytes)[0], "picture_bytes")
        seed, index = self._check_samples(batch, seed, index)
        factor = self._factor // self._reduction
        sizes = tf.map_fn(
            lambda x: self._check_size(
                picture_size(x), "picture_bytes", factor
            ),
            picture_bytes,
            fn_output_signature=tf.TensorSpec([2], tf.int64),
        )
        sizes = self._check_total(sizes, tf.shape(index)[1], factor)
        # Nothing is decoded before all sizes are known to be acceptable.
        with tf.control_dependencies([sizes]):
            picture_bytes = tf.identity(picture_bytes)

        def alternatives(row):
            padded = self._read(picture_bytes[row])
            height, width = tf.unstack(tf.cast(sizes[row], tf.int32) * factor)

            def alternative(number):
                made = self._pictures.sample(
                    padded, seed[row], number, as_bytes=True
                )
                return tf.io.encode_png(made[:height, :width])

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
        batch = self._batch(tf.shape(picture)[0], "picture")
        seed, index = self._check_samples(batch, seed, index)
        count = tf.shape(index)[1]
        picture = self._check_pictures(picture, count)

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
        batch = self._batch(tf.shape(picture)[0], "picture")
        codes = self._check_codes(picture, codes, batch)
        count = tf.shape(codes[0])[1]
        picture = self._check_pictures(picture, count)

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
        batch = self._batch(tf.shape(seed)[0], "seed")
        seed, index = self._check_samples(batch, seed, index)
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
        height_width = self._check_divides(
            self._check_size(size[0], "size", self._factor), "size"
        )
        rows = tf.tile(height_width[None], [batch, 1])
        height_width = self._check_total(rows, count, self._factor)[0]
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
        """What the model is given of an encoded picture, padded."""
        multiple, channels = self._tim.input_multiple, self._tim.input_channels
        if self._tim.task_definition.reads_labels:
            labels = read_labels(encoded, self._channel_of_id)
            labels = _padded(labels, multiple * self._reduction)
            labels = labels[:: self._reduction, :: self._reduction]
            return tf.one_hot(labels, channels)
        rgb = _padded(read_rgb(encoded), multiple)
        return self._tim.task_definition.of_rgb(rgb)

    def _all(self, alternative, batch, count):
        made = _each(
            alternative,
            tf.range(batch * count),
            tf.TensorSpec([None, None, 3], tf.float32),
        )
        return _split_rows(made, batch, count)

    # -- Checks ------------------------------------------------------------

    def _batch(self, rows, name):
        return require(
            rows,
            rows > 0,
            f"`{name}` must hold at least one input. Received:",
            rows,
        )

    def _check_samples(self, batch, seed, index):
        shape = tf.shape(index)
        seed = require(
            seed,
            tf.reduce_all(tf.equal([tf.shape(seed)[0], shape[0]], batch)),
            "`seed` and `index` must have one row per input. Received inputs, "
            "seeds and rows of indices:",
            batch,
            tf.shape(seed)[0],
            shape[0],
        )
        index = require(index, *self._few_enough(batch, shape[1], "index"))
        index = require(
            index,
            tf.reduce_all((index >= 0) & (index <= LARGEST_INDEX)),
            f"`index` must lie between 0 and {LARGEST_INDEX}. Received:",
            index,
        )
        return seed, index

    def _few_enough(self, batch, count, name):
        """Condition and message for `count` alternatives of each input."""
        asked = tf.cast(batch, tf.int64) * tf.cast(count, tf.int64)
        return (
            (asked > 0) & (asked <= self.limits.alternatives),
            f"`{name}` must ask for 1 to {self.limits.alternatives} "
            "alternatives in one request, those of all inputs together. "
            "Received:",
            asked,
        )

    def _check_size(self, size, name, factor):
        """Passes on a height and width whose outputs are not too large."""
        fixed = self._tim.fixed_size
        if fixed:
            size = require(
                size,
                tf.reduce_all(tf.equal(size, fixed)),
                f"`{name}` must be {fixed[0]} x {fixed[1]} pixels. Received "
                "height and width:",
                size,
            )
        limit = self.limits.output_pixels
        pixels = tf.reduce_prod(size) * factor**2
        # Sides beyond the limit would make the product overflow.
        fits = tf.reduce_all((size > 0) & (size <= limit)) & (pixels <= limit)
        return require(
            size,
            fits,
            f"`{name}` must be at least 1 x 1 pixels, and small enough for "
            f"outputs of at most {limit:,} pixels, which are "
            f"{factor} times as high and wide. Received height and width:",
            size,
        )

    def _check_divides(self, size, name):
        multiple = self._tim.input_multiple
        return require(
            size,
            tf.reduce_all(tf.equal(size % multiple, 0)),
            f"`{name}` must have sides that are multiples of {multiple}; pad "
            "it. Received height and width:",
            size,
        )

    def _check_total(self, sizes, count, factor, most=None):
        """Passes on sizes `[batch, 2]` whose outputs fit in together."""
        limit = min(self.limits.total_pixels, most or self.limits.total_pixels)
        pixels = tf.reduce_sum(tf.reduce_prod(sizes, axis=1)) * factor**2
        pixels *= tf.cast(count, tf.int64)
        return require(
            sizes,
            pixels <= limit,
            f"One request may make outputs of {limit:,} pixels in all. Ask for "
            "fewer alternatives at a time. Received pixels:",
            pixels,
        )

    def _check_pictures(self, picture, count):
        shape = tf.shape(picture, out_type=tf.int64)
        size = self._check_divides(
            self._check_size(shape[1:3], "picture", self._factor), "picture"
        )
        rows = tf.tile(size[None], [shape[0], 1])
        sizes = self._check_total(rows, count, self._factor, MOST_FLOATS)
        assertion = unit_range_assertion("picture", picture)
        with tf.control_dependencies([sizes, assertion]):
            return tf.identity(picture)

    def _check_codes(self, picture, codes, batch):
        count = tf.shape(codes[0])[1]
        shape = tf.shape(picture)
        rows = tf.stack([batch, count])
        first = require(codes[0], *self._few_enough(batch, count, "style_0"))
        checked = []
        sizes = self.generator.noise_sizes(shape[1], shape[2])
        maps = self._tim.style_map_sizes(sizes)
        # Of every level the style's, () without a map, and the noise's.
        expected_sizes = [
            size for pair in zip(maps, sizes, strict=True) for size in pair
        ]
        for place, code in enumerate([first, *codes[1:]]):
            name = self.generator.code_names()[place]
            expected = rows
            if len(expected_sizes[place]):
                expected = tf.concat([rows, expected_sizes[place]], 0)
            received = tf.shape(code)[:-1]
            code = require(
                code,
                tf.reduce_all(tf.equal(received, expected)),
                f"`{name}` must have one code per alternative of every input, "
                "and noise the size of its level, as a map of styles has. All "
                "but the channels should be, and are:",
                expected,
                received,
            )
            checked.append(
                require(
                    code,
                    tf.reduce_all(tf.math.is_finite(code)),
                    f"`{name}` must hold finite values only.",
                )
            )
        return checked


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
