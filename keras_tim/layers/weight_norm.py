"""Weight-normalised convolution (CAM-Net, section 3.3)."""

import contextlib
import contextvars
import math

import keras
from keras import ops

from keras_tim.checks import integer

_KNOWN = contextvars.ContextVar("plain kernels", default=None)
_FOLLOW = contextvars.ContextVar("weights follow", default=False)


@contextlib.contextmanager
def known_kernels(kernels):
    """The scope in which plain kernels are known and need not be computed.

    Many calls with the same weights, such as samples, share them.

    Args:
        kernels: dict from the id of a layer's variable `v` to its plain
            kernel, float32.
    """
    token = _KNOWN.set(kernels)
    try:
        yield
    finally:
        _KNOWN.reset(token)


@contextlib.contextmanager
def weights_follow():
    """The scope in which layers are built whose weights are then assigned.

    They begin as zeros: drawing them takes a third of the time to build.
    """
    token = _FOLLOW.set(True)
    try:
        yield
    finally:
        _FOLLOW.reset(token)


@keras.saving.register_keras_serializable(package="keras_tim")
class WeightNormConv2D(keras.layers.Layer):
    """2-D convolution whose kernel is `g * v / ||v||`.

    The norm runs over everything but the output channel, so that `g` is the
    length of each filter and `v` its direction. The kernel is computed afresh
    in every call and never assigned, which keeps the layer a pure function of
    its weights: `predict`, export and replicas see what training sees.

    Strides are 1 and the padding keeps the picture's size.

    Args:
        filters: int, the number of output channels.
        kernel_size: int, the height and width of the kernel.
        gain: float, factor on the initial filter lengths. 1 is the published
            initialisation; a residual branch that should start small takes
            less.

    Call arguments:
        inputs: float tensor `[batch, height, width, channels]`.

    Returns:
        Tensor `[batch, height, width, filters]` in the compute dtype.

    Example:
    >>> layer = WeightNormConv2D(64)
    >>> layer(keras.random.normal((1, 12, 20, 3), seed=0)).shape
    TensorShape([1, 12, 20, 64])

    Reference:
        - [Salimans and Kingma, 2016](https://arxiv.org/abs/1602.07868)
    """

    def __init__(self, filters, kernel_size=3, gain=1.0, **kwargs):
        super().__init__(**kwargs)
        self.filters = integer("filters", filters)
        self.kernel_size = integer("kernel_size", kernel_size)
        self.gain = gain

    def build(self, input_shape):
        channels = input_shape[-1]
        if channels is None:
            raise ValueError(
                "The number of input channels must be known. Received: "
                f"input_shape={input_shape}"
            )
        shape = (self.kernel_size, self.kernel_size, channels, self.filters)
        # PyTorch's default for convolutions, which the published code keeps.
        bound = 1.0 / math.sqrt(math.prod(shape[:-1]))
        # The division by ||v|| is too delicate for half precision: the
        # weights stay out of autocasting and only the kernel is cast.
        self.v = self.add_weight(
            shape=shape,
            initializer=(
                "zeros"
                if _FOLLOW.get()
                else keras.initializers.RandomUniform(-bound, bound)
            ),
            name="v",
            autocast=False,
        )
        self.g = self.add_weight(
            shape=(self.filters,),
            initializer=self._initial_length,
            name="g",
            autocast=False,
        )
        self.bias = self.add_weight(
            shape=(self.filters,), initializer="zeros", name="bias"
        )

    def _initial_length(self, shape, dtype=None):
        return ops.cast(self.gain * self._direction_length(), dtype)

    def _direction_length(self):
        return ops.sqrt(ops.sum(ops.square(self.v), axis=(0, 1, 2)))

    def folded_kernel(self):
        """The plain kernel `[size, size, channels, filters]` in float32."""
        known = (_KNOWN.get() or {}).get(id(self.v))
        if known is not None:
            return known
        return self.v * (self.g / self._direction_length())

    def call(self, inputs):
        kernel = ops.cast(self.folded_kernel(), self.compute_dtype)
        outputs = ops.conv(
            inputs, kernel, padding="same", data_format="channels_last"
        )
        return outputs + self.bias

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.filters)

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "gain": self.gain,
        }


def convolution(filters, weight_norm, gain=1.0, **kwargs):
    """A 3x3 convolution, weight-normalised or plain.

    Args:
        filters: int, the number of output channels.
        weight_norm: bool. False gives a `keras.layers.Conv2D` with the
            published initial values, which weight normalisation hides:
            Kaiming-normal (fan in) times 0.1.
        gain: float, factor on the initial values.
        **kwargs: passed to the layer (`name`, `dtype`).

    Returns:
        A layer from `[batch, height, width, channels]` to
        `[batch, height, width, filters]`.
    """
    if weight_norm:
        return WeightNormConv2D(filters, gain=gain, **kwargs)
    return keras.layers.Conv2D(
        filters,
        3,
        padding="same",
        data_format="channels_last",
        kernel_initializer=scaled_kaiming_normal(gain=gain),
        **kwargs,
    )


def scaled_kaiming_normal(gain=1.0):
    """The published initial values of dense layers: Kaiming-normal x 0.1."""
    return kaiming_normal(0.1 * gain)


def kaiming_normal(gain=1.0):
    """Normal initial values of standard deviation gain * sqrt(2 / fan_in)."""
    if _FOLLOW.get():
        return keras.initializers.Zeros()
    # VarianceScaling takes the variance.
    return keras.initializers.VarianceScaling(
        scale=2.0 * gain**2,
        mode="fan_in",
        distribution="untruncated_normal",
    )
