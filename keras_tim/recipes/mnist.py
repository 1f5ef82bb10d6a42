"""MNIST: ten principal components in, digits out."""

import os

import numpy as np
from absl import logging
from PIL import Image

from keras_tim.data.mnist import (
    NUM_GIVEN,
    SIDE,
    PrincipalComponents,
    held_out_digits,
    mnist_dataset,
    mnist_digits,
)
from keras_tim.models.pretrained import preset_folder
from keras_tim.recipes.recipe import Recipe, read_reduced
from keras_tim.tasks.mnist import from_input

COMPONENTS_FILE = "pca.npz"
# How many digits of the test split are shown and measured.
NUM_HELD_OUT = 8


class MnistRecipe(Recipe):
    """Digits rebuilt from ten principal components, and the digits.

    The components are those of the train split. What the model is given of a
    picture depends on them: a run keeps them in `pca.npz`.
    """

    task = "mnist"
    bundled = "55,000 digits of MNIST"
    title = "from ten principal components"
    faithfulness_name = "PSNR of the ten components [dB]"

    def __init__(self, settings, folder=None):
        super().__init__(settings, folder)
        self._components = None

    @property
    def components(self):
        """The `PrincipalComponents` of the run, or of its data."""
        if self._components is None:
            path = self._components_path()
            if path is not None and os.path.isfile(path):
                self._components = PrincipalComponents.load(path)
            else:
                if path is not None:
                    logging.warning(
                        "%s does not exist: finding the principal components "
                        "of %s anew. They must be those that the model was "
                        "trained with.",
                        path,
                        self.settings.data or self.bundled,
                    )
                self._components = self._of_data()
        return self._components

    def _components_path(self):
        """Where a run or a trained preset keeps them: beside its model."""
        if self.folder is None:
            return None
        folder = os.fspath(self.folder)
        folder = preset_folder(folder) or folder
        if os.path.isfile(folder):  # a .keras file
            folder = os.path.dirname(folder)
        return os.path.join(folder, COMPONENTS_FILE)

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
        if tim.consistency:
            tim.set_components(self.components.basis[:NUM_GIVEN])

    def save(self):
        self.components.save(self._components_path())

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

    def read_input(self, tim, path, reduce=1):
        """What ten components leave of a user's picture of a digit.

        The picture must be white on black, as MNIST is. It becomes grey, is
        filled up with black to a square and resized to 28 x 28 pixels.

        Args:
            tim: the `TIM`.
            path: str.
            reduce: int, factor by which the picture is reduced first.
        """
        picture = read_reduced(path, reduce, scale=1)
        digit = _as_digit(picture)
        if digit.mean() > 0.5:
            logging.warning(
                "%s is mostly white. The model knows white digits on black: "
                "invert the picture if it is the other way round.",
                path,
            )
        return self.components.given(digit)

    def read_by(self):
        arrays = vars(self.components)
        return b"".join(np.asarray(arrays[k]).tobytes() for k in sorted(arrays))

    def shown(self, given):
        return np.repeat(given, 3, axis=-1)

    def baseline(self, given, size):
        rebuilt = np.clip(from_input(given), 0.0, 1.0)
        return "projection", np.repeat(rebuilt, 3, axis=-1)

    def faithfulness(self, samples, given):
        """PSNR between what ten components leave of samples and of the digit.

        The pictures rebuilt from the two sets of ten coordinates are compared,
        white being 1. The components are orthonormal, so that the squared
        difference of the pictures is that of the coordinates.
        """
        wanted = self.components.given_coordinates(given)
        found = self.components.coordinates(samples)[..., : wanted.shape[-1]]
        error = np.sum((found - wanted) ** 2, axis=-1) / SIDE**2
        return -10.0 * np.log10(np.maximum(error, 1e-10))


def _as_digit(picture):
    """A picture as MNIST would hold it, `[28, 28, 1]` in [0, 1]."""
    # ITU-R BT.601, as Pillow turns colours into grey.
    grey = picture @ np.array([0.299, 0.587, 0.114], np.float32)
    missing = [max(grey.shape) - side for side in grey.shape]
    grey = np.pad(grey, [(n // 2, n - n // 2) for n in missing])
    resized = Image.fromarray(grey).resize(
        (SIDE, SIDE), Image.Resampling.BICUBIC
    )
    return np.clip(np.asarray(resized), 0.0, 1.0)[..., None]
