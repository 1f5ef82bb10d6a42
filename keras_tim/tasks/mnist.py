"""MNIST: what ten principal components leave of a digit in, the digit out."""

import numpy as np
from absl import logging
from keras import ops
from PIL import Image

from keras_tim.layers.clipping import clip_straight_through
from keras_tim.tasks.components import (
    NUM_GIVEN,
    SIDE,
    PrincipalComponents,
    from_input,
)
from keras_tim.tasks.task import Task
from keras_tim.tasks.wiring import same_size_wiring

# ITU-R BT.601, as Pillow turns colours into grey.
_LUMA = (0.299, 0.587, 0.114)


class Mnist(Task):
    """Rebuilt digit at every level's size -> grey digit [0, 1], same size.

    The input is `to_input` of the digit rebuilt from its first ten principal
    components, the output the digit itself (section 2 of the paper).
    """

    name = "mnist"
    title = "from ten principal components"
    input_meaning = (
        "digit rebuilt from ten principal components, (x + 0.75) / 2.5"
    )
    faithfulness_name = "PSNR of the ten components [dB]"
    input_channels = 1
    output_channels = 1
    # A residual reaches half of the range at most. Most strokes of a digit
    # go all the way from black to white.
    supports_input_skip = False
    supports_consistency = True
    # The given components, one per column, and the mean digit.
    known_shape = (SIDE**2, NUM_GIVEN + 1)
    known_size = (SIDE, SIDE)

    def wiring(self, num_levels, architecture):
        """Wiring of every level: that of decompression in CAM-Net."""
        return same_size_wiring(num_levels)

    def agrees_at(self, level, num_levels):
        """Whether a level's output can agree with what is given.

        The components are those of whole digits: the last level's alone.
        """
        return level == num_levels - 1

    def agreeing(self, output, observed, factor, rounds, known, **_):
        """An output whose first ten coordinates are the given ones.

        With P the projection on the given components, every round replaces
        the part of the output that is known: `y <- x + (I - P) y`. Clipping
        takes a little of it away again, so that there are several rounds.

        Args:
            output: float tensor `[batch, 28, 28, 1]`.
            observed: the input `[batch, 28, 28, 1]`, see `to_input`.
            factor: int, 1.
            rounds: int.
            known: what `known_of` gives. Of zeros nothing is known, and the
                output stays as it is.

        Returns:
            float32 tensor of the output's shape; it may leave [0, 1].
        """
        del factor
        known = known[:, :NUM_GIVEN]
        for number in range(rounds):
            if number:
                output = clip_straight_through(output, self.output_range)
            lacking = ops.reshape(from_input(observed) - output, (-1, SIDE**2))
            known_part = ops.matmul(
                ops.matmul(lacking, known), ops.transpose(known)
            )
            output = output + ops.reshape(known_part, (-1, SIDE, SIDE, 1))
        return output

    def to_picture(self, output, level_input):
        """From the network's own space, grey in [0, 1], to RGB in [0, 1]."""
        return ops.repeat(ops.clip(output, 0.0, 1.0), 3, axis=-1)

    @staticmethod
    def known_of(components):
        """The weight in which a model keeps its components.

        Args:
            components: a `PrincipalComponents` of at least ten.

        Returns:
            float32 array of shape `known_shape`.
        """
        given = components.basis[:NUM_GIVEN]
        return np.stack([*given, components.mean], axis=1).astype("float32")

    @staticmethod
    def components_of(known):
        """The `PrincipalComponents` of such a weight; None of zeros."""
        known = np.asarray(known)
        if not known.any():
            return None
        # In half precision they are not quite orthonormal.
        basis, _ = np.linalg.qr(known[:, :NUM_GIVEN].astype("float64"))
        basis *= np.sign(np.sum(basis * known[:, :NUM_GIVEN], axis=0))
        return PrincipalComponents(
            known[:, NUM_GIVEN].astype("float64"),
            basis.T,
            np.zeros(NUM_GIVEN),
        )

    def of_rgb(self, rgb):
        return ops.sum(rgb * ops.array(_LUMA), axis=-1, keepdims=True)

    def condition(self, picture, tim):
        """What ten components leave of a user's picture of a digit.

        The picture must be white on black, as MNIST is. It becomes grey, is
        filled up with black to a square and resized to 28 x 28 pixels.
        """
        digit = _as_digit(picture)
        if digit.mean() > 0.5:
            logging.warning(
                "The picture is mostly white. The model knows white digits on "
                "black: invert the picture if it is the other way round."
            )
        if tim.components is None:
            raise ValueError(
                "The model does not say which components it is given: give the "
                "run folder, put the run's pca.npz beside the model, or call "
                "`tim.set_components`."
            )
        return tim.components.given(digit)

    def shown(self, given, tim):
        return np.repeat(given, 3, axis=-1)

    def baseline(self, given, size):
        rebuilt = np.clip(from_input(given), 0.0, 1.0)
        return "projection", np.repeat(rebuilt, 3, axis=-1)

    def faithfulness(self, samples, given, tim, quality=None):
        """PSNR between what ten components leave of samples and of the digit.

        The pictures rebuilt from the two sets of ten coordinates are compared,
        white being 1. The components are orthonormal, so that the squared
        difference of the pictures is that of the coordinates.
        """
        components = tim.components
        wanted = components.given_coordinates(given)
        found = components.coordinates(samples)[..., : wanted.shape[-1]]
        error = np.sum((found - wanted) ** 2, axis=-1) / SIDE**2
        return -10.0 * np.log10(np.maximum(error, 1e-10))


def _as_digit(picture):
    """A picture as MNIST would hold it, `[28, 28, 1]` in [0, 1]."""
    grey = picture @ np.array(_LUMA, np.float32)
    missing = [max(grey.shape) - side for side in grey.shape]
    grey = np.pad(grey, [(n // 2, n - n // 2) for n in missing])
    resized = Image.fromarray(grey).resize(
        (SIDE, SIDE), Image.Resampling.BICUBIC
    )
    return np.clip(np.asarray(resized), 0.0, 1.0)[..., None]
