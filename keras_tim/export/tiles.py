"""Pictures of any size inside a graph, made tile by tile.

`keras_tim.models.tiles` says how, with a loop in Python; here the graph loops.
Memory goes with the tile; of the picture a row of tiles is held, and what is
finished.
"""

import tensorflow as tf

from keras_tim.export.encoded import to_bytes
from keras_tim.models import tiles
from keras_tim.models.code_windows import cut_of_window, drawn_of_window


class TiledGenerator:
    """Pictures of a generator, one at a time, in tiles where they are large.

    Args:
        generator: a `keras_tim.models.generator.Generator`.
        tile: int, side of the tiles in pixels of the output, or "auto": what
            it is in `TIM.sample` where there is memory enough. None: pictures
            are made whole, as those of models of a fixed size always are.

    Raises:
        ValueError: if tiles cannot be so small.

    Attributes:
        tile: int, or None where pictures are made whole.
    """

    def __init__(self, generator, tile="auto"):
        self._generator = generator
        self._tim = generator.tim
        self._tiling = tiles.Tiling.of_model(self._tim)
        self._tiling.check_tile(tile)
        if tile == "auto":
            tile = self._tiling.tile_of_memory(tiles.MEMORY, generator)
        self.tile = None if self._tim.fixed_size else tile

    def sample(self, given, seed, index, as_bytes=False):
        """Sample `index` of one input.

        Args:
            given: float32 tensor `[height, width, channels]`.
            seed: scalar int64 tensor.
            index: scalar int64 tensor.
            as_bytes: bool, see `keras_tim.export.encoded.to_bytes`. Rows are
                turned into bytes as they are finished.

        Returns:
            Tensor `[height', width', 3]`: float32 in [0, 1], or uint8.
        """

        def whole():
            shape = tf.shape(given)
            return self._generator.draw(seed, index, shape[0], shape[1])

        def window(corner, extent):
            size = tf.shape(given, tf.int64)[:2]
            sample = tf.stack([seed, index])
            return _flat(
                drawn_of_window(self._tim, sample, corner, extent, size)
            )

        return self._picture(given, whole, window, as_bytes)

    def decode(self, given, code):
        """One picture.

        Args:
            given: float32 tensor `[height, width, channels]`.
            code: as for `Generator.decode`.

        Returns:
            float32 tensor `[height', width', 3]` in [0, 1].
        """
        pairs = list(zip(code[::2], code[1::2], strict=True))

        def window(corner, extent):
            return _flat(cut_of_window(self._tim, pairs, corner, extent))

        return self._picture(given, lambda: code, window, as_bytes=False)

    def _picture(self, given, whole, window, as_bytes):
        """A picture.

        Args:
            given: its input.
            whole: function that returns its code.
            window: function from a window's corner and extent to the code of
                that.
            as_bytes: bool.
        """

        def made():
            core = tf.stack([0, tf.shape(given)[0], 0, tf.shape(given)[1]])
            picture, _ = self._make(given, whole(), core, None)
            return to_bytes(picture) if as_bytes else picture

        if self.tile is None:
            return made()
        pixels = tf.reduce_prod(tf.shape(given, tf.int64)[:2])
        picture = tf.cond(
            pixels * self._tiling.output_factor**2 <= self.tile**2,
            made,
            lambda: self._in_tiles(given, window, as_bytes),
        )
        return tf.ensure_shape(picture, [None, None, 3])

    def _in_tiles(self, given, window, as_bytes):
        height, width = tf.unstack(tf.shape(given, tf.int64)[:2])
        down, across = (
            Side(self._tiling, length, self.tile) for length in (height, width)
        )
        factor = self._tiling.output_factor

        def make(row, column, statistics):
            (top, bottom), (left, right) = (
                down.window(row),
                across.window(column),
            )
            corner = tf.stack([top, left])
            extent = tf.stack([bottom - top, right - left])
            core = tf.stack([*down.core(row), *across.core(column)])
            return self._make(
                given[top:bottom, left:right],
                window(corner, extent),
                tf.cast(core, tf.int32),
                statistics,
            )

        statistics = self._statistics(make, down, across)

        def add_row(row, begun, bands):
            top, bottom = down.window(row)
            missing = factor * (bottom - top) - tf.shape(begun, tf.int64)[0]
            canvas = tf.pad(begun, [[0, missing], [0, 0], [0, 0]])
            of_row = down.shares(row)[:, None, None]

            def add_tile(column, canvas):
                left, right = across.window(column)
                picture, _ = make(row, column, statistics)
                part = picture * (of_row * across.shares(column)[:, None])
                beside = factor * tf.stack([left, width - right])
                return column + 1, canvas + tf.pad(
                    part, tf.stack([[0, 0], beside, [0, 0]])
                )

            _, canvas = tf.while_loop(
                lambda column, _: column < across.count,
                add_tile,
                (tf.constant(0, tf.int64), canvas),
                parallel_iterations=1,
            )
            # Where the next row begins, nothing more is added before.
            end = tf.where(
                row + 1 < down.count, down.window(row + 1)[0], height
            )
            finished = factor * (end - top)
            # The sum of the shares may miss one by rounding.
            band = tf.clip_by_value(canvas[:finished], 0.0, 1.0)
            band = to_bytes(band) if as_bytes else band
            bands = bands.write(tf.cast(row, tf.int32), band)
            return row + 1, canvas[finished:], bands

        bands = tf.TensorArray(
            tf.uint8 if as_bytes else tf.float32,
            size=tf.cast(down.count, tf.int32),
            infer_shape=False,
            element_shape=[None, None, 3],
        )
        # Of no known shape, since it changes from row to row.
        begun = tf.raw_ops.PlaceholderWithDefault(
            input=tf.zeros(tf.stack([0, factor * width, 3])),
            shape=[None, None, 3],
        )
        _, _, bands = tf.while_loop(
            lambda row, *_: row < down.count,
            add_row,
            (tf.constant(0, tf.int64), begun, bands),
            parallel_iterations=1,
        )
        return bands.concat()

    def _statistics(self, make, down, across):
        """As `TiledSampler` finds them; None where there are none."""
        statistics = None
        last = tf.cast(down.count * across.count - 1, tf.float64)
        places = tf.range(tiles.MOST_MEASURED, dtype=tf.float64)
        places = tf.round(places * last / (tiles.MOST_MEASURED - 1))
        places, _ = tf.unique(tf.cast(places, tf.int64))

        def measure(place, statistics):
            row, column = place // across.count, place % across.count
            _, found = make(row, column, statistics)
            (top, bottom), (left, right) = down.core(row), across.core(column)
            return (
                *found,
                tf.cast((bottom - top) * (right - left), tf.float64),
            )

        count = self._tim.num_normalised
        kinds = (
            *[tf.TensorSpec([2, None])] * count,
            tf.TensorSpec([], tf.float64),
        )
        for _ in range(min(tiles.ROUNDS, count)):
            *moments, areas = tf.map_fn(
                lambda place, known=statistics: measure(place, known),
                places,
                fn_output_signature=kinds,
                parallel_iterations=1,
            )
            statistics = [_pooled(several, areas) for several in moments]
        return statistics

    def _make(self, given, code, core, statistics):
        """What is made of a window, and the moments of its features."""
        count = self._tim.num_normalised
        if not count:
            return self._generator.decode(given, code), []
        known = statistics is not None
        return self._generator.decode_window(
            given,
            code,
            core,
            tf.constant(known),
            statistics if known else [tf.zeros([2, 1])] * count,
        )


