"""What the tasks that learn from plain photos share."""

from keras_tim.data.crops import whole_photos
from keras_tim.recipes.recipe import Recipe

DEFAULT_HELD_OUT = "chelsea"
# Sides of the crops that are measured, in pixels: those of the field's usual
# small test pictures.
REPORT_CROP = 64


class PhotoRecipe(Recipe):
    """A recipe whose inputs are made from photos on the fly."""

    bundled = "the photos bundled with scikit-image"

    def pair(self, tim, photo):
        """Makes the model's input and its target from a photo.

        Args:
            tim: the `TIM`.
            photo: array `[height, width, 3]`, `uint8` or float in [0, 1].

        Returns:
            Tuple `(given, target)`, float32 in [0, 1].
        """
        raise NotImplementedError

    def multiple(self, tim):
        """What a target's sides must be multiples of."""
        return tim.output_factor * tim.input_multiple

    def examples(self, tim, names=None, count=None):
        photos = whole_photos(
            self.settings.data,
            smallest_side=self.multiple(tim),
            only=names,
            count=count,
            data_dir=self.settings.data_dir,
            downsample=self.settings.downsample,
        )
        return [(name, *self.pair(tim, photo)) for name, photo in photos]

    def held_out(self, tim):
        data, names = self.settings.data, self.settings.held_out
        if not names and data is None:
            names = (DEFAULT_HELD_OUT,)
        if names:
            return self.examples(tim, names), names
        # TFDS has a test split of its own; of a folder the first one is taken.
        examples = self.examples(tim, count=1)
        return examples, () if data.startswith("tfds:") else (examples[0][0],)

    def photo_options(self, exclude, seed):
        """Arguments of `crop_dataset` that follow from the settings."""
        return {
            "crop_size": self.settings.crop_size,
            "batch_size": self.settings.images_per_selection,
            "seed": seed,
            "repeat": True,
            "exclude": exclude,
            "data_dir": self.settings.data_dir,
            "downsample": self.settings.downsample,
        }

    def crops(self, tim, example):
        name, _, target = example
        side = REPORT_CROP - REPORT_CROP % self.multiple(tim)
        rows, columns = (n // side for n in target.shape[:2])
        crops = []
        for row in range(rows):
            for column in range(columns):
                top, left = side * row, side * column
                crop = target[top : top + side, left : left + side]
                crops.append((f"{top},{left}", *self.pair(tim, crop)))
        return f"{name}, {len(crops)} crops of {side} px", crops
