"""Pictures of any size, made tile by tile.

A tile is what the model makes of a window of the input. The codes of a window
are cut from those of the whole picture, so that a picture made in tiles is the
one that is made whole, but for what a window does not see beyond its border.
That fades within a few pixels: windows overlap, their borders are thrown away,
and what is left is blended. Memory goes with the tile; of the picture no more
than a row of tiles is held.
"""

import dataclasses
import itertools
import math
import pathlib

import numpy as np
from absl import logging

from keras_tim.checks import integer
from keras_tim.layers.modulation import SharedStatistics
from keras_tim.layers.resampling import blur_reach
from keras_tim.lazy import tensorflow as tf
from keras_tim.models.code_windows import drawn_of_window

# What the windows see beyond the tiles' seams, on either side, in pixels of
# the first level's input.
MARGIN = 16
# What a tile may take unless it is told, and what is left to try where the
# machine has less than twice as much to spare.
MEMORY = 2 * 10**9
LEAST_MEMORY = MEMORY // 16
# Statistics of a picture are those of so many of its windows at most, found in
# so many rounds at most, each normalised by what the one before has found.
MOST_MEASURED = 9
ROUNDS = 4
# Rows that are handed on at a time.
_ROWS = 64


@dataclasses.dataclass(frozen=True)
class Span:
    """One window along one side of a picture, and its share in the output.

    Attributes:
        start: int, its first pixel of the finest input.
        stop: int, the first one behind it.
        first: int, the first pixel of the output that it has a share in.
        shares: float32 array, its shares in the pixels from there on.
        inside: slice, these pixels in what is made of the window.
        core: `(start, stop)` of the window's own part, counted from its first
            pixel: every pixel of the input is in the core of one window.
    """

    start: int
    stop: int
    first: int
    shares: np.ndarray
    inside: slice
    core: tuple


