"""Super-resolution: small pictures in, larger ones out."""

from keras_tim.data.super_resolution import (
    super_resolution_dataset,
    super_resolution_pair,
)
from keras_tim.images.alternatives import bicubic_picture
from keras_tim.images.originals import GAMUT, GREY
from keras_tim.metrics import low_resolution_psnr
from keras_tim.recipes.photos import PhotoRecipe


class SuperResolutionRecipe(PhotoRecipe):
    """Photos reduced by the model's scale, and the photos themselves."""

    task = "super_resolution"
    title = "super-resolution"
    faithfulness_name = "LR-PSNR [dB]"
    keeps = (GREY, GAMUT, *PhotoRecipe.keeps)

    def pair(self, tim, photo):
        return super_resolution_pair(photo, tim.scale)

    def dataset(self, tim, exclude, seed, start=0):
        return super_resolution_dataset(
            self.settings.data,
            scale=tim.scale,
            num_levels=tim.num_levels,
            **self.photo_options(exclude, seed, start),
        )

    def baseline(self, given, size):
        return "bicubic", bicubic_picture(given, size)

    def faithfulness(self, samples, given):
        return low_resolution_psnr(samples, given)
