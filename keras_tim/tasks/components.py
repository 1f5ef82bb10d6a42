"""Principal components of digits, of which MNIST's models are given ten."""

import dataclasses

import numpy as np

from keras_tim.assets.npz import NpzError, read_npz
from keras_tim.checks import integer
from keras_tim.files import written

# A digit rebuilt from its first ten principal components leaves [0, 1]: over
# MNIST it runs from -0.65 to 1.67. This range becomes the input's [0, 1].
LOWEST = -0.75
HIGHEST = 1.75

SIDE = 28
# How many principal components the input keeps. The next two are what the paper
# plots.
NUM_GIVEN = 10
NUM_KEPT = 12
# Digits that are added to the covariance at a time.
_CHUNK = 5_000


@dataclasses.dataclass(frozen=True)
class PrincipalComponents:
    """The first principal components of a set of digits.

    Black is 0 and white is 1. Of each component, whose sign is arbitrary, the
    entry of the largest size is positive.

    Attributes:
        mean: `float64` array of shape `(784,)`, the mean digit.
        basis: `float64` array of shape `(components, 784)`, orthonormal, the
            component of the largest variance first.
        deviations: `float64` array of shape `(components,)`, the standard
            deviation of each coordinate over the digits.
    """

    mean: np.ndarray
    basis: np.ndarray
    deviations: np.ndarray

    @classmethod
    def of_digits(cls, digits, num_components=NUM_KEPT):
        """Finds the components of digits.

        Args:
            digits: `uint8` array of shape `(count, 28, 28)`, at least two.
            num_components: How many components to keep.

        Returns:
            `PrincipalComponents`.

        Raises:
            ValueError: If an argument is not as described.
        """
        digits = np.asarray(digits)
        if digits.dtype != np.uint8 or digits.shape[1:] != (SIDE, SIDE):
            raise ValueError(
                f"`digits` must be uint8 of shape (count, {SIDE}, {SIDE}). "
                f"Received: {digits.dtype} of shape {digits.shape}"
            )
        num_components = integer("num_components", num_components)
        if len(digits) < 2 or num_components > SIDE**2:
            raise ValueError(
                "`digits` must be at least two, and `num_components` at most "
                f"{SIDE**2}. Received: {len(digits)} digits, "
                f"num_components={num_components}"
            )
        rows = digits.reshape(len(digits), -1)
        mean = rows.mean(axis=0, dtype=np.float64) / 255.0
        covariance = np.zeros((SIDE**2, SIDE**2))
        for start in range(0, len(rows), _CHUNK):
            centred = rows[start : start + _CHUNK] / 255.0 - mean
            covariance += centred.T @ centred
        covariance /= len(rows)
        # Eigenvalues come in ascending order, eigenvectors in columns.
        values, vectors = np.linalg.eigh(covariance)
        basis = vectors[:, ::-1][:, :num_components].T
        largest = np.argmax(np.abs(basis), axis=1)
        basis = (
            basis * np.sign(basis[np.arange(num_components), largest])[:, None]
        )
        values = values[::-1][:num_components]
        return cls(mean, basis, np.sqrt(np.maximum(values, 0.0)))

    def coordinates(self, pictures):
        """Coordinates of pictures along the components.

        Args:
            pictures: Array of shape `(..., 28, 28, channels)`, with black at 0
                and white at 1; the channels are averaged.

        Returns:
            A `float64` array of shape `(..., components)`.
        """
        grey = np.asarray(pictures, np.float64).mean(axis=-1)
        flat = grey.reshape(*grey.shape[:-2], SIDE**2)
        return (flat - self.mean) @ self.basis.T

    def rebuilt(self, coordinates):
        """Pictures from their first coordinates.

        Args:
            coordinates: Array of shape `(..., n)`, n up to the number of
                components.

        Returns:
            A `float64` array of shape `(..., 28, 28, 1)`, which may leave
            `[0, 1]`.
        """
        coordinates = np.asarray(coordinates, np.float64)
        flat = coordinates @ self.basis[: coordinates.shape[-1]] + self.mean
        return flat.reshape(*flat.shape[:-1], SIDE, SIDE, 1)

    def given(self, pictures):
        """What a model is given of pictures: ten coordinates, as a picture.

        Args:
            pictures: As in `coordinates`.

        Returns:
            A `float32` array of shape `(..., 28, 28, 1)` in `[0, 1]`: the
            pictures rebuilt from their first ten coordinates, mapped by
            `to_input` and clipped. None of MNIST's
            digits needs the clipping.
        """
        first = self.coordinates(pictures)[..., :NUM_GIVEN]
        given = np.clip(to_input(self.rebuilt(first)), 0.0, 1.0)
        return given.astype(np.float32)

    def given_coordinates(self, given):
        """The ten coordinates that a model's input stands for.

        Args:
            given: Array of shape `(..., 28, 28, 1)`, see `given`.

        Returns:
            A `float64` array of shape `(..., 10)`.
        """
        rebuilt = from_input(np.asarray(given, np.float64))
        return self.coordinates(rebuilt)[..., :NUM_GIVEN]

    def save(self, path):
        """Writes the components as a `.npz` file, whole or not at all.

        Args:
            path: str, ending in `.npz`.

        Raises:
            OSError: If the file cannot be written; what was there stays.
        """
        with written(path) as temporary, open(temporary, "wb") as file:
            np.savez(file, **vars(self))

    @classmethod
    def load(cls, path):
        """Reads what `save` wrote.

        Args:
            path: str.

        Returns:
            `PrincipalComponents`.

        Raises:
            ValueError: If the file is damaged or holds something else.
            OSError: If it cannot be read.
        """
        names = [field.name for field in dataclasses.fields(cls)]
        try:
            stored = read_npz(path)
            arrays = {name: stored[name] for name in names}
        except (NpzError, KeyError) as error:
            raise ValueError(
                f"{path} is damaged or holds no principal components: {error}"
            ) from error
        count = arrays["deviations"].size
        shapes = {
            "mean": (SIDE**2,),
            "basis": (count, SIDE**2),
            "deviations": (count,),
        }
        found = {name: array.shape for name, array in arrays.items()}
        if found != shapes or count < NUM_GIVEN:
            raise ValueError(
                f"{path} must hold at least {NUM_GIVEN} components of "
                f"{SIDE**2} entries. Received: arrays of shapes {found}"
            )
        return cls(**arrays)


def to_input(rebuilt):
    """From a rebuilt digit, about -0.65 to 1.67, to an input in [0, 1].

    Args:
        rebuilt: array or tensor of any shape, with black at 0 and white at 1.

    Returns:
        `(rebuilt + 0.75) / 2.5`, not clipped.
    """
    return (rebuilt - LOWEST) / (HIGHEST - LOWEST)


def from_input(given):
    """The inverse of `to_input`.

    Args:
        given: array or tensor of any shape.

    Returns:
        `2.5 * given - 0.75`.
    """
    return given * (HIGHEST - LOWEST) + LOWEST
