"""Repair of heavily compressed JPEGs."""

import numpy as np
from keras import ops

from keras_tim.layers.coefficients import (
    BLOCK,
    standard_steps,
    within_steps,
)
from keras_tim.metrics.consistency import recompressed_psnr
from keras_tim.tasks.task import (
    ALPHA,
    DEPTH,
    EXIF,
    GAMUT,
    GREY,
    PROFILE,
    Task,
)
from keras_tim.tasks.wiring import same_size_wiring

# Stands for equality, whose PSNR is infinite: an error of a quarter of one of
# 256 levels.
HIGHEST_PSNR = 60.0
# Colours at half the resolution, as `keras_tim.images.jpeg.compressed` has
# them: so many pixels one value stands for.
_CELL = (2, 2)
_UNIT = 2 * BLOCK


class Decompression(Task):
    """Compressed RGB [0, 1] at every level's size -> RGB [0, 1], same size."""

    name = "decompression"
    title = "JPEG repair"
    input_meaning = "RGB picture as decoded from the damaged JPEG file"
    compresses = True
    # As a JPEG, what was repaired would be compressed once more.
    keeps = (GREY, GAMUT, DEPTH, ALPHA, PROFILE, EXIF)
    faithfulness_name = "recompressed PSNR [dB]"
    # The previous output has lost the edges of the blocks; "own" keeps the
    # detail that mild compression leaves.
    supports_input_skip = True
    supports_consistency = True
    consistent_blocks = _UNIT

    def wiring(self, num_levels, architecture):
        """Wiring of every level.

        CAM-Net takes each output before the enlargement, which the last level
        does without. HyperRIM has a single level with two same-size
        convolutions where the enlargement would be.
        """
        last = "same" if architecture == "hyperrim" else "none"
        return same_size_wiring(num_levels, last)

    def beside_previous(self, own_input, level):
        """What a level with a skip reads beside the previous output.

        Its own input, each pixel the mean of a window as large as a block. As
        it is, it would be the sharpest thing the level sees, and a small model
        soon learns to draw the edges of the blocks from it.

        Args:
            own_input: tensor `[batch, height, width, 3]` in [0, 1].
            level: int, 1 or more. One pixel of level 0 stands for a block: it
                has `2 ** level` pixels of this level on a side.

        Returns:
            float32 tensor `[batch, height, width, 3]` in [0, 1].
        """
        # An odd window does not shift the picture; "same" leaves out of the
        # mean what lies beyond the border.
        return ops.average_pool(
            ops.cast(own_input, "float32"),
            2**level + 1,
            strides=1,
            padding="same",
            data_format="channels_last",
        )

    def agrees_at(self, level, num_levels):
        """Whether a level's output can agree with what is given: the last."""
        return level == num_levels - 1

    def agreeing(self, output, observed, factor, rounds, *, quality, **_):
        """The nearest picture that would be compressed to what is given.

        Every coefficient of its blocks is moved into the interval that the
        compressed one stands for, see
        `keras_tim.layers.coefficients.within_steps`.

        Args:
            output: float tensor `[batch, height, width, 3]`.
            observed: the JPEG's pixels, of that shape; blocks begin in the
                first row and column.
            factor: 1.
            rounds: int; after one, later ones change nothing.
            quality: int, the JPEG's, on libjpeg's scale, with colours at half
                the resolution.

        Returns:
            float32 tensor of the output's shape; it may leave [0, 1].
        """
        height, width = ops.shape(output)[1:3]
        steps = standard_steps(quality)
        made, given = _whole_units(output), _whole_units(observed)
        for _ in range(rounds):
            made = within_steps(made, given, *steps, _CELL, 0.5)
        return made[:, :height, :width]

    def baseline(self, given, size):
        return "JPEG", given

    def faithfulness(self, samples, given, tim, quality=None):
        """As `Task.faithfulness`, with a ceiling that keeps means finite."""
        if quality is None:
            return None
        psnr = recompressed_psnr(samples, given, quality)
        return np.minimum(psnr, HIGHEST_PSNR)


def _whole_units(pictures):
    """Edge pixels repeated until blocks of all planes are whole."""
    for axis in (1, 2):
        side = ops.shape(pictures)[axis]
        if isinstance(side, int) and side % _UNIT == 0:
            continue
        whole = -(-side // _UNIT) * _UNIT
        within = ops.minimum(ops.arange(whole), side - 1)
        pictures = ops.take(pictures, within, axis=axis)
    return pictures
