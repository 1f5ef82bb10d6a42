"""Renders codes of one input into pictures."""

import numpy as np

from keras_tim.checks import check_tensorflow
from keras_tim.lazy import tensorflow as tf
from keras_tim.models.choosing import take
from keras_tim.models.folding import folded
from keras_tim.models.generator import Generator
from keras_tim.models.processor import pictures_together


class Renderer:
    """Makes pictures of one input from codes, one at a time.

    What they have in common is made once. A picture of what `draw` gives is
    `TIM.sample`'s to the last bit.

    Args:
        tim: a `TIM`; later changes to its weights are not seen.
        given: array `[height, width, channels]`, float in [0, 1]. Its edges
            are repeated where its sides are not of `input_multiple`.

    Attributes:
        size: height and width of what was given.
        inputs: float32 array `[1, height', width', channels]`, what the model
            is given.
    """

    def __init__(self, tim, given):
        check_tensorflow("A picture of chosen codes")
        self._tim = tim
        self.size = tuple(given.shape[:2])
        self._size = [tim.output_factor * n for n in given.shape[:2]]
        self._missing = [(0, -n % tim.input_multiple) for n in given.shape[:2]]
        self.inputs = np.pad(given, (*self._missing, (0, 0)), "edge")[None]
        generator = Generator(folded(tim), together=pictures_together())
        channels = tf.TensorSpec([None, None, tim.input_channels])
        begin = tf.function(
            generator.begin, input_signature=[channels], autograph=False
        )
        self._given = tf.constant(self.inputs[0], tf.float32)
        self._begun = begin(self._given)

        def picture(given, begun, *code):
            return generator.decode_begun(given, begun, code)

        self._picture = tf.function(picture, autograph=False)

    def draw(self, seed, index, temperature=1.0):
        """Codes of one sample of a seed, see `TIM.sample`."""
        return self._tim.draw_codes(
            self.inputs,
            num_samples=1,
            seed=seed,
            temperature=temperature,
            first=index,
        )

    def combine(self, several, masks):
        """Chooses by region, see `TIM.combine`.

        Args:
            several: codes of n alternatives.
            masks: array `[n, height, width]` of the size that was given.

        Returns:
            Codes of one.
        """
        masks = np.pad(masks, ((0, 0), *self._missing), "edge")
        return self._tim.combine(several, masks)

    def picture(self, codes):
        """The picture of one code.

        Args:
            codes: list over levels of `(style [1, ...], noise [1, ...])`.

        Returns:
            float32 array `[H, W, 3]` in [0, 1].
        """
        flat = [part[0] for code in take(codes, [0]) for part in code]
        made = self._picture(self._given, self._begun, *flat).numpy()
        height, width = self._size
        return made[:height, :width]
