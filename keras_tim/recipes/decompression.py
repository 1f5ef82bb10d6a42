"""Repair of JPEGs: compressed pictures in, whole ones out."""

import numpy as np

from keras_tim.data.decompression import (
    compressed,
    decompression_dataset,
    decompression_pair,
)
from keras_tim.images.originals import GAMUT, GREY, SUFFIX
from keras_tim.metrics import recompressed_psnr
from keras_tim.recipes.photos import PhotoRecipe

# Stands for equality, whose PSNR is infinite: an error of a quarter of one of
# 256 levels.
HIGHEST_PSNR = 60.0


class DecompressionRecipe(PhotoRecipe):
    """Photos compressed at the settings' quality, and the photos themselves."""

    task = "decompression"
    title = "JPEG repair"
    faithfulness_name = "recompressed PSNR [dB]"
    # As a JPEG, what was repaired would be compressed once more.
    keeps = (
        GREY,
        GAMUT,
        *(kept for kept in PhotoRecipe.keeps if kept != SUFFIX),
    )

    def pair(self, tim, photo):
        return decompression_pair(
            photo, self.multiple(tim), self.settings.quality
        )

    def dataset(self, tim, exclude, seed, start=0):
        return decompression_dataset(
            self.settings.data,
            num_levels=tim.num_levels,
            quality=self.settings.quality,
            **self.photo_options(exclude, seed, start),
        )

    def read_input(self, tim, path, reduce=1, quality=None):
        """As `Recipe.read_input`, with one more argument.

        Args:
            tim: the `TIM`.
            path: str.
            reduce: int, factor by which the picture is reduced first.
            quality: int or None, JPEG quality at which it is compressed then.
        """
        picture = super().read_input(tim, path, reduce)
        return picture if quality is None else compressed(picture, quality)

    def baseline(self, given, size):
        return "JPEG", given

    def faithfulness(self, samples, given):
        """As `Recipe.faithfulness`, with a ceiling that keeps means finite."""
        psnr = recompressed_psnr(samples, given, self.settings.quality)
        return np.minimum(psnr, HIGHEST_PSNR)
