"""One module of the tower: the generator of one level (figure 3)."""

import keras
from keras import ops

from keras_tim.checks import integer
from keras_tim.layers.modulation import MappingNetwork, Modulation
from keras_tim.layers.rrdb import RRDB
from keras_tim.layers.weight_norm import convolution

RESIZINGS = ("up", "same", "none")


@keras.saving.register_keras_serializable(package="keras_tim")
class TowerModule(keras.layers.Layer):
    """The generator of one level: head, modulated RRDBs, resize, output.

    The head convolution sees the level's input, the spatial noise and the
    previous level's feature, in that order. The body runs `num_blocks` times
    RRDB and modulation and one convolution, inside a skip. Then comes `resize`,
    and a convolution with tanh gives the output.

    Args:
        residual_channels: int, channels of the residual stream.
        growth_channels: int, growth of the dense blocks.
        num_blocks: int, number of RRDBs.
        output_channels: int, channels of the level's output.
        resize: what follows the body. `"up"`: nearest 2x, then two
            convolutions with LeakyReLU 0.2; `"same"`: the two convolutions
            alone; `"none"`: nothing.
        output_before_resize: bool, whether the output is taken from the
            feature before `resize` (which then only serves the next level).
        mapping_width: int, units of the mapping network.
        mapping_depth: int, layers of the mapping network.
        mapping_learning_rate_multiplier: float, see `MappingNetwork`.
        mapping_network: bool. False feeds the style to the modulations as
            it is.
        residual_scale: float, see `RRDB`.
        weight_norm: bool, whether the convolutions are weight-normalised.
        output_gain: float, factor on the output convolution's initial values.

    Call arguments:
        level_input: float tensor `[batch, height, width, input_channels]`.
        style: float tensor `[batch, style_dim]`.
        noise: float tensor `[batch, height, width, noise_channels]`.
        previous_feature: float tensor `[batch, height, width, channels]`,
            already scaled, or None at the first level.

    Returns:
        Tuple `(output, feature)`: the output in [-1, 1] as float32
        `[batch, height', width', output_channels]`, and the feature for the
        next level `[batch, height'', width'', residual_channels]`.

    Example:
    >>> module = TowerModule(32, 16, num_blocks=2)
    >>> normal = keras.random.normal
    >>> output, feature = module(
    ...     keras.random.uniform((1, 16, 16, 3), seed=0),
    ...     normal((1, 128), seed=1),
    ...     normal((1, 16, 16, 5), seed=2),
    ... )
    >>> output.shape
    TensorShape([1, 32, 32, 3])
    """

    def __init__(
        self,
        residual_channels,
        growth_channels,
        num_blocks=6,
        output_channels=3,
        resize="up",
        output_before_resize=False,
        mapping_width=512,
        mapping_depth=8,
        mapping_learning_rate_multiplier=0.01,
        mapping_network=True,
        residual_scale=0.2,
        weight_norm=True,
        output_gain=1.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if resize not in RESIZINGS:
            raise ValueError(
                f"`resize` must be one of {RESIZINGS}. Received: "
                f"resize={resize}"
            )
        self.residual_channels = integer("residual_channels", residual_channels)
        self.growth_channels = integer("growth_channels", growth_channels)
        self.num_blocks = integer("num_blocks", num_blocks, least=0)
        self.output_channels = integer("output_channels", output_channels)
        self.resize = resize
        self.output_before_resize = output_before_resize
        self.mapping_width = integer("mapping_width", mapping_width)
        self.mapping_depth = integer("mapping_depth", mapping_depth, least=0)
        self.mapping_learning_rate_multiplier = mapping_learning_rate_multiplier
        self.mapping_network = mapping_network
        self.residual_scale = residual_scale
        self.weight_norm = weight_norm
        self.output_gain = output_gain

    def build(
        self,
        level_input_shape,
        style_shape,
        noise_shape,
        previous_feature_shape=None,
    ):
        seen = level_input_shape[-1] + noise_shape[-1]
        if previous_feature_shape is not None:
            seen += previous_feature_shape[-1]
        feature_shape = (None, None, None, self.residual_channels)

        if self.mapping_network:
            self.mapping = MappingNetwork(
                self.mapping_width,
                self.mapping_depth,
                self.mapping_learning_rate_multiplier,
                name="mapping",
            )
            self.mapping.build(style_shape)
            style_shape = self.mapping.compute_output_shape(style_shape)
        else:
            self.mapping = None

        self.head = self._convolution("head", (None, None, None, seen))
        self.blocks = []
        self.modulations = []
        for index in range(self.num_blocks):
            block = RRDB(
                self.growth_channels,
                residual_scale=self.residual_scale,
                weight_norm=self.weight_norm,
                name=f"rrdb{index + 1}",
                dtype=self.dtype_policy,
            )
            block.build(feature_shape)
            self.blocks.append(block)
            modulation = Modulation(
                name=f"modulation{index + 1}", dtype=self.dtype_policy
            )
            modulation.build(feature_shape, style_shape)
            self.modulations.append(modulation)
        self.body_end = self._convolution("body_end", feature_shape)
        self.resize_convolutions = (
            []
            if self.resize == "none"
            else [
                self._convolution("resize1", feature_shape),
                self._convolution("resize2", feature_shape),
            ]
        )
        self.output_convolution = self._convolution(
            "output", feature_shape, self.output_channels, self.output_gain
        )

    def _convolution(self, name, input_shape, filters=None, gain=1.0):
        layer = convolution(
            filters or self.residual_channels,
            self.weight_norm,
            gain=gain,
            name=name,
            dtype=self.dtype_policy,
        )
        layer.build(input_shape)
        return layer

    def call(self, level_input, style, noise, previous_feature=None):
        seen = [level_input, noise]
        if previous_feature is not None:
            seen.append(previous_feature)
        head = self.head(ops.concatenate(seen, axis=-1))

        if self.mapping is not None:
            style = self.mapping(style)
        x = head
        for block, modulation in zip(
            self.blocks, self.modulations, strict=True
        ):
            x = modulation(block(x), style)
        body = head + self.body_end(x)

        feature = self._resized(body)
        source = body if self.output_before_resize else feature
        # tanh in float32: half precision would put neighbouring samples of
        # an untrained model on the same value.
        output = ops.tanh(ops.cast(self.output_convolution(source), "float32"))
        return output, feature

    def _resized(self, x):
        if self.resize == "up":
            x = _nearest_double(x)
        for layer in self.resize_convolutions:
            x = ops.leaky_relu(layer(x), negative_slope=0.2)
        return x

    def compute_output_shape(
        self,
        level_input_shape,
        style_shape,
        noise_shape,
        previous_feature_shape=None,
    ):
        batch, height, width = noise_shape[:3]
        factor = 2 if self.resize == "up" else 1
        large = [None if n is None else n * factor for n in (height, width)]
        small = [height, width]
        return (
            (
                batch,
                *(small if self.output_before_resize else large),
                self.output_channels,
            ),
            (batch, *large, self.residual_channels),
        )

    def compute_output_spec(
        self, level_input, style, noise, previous_feature=None
    ):
        output, feature = self.compute_output_shape(
            level_input.shape, style.shape, noise.shape
        )
        return (
            keras.KerasTensor(output, dtype="float32"),
            keras.KerasTensor(feature, dtype=self.compute_dtype),
        )

    def get_config(self):
        return {
            **super().get_config(),
            "residual_channels": self.residual_channels,
            "growth_channels": self.growth_channels,
            "num_blocks": self.num_blocks,
            "output_channels": self.output_channels,
            "resize": self.resize,
            "output_before_resize": self.output_before_resize,
            "mapping_width": self.mapping_width,
            "mapping_depth": self.mapping_depth,
            "mapping_learning_rate_multiplier": (
                self.mapping_learning_rate_multiplier
            ),
            "mapping_network": self.mapping_network,
            "residual_scale": self.residual_scale,
            "weight_norm": self.weight_norm,
            "output_gain": self.output_gain,
        }


def _nearest_double(x):
    """Nearest-neighbour 2x enlargement `[b, h, w, c]` -> `[b, 2h, 2w, c]`."""
    # Stack and reshape stay within the five dimensions TFLite can slice.
    _, height, width, channels = ops.shape(x)
    x = ops.reshape(
        ops.stack([x, x], axis=2), (-1, 2 * height, width, channels)
    )
    return ops.reshape(
        ops.stack([x, x], axis=3), (-1, 2 * height, 2 * width, channels)
    )