@dataclasses.dataclass(frozen=True)
class Tiling:
    """How the pictures of a model are cut.

    Attributes:
        grid: int, pixels of the finest input: windows begin at multiples.
        overlap: int, how many of them neighbours share at least.
        output_factor: int, size of the output relative to that input.
    """

    grid: int
    overlap: int
    output_factor: int

    @classmethod
    def of_model(cls, tim):
        """The tiling of a `TIM`."""
        multiple = tim.input_multiple
        grid = multiple * (tim.style_cell or 1)
        if tim.consistency:
            grid = math.lcm(grid, tim.task_definition.consistent_blocks)
        # Between the centres of cells styles are interpolated.
        # What an output lacks is blurred as far as this.
        blurred = tim.consistency * blur_reach(tim.consistency_blur)
        margin = multiple * (MARGIN + (tim.style_cell or 0) // 2 + blurred)
        overlap = -(-2 * margin // grid) * grid
        return cls(grid, overlap, tim.output_factor)

    @property
    def least_tile(self):
        """The side of the smallest tile, in pixels of the output."""
        return 2 * self.overlap * self.output_factor

    def check_tile(self, tile):
        """Raises unless pictures can be made in such tiles.

        Args:
            tile: int, "auto" or None.

        Raises:
            ValueError: if they cannot.
        """
        if tile is None or (isinstance(tile, str) and tile == "auto"):
            return
        if isinstance(tile, str):
            raise ValueError(
                '`tile` must be an integer, "auto" or None. Received: '
                f"tile={tile!r}"
            )
        if integer("tile", tile) < self.least_tile:
            raise ValueError(
                f"`tile` must be at least {self.least_tile} pixels of the "
                "output: what lies beyond a tile counts, too, and neighbours "
                f"overlap. Received: tile={tile}"
            )

    def tile_of_memory(self, memory, generator):
        """The side of the tiles that may take so much memory.

        Args:
            memory: number of bytes.
            generator: the model's `keras_tim.models.generator.Generator`.

        Returns:
            int, in pixels of the output; that of the smallest tile where the
            memory is too little even for that.
        """
        pixels = memory / generator.bytes_per_output_pixel
        return max(self.least_tile, int(pixels**0.5))

    def windows(self, length, tile):
        """Where windows along one side of a picture lie.

        Args:
            length: int, the side's length.
            tile: int, the tiles' side in pixels of the output.

        Returns:
            List of `(start, stop)`, evenly spread, all of one length but the
            last, which may be longer by less than `grid`.
        """
        side = tile // self.output_factor // self.grid * self.grid
        if length < side + self.grid:
            return [(0, length)]
        gaps = -(-(length - side) // (side - self.overlap))
        last = (length - side) // self.grid
        starts = [last * n // gaps * self.grid for n in range(gaps + 1)]
        return [(n, n + side) for n in starts[:-1]] + [(starts[-1], length)]

    def spans(self, length, tile):
        """The `windows` along one side, and what is kept of each.

        Args:
            length: int, the side's length.
            tile: int, the tiles' side in pixels of the output.

        Returns:
            List of `Span`. Their shares add up to one everywhere.
        """
        windows = self.windows(length, tile)
        factor = self.output_factor
        pixels = np.arange(length * factor) + 0.5
        # From one window to the next one in the middle of what they share.
        fade = self.overlap * factor / 4
        steps, bounds = [np.ones(len(pixels))], [0]
        for (_, stop), (start, _) in itertools.pairwise(windows):
            middle = (stop + start) * factor / 2
            steps.append(np.clip((pixels - middle) / fade + 0.5, 0.0, 1.0))
            bounds.append((stop + start) // 2 // self.grid * self.grid)
        steps.append(np.zeros(len(pixels)))
        bounds.append(length)
        spans = []
        for (start, stop), (step, following), bound in zip(
            windows,
            itertools.pairwise(steps),
            itertools.pairwise(bounds),
            strict=True,
        ):
            core = tuple(n - start for n in bound)
            shares = step - following
            (places,) = np.nonzero(shares)
            first, end = int(places[0]), int(places[-1]) + 1
            inside = slice(first - start * factor, end - start * factor)
            shares = shares[first:end].astype("float32")
            spans.append(Span(start, stop, first, shares, inside, core))
        return spans


class TiledSampler:
    """Samples of one model, in tiles.

    Args:
        tim: the `Tower`.
        generator: its `keras_tim.models.generator.Generator`.

    Attributes:
        tiling: the model's `Tiling`.
    """

    def __init__(self, tim, generator):
        self.tim = tim
        self.tiling = Tiling.of_model(tim)
        self._generator = generator
        integers = tf.TensorSpec([2], tf.int64)
        window = tf.TensorSpec([None, None, tim.input_channels])
        core = tf.TensorSpec([4], tf.int64)  # its rows and columns
        self._num_normalised = tim.num_normalised
        shared = [tf.TensorSpec([2, None])] * self._num_normalised
        signature = [
            *(window, integers, core),  # the window's first row and column
            integers,  # the picture's height and width
            integers,  # seed and index
            tf.TensorSpec([], tf.float32),  # temperature
        ]
        self._own = tf.function(
            self._trace, input_signature=signature, autograph=False
        )
        self._shared = tf.function(
            self._trace, input_signature=[*signature, *shared], autograph=False
        )
        # Of codes that are chosen.
        style = [1, None, None] if tim.style_cell else [1]
        cut = [
            (
                tf.TensorSpec([*style, tim.style_dim]),
                tf.TensorSpec([1, None, None, tim.noise_channels]),
            )
        ] * tim.num_levels
        self._decode_own = tf.function(
            self._decode, input_signature=[window, core, cut], autograph=False
        )
        self._decode_shared = tf.function(
            self._decode,
            input_signature=[window, core, cut, *shared],
            autograph=False,
        )
        self._draw = tf.function(
            self._cut, input_signature=[integers] * 4, autograph=False
        )

    def tile_of(self, tile, height, width):
        """The side of the tiles that a picture is to be made of.

        Args:
            tile: int, "auto" or None, as in `TIM.sample`.
            height: int, of the finest input.
            width: the same.

        Returns:
            int, in pixels of the output; None where the picture is to be made
            whole.

        Raises:
            ValueError: if tiles would be too small.
        """
        self.tiling.check_tile(tile)
        if tile is None:
            return None
        if tile == "auto":
            tile = self.tiling.tile_of_memory(
                memory_of_a_tile(), self._generator
            )
        whole = height * width * self.tiling.output_factor**2 <= tile**2
        return None if whole else tile

    def num_tiles(self, height, width, tile):
        """How many tiles a picture is made of.

        Args:
            height: int, of the finest input.
            width: the same.
            tile: int, the tiles' side in pixels of the output.

        Returns:
            int.
        """
        windows = self.tiling.windows
        return len(windows(height, tile)) * len(windows(width, tile))

    def rows(self, given, seed, index, tile, temperature=1.0, progress=None):
        """One picture from top to bottom.

        Args:
            given: float array `[height, width, channels]` in [0, 1].
            seed: int.
            index: int, the sample's number.
            tile: int, the tiles' side in pixels of the output.
            temperature: float, see `TIM.sample`.
            progress: None, or a function that is told how many tiles are made,
                and of how many.

        Yields:
            float32 arrays `[rows, width', 3]` in [0, 1], one below the other.
        """
        arguments = (
            tf.constant(given.shape[:2], tf.int64),
            tf.constant([seed, index], tf.int64),
            tf.constant(temperature, tf.float32),
        )

        def make(row, column, statistics):
            corner = tf.constant([row.start, column.start], tf.int64)
            function = self._shared if statistics else self._own
            window, core = _window(given, row, column)
            return function(window, corner, core, *arguments, *statistics)

        return self._rows(given, tile, make, progress)

    def rows_of(self, given, codes_of, tile, progress=None):
        """One picture of chosen codes from top to bottom.

        Args:
            given: float array `[height, width, channels]` in [0, 1].
            codes_of: function that gives the codes of a window, list over
                levels of `(style [1, ...], noise [1, ...])`. It is told the
                window's first row and column and its height and width, in
                pixels of the finest input.
            tile: int, the tiles' side in pixels of the output.
            progress: see `rows`.

        Yields:
            As `rows` does.
        """

        def make(row, column, statistics):
            extent = row.stop - row.start, column.stop - column.start
            cut = codes_of((row.start, column.start), extent)
            function = self._decode_shared if statistics else self._decode_own
            return function(*_window(given, row, column), cut, *statistics)

        return self._rows(given, tile, make, progress)

    def window_of(self, given, codes_of, corner, extent):
        """What is made of one window alone.

        Where pictures are normalised, it is by what is found in the window.

        Args:
            given: see `rows_of`.
            codes_of: the same.
            corner: `(row, column)`, multiples of the tiling's `grid`.
            extent: `(height, width)`.

        Returns:
            float32 array `[height', width', 3]` in [0, 1].
        """
        row, column = (
            Span(n, n + m, 0, None, None, (0, m))
            for n, m in zip(corner, extent, strict=True)
        )
        cut = codes_of(corner, extent)
        made, _ = self._decode_own(*_window(given, row, column), cut)
        return made.numpy()

    def draw(self, corner, extent, size, seed, index):
        """The codes that a window has of a sample of the whole picture.

        Args:
            corner: `(row, column)`, multiples of the tiling's `grid`.
            extent: `(height, width)`.
            size: `(height, width)` of the whole.
            seed: int.
            index: int, the sample's number.

        Returns:
            List over levels of `(style [1, ...], noise [1, ...])`.
        """
        numbers = (corner, extent, size, (seed, index))
        return self._draw(*(tf.constant(pair, tf.int64) for pair in numbers))

    def _rows(self, given, tile, make, progress):
        height, width = given.shape[:2]
        down = self.tiling.spans(height, tile)
        across = self.tiling.spans(width, tile)
        statistics = self._statistics(down, across, make)
        factor = self.tiling.output_factor
        ends = [row.first for row in down[1:]] + [height * factor]
        # Rows that are not finished, the first of them `top`.
        tallest = max(len(row.shares) for row in down)
        pending = np.zeros((tallest, width * factor, 3), "float32")
        top = count = 0
        for row, end in zip(down, ends, strict=True):
            for column in across:
                made, _ = make(row, column, statistics)
                part = made.numpy()[row.inside, column.inside]
                shares = row.shares[:, None, None] * column.shares[:, None]
                into = pending[row.first - top :, column.first :]
                into[: part.shape[0], : part.shape[1]] += part * shares
                count += 1
                if progress is not None:
                    progress(count, len(down) * len(across))
            finished = end - top
            for first in range(0, finished, _ROWS):
                part = pending[first : min(first + _ROWS, finished)]
                # The sum of the shares may miss one by rounding.
                yield np.clip(part, 0.0, 1.0)
            pending[: tallest - finished] = pending[finished:].copy()
            pending[tallest - finished :] = 0.0
            top = end

    def _statistics(self, down, across, make):
        """What all of a picture's windows are normalised by; maybe nothing.

        At first every window goes by what it finds in itself, so that what
        its first normalisation is to go by comes out right; with every round
        that holds for one more.
        """
        if not self._num_normalised:
            return []
        windows = list(itertools.product(down, across))
        places = np.linspace(0, len(windows) - 1, MOST_MEASURED)
        windows = [windows[n] for n in sorted(set(places.round().astype(int)))]
        statistics = []
        areas = [
            np.prod([stop - start for start, stop in (row.core, column.core)])
            for row, column in windows
        ]
        for _ in range(min(ROUNDS, self._num_normalised)):
            moments = [make(*window, statistics)[1] for window in windows]
            statistics = [
                pooled(several, areas) for several in zip(*moments, strict=True)
            ]
        return statistics

    def _trace(
        self, window, corner, core, size, sample, temperature, *statistics
    ):
        extent = tf.shape(window, tf.int64)[:2]
        cut = [
            (temperature * style, temperature * noise)
            for style, noise in self._cut(corner, extent, size, sample)
        ]
        return self._decode(window, core, cut, *statistics)

    def _decode(self, window, core, cut, *statistics):
        """What is made of a window, and the moments of its features."""
        with SharedStatistics(
            tf.unstack(tf.shape(window)[:2]),
            tf.unstack(tf.cast(core, tf.int32)),
            statistics or None,
        ) as shared:
            picture = self.tim.decode(window[None], cut)[-1][0]
        return picture, shared.found

    def _cut(self, corner, extent, size, sample):
        """A window's codes of a sample."""
        return [
            (style[None], noise[None])
            for style, noise in drawn_of_window(
                self.tim, sample, corner, extent, size
            )
        ]


def _window(given, row, column):
    """What the model is given of a window, and the window's core."""
    window = np.asarray(
        given[row.start : row.stop, column.start : column.stop], "float32"
    )
    core = tf.constant([*row.core, *column.core], tf.int64)
    return tf.constant(window), core


def pooled(moments, areas):
    """Mean and variance of several parts taken together.

    Args:
        moments: sequence of arrays `[2, channels]`, means and variances.
        areas: sequence of numbers, how large each part is.

    Returns:
        float32 array `[2, channels]`.
    """
    moments = np.asarray(moments, "float64")
    mean = np.average(moments[:, 0], axis=0, weights=areas)
    squares = moments[:, 1] + (moments[:, 0] - mean) ** 2
    variance = np.average(squares, axis=0, weights=areas)
    return np.stack([mean, variance]).astype("float32")


def memory_of_a_tile():
    """Bytes that the making of a tile may take where nothing else is said.

    The same from run to run wherever there is enough: in other tiles a sample
    is not the same to the last bit.
    """
    free, memory = available_memory(), MEMORY
    while free is not None and memory > max(free / 2, LEAST_MEMORY):
        memory //= 2
    if memory < MEMORY:
        logging.warning(
            "Only %.1f GB of memory are free: pictures are made in smaller "
            "tiles, and may differ in their last bits from those made "
            "otherwise.",
            free / 1e9,
        )
    return memory


def available_memory():
    """Bytes of memory that can be had now; None where that is not known."""
    found = []
    try:
        with open("/proc/meminfo") as file:
            fields = dict(line.split(":", 1) for line in file)
        found.append(1024 * int(fields["MemAvailable"].split()[0]))
    except (OSError, KeyError, ValueError):
        return None
    # A container's own limit.
    try:
        limit, used = (
            int(pathlib.Path("/sys/fs/cgroup", name).read_text())
            for name in ("memory.max", "memory.current")
        )
        found.append(limit - used)
    except (OSError, ValueError):  # none, or "max"
        pass
    return min(found)
