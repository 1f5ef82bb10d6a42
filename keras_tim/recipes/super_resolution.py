"""Super-resolution: small pictures in, larger ones out."""

from keras_tim.data.super_resolution import (
    super_resolution_dataset,
    super_resolution_pair,
)
from keras_tim.recipes.photos import PhotoRecipe


class SuperResolutionRecipe(PhotoRecipe):
    """Photos reduced by the model's scale, and the photos themselves."""

    task = "super_resolution"

    def pair(self, tim, photo):
        return super_resolution_pair(photo, tim.scale)

    def dataset(self, tim, exclude, seed, start=0):
        return super_resolution_dataset(
            self.settings.data,
            scale=tim.scale,
            num_levels=tim.num_levels,
            **self.photo_options(exclude, seed, start),
        )
