"""Style: the mapping network and the modulation it drives (section 3.3)."""

import threading

import keras
import numpy as np
from keras import ops

from keras_tim.checks import integer, one_of
from keras_tim.layers.resampling import interpolate_cells
from keras_tim.layers.weight_norm import (
    kaiming_normal,
    scaled_kaiming_normal,
)


@keras.saving.register_keras_serializable(package="keras_tim")
class MappingNetwork(keras.layers.Layer):
    """Turns a style code into the vector that steers the modulations.

    `depth` times Dense and LeakyReLU 0.2, trained at a fraction of the
    learning rate: `TIM.fit` sees to it, and a training loop of one's own with
    `keras_tim.imle.learning_rates`.

    The layer computes in float32 under every policy: at the published initial
    values its outputs are smaller than half precision can hold.

    Args:
        width: int, units of every layer.
        depth: int, number of layers.
        learning_rate_multiplier: float in (0, 1], by which the optimizer's
            learning rate is multiplied for this layer's weights.
        gain: float, factor on the initial kernels, which are Kaiming-normal.
            At 1 the outputs are as large as the style, so that another style
            counts from the first step on. The published code has 0.1: eight
            layers of that shrink a style to 1e-8, and take long to come out
            of it.

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
        self,
        width=512,
        depth=8,
        learning_rate_multiplier=0.01,
        gain=1.0,
        **kwargs,
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
        if not gain > 0:
            raise ValueError(f"`gain` must be positive. Received: gain={gain}")
        self.width = width
        self.depth = depth
        self.learning_rate_multiplier = learning_rate_multiplier
        self.gain = gain

    def build(self, style_shape):
        self.dense_layers = []
        shape = tuple(style_shape)
        for index in range(self.depth):
            layer = Dense(
                self.width,
                kernel_initializer=kaiming_normal(self.gain),
                name=f"dense{index + 1}",
                dtype=self.dtype_policy,
            )
            layer.build(shape)
            shape = (*shape[:-1], self.width)
            self.dense_layers.append(layer)

    def call(self, style):
        x = style
        for layer in self.dense_layers:
            x = ops.leaky_relu(layer(x), negative_slope=0.2)
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
            "gain": self.gain,
        }

    # Files written before `gain` was an argument hold the weights divided by
    # the multiplier: what tells them from others is that they lack this mark.

    def save_own_variables(self, store):
        store["stored_scale"] = np.ones(())

    def load_own_variables(self, store):
        # The dense layers' own weights are loaded after this.
        marked = "stored_scale" in set(store.keys())
        for layer in self.dense_layers:
            layer.loaded_scale = (
                1.0 if marked else self.learning_rate_multiplier
            )


class Dense(keras.layers.Dense):
    """A dense layer that scales what it loads.

    Attributes:
        loaded_scale: float, factor on weights that come from a file.
    """

    # Its name is the base's, since files name weights by the class.

    loaded_scale = 1.0

    def load_own_variables(self, store):
        super().load_own_variables(store)
        if self.loaded_scale != 1.0:
            for weight in self.weights:
                weight.assign(self.loaded_scale * weight)


NORMALIZATIONS = ("instance", "none")


class SharedStatistics:
    """A scope within which parts of one picture are normalised alike.

    `Modulation` takes mean and variance over the picture at hand. Where that is
    only a window of a larger one, they are wanted of all of it.

    Args:
        extent: `(height, width)` of the window, in pixels of any level: ints
            or scalar int tensors.
        core: `(top, bottom, left, right)`, the part of the window, in the same
            pixels, whose statistics are found: where windows overlap, every
            place is to count once.
        given: None, or what every modulation that normalises is to go by, in
            the order in which they run: tensors `[2, channels]`, means and
            variances.
        known: bool or scalar bool tensor, whether they are to go by it at
            all: where it is not known before a graph runs.

    Attributes:
        found: list of the same of the core, whatever was given.
    """

    _current = threading.local()

    def __init__(self, extent, core, given=None, known=True):
        self.found = []
        self._extent = extent
        self._core = core
        self._known = known
        self._given = None if given is None else iter(given)

    def __enter__(self):
        self._current.scope = self
        return self

    def __exit__(self, *error):
        self._current.scope = None

    @classmethod
    def moments(cls, x):
        """Mean and variance that features `[1, h, w, c]` are normalised by.

        Outside of a scope those of the features, within one that gives none
        those of the core.
        """
        scope = getattr(cls._current, "scope", None)
        if scope is None:
            return _moments(x)
        mean, variance = _moments(scope._cut(x))
        scope.found.append(ops.stack([mean[0, 0, 0], variance[0, 0, 0]]))
        if scope._given is None:
            return mean, variance
        given = next(scope._given)
        if scope._known is True:
            return given[0], given[1]
        return tuple(
            ops.where(scope._known, *pair)
            for pair in zip((given[0], given[1]), (mean, variance), strict=True)
        )

    def _cut(self, x):
        _, height, width, _ = ops.shape(x)
        (top, bottom, left, right), (rows, columns) = self._core, self._extent
        return x[
            :,
            top * height // rows : bottom * height // rows,
            left * width // columns : right * width // columns,
        ]


def _moments(x):
    return ops.moments(x, axes=(1, 2), keepdims=True)


@keras.saving.register_keras_serializable(package="keras_tim")
class Modulation(keras.layers.Layer):
    """A scale and an offset per channel, set by the style.

    `(1 + gamma) * n(x) + beta` with `(gamma, beta) = Dense(style)`. With
    `normalization="instance"`, as published, `n(x) = (x - mean) /
    sqrt(variance + epsilon)`, where the mean and the variance are those of
    each picture and channel at hand, in training and after. Dividing by a
    picture's own deviation invents texture in flat pictures. With
    `normalization="none"`, `n(x) = x`, and the layer starts as the identity.

    Statistics and style run in float32 under every policy.

    Args:
        epsilon: float, added to the variance.
        normalization: "instance" or "none".
        style_cell: int or None. None: one style for the whole picture. An
            int: a map of styles, one per square cell of so many pixels of the
            features, between whose centres scale and offset are interpolated.

    Call arguments:
        features: float tensor `[batch, height, width, channels]`.
        style: float tensor `[batch, width]`, from the mapping network, or with
            `style_cell` `[batch, rows, columns, width]`, its cells covering
            the features.

    Returns:
        Tensor of the features' shape in the compute dtype.

    Example:
    >>> features = keras.random.normal((2, 8, 8, 32), seed=0)
    >>> Modulation()(features, keras.random.normal((2, 512), seed=1)).shape
    TensorShape([2, 8, 8, 32])
    """

    def __init__(
        self, epsilon=1e-5, normalization="instance", style_cell=None, **kwargs
    ):
        super().__init__(**kwargs)
        one_of("normalization", normalization, NORMALIZATIONS)
        self.epsilon = epsilon
        self.normalization = normalization
        self.style_cell = style_cell

    def build(self, features_shape, style_shape):
        self.dense = keras.layers.Dense(
            2 * features_shape[-1],
            kernel_initializer=(
                scaled_kaiming_normal()
                if self.normalization == "instance"
                else "zeros"
            ),
            name="dense",
            dtype="float32",
        )
        self.dense.build(style_shape)

    def call(self, features, style):
        parameters = self.dense(style)
        if self.style_cell is None:
            parameters = parameters[:, None, None, :]
        else:
            _, height, width, _ = ops.shape(features)
            parameters = interpolate_cells(
                parameters, self.style_cell, height, width
            )
        if self.normalization == "none":
            parameters = ops.cast(parameters, self.compute_dtype)
            gamma, beta = ops.split(parameters, 2, axis=-1)
            return features * (1.0 + gamma) + beta
        gamma, beta = ops.split(parameters, 2, axis=-1)
        x = ops.cast(features, "float32")
        mean, variance = SharedStatistics.moments(x)
        # One multiplication and one addition per value.
        scale = (1.0 + gamma) * ops.rsqrt(variance + self.epsilon)
        offset = beta - mean * scale
        return ops.cast(x * scale + offset, self.compute_dtype)

    def compute_output_shape(self, features_shape, style_shape):
        return features_shape

    def get_config(self):
        return {
            **super().get_config(),
            "epsilon": self.epsilon,
            "normalization": self.normalization,
            "style_cell": self.style_cell,
        }
