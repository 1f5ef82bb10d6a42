"""Colourization: grey pictures in, coloured ones out."""

import numpy as np

from keras_tim.data.colourization import (
    colourization_dataset,
    colourization_pair,
    grey_picture,
)
from keras_tim.metrics import lightness_error
from keras_tim.recipes.photos import PhotoRecipe
from keras_tim.tasks.colourization import rgb_to_lightness


class ColourizationRecipe(PhotoRecipe):
    """The lightness of photos, and the photos themselves."""

    task = "colourization"
    title = "colourization"
    faithfulness_name = "error in L"
    lower_is_more_faithful = True

    def pair(self, tim, photo):
        return colourization_pair(photo, self.multiple(tim))

    def dataset(self, tim, exclude, seed, start=0):
        return colourization_dataset(
            self.settings.data,
            num_levels=tim.num_levels,
            **self.photo_options(exclude, seed, start),
        )

    def read_input(self, tim, path, reduce=1):
        picture = super().read_input(tim, path, reduce)
        return np.asarray(rgb_to_lightness(picture))

    def shown(self, given):
        return grey_picture(given)

    def baseline(self, given, size):
        return "grey", self.shown(given)

    def faithfulness(self, samples, given):
        return lightness_error(samples, given)
