"""A tower's last pictures, one at a time: what is sampled and deployed."""

import contextlib
import functools

import keras
import numpy as np
from keras import ops

from keras_tim.layers.modulation import SharedStatistics
from keras_tim.lazy import tensorflow as tf
from keras_tim.models import codes
from keras_tim.models.inputs import check_inputs


class Generator:
    """Pictures of a tower, one from one input and one code.

    Every picture is made by itself, whatever was asked for beside it: a
    convolution over a batch may add up in another order than one over a single
    picture, so that the same sample would differ in its last bits from batch
    to batch. Sizes are left open for the same reason: convolutions are also
    chosen by what is known of their inputs beforehand.

    Args:
        tim: a `Tower`.
        frozen: bool, whether the weights are constants of the graph, as they
            are now, instead of variables beside it.
        together: int, pictures to make at a time where several are wanted, see
            `keras_tim.models.processor`.
    """

    def __init__(self, tim, frozen=False, together=1):
        self.tim = tim
        self.frozen = frozen
        self.together = together
        self._frozen_values = (
            [np.asarray(weight) for weight in tim.weights] if frozen else None
        )

    @functools.cached_property
    def _picture(self):
        return tf.function(
            self._trace_picture,
            input_signature=[
                tf.TensorSpec([None, None, self.tim.input_channels]),
                *map(tf.TensorSpec, self.code_shapes()),
            ],
            autograph=False,
        )

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
        if self.tim.task_definition.chained:
            factors = [2**level for level in range(self.tim.num_levels)]
            return [(height * factor, width * factor) for factor in factors]
        last = self.tim.num_levels - 1
        factors = [2 ** (last - level) for level in range(self.tim.num_levels)]
        return [(height // factor, width // factor) for factor in factors]

    @property
    def output_factor(self):
        """Size of the outputs relative to the finest level's input."""
        return self.tim.output_factor

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

    def decode_window(self, given, code, core, known, statistics):
        """What a model that normalises makes of a window of a picture.

        See `keras_tim.layers.modulation.SharedStatistics`.

        Args:
            given: float32 tensor `[height, width, channels]`, the window.
            code: as for `decode`, of the window.
            core: int32 tensor `[4]`, the part whose statistics are found.
            known: scalar bool tensor, whether `statistics` are gone by. If
                not, the core's own are.
            statistics: list of `num_normalised` tensors `[2, channels]`.

        Returns:
            The picture `[height', width', 3]`, and the statistics found.
        """
        return self._window(given, core, known, *statistics, *code)

    @functools.cached_property
    def _window(self):
        return tf.function(
            self._trace_window,
            input_signature=[
                tf.TensorSpec([None, None, self.tim.input_channels]),
                tf.TensorSpec([4], tf.int32),
                tf.TensorSpec([], tf.bool),
                *[tf.TensorSpec([2, None])] * self.tim.num_normalised,
                *map(tf.TensorSpec, self.code_shapes()),
            ],
            autograph=False,
        )

    def decode_batch(self, given, code, begun=None):
        """Several pictures at once, for exports of a fixed batch.

        Args:
            given: float32 tensor `[batch, height, width, channels]`.
            code: as for `decode`, every tensor with the batch in front.
            begun: what `begin` returned, or None to make it.

        Returns:
            float32 tensor `[batch, height', width', 3]` in [0, 1].
        """
        pairs = list(zip(code[::2], code[1::2], strict=True))
        with self._weights():
            return self.tim.decode(given, pairs, begun=begun)[-1]

    def sample(self, given, seed, index):
        """Sample `index` of one input, see `decode` and `draw`."""
        shape = tf.shape(given)
        code = self.draw(seed, index, shape[0], shape[1])
        return self.decode(given, code)

    def begin(self, given):
        """What all samples of one input share, see `TIM.begin_level`.

        Args:
            given: float32 tensor `[height, width, channels]`.

        Returns:
            Tuple of float32 tensors `[1, height, width, channels']`, empty for
            models without plain blocks.
        """
        if not self.tim.has_plain_blocks:
            return ()
        with self._weights():
            inputs = check_inputs(self.tim, given[None])
            first = self.tim.level_input(0, inputs, None)
            return tuple(self.tim.begin_level(0, first))

    def samples_begun(self, given, begun, seed, indices, temperature):
        """The same as `sample`, of an input whose `begin` is at hand.

        Args:
            given: float32 tensor `[height, width, channels]`.
            begun: what `begin` returned for it.
            seed: scalar int64 tensor.
            indices: int64 tensor `[together]`, the samples' numbers.
            temperature: scalar float32 tensor, factor on the codes.

        Returns:
            float32 tensor `[together, height', width', 3]` in [0, 1].
        """
        on_jax = keras.backend.backend() == "jax"
        shape = given.shape if on_jax else tf.shape(given)
        drawn = [
            self.draw(seed, indices[number], shape[0], shape[1])
            for number in range(self.together)
        ]
        code = [
            temperature * ops.stack(parts) for parts in zip(*drawn, strict=True)
        ]
        return self._decode_together(given, code, begun)

    def decode_begun(self, given, begun, code):
        """The same as `decode`, of an input whose `begin` is at hand."""
        code = [ops.repeat(part[None], self.together, axis=0) for part in code]
        return self._decode_together(given, code, begun)[0]

    def _decode_together(self, given, code, begun):
        """Pictures `[together, ...]` of one input from as many codes."""
        several = ops.repeat(given[None], self.together, axis=0)
        begun = [ops.repeat(x, self.together, axis=0) for x in begun]
        return self.decode_batch(several, code, begun or None)

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

    def _trace_window(self, given, core, known, *tensors):
        count = self.tim.num_normalised
        with SharedStatistics(
            tf.unstack(tf.shape(given)[:2]),
            tf.unstack(core),
            tensors[:count],
            known,
        ) as shared:
            picture = self._trace_picture(given, *tensors[count:])
        return picture, shared.found

    def _weights(self):
        """The scope in which the weights are what they are to be."""
        if self._frozen_values is None:
            return contextlib.nullcontext()
        # In this graph, and so but once in all that calls it.
        constants = [tf.constant(value) for value in self._frozen_values]
        return keras.StatelessScope(
            list(zip(self.tim.weights, constants, strict=True))
        )
