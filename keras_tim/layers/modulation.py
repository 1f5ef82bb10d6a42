"""Style: the mapping network and the modulation it drives (section 3.3)."""

import keras
from keras import ops

from keras_tim.checks import integer
from keras_tim.layers.weight_norm import scaled_kaiming_normal


@keras.saving.register_keras_serializable(package="keras_tim")
class MappingNetwork(keras.layers.Layer):
    """Turns a style code into the vector that steers the modulations.

    `depth` times Dense and LeakyReLU 0.2, trained at a fraction of the
    learning rate: the stored weights are the effective ones divided by
    `learning_rate_multiplier`, and the call multiplies them back. Under Adam
    this is the same as a smaller learning rate, and needs no second optimizer.

    The layer computes in float32 under every policy: at the published initial
    values its outputs are smaller than half precision can hold.

    Args:
        width: int, units of every layer.
        depth: int, number of layers.
        learning_rate_multiplier: float in (0, 1].

    Call arguments:
        style: float tensor `[batch, style_dim]`, standard normal.

    Returns:
        float32 tensor `[batch, width]`.

    Example:
    >>> MappingNetwork(512)(keras.random.normal((2, 128), seed=0)).shape
    TensorShape([2, 512])

    Reference:
        - [Karras et al., 2019](https://arxiv.org/abs/1812.04948), section 2
    """

    def __init__(
        self, width=512, depth=8, learning_rate_multiplier=0.01, **kwargs
    ):
        width = integer("width", width)
        depth = integer("depth", depth, least=0)
        kwargs["dtype"] = "float32"
        super().__init__(**kwargs)
        if not 0 < learning_rate_multiplier <= 1:
            raise ValueError(
                "`learning_rate_multiplier` must lie in (0, 1]. Received: "
                f"learning_rate_multiplier={learning_rate_multiplier}"
            )
        self.width = width
        self.depth = depth
        self.learning_rate_multiplier = learning_rate_multiplier

    def build(self, style_shape):
        self.dense_layers = []
        shape = tuple(style_shape)
        for index in range(self.depth):
            layer = keras.layers.Dense(
                self.width,
                kernel_initializer=scaled_kaiming_normal(
                    gain=1.0 / self.learning_rate_multiplier
                ),
                name=f"dense{index + 1}",
                dtype=self.dtype_policy,
            )
            layer.build(shape)
            shape = (*shape[:-1], self.width)
            self.dense_layers.append(layer)

    def call(self, style):
        x = style
        for layer in self.dense_layers:
            x = layer(x) * self.learning_rate_multiplier
            x = ops.leaky_relu(x, negative_slope=0.2)
        return x

    def compute_output_shape(self, style_shape):
        return (*style_shape[:-1], self.width)

    def get_config(self):
        config = super().get_config()
        del config["dtype"]  # always float32
        return {
            **config,
            "width": self.width,
            "depth": self.depth,
            "learning_rate_multiplier": self.learning_rate_multiplier,
        }


@keras.saving.register_keras_serializable(package="keras_tim")
class Modulation(keras.layers.Layer):
    """Instance normalisation, then a scale and an offset set by the style.

    `(1 + gamma) * (x - mean) / sqrt(variance + epsilon) + beta`, where the
    mean and the variance are those of each picture and channel at hand, in
    training and after, and `(gamma, beta) = Dense(style)`.

    Statistics and style run in float32 under every policy.

    Args:
        epsilon: float, added to the variance.

    Call arguments:
        features: float tensor `[batch, height, width, channels]`.
        style: float tensor `[batch, width]`, from the mapping network.

    Returns:
        Tensor of the features' shape in the compute dtype.

    Example:
    >>> features = keras.random.normal((2, 8, 8, 32), seed=0)
    >>> Modulation()(features, keras.random.normal((2, 512), seed=1)).shape
    TensorShape([2, 8, 8, 32])
    """

    def __init__(self, epsilon=1e-5, **kwargs):
        super().__init__(**kwargs)
        self.epsilon = epsilon

    def build(self, features_shape, style_shape):
        self.dense = keras.layers.Dense(
            2 * features_shape[-1],
            kernel_initializer=scaled_kaiming_normal(),
            name="dense",
            dtype="float32",
        )
        self.dense.build(style_shape)

    def call(self, features, style):
        gamma, beta = ops.split(self.dense(style)[:, None, None, :], 2, axis=-1)
        x = ops.cast(features, "float32")
        mean, variance = ops.moments(x, axes=(1, 2), keepdims=True)
        # One multiplication and one addition per value.
        scale = (1.0 + gamma) * ops.rsqrt(variance + self.epsilon)
        offset = beta - mean * scale
        return ops.cast(x * scale + offset, self.compute_dtype)

    def compute_output_shape(self, features_shape, style_shape):
        return features_shape

    def get_config(self):
        return {**super().get_config(), "epsilon": self.epsilon}
