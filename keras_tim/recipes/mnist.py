"""MNIST: ten principal components in, digits out."""

import os

from absl import logging

from keras_tim.data.mnist import (
    PrincipalComponents,
    held_out_digits,
    mnist_dataset,
    mnist_digits,
)
from keras_tim.models.pretrained import COMPONENTS_FILE
from keras_tim.recipes.recipe import Recipe

# How many digits of the test split are shown and measured.
NUM_HELD_OUT = 8


class MnistRecipe(Recipe):
    """Digits rebuilt from ten principal components, and the digits.

    The components are those of the train split. What the model is given of a
    picture depends on them: a model keeps them.
    """

    task = "mnist"
    bundled = "55,000 digits of MNIST"

    def __init__(self, settings, folder=None):
        super().__init__(settings, folder)
        self._components = None

    @property
    def components(self):
        """The `PrincipalComponents` of the model, or of the data."""
        if self._components is None:
            self._components = self._of_data()
        return self._components

    def take_over(self, tim):
        if tim.components is None:
            logging.warning(
                "The model does not say which components it was trained with: "
                "finding those of %s.",
                self.settings.data or self.bundled,
            )
            tim.set_components(self.components)
        self._components = tim.components

    def _of_data(self):
        return PrincipalComponents.of_digits(
            mnist_digits(
                self.settings.data,
                split="train",
                data_dir=self.settings.data_dir,
            )
        )

    def prepare(self):
        # Anew even where there is a file: it may be of an earlier run.
        self._components = self._of_data()

    def equip(self, tim):
        tim.set_components(self.components)

    def save(self):
        self.components.save(os.path.join(self.folder, COMPONENTS_FILE))

    def examples(self, tim, names=None, count=None):
        return held_out_digits(
            self.components,
            self.settings.data,
            names=names,
            count=count,
            data_dir=self.settings.data_dir,
        )

    def held_out(self, tim):
        # The train split holds none of them.
        names = self.settings.held_out or None
        count = NUM_HELD_OUT if names is None else None
        return self.examples(tim, names, count), ()

    def held_out_names(self, tim):
        return self.settings.held_out or None

    def dataset(self, tim, exclude, seed, start=0):
        return mnist_dataset(
            self.settings.data,
            components=self.components,
            batch_size=self.settings.images_per_selection,
            seed=seed,
            repeat=True,
            start=start,
            data_dir=self.settings.data_dir,
        )
