"""Super-resolution: small pictures in, larger ones out."""

from keras_tim.data.super_resolution import (
    super_resolution_dataset,
    super_resolution_pair,
)
from keras_tim.recipes.photos import PhotoRecipe, cut


class SuperResolutionRecipe(PhotoRecipe):
    """Photos reduced by the model's scale, and the photos themselves."""

    task = "super_resolution"

    def pair(self, tim, photo):
        return super_resolution_pair(photo, tim.scale, self.settings.degraded)

    def part(self, tim, given, target, corner, side):
        if not self.settings.degraded:
            return super().part(tim, given, target, corner, side)
        # Of the input itself: what is reduced anew would be degraded anew.
        small = [place // tim.scale for place in (*corner, side)]
        return cut(given, small[:2], small[2]), cut(target, corner, side)

    def dataset(self, tim, exclude, seed, start=0):
        return super_resolution_dataset(
            self.settings.data,
            scale=tim.scale,
            num_levels=tim.num_levels,
            degraded=self.settings.degraded,
            **self.photo_options(exclude, seed, start),
        )
