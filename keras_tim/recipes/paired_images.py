"""Paired images: pictures of one folder in, those of another out."""

from keras_tim.data.paired_images import (
    list_pairs,
    paired_images_dataset,
    paired_images_pair,
)
from keras_tim.recipes.photos import PhotoRecipe, cut


class PairedImagesRecipe(PhotoRecipe):
    """The pictures of `inputs`, and those of the same names of `data`."""

    task = "paired_images"
    bundled = None
    beside = "inputs"

    def source(self, names=None, unusable=None):
        settings = self.settings
        if not settings.data or not settings.inputs:
            raise ValueError(
                "`data` must name a folder of pictures, and `inputs` one of "
                "the inputs that they belong to, of the same names. Received: "
                f"data={settings.data!r}, inputs={settings.inputs!r}"
            )
        return list_pairs(
            settings.data,
            settings.inputs,
            downsample=settings.downsample,
            only=names,
            unusable=unusable,
        )

    def prepare(self):
        self.source()  # raises what is wrong before there is a model

    def pair(self, tim, photo):
        """Makes the input and the target from a pair, see `PhotoPair`."""
        return paired_images_pair(
            photo[..., :3], photo[..., 3:], self.multiple(tim)
        )

    def part(self, tim, given, target, corner, side):
        return cut(given, corner, side), cut(target, corner, side)

    def dataset(self, tim, exclude, seed, start=0):
        return paired_images_dataset(
            self.settings.data,
            self.settings.inputs,
            num_levels=tim.num_levels,
            **self.photo_options(exclude, seed, start),
        )
