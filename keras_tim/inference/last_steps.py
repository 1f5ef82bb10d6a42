"""What is done last to results: another size, or a layer over the picture."""

import dataclasses
import itertools

import numpy as np
from absl import logging

from keras_tim.images.quantisation import Quantisation
from keras_tim.images.resizing import resized_rows
from keras_tim.images.rows import in_bands
from keras_tim.inference.jpeg_files import kept_quantisation
from keras_tim.inference.reading import read_input
from keras_tim.layers.coefficients import within_steps
from keras_tim.tasks.task import Task

# How far, in steps, results may lie from blocks of which a file has kept the
# mean alone: anywhere that the file may have been made of.
_FLAT_SHARE = 0.5
# Pixels that are kept to a file's coefficients at a time.
_BAND = 1 << 20


def last_step(tim, path, size, share=None):
    """What is done last to what the model makes of a reduced picture.

    Args:
        tim: a `TIM`.
        path: the picture.
        size: `(height, width)` that results have, or None for the model's own.
        share: see `Sizing`.

    Returns:
        A `Resampled`, `LaidOnto` or `WithinJPEG`; None where nothing is done.
    """
    if share is not None:
        given = read_input(tim, path)
        quantisation = kept_quantisation(path, given)
        if quantisation is not None:
            return WithinJPEG(quantisation, given, share)
        logging.warning(
            "%s is no JPEG file, or one whose colours were converted: nothing "
            "says how much of what is made may be right. It is repaired all "
            "the same.",
            path,
        )
    if size is None:
        return None
    task = tim.task_definition
    if task.working_side is None:
        return Resampled(tuple(size))
    return LaidOnto(task, read_input(tim, path))


@dataclasses.dataclass(frozen=True)
class Resampled:
    """Results at another size.

    Attributes:
        size: `(height, width)`.
    """

    size: tuple[int, int]

    def rows(self, parts, own):
        """A result at its last size, from top to bottom.

        Args:
            parts: iterable of float arrays `[rows, width, 3]`, a picture from
                top to bottom.
            own: `(height, width)` of it.

        Yields:
            float32 arrays `[rows, new width, 3]`.
        """
        return resized_rows(parts, own, self.size)


@dataclasses.dataclass(frozen=True)
class LaidOnto:
    """Results laid onto the picture at its full size, see `Task.laid_onto`.

    Attributes:
        task: the `keras_tim.tasks.Task`.
        given: float32 array `[height, width, channels]`, what a model would be
            given of the picture as it is.
    """

    task: Task
    given: np.ndarray

    @property
    def size(self):
        """Height and width of the picture."""
        return self.given.shape[:2]

    def rows(self, parts, own):
        """See `Resampled.rows`."""
        layers = (np.asarray(self.task.layer_of(part)) for part in parts)
        top = 0
        for layer in resized_rows(layers, own, self.size):
            given = self.given[top : top + len(layer)]
            top += len(layer)
            yield np.asarray(self.task.laid_onto(layer, given))


@dataclasses.dataclass(frozen=True)
class WithinJPEG:
    """Results that a JPEG file allows, at its size.

    Attributes:
        quantisation: `keras_tim.images.quantisation.Quantisation` of the file.
        given: float32 array `[height, width, 3]`, its pixels.
        share: float, see `Sizing`.
    """

    quantisation: Quantisation
    given: np.ndarray
    share: float

    @property
    def size(self):
        """Height and width of the picture."""
        return self.given.shape[:2]

    def rows(self, parts, own):
        """See `Resampled.rows`."""
        if tuple(own) != self.size:
            parts = resized_rows(parts, own, self.size)
        unit = self.quantisation.unit[0]
        count = unit * max(1, _BAND // (unit * self.size[1]))
        # Blocks that are counted from the last row may begin above the first.
        above = self.quantisation.padding(*self.size)[0][0]
        absent = np.zeros((above, self.size[1], 3), "float32")
        top = -above
        for band in in_bands(itertools.chain([absent], parts), count):
            start, top = max(top, 0), top + len(band)
            given = self.given[start:top]
            yield self._kept(band[-len(given) :], given)

    def _kept(self, band, given):
        padding = [*self.quantisation.padding(*band.shape[:2]), (0, 0)]
        made = within_steps(
            *(np.pad(part, padding, "edge")[None] for part in (band, given)),
            self.quantisation.luminance,
            self.quantisation.chrominance,
            self.quantisation.cell,
            self.share,
            _FLAT_SHARE,
        )
        height, width = band.shape[:2]
        (top, _), (left, _), _ = padding
        made = np.asarray(made)[0, top : top + height, left : left + width]
        return np.clip(made, 0.0, 1.0)