class Side:
    """`Tiling.spans` of a side whose length only the graph knows.

    Args:
        tiling: a `keras_tim.models.tiles.Tiling`.
        length: scalar int64 tensor, the side's length.
        tile: int, the tiles' side in pixels of the output.

    Attributes:
        count: scalar int64 tensor, how many windows there are.
    """

    def __init__(self, tiling, length, tile):
        self._tiling = tiling
        self._length = length
        self._side = tile // tiling.output_factor // tiling.grid * tiling.grid
        spare = length - self._side
        self._last = spare // tiling.grid
        gaps = -(-spare // (self._side - tiling.overlap))
        self._gaps = tf.where(self._last > 0, gaps, 0)
        self.count = self._gaps + 1

    def window(self, number):
        """First pixel of a window, and the first one behind it."""
        start = self._last * number // tf.maximum(self._gaps, 1)
        start *= self._tiling.grid
        stop = tf.where(number < self._gaps, start + self._side, self._length)
        return start, stop

    def core(self, number):
        """A window's own part, counted from its first pixel."""
        start, _ = self.window(number)
        grid = self._tiling.grid
        first = self._seam(number) // 2 // grid * grid
        end = self._seam(number + 1) // 2 // grid * grid
        return (
            tf.where(number > 0, first, 0) - start,
            tf.where(number < self._gaps, end, self._length) - start,
        )

    def shares(self, number):
        """A window's shares in all pixels of the output that it makes."""
        factor = self._tiling.output_factor
        start, stop = (factor * n for n in self.window(number))
        pixels = tf.cast(tf.range(start, stop), tf.float64) + 0.5
        fade = self._tiling.overlap * factor / 4

        def step(number):
            middle = tf.cast(self._seam(number) * factor, tf.float64) / 2
            return tf.clip_by_value((pixels - middle) / fade + 0.5, 0.0, 1.0)

        rising = tf.where(number > 0, step(number), 1.0)
        falling = tf.where(number < self._gaps, step(number + 1), 0.0)
        return tf.cast(rising - falling, tf.float32)

    def _seam(self, number):
        """Twice the middle of what a window shares with the one before it."""
        return self.window(number - 1)[1] + self.window(number)[0]


def _pooled(moments, areas):
    """As `keras_tim.models.tiles.pooled`, of tensors `[n, 2, channels]`."""
    moments = tf.cast(moments, tf.float64)
    weights = (areas / tf.reduce_sum(areas))[:, None]
    mean = tf.reduce_sum(weights * moments[:, 0], axis=0)
    squares = moments[:, 1] + (moments[:, 0] - mean) ** 2
    variance = tf.reduce_sum(weights * squares, axis=0)
    return tf.cast(tf.stack([mean, variance]), tf.float32)


def _flat(codes):
    return [part for code in codes for part in code]
