"""Renders codes of one input into pictures, whole or in tiles."""

import numpy as np

from keras_tim.checks import check_tensorflow, integer
from keras_tim.inference.recorded_codes import codes_of
from keras_tim.inference.samples import finished, in_rows, shares_told
from keras_tim.lazy import tensorflow as tf
from keras_tim.models.choosing import check_varied, mixed_in, take
from keras_tim.models.folding import folded
from keras_tim.models.generator import Generator
from keras_tim.models.inputs import check_temperature
from keras_tim.models.processor import pictures_together
from keras_tim.models.tower import LARGEST_INDEX


class Renderer:
    """Makes pictures of one input from codes, one at a time.

    What they have in common is made once. A picture of what `draw` gives is
    `TIM.sample`'s to the last bit.

    Args:
        tim: a `TIM`; later changes to its weights are not seen.
        given: array `[height, width, channels]`, float in [0, 1]. Its edges
            are repeated where its sides are not of `input_multiple`.

    Attributes:
        size: height and width of what was given.
        inputs: float32 array `[1, height', width', channels]`, what the model
            is given.
    """

    def __init__(self, tim, given):
        check_tensorflow("A picture of chosen codes")
        self._tim = tim
        self.size = tuple(given.shape[:2])
        self._size = [tim.output_factor * n for n in given.shape[:2]]
        self._missing = [(0, -n % tim.input_multiple) for n in given.shape[:2]]
        self.inputs = np.pad(given, (*self._missing, (0, 0)), "edge")[None]
        generator = Generator(folded(tim), together=pictures_together())
        channels = tf.TensorSpec([None, None, tim.input_channels])
        begin = tf.function(
            generator.begin, input_signature=[channels], autograph=False
        )
        self._given = tf.constant(self.inputs[0], tf.float32)
        self._begun = begin(self._given)

        def picture(given, begun, *code):
            return generator.decode_begun(given, begun, code)

        self._picture = tf.function(picture, autograph=False)

    def draw(self, seed, index, temperature=1.0):
        """Codes of one sample of a seed, see `TIM.sample`."""
        return self._tim.draw_codes(
            self.inputs,
            num_samples=1,
            seed=seed,
            temperature=temperature,
            first=index,
        )

    def vary(self, codes, amount, seed, levels, temperature):
        """Codes near others, see `TIM.vary`."""
        return self._tim.vary(codes, amount, seed, levels, temperature)

    def combine(self, several, masks):
        """Chooses by region, see `TIM.combine`.

        Args:
            several: codes of n alternatives.
            masks: array `[n, height, width]` of the size that was given.

        Returns:
            Codes of one.
        """
        masks = np.pad(masks, ((0, 0), *self._missing), "edge")
        return self._tim.combine(several, masks)

    def picture(self, codes):
        """The picture of one code.

        Args:
            codes: list over levels of `(style [1, ...], noise [1, ...])`.

        Returns:
            float32 array `[H, W, 3]` in [0, 1].
        """
        flat = [part[0] for code in take(codes, [0]) for part in code]
        made = self._picture(self._given, self._begun, *flat).numpy()
        height, width = self._size
        return made[:height, :width]


class TiledRenderer:
    """Makes pictures of one large input from choices, in tiles.

    Args:
        tim: a `TIM`.
        given: array `[height, width, channels]`, float in [0, 1]. Its edges
            are repeated where its sides are not of `input_multiple`.

    Attributes:
        size: height and width of what was given.
    """

    def __init__(self, tim, given):
        self._tim = tim
        self._sampler = tim.tiled_sampler()
        self.size = tuple(given.shape[:2])
        missing = [(0, -n % tim.input_multiple) for n in self.size]
        self._given = given
        if any(after for _, after in missing):
            self._given = np.pad(given, (*missing, (0, 0)), "edge")

    def rows(self, made_of, tile, progress=None):
        """One picture from top to bottom.

        Args:
            made_of: dict, see `keras_tim.inference.recorded_codes.codes_of`.
            tile: int, the tiles' side in pixels of the output.
            progress: None, or a function that is told how many tiles are made,
                and of how many.

        Yields:
            float32 arrays `[rows, W', 3]` in [0, 1]. They go on beyond what
            was given as far as edges were repeated.
        """
        codes = self._codes_of(made_of)
        yield from self._sampler.rows_of(self._given, codes, tile, progress)

    def region(self, made_of, place):
        """A part of a picture.

        Args:
            made_of: as above.
            place: two slices of rows and columns of what was given.

        Returns:
            float32 array `[h, w, 3]` in [0, 1].
        """
        tiling = self._sampler.tiling
        grid, factor = tiling.grid, tiling.output_factor
        corner, extent, inside = [], [], []
        for part, length in zip(place, self._given.shape, strict=False):
            # With as much around it as tiles share.
            start = max(part.start - tiling.overlap // 2, 0) // grid * grid
            stop = -(-(part.stop + tiling.overlap // 2) // grid) * grid
            corner.append(start)
            extent.append(min(stop, length) - start)
            inside.append(
                slice(*(factor * (n - start) for n in (part.start, part.stop)))
            )
        made = self._sampler.window_of(
            self._given, self._codes_of(made_of), corner, extent
        )
        return made[tuple(inside)]

    def _codes_of(self, made_of):
        def codes(corner, extent):
            window = _Window(
                self._tim, self._sampler, self.size, self._given, corner, extent
            )
            return codes_of(self._tim, window, made_of)

        return codes


def choice_of(tim, given, made_of, side=None, part_done=None, last=None):
    """The picture of what a person chose.

    Args:
        tim: a `TIM`.
        given: array `[h, w, channels]`, what it is given, of any sides.
        made_of: dict, see `keras_tim.inference.recorded_codes.codes_of`.
        side: int or None, of its tiles; None for a picture that is made whole.
        part_done: see `sample_of`.
        last: the same.

    Returns:
        As `sample_of`.
    """
    if side is None:
        renderer = Renderer(tim, given)
        picture = renderer.picture(codes_of(tim, renderer, made_of))
        return finished(picture, last)
    own = [tim.output_factor * n for n in given.shape[:2]]
    progress = shares_told(part_done)
    parts = TiledRenderer(tim, given).rows(made_of, side, progress)
    return in_rows(parts, own, last)


class _Window:
    """Draws and mixes codes of one window as `Renderer` those of a picture.

    What is the same in two codes is told by the window's own, so that mixtures
    may differ in their last bits from those of the whole.
    """

    def __init__(self, tim, sampler, size, given, corner, extent):
        self._tim, self._sampler = tim, sampler
        self.size = size
        self._where = corner, extent, given.shape[:2]

    def draw(self, seed, index, temperature=1.0):
        seed = integer("seed", seed, -(2**63), 2**63 - 1)
        index = integer("index", index, 0, LARGEST_INDEX)
        check_temperature(temperature)
        return [
            tuple(temperature * part for part in code)
            for code in self._sampler.draw(*self._where, seed, index)
        ]

    def vary(self, codes, amount, seed, levels, temperature):
        amount, levels = check_varied(self._tim, amount, levels, temperature)
        seed = integer("seed", seed, -(2**63), 2**63 - 1)
        drawn = self._sampler.draw(*self._where, seed, -1)
        draws = {level: drawn[level] for level in levels}
        return mixed_in(codes, draws, amount, temperature)

    def combine(self, several, masks):
        (top, left), (height, width), _ = self._where
        part = masks[:, top : top + height, left : left + width]
        missing = height - part.shape[1], width - part.shape[2]
        part = np.pad(part, ((0, 0), *((0, n) for n in missing)), "edge")
        return self._tim.combine(several, part)
