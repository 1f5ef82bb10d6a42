"""Layout synthesis: label maps in, pictures out."""

import fnmatch
import functools
import os

from keras_tim.checks import parsed_size
from keras_tim.data.class_files import write_classes
from keras_tim.data.layouts import (
    Fit,
    held_out_layouts,
    layout_dataset,
    layout_pair,
    list_layouts,
    named,
)
from keras_tim.models.pretrained import CLASSES_FILE
from keras_tim.recipes.recipe import Recipe

# Patterns may hold out hundreds of pictures; so many are shown and measured.
MOST_EXAMPLES = 8
# One tile of the stand-in is shown, no part of that photo is trained on.
DEFAULT_EXAMPLE = "chelsea 1:2 0,0"
DEFAULT_HELD_OUT = ("chelsea *",)


class LayoutSynthesisRecipe(Recipe):
    """Label maps, and the pictures that they were drawn from.

    A model keeps the classes of the label maps that it was trained on, since
    what a map means to it depends on them, and a run has them in
    `classes.csv` beside it, to be read.
    """

    task = "layout_synthesis"
    beside = "labels"
    bundled = "tones and textures of the photos bundled with scikit-image"

    def __init__(self, settings, folder=None):
        super().__init__(settings, folder)
        self._layouts = None
        self._classes = None
        self._unreadable = []

    @property
    def classes(self):
        """The `Classes` of the data, or those of a trained model."""
        if self._classes is None:
            self._of_data()
        return self._classes

    def take_over(self, tim):
        self._classes = tim.label_classes

    def _of_data(self, unusable=None):
        """The settings' layouts; their classes become the recipe's."""
        if self._layouts is None:
            settings = self.settings
            if settings.data and not settings.labels:
                raise ValueError(
                    "`labels` must name the folder of label maps of "
                    f"`data`. Received: data={settings.data!r} and no labels"
                )
            parsed_size(settings.size)  # raises what is wrong early
            # What label maps mean to a model is fixed.
            known = self._classes if settings.data else None
            self._layouts, self._classes = list_layouts(
                settings.data,
                settings.labels,
                known or settings.classes,
                unusable=unusable,
            )
        return self._layouts

    def _source(self):
        """The first arguments of what lists layouts."""
        self._of_data()
        # Found once, even where they are looked for in the maps.
        classes = self.classes if self.settings.data else None
        return self.settings.data, self.settings.labels, classes

    def _fit(self, tim):
        """Arguments that bring pictures to the size they are trained at."""
        return {
            "num_levels": tim.num_levels,
            "size": parsed_size(self.settings.size),
            "downsample": self.settings.downsample,
        }

    def prepare(self):
        # Anew even where there is a file: it may be of an earlier run.
        self._of_data()

    def save(self):
        # To be read: the model has them, too.
        write_classes(os.path.join(self.folder, CLASSES_FILE), self.classes)

    def model_arguments(self):
        self._of_data()
        return {"classes": self.classes}

    def examples(self, tim, names=None, count=None):
        return held_out_layouts(
            *self._source(), only=names, count=count, **self._fit(tim)
        )

    def listed(self, tim, names=None, crop=None):
        self._refuse_crops(crop)
        # To measure, what cannot be read is left out; to train it is refused.
        layouts = self._of_data(self._unreadable)
        self.unusable = list(self._unreadable)
        if names is not None:
            wanted = named(layouts, names, "only")
            layouts = [layout for layout in layouts if layout.name in wanted]
            self.unusable = [
                name
                for name in self._unreadable
                if any(fnmatch.fnmatchcase(name, x) for x in names)
            ]
        fit = Fit(**self._fit(tim))

        def read(layout):
            fit.size_of(layout)  # raises where it is too small
            return layout_pair(
                *fit(*layout.read()), self.classes, tim.num_levels
            )

        return [
            (layout.name, functools.partial(read, layout)) for layout in layouts
        ]

    def held_out_names(self, tim):
        if self.settings.data is None:
            return self.settings.held_out or DEFAULT_HELD_OUT
        return self.settings.held_out or super().held_out_names(tim)

    def held_out(self, tim):
        names = self.settings.held_out
        if names:
            return self.examples(tim, names, MOST_EXAMPLES), names
        if self.settings.data is None:
            return self.examples(tim, (DEFAULT_EXAMPLE,)), DEFAULT_HELD_OUT
        names = (self._of_data()[0].name,)
        return self.examples(tim, names), names

    def dataset(self, tim, exclude, seed, start=0):
        return layout_dataset(
            *self._source(),
            **self._fit(tim),
            rarity=self.settings.rarity,
            batch_size=self.settings.images_per_selection,
            seed=seed,
            repeat=True,
            start=start,
            exclude=exclude,
        )
