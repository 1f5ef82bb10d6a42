"""Colourization: grey pictures in, coloured ones out."""

from keras_tim.data.colourization import (
    colourization_dataset,
    colourization_pair,
)
from keras_tim.recipes.photos import PhotoRecipe


class ColourizationRecipe(PhotoRecipe):
    """The lightness of photos, and the photos themselves."""

    task = "colourization"

    def pair(self, tim, photo):
        return colourization_pair(photo, self.multiple(tim))

    def dataset(self, tim, exclude, seed, start=0):
        return colourization_dataset(
            self.settings.data,
            num_levels=tim.num_levels,
            **self.photo_options(exclude, seed, start),
        )
