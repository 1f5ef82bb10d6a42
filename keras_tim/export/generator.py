"""What is deployed of a model: one picture from one input and one code."""

import contextlib
import zlib

import keras
import numpy as np
import tensorflow as tf

from keras_tim.imle import codes
from keras_tim.models.folding import copy_folded
from keras_tim.tasks import get_task

DTYPES = ("float32", "bfloat16")


class Generator:
    """A model's last pictures, one at a time, with plain kernels.

    Every picture is made by itself, whatever was asked for beside it: a
    convolution over a batch may add up in another order than one over a single
    picture, so that the same sample would differ in its last bits from batch
    to batch. Sizes are left open for the same reason, and kernels are plain:
    convolutions are also chosen by what is known of their inputs beforehand.

    Args:
        tim: a `TIM`. It is left as it is; changes to its weights after this
            are not seen before `update`.
        dtype: "float32", or "bfloat16" for convolutions and their weights in
            half precision. What is delicate stays in float32 either way, and
            so do inputs and outputs.
        frozen: bool, whether the weights are constants of the graph instead
            of variables beside it.

    Attributes:
        tim: the plain `TIM` that is deployed.
    """

    def __init__(self, tim, dtype="float32", frozen=False):
        if dtype not in DTYPES:
            raise ValueError(
                f"`dtype` must be one of {DTYPES}. Received: dtype={dtype!r}"
            )
        self.dtype = dtype
        self.frozen = frozen
        self.tim = type(tim).from_config(
            {**tim.get_config(), "weight_norm": False, "dtype": dtype}
        )
        self._assigned = None
        self.update(tim)
        self._frozen_values = (
            [np.asarray(weight) for weight in self.tim.weights]
            if frozen
            else None
        )
        self._picture = tf.function(
            self._trace_picture,
            input_signature=[
                tf.TensorSpec([None, None, self.tim.input_channels]),
                *map(tf.TensorSpec, self.code_shapes()),
            ],
            autograph=False,
        )

    def update(self, tim):
        """Takes over a model's weights, where they have changed.

        Args:
            tim: the `TIM` that this was made of. Frozen weights stay.
        """
        values = [np.ascontiguousarray(weight) for weight in tim.weights]
        given = [zlib.crc32(value) for value in values]
        if given == self._assigned:
            return
        copy_folded(tim, self.tim)
        self._assigned = given

    def code_names(self):
        """What the codes are called: style_0, noise_0, style_1, ..."""
        return [
            f"{kind}_{level}"
            for level in range(self.tim.num_levels)
            for kind in ("style", "noise")
        ]

    def noise_sizes(self, height, width):
        """Height and width of every level's noise.

        Args:
            height: int or scalar tensor, of the finest level's input.
            width: the same.

        Returns:
            List over levels of `(height, width)`.
        """
        # Every level doubles its input where levels are chained. Otherwise
        # each has an input of its own, the last one the finest.
        if get_task(self.tim.task).chained:
            factors = [2**level for level in range(self.tim.num_levels)]
            return [(height * factor, width * factor) for factor in factors]
        last = self.tim.num_levels - 1
        factors = [2 ** (last - level) for level in range(self.tim.num_levels)]
        return [(height // factor, width // factor) for factor in factors]

    @property
    def output_factor(self):
        """Size of the outputs relative to the finest level's input."""
        # `scale` is relative to the first level's input.
        return self.tim.scale // self.tim.input_multiple

    @property
    def bytes_per_output_pixel(self):
        """About what memory the making of one picture takes, per pixel.

        It is taken by the last level: three copies of its upsampled features,
        or of all features within a dense block where there are fewer pixels.
        (Measured with TensorFlow 2.21 on a CPU: 70 to 95% of this.)
        """
        side = self.noise_sizes(1, 1)[-1][0]
        share = (side / self.output_factor) ** 2
        residual = self.tim.residual_channels[-1]
        dense = residual + 4 * self.tim.growth_channels[-1]
        return 3 * 4 * max(residual, round(share * dense))

    def draw(self, seed, index, height, width):
        """The code of one sample.

        Args:
            seed: scalar int64 tensor.
            index: scalar int64 tensor.
            height: scalar int tensor, of the finest level's input.
            width: the same.

        Returns:
            Flat list of float32 tensors in the order of `code_names`: style
            `[style_dim]` or a map of them, noise `[height, width,
            noise_channels]`.
        """
        sizes = self.noise_sizes(height, width)
        drawn = codes.draw_codes(
            seed[None],
            index[None, None],
            sizes,
            self.tim.style_dim,
            self.tim.noise_channels,
            style_sizes=self.tim.style_map_sizes(sizes),
        )
        return [array[0] for code in drawn for array in code]

    def decode(self, given, code):
        """One picture.

        Args:
            given: float32 tensor `[height, width, channels]`.
            code: flat list of tensors as from `draw`.

        Returns:
            float32 tensor `[height', width', 3]` in [0, 1].
        """
        return self._picture(given, *code)

    def decode_batch(self, given, code):
        """Several pictures at once, for exports of a fixed batch.

        Args:
            given: float32 tensor `[batch, height, width, channels]`.
            code: as for `decode`, every tensor with the batch in front.

        Returns:
            float32 tensor `[batch, height', width', 3]` in [0, 1].
        """
        pairs = list(zip(code[::2], code[1::2], strict=True))
        with self._weights():
            return self.tim.decode(given, pairs)[-1]

    def sample(self, given, seed, index):
        """Sample `index` of one input, see `decode` and `draw`."""
        shape = tf.shape(given)
        code = self.draw(seed, index, shape[0], shape[1])
        return self.decode(given, code)

    def code_shapes(self, height=None, width=None):
        """Shapes of a code's parts, in the order of `code_names`.

        Args:
            height: int, of the finest level's input, or None if unknown.
            width: the same.

        Returns:
            List of lists.
        """
        levels = self.tim.num_levels
        sizes = [(None, None)] * levels
        maps = [(None, None) if self.tim.style_cell else ()] * levels
        if height is not None and width is not None:
            sizes = self.noise_sizes(height, width)
            maps = self.tim.style_map_sizes(sizes)
        return [
            shape
            for style_size, size in zip(maps, sizes, strict=True)
            for shape in (
                [*style_size, self.tim.style_dim],
                [*size, self.tim.noise_channels],
            )
        ]

    def _trace_picture(self, given, *code):
        return self.decode_batch(given[None], [part[None] for part in code])[0]

    def _weights(self):
        """The scope in which the weights are what they are to be."""
        if self._frozen_values is None:
            return contextlib.nullcontext()
        # In this graph, and so but once in all that calls it.
        constants = [tf.constant(value) for value in self._frozen_values]
        return keras.StatelessScope(
            list(zip(self.tim.weights, constants, strict=True))
        )
