"""Hypercolumns: VGG16 features of the input, read by every level."""

import keras
import numpy as np
from keras import ops

from keras_tim.checks import integer
from keras_tim.layers.resampling import linear_resize
from keras_tim.perceptual.backbones import (
    BACKBONES,
    enlarge_small,
    tapped_features,
)
from keras_tim.perceptual.lpips import network_input
from keras_tim.perceptual.lpips_arrays import load_lpips_arrays


@keras.saving.register_keras_serializable(package="keras_tim")
class Hypercolumns(keras.layers.Layer):
    """VGG16's features of pictures, brought to a few channels and any size.

    What a thing is decides its colour, and VGG16 has learned what things are.
    Its five tapped layers are each projected to `channels` by a trained 1x1
    convolution, resized and added up, once per map. VGG16 itself stays as it
    is; its weights are those that LPIPS uses.

    Args:
        channels: int, channels of every map.
        num_maps: int, maps with projections of their own: levels of a tower.
        **kwargs: other arguments of `keras.layers.Layer`.

    Call arguments:
        pictures: float tensor `[batch, height, width, 3]` in [0, 1].
        sizes: list over maps of `(height, width)`.

    Returns:
        List over maps of tensors `[batch, height, width, channels]` in the
        compute dtype.

    Raises:
        WeightsError: when built, if the published weights cannot be had.

    Reference:
        - [Larsson et al., 2016](https://arxiv.org/abs/1603.06668), section 3
    """

    def __init__(self, channels=32, num_maps=1, **kwargs):
        super().__init__(**{"autocast": False, **kwargs})
        self.channels = integer("channels", channels)
        self.num_maps = integer("num_maps", num_maps)
        self._backbone = BACKBONES["vgg"]

    def build(self, pictures_shape=None):
        arrays = load_lpips_arrays("vgg")
        self._kernels, self._biases = (
            [
                self.add_weight(
                    shape=value.shape,
                    initializer=_constant(value),
                    trainable=False,
                    autocast=False,
                    name=f"{name}{number}",
                )
                for number, value in enumerate(values)
            ]
            for name, values in (
                ("kernel_", arrays.kernels),
                ("bias_", arrays.biases),
            )
        )
        self._projections = []
        for number in range(self.num_maps):
            for tap, channels in enumerate(self._backbone.tap_channels):
                self._projections.append(
                    self.add_weight(
                        shape=(channels, self.channels),
                        initializer=keras.initializers.HeNormal(),
                        autocast=False,
                        name=f"projection_{number}_{tap}",
                    )
                )

    def taps(self, pictures):
        """What the projections read, which no training changes.

        Args:
            pictures: float tensor `[batch, height, width, 3]` in [0, 1].

        Returns:
            VGG16's five tapped layers, each `[batch, h, w, channels]`, of one
            length at every pixel.
        """
        x = network_input(ops.cast(pictures, "float32"))
        dtype = self.compute_dtype
        x = enlarge_small(ops.cast(x, dtype), self._backbone.minimum_side)
        taps = tapped_features(
            self._backbone,
            x,
            [ops.cast(k, dtype) for k in self._kernels],
            [ops.cast(b, dtype) for b in self._biases],
        )
        # Of unit length per pixel, as in LPIPS: only what is seen counts.
        return [_unit_length(tap) for tap in taps]

    def projections(self, number):
        """The projections of one map: a weight `[from, to]` for every tap."""
        count = len(self._backbone.tap_channels)
        return self._projections[number * count : (number + 1) * count]

    def call(self, pictures, sizes):
        taps = self.taps(pictures)
        maps = []
        for number, size in enumerate(sizes):
            total = 0.0
            for tap, projection in zip(
                taps, self.projections(number), strict=True
            ):
                projected = ops.matmul(tap, projection)
                total = total + linear_resize(projected, *size)
            total = ops.leaky_relu(total, 0.2)
            maps.append(ops.cast(total, self.compute_dtype))
        return maps

    def compute_output_spec(self, pictures, sizes):
        return [
            keras.KerasTensor(
                (pictures.shape[0], *size, self.channels),
                dtype=self.compute_dtype,
            )
            for size in sizes
        ]

    def get_config(self):
        config = super().get_config()
        return {
            **config,
            "channels": self.channels,
            "num_maps": self.num_maps,
        }


def _unit_length(tap):
    tap = ops.cast(tap, "float32")
    square = ops.sum(ops.square(tap), axis=-1, keepdims=True)
    # As large per channel as what else a level reads.
    channels = float(np.sqrt(tap.shape[-1]))
    return tap * ops.rsqrt(square + 1e-8) * channels


def _constant(values):
    return lambda shape, dtype: ops.convert_to_tensor(values, dtype)
