"""Repair of JPEGs: compressed pictures in, whole ones out."""

from keras_tim.data.decompression import (
    decompression_dataset,
    decompression_pair,
)
from keras_tim.recipes.photos import PhotoRecipe


class DecompressionRecipe(PhotoRecipe):
    """Photos compressed at the settings' quality, and the photos themselves."""

    task = "decompression"

    def model_arguments(self):
        if not self.settings.consistency:
            return {}
        return {"jpeg_quality": self.settings.quality}

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
