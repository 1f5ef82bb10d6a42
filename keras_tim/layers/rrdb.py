"""Residual-in-residual dense blocks (CAM-Net, section 3.3; ESRGAN)."""

import keras
from keras import ops

from keras_tim.checks import integer
from keras_tim.layers.tracing import call_alike
from keras_tim.layers.weight_norm import convolution

NUM_CONVOLUTIONS = 5
NUM_DENSE_BLOCKS = 3


@keras.saving.register_keras_serializable(package="keras_tim")
class DenseBlock(keras.layers.Layer):
    """Five 3x3 convolutions over growing concatenations, with a skip.

    The first four give `growth_channels` maps each and a LeakyReLU of slope
    0.2; each sees the input and everything before it. The fifth returns to
    the input's channels: `x + residual_scale * conv5(...)`.

    Args:
        growth_channels: int, maps that each of the first four adds.
        residual_scale: float, factor on the residual branch.
        weight_norm: bool, whether the convolutions are weight-normalised.

    Call arguments:
        inputs: float tensor `[batch, height, width, channels]`.

    Returns:
        Tensor of the input's shape.

    Example:
    >>> DenseBlock(16)(keras.random.normal((1, 8, 8, 32), seed=0)).shape
    TensorShape([1, 8, 8, 32])

    Reference:
        - [Wang et al., 2018](https://arxiv.org/abs/1809.00219), section 3.1
    """

    def __init__(
        self, growth_channels, residual_scale=0.2, weight_norm=True, **kwargs
    ):
        super().__init__(**kwargs)
        self.growth_channels = integer("growth_channels", growth_channels)
        self.residual_scale = residual_scale
        self.weight_norm = weight_norm

    def build(self, input_shape):
        channels = input_shape[-1]
        self.convolutions = []
        for index in range(NUM_CONVOLUTIONS):
            last = index == NUM_CONVOLUTIONS - 1
            layer = convolution(
                channels if last else self.growth_channels,
                self.weight_norm,
                name=f"conv{index + 1}",
                dtype=self.dtype_policy,
            )
            seen = channels + index * self.growth_channels
            layer.build((*input_shape[:-1], seen))
            self.convolutions.append(layer)

    def call(self, inputs):
        return call_alike(self, self._run, inputs)

    def _run(self, inputs):
        maps = [inputs]
        for layer in self.convolutions[:-1]:
            seen = ops.concatenate(maps, axis=-1) if len(maps) > 1 else inputs
            maps.append(ops.leaky_relu(layer(seen), negative_slope=0.2))
        residual = self.convolutions[-1](ops.concatenate(maps, axis=-1))
        return inputs + self.residual_scale * residual

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {
            **super().get_config(),
            "growth_channels": self.growth_channels,
            "residual_scale": self.residual_scale,
            "weight_norm": self.weight_norm,
        }


@keras.saving.register_keras_serializable(package="keras_tim")
class RRDB(keras.layers.Layer):
    """Residual-in-residual dense block: three dense blocks and a skip.

    Args:
        growth_channels: int, see `DenseBlock`.
        residual_scale: float, factor on the residual, here and inside the
            dense blocks.
        weight_norm: bool, whether the convolutions are weight-normalised.

    Call arguments:
        inputs: float tensor `[batch, height, width, channels]`.

    Returns:
        Tensor of the input's shape.

    Example:
    >>> RRDB(16)(keras.random.normal((1, 8, 8, 32), seed=0)).shape
    TensorShape([1, 8, 8, 32])

    Reference:
        - [Wang et al., 2018](https://arxiv.org/abs/1809.00219), figure 4
    """

    def __init__(
        self, growth_channels, residual_scale=0.2, weight_norm=True, **kwargs
    ):
        super().__init__(**kwargs)
        self.growth_channels = integer("growth_channels", growth_channels)
        self.residual_scale = residual_scale
        self.weight_norm = weight_norm

    def build(self, input_shape):
        self.dense_blocks = []
        for index in range(NUM_DENSE_BLOCKS):
            block = DenseBlock(
                self.growth_channels,
                residual_scale=self.residual_scale,
                weight_norm=self.weight_norm,
                name=f"dense_block{index + 1}",
                dtype=self.dtype_policy,
            )
            block.build(input_shape)
            self.dense_blocks.append(block)

    def call(self, inputs):
        x = inputs
        for block in self.dense_blocks:
            x = block(x)
        return inputs + self.residual_scale * x

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {
            **super().get_config(),
            "growth_channels": self.growth_channels,
            "residual_scale": self.residual_scale,
            "weight_norm": self.weight_norm,
        }
