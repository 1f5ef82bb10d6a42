"""What one request may ask for, and checks that what comes in is usable."""

import dataclasses

import tensorflow as tf

from keras_tim.checks import integer, unit_range_assertion
from keras_tim.export.headers import require

# Larger ones would overflow the keys that codes are drawn under.
LARGEST_INDEX = 2**58 - 1
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


class Checks:
    """Passes on tensors of requests, or fails with an error of the client's.

    Args:
        generator: a `keras_tim.models.generator.Generator`.
        limits: the `Limits` of its requests.
    """

    def __init__(self, generator, limits):
        self.generator = generator
        self.limits = limits
        self._tim = generator.tim
        self._factor = generator.output_factor

    def batch(self, rows, name):
        return require(
            rows,
            rows > 0,
            f"`{name}` must hold at least one input. Received:",
            rows,
        )

    def samples(self, batch, seed, index):
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
        index = require(index, *self.few_enough(batch, shape[1], "index"))
        index = require(
            index,
            tf.reduce_all((index >= 0) & (index <= LARGEST_INDEX)),
            f"`index` must lie between 0 and {LARGEST_INDEX}. Received:",
            index,
        )
        return seed, index

    def few_enough(self, batch, count, name):
        """Condition and message for `count` alternatives of each input."""
        asked = tf.cast(batch, tf.int64) * tf.cast(count, tf.int64)
        return (
            (asked > 0) & (asked <= self.limits.alternatives),
            f"`{name}` must ask for 1 to {self.limits.alternatives} "
            "alternatives in one request, those of all inputs together. "
            "Received:",
            asked,
        )

    def size(self, size, name, factor):
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

    def divides(self, size, name):
        multiple = self._tim.input_multiple
        return require(
            size,
            tf.reduce_all(tf.equal(size % multiple, 0)),
            f"`{name}` must have sides that are multiples of {multiple}; pad "
            "it. Received height and width:",
            size,
        )

    def total(self, sizes, count, factor, most=None):
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

    def pictures(self, picture, count):
        shape = tf.shape(picture, out_type=tf.int64)
        size = self.divides(
            self.size(shape[1:3], "picture", self._factor), "picture"
        )
        rows = tf.tile(size[None], [shape[0], 1])
        sizes = self.total(rows, count, self._factor, MOST_FLOATS)
        assertion = unit_range_assertion("picture", picture)
        with tf.control_dependencies([sizes, assertion]):
            return tf.identity(picture)

    def codes(self, codes, size, batch, count):
        """Passes on `count` codes of every input.

        Args:
            codes: flat list of tensors `[batch, count, ...]`.
            size: `(height, width)` of the inputs.
            batch: scalar int32 tensor.
            count: scalar int32 tensor, or int.

        Returns:
            The codes.
        """
        rows = tf.stack([batch, count])
        checked = []
        sizes = self.generator.noise_sizes(*size)
        maps = self._tim.style_map_sizes(sizes)
        # Of every level the style's, () without a map, and the noise's.
        expected_sizes = [
            size for pair in zip(maps, sizes, strict=True) for size in pair
        ]
        for place, code in enumerate(codes):
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
