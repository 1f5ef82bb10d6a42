"""One module of the tower: the generator of one level (figure 3)."""

import keras
from keras import ops

from keras_tim.checks import integer, one_of
from keras_tim.layers.modulation import MappingNetwork, Modulation
from keras_tim.layers.rrdb import RRDB
from keras_tim.layers.weight_norm import convolution

RESIZINGS = ("up", "same", "none")
OUTPUT_ACTIVATIONS = ("tanh", "linear")


@keras.saving.register_keras_serializable(package="keras_tim")
class TowerModule(keras.layers.Layer):
    """The generator of one level: head, modulated RRDBs, resize, output.

    The head convolution sees the level's input, the spatial noise and the
    previous level's feature, in that order. The body runs `num_blocks` times
    RRDB and modulation and one convolution, inside a skip. Then comes `resize`,
    and a convolution with tanh gives the output.

    With `plain_blocks`, the first RRDBs are the same for every sample: style
    and noise enter behind them, so that they run once per picture however many
    candidates are made of it (see `begin`).

    Args:
        residual_channels: int, channels of the residual stream.
        growth_channels: int, growth of the dense blocks.
        num_blocks: int, number of RRDBs, the plain ones included.
        output_channels: int, channels of the level's output.
        resize: what follows the body. `"up"`: nearest 2x, then convolutions
            with LeakyReLU 0.2; `"same"`: the convolutions alone; `"none"`:
            nothing.
        output_before_resize: bool, whether the output is taken from the
            feature before `resize` (which then only serves the next level).
        mapping_width: int, units of the mapping network.
        mapping_depth: int, layers of the mapping network.
        mapping_learning_rate_multiplier: float, see `MappingNetwork`.
        mapping_gain: float, its `gain`.
        mapping_network: bool. False feeds the style to the modulations as
            it is.
        residual_scale: float, see `RRDB`.
        weight_norm: bool, whether the convolutions are weight-normalised.
        output_gain: float, factor on the output convolution's initial values.
        plain_blocks: int, how many of the first RRDBs neither style nor noise
            reaches. Published: 0.
        normalization: "instance" (published) or "none", see `Modulation`.
        style_cell: int or None, see `Modulation`: the side of a style's cell
            in pixels of the level's input. Published: None.
        output_activation: "tanh" (published) or "linear".
        num_resize_convolutions: int, number of convolutions of `resize`.
            Published: 2.
        modulated_head: bool, whether a level without blocks has a modulation
            of its head for a body. Published: False.

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
        mapping_gain=1.0,
        mapping_network=True,
        residual_scale=0.2,
        weight_norm=True,
        output_gain=1.0,
        plain_blocks=0,
        normalization="instance",
        style_cell=None,
        output_activation="tanh",
        num_resize_convolutions=2,
        modulated_head=False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        one_of("resize", resize, RESIZINGS)
        one_of("output_activation", output_activation, OUTPUT_ACTIVATIONS)
        if not 0 <= plain_blocks <= num_blocks:
            raise ValueError(
                "`plain_blocks` must lie between 0 and `num_blocks`. Received: "
                f"plain_blocks={plain_blocks}, num_blocks={num_blocks}"
            )
        if modulated_head and num_blocks:
            raise ValueError(
                "`modulated_head` must be False for a level with blocks, which "
                f"are modulated themselves. Received: num_blocks={num_blocks}"
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
        self.mapping_gain = mapping_gain
        self.mapping_network = mapping_network
        self.residual_scale = residual_scale
        self.weight_norm = weight_norm
        self.output_gain = output_gain
        self.plain_blocks = integer("plain_blocks", plain_blocks, least=0)
        self.normalization = normalization
        self.style_cell = (
            None if style_cell is None else integer("style_cell", style_cell)
        )
        self.output_activation = output_activation
        self.num_resize_convolutions = integer(
            "num_resize_convolutions", num_resize_convolutions, least=0
        )
        self.modulated_head = modulated_head

    def build(
        self,
        level_input_shape,
        style_shape,
        noise_shape,
        previous_feature_shape=None,
    ):
        seen = level_input_shape[-1]
        if previous_feature_shape is not None:
            seen += previous_feature_shape[-1]
        self.noise_convolution = None
        if self.plain_blocks:
            self.noise_convolution = self._convolution("noise", noise_shape)
        else:
            seen += noise_shape[-1]
        feature_shape = (None, None, None, self.residual_channels)

        if self.mapping_network:
            self.mapping = MappingNetwork(
                self.mapping_width,
                self.mapping_depth,
                self.mapping_learning_rate_multiplier,
                self.mapping_gain,
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
            if index >= self.plain_blocks:
                self._add_modulation(index, feature_shape, style_shape)
        if self.modulated_head:
            self._add_modulation(0, feature_shape, style_shape)
            self.body_end = None
        else:
            self.body_end = self._convolution("body_end", feature_shape)
        count = 0 if self.resize == "none" else self.num_resize_convolutions
        self.resize_convolutions = [
            self._convolution(f"resize{index + 1}", feature_shape)
            for index in range(count)
        ]
        self.output_convolution = self._convolution(
            "output",
            feature_shape,
            self.output_channels,
            self.output_gain,
            # Colours in half precision would have steps of a grey level.
            "float32" if self.output_activation == "linear" else None,
        )

    def _add_modulation(self, index, feature_shape, style_shape):
        modulation = Modulation(
            normalization=self.normalization,
            style_cell=self.style_cell,
            name=f"modulation{index + 1}",
            dtype=self.dtype_policy,
        )
        modulation.build(feature_shape, style_shape)
        self.modulations.append(modulation)

    def _convolution(
        self, name, input_shape, filters=None, gain=1.0, dtype=None
    ):
        layer = convolution(
            filters or self.residual_channels,
            self.weight_norm,
            gain=gain,
            name=name,
            dtype=dtype or self.dtype_policy,
        )
        layer.build(input_shape)
        return layer

    def call(
        self, level_input, style, noise, previous_feature=None, begun=None
    ):
        if begun is None:
            begun = self.begin(level_input, previous_feature)
        if self.plain_blocks:
            head, x = begun
            x = x + self.noise_convolution(noise)
        else:
            # The published order: the noise behind the level's input.
            seen = [begun[0], noise, *begun[1:]]
            head = x = self.head(ops.concatenate(seen, axis=-1))

        if self.mapping is not None:
            style = self.mapping(style)
        if self.modulated_head:
            body = self.modulations[0](x, style)
        else:
            for block, modulation in zip(
                self.blocks[self.plain_blocks :], self.modulations, strict=True
            ):
                x = modulation(block(x), style)
            body = head + self.body_end(x)

        feature = self._resized(body)
        source = body if self.output_before_resize else feature
        # In float32: half precision would put neighbouring samples of an
        # untrained model on the same value.
        output = ops.cast(self.output_convolution(source), "float32")
        if self.output_activation == "tanh":
            output = ops.tanh(output)
        return output, feature

    def begin(self, level_input, previous_feature=None):
        """What all samples of a picture share.

        Args:
            level_input: as in a call.
            previous_feature: as in a call.

        Returns:
            Tuple of tensors `[batch, height, width, ...]`, which a call takes
            as `begun`, repeated where one picture has many codes. With
            `plain_blocks` their result, else what the head sees.
        """
        seen = [level_input]
        if previous_feature is not None:
            seen.append(previous_feature)
        if not self.plain_blocks:
            return tuple(ops.cast(x, self.compute_dtype) for x in seen)
        head = self.head(
            ops.concatenate(
                [ops.cast(x, self.compute_dtype) for x in seen], axis=-1
            )
        )
        x = head
        for block in self.blocks[: self.plain_blocks]:
            x = block(x)
        return head, x

    def plain_layers(self):
        """Layers whose results all samples of a picture share."""
        if not self.plain_blocks:
            return []
        return [self.head, *self.blocks[: self.plain_blocks]]

    def trunk_layers(self, with_output):
        """Layers that have their counterpart in an upscaler without codes.

        Args:
            with_output: bool, whether the output convolution is one of them.
        """
        layers = [*self.blocks, *self.resize_convolutions]
        if not self.modulated_head:
            layers += [self.head, self.body_end]
        if with_output:
            layers.append(self.output_convolution)
        return layers

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
        self, level_input, style, noise, previous_feature=None, begun=None
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
            "mapping_gain": self.mapping_gain,
            "mapping_network": self.mapping_network,
            "residual_scale": self.residual_scale,
            "weight_norm": self.weight_norm,
            "output_gain": self.output_gain,
            "plain_blocks": self.plain_blocks,
            "normalization": self.normalization,
            "style_cell": self.style_cell,
            "output_activation": self.output_activation,
            "num_resize_convolutions": self.num_resize_convolutions,
            "modulated_head": self.modulated_head,
        }


def _nearest_double(x):
    """Nearest-neighbour 2x enlargement `[b, h, w, c]` -> `[b, 2h, 2w, c]`."""
    # Joined along the last axis, TFLite's fast kernels (XNNPACK) run the whole
    # network at one go: they can neither stack nor enlarge.
    _, height, width, channels = ops.shape(x)
    rows = ops.reshape(x, (-1, height, width * channels))
    x = ops.reshape(
        ops.concatenate([rows, rows], axis=-1),
        (-1, 2 * height, width, channels),
    )
    return ops.reshape(
        ops.concatenate([x, x], axis=-1),
        (-1, 2 * height, 2 * width, channels),
    )
