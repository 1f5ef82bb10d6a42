"""Base of the recipes whose examples are made from photos."""

import functools

from keras_tim.data.crops import large_photos, whole_photos
from keras_tim.data.sources import is_tfds
from keras_tim.data.tfds_pictures import TfdsPictures
from keras_tim.inference.reading import refuse_large_output
from keras_tim.recipes.recipe import Recipe

DEFAULT_HELD_OUT = "chelsea"
# Sides of the crops that are measured, in pixels: those of the field's usual
# small test pictures.
REPORT_CROP = 64


class PhotoRecipe(Recipe):
    """A recipe whose inputs are made from photos on the fly."""

    bundled = "the photos bundled with scikit-image"

    def __init__(self, settings, folder=None):
        super().__init__(settings, folder)
        self._chosen = None

    def pair(self, tim, photo):
        """Makes the model's input and its target from a photo.

        Args:
            tim: the `TIM`.
            photo: array `[height, width, 3]`, `uint8` or float in [0, 1].

        Returns:
            Tuple `(given, target)`, float32 in [0, 1].
        """
        raise NotImplementedError

    def source(self, names=None, unusable=None):
        """The settings' data, as `whole_photos` takes them.

        Args:
            names: names of the photos that are asked for; None for all.
            unusable: list or None; it gets the names of those that cannot be
                read.
        """
        return self.settings.data

    def part(self, tim, given, target, corner, side):
        """A part of an example that `pair` gave.

        Args:
            tim: the `TIM`.
            given: array `[h, w, channels]`.
            target: array `[height, width, 3]`.
            corner: `(top, left)` of the part of the target.
            side: int, of that part.

        Returns:
            Tuple like that of `pair`.
        """
        return self.pair(tim, cut(target, corner, side))

    def multiple(self, tim):
        """What a target's sides must be multiples of."""
        return tim.output_factor * tim.input_multiple

    def examples(self, tim, names=None, count=None):
        photos = whole_photos(
            self.source(names),
            smallest_side=self.multiple(tim),
            only=names,
            count=count,
            data_dir=self.settings.data_dir,
            downsample=self.settings.downsample,
        )
        return [(name, *self.pair(tim, photo)) for name, photo in photos]

    def listed(self, tim, names=None, crop=None):
        multiple = self.multiple(tim)
        side = self._side(tim, crop) if crop is not None else multiple
        self.unusable = []
        photos = large_photos(
            self.source(names, self.unusable),
            smallest_side=side,
            only=names,
            data_dir=self.settings.data_dir,
            downsample=self.settings.downsample,
            unusable=self.unusable,
            measure=crop is not None,
        )

        # Crops of one photo follow one another: it is decoded once.
        @functools.lru_cache(maxsize=1)
        def whole(number):
            return self.pair(tim, photos[number].read())

        def measured_whole(number):
            refuse_large_output(photos[number].name, *photos[number].size)
            return whole(number)

        def cropped(number, corner):
            return self.part(tim, *whole(number), corner, side)

        examples = []
        for number, photo in enumerate(photos):
            if crop is None:
                read = functools.partial(measured_whole, number)
                examples.append((photo.name, read))
                continue
            size = [n - n % multiple for n in photo.size]
            for corner in _corners(size, side):
                name = f"{photo.name} {corner[0]},{corner[1]}"
                read = functools.partial(cropped, number, corner)
                examples.append((name, read))
        return examples

    def held_out_names(self, tim):
        names = self.settings.held_out
        if names:
            return names
        if self.settings.data is None:
            return (DEFAULT_HELD_OUT,)
        if is_tfds(self.settings.data):
            return (self._held_out_split,)
        # Once: a folder may change while a run lasts.
        if self._chosen is None:
            self._chosen = (self.examples(tim, count=1)[0][0],)
        return self._chosen

    def held_out(self, tim):
        names = self.held_out_names(tim)
        # A split may hold thousands of pictures: the first one is shown.
        split = is_tfds(self.settings.data) and any(
            "/" not in name for name in names
        )
        return self.examples(tim, names, count=1 if split else None), names

    @functools.cached_property
    def _held_out_split(self):
        settings = self.settings
        return TfdsPictures(settings.data, settings.data_dir).held_out_split

    def photo_options(self, exclude, seed, start):
        """Arguments of `crop_dataset` that follow from the settings."""
        return {
            "crop_size": self.settings.crop_size,
            "batch_size": self.settings.images_per_selection,
            "seed": seed,
            "repeat": True,
            "start": start,
            "exclude": exclude,
            "data_dir": self.settings.data_dir,
            "downsample": self.settings.downsample,
            "enlarged": self.settings.enlarged,
        }

    def crops(self, tim, example):
        name, given, target = example
        side = self._side(tim, REPORT_CROP)
        crops = [
            (f"{top},{left}", *self.part(tim, given, target, (top, left), side))
            for top, left in _corners(target.shape[:2], side)
        ]
        return f"{name}, {len(crops)} crops of {side} px", crops

    def _side(self, tim, wanted):
        """The side of a crop: a multiple that the model takes."""
        side = wanted - wanted % self.multiple(tim)
        if side < 1:
            raise ValueError(
                f"`crop` must be at least {self.multiple(tim)}, which the "
                f"model's sides are multiples of. Received: crop={wanted}"
            )
        return side


def _corners(size, side):
    """Corners of the squares that lie side by side in a picture."""
    rows, columns = (n // side for n in size)
    return [
        (side * row, side * column)
        for row in range(rows)
        for column in range(columns)
    ]


def cut(picture, corner, side):
    """The square of a picture that begins at a corner."""
    top, left = corner
    return picture[top : top + side, left : left + side]
