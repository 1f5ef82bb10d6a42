"""LPIPS v0.1: the learned perceptual distance between pictures."""

import os

import keras
import numpy as np
from keras import ops

from keras_tim.assets.downloads import WeightsError, refuse_saved_path
from keras_tim.checks import check_floating, check_unit_range, one_of
from keras_tim.layers.resampling import area_resize
from keras_tim.perceptual.backbones import (
    BACKBONES,
    enlarge_small,
    tapped_features,
)
from keras_tim.perceptual.lpips_arrays import load_lpips_arrays

# The published input scaling, for pictures in [-1, 1].
_SHIFT = (-0.030, -0.088, -0.188)
_SCALE = (0.458, 0.448, 0.450)

# Under the square root, so that the gradient stays finite where every channel
# of a pixel is zero (flat patches). Squared feature norms are around 1 to
# 10,000: far too large for this to show in a distance.
_EPSILON = 1e-8


@keras.saving.register_keras_serializable(package="keras_tim")
class LPIPS(keras.layers.Layer):
    """LPIPS v0.1, the learned perceptual distance, of two batches of pictures.

    Features of every tapped layer are scaled to unit length per pixel; the
    distance is the squared difference weighted per channel, averaged over
    pixels and summed over layers. To compare many candidates with one target,
    compute `features` once for each side and combine them with `compare`,
    which broadcasts.

    Pictures whose shorter side is below what the network can take (31 pixels
    for "alex", 16 for "vgg") are enlarged first, by repeating pixels, by the
    smallest whole factor that reaches it. Larger pictures are never resized.

    The layer has no trainable weights. Published values are read when the
    layer is built (at the first call), never at construction. A layer made by
    `from_config` downloads nothing and opens no path: it takes values from the
    `.keras` file it is part of, or, by default, from the cache, and says so at
    the first call if it found neither.

    Args:
        net: the feature network, `"vgg"` (torchvision's VGG16) or `"alex"`
            (torchvision's AlexNet: faster, closer to human judgement, but a
            poorer training loss).
        weights: `"default"` for the published values (from the cache, else
            fetched with pip); a path to the `.ckpt` file, to the source
            archive or to a folder holding one of them; or `None` for Keras'
            own random initial values.
        dtype: dtype policy. Convolutions run in its compute dtype; features
            are normalised and compared in float32 whatever it is.
        **kwargs: other arguments of `keras.layers.Layer`.

    Call arguments:
        a: pictures `[batch, height, width, 3]`, floating point in [0, 1].
        b: pictures of the same shape and range.

    Returns:
        float32 distances `[batch]`, 0 for equal pictures, seldom above 1.

    Raises:
        ValueError: if an argument is not as described. The range is checked
            for concrete (eager) inputs only.
        WeightsError: at the first call, if the values cannot be had.

    Example:
        ```python
        distance = LPIPS("vgg")
        distance(a, b)  # [batch]

        # n candidates against one target each: [batch, n]
        target = [f[:, None] for f in distance.features(targets)]
        flat = ops.reshape(candidates, (-1, height, width, 3))
        found = [
            ops.reshape(f, (batch, n, *f.shape[1:]))
            for f in distance.features(flat)
        ]
        distance.compare(found, target)
        ```

    Reference:
        Zhang et al., "The Unreasonable Effectiveness of Deep Features as a
        Perceptual Metric", CVPR 2018.
    """

    def __init__(
        self, net="vgg", weights="default", *, dtype="float32", **kwargs
    ):
        one_of("net", net, BACKBONES)
        if not (weights is None or isinstance(weights, str | os.PathLike)):
            raise ValueError(
                '`weights` must be "default", a path or None. '
                f"Received: weights={weights}"
            )
        kwargs.setdefault("trainable", False)
        # Inputs are scaled in float32 and cast by hand: autocasting [0, 1]
        # pictures to 16 bits first would round away what is compared.
        super().__init__(dtype=dtype, autocast=False, **kwargs)
        self.net = net
        # Not `self.weights`: that is Keras' list of a layer's variables.
        self.weights_source = None if weights is None else os.fspath(weights)
        self._from_config = False
        self._missing = None

    def build(self, a_shape, b_shape=None):
        _check_shape("a", a_shape)
        backbone = BACKBONES[self.net]
        arrays = self._published_arrays()

        def add(name, shape, values, default):
            # Values go in as initialisers, not by `assign`: a first call
            # inside a traced function must not put 59 MB into its graph.
            # No autocast, whatever scope the caller is in: heads and sums stay
            # float32, kernels are cast by `features`.
            return self.add_weight(
                name=name,
                shape=shape,
                initializer=default if values is None else _constant(values),
                trainable=False,
                autocast=False,
            )

        self._kernels, self._biases, self._heads = [], [], []
        for i, shape in enumerate(backbone.kernel_shapes):
            kernel = arrays.kernels[i] if arrays else None
            bias = arrays.biases[i] if arrays else None
            self._kernels.append(
                add(f"kernel_{i}", shape, kernel, "glorot_uniform")
            )
            self._biases.append(add(f"bias_{i}", shape[-1:], bias, "zeros"))
        for i, channels in enumerate(backbone.tap_channels):
            # The square root of the published weight scales the features, so
            # that a plain squared difference is the weighted one.
            root = np.sqrt(arrays.heads[i]) if arrays else None
            self._heads.append(add(f"head_{i}", (channels,), root, "ones"))

    def _published_arrays(self):
        if self.weights_source is None:
            return None
        try:
            if self._from_config:
                refuse_saved_path(self.weights_source)
            return load_lpips_arrays(
                self.net, self.weights_source, fetch=not self._from_config
            )
        except WeightsError as error:
            if not self._from_config:
                raise
            # The values may be about to come from a `.keras` file: complain
            # only if the layer is used without them.
            self._missing = error
            return None

    def load_own_variables(self, store):
        super().load_own_variables(store)
        self._missing = None

    def set_weights(self, weights):
        super().set_weights(weights)
        self._missing = None

    def call(self, a, b):
        self._check_pair(a, b)
        return self.compare(self.features(a), self.features(b))

    def compute_output_spec(self, a, b):
        _check_shape("a", a.shape)
        _check_shape("b", b.shape)
        _check_same_shape(a.shape, b.shape)
        # Always float32, whatever the compute dtype.
        return keras.KerasTensor(a.shape[:1], dtype="float32")

    def compute_output_shape(self, a_shape, b_shape):
        return tuple(a_shape[:1])

    def features(self, images):
        """Features whose squared differences `compare` sums to the distance.

        The range of `images` is not checked here.

        Args:
            images: pictures `[batch, height, width, 3]`, floating point in
                [0, 1].

        Returns:
            A list of five float32 tensors `[batch, h, w, channels]`, of unit
            length per pixel but for the factor of every channel (the square
            root of its published weight).

        Raises:
            ValueError: if `images` has another shape or an integer dtype.
            WeightsError: at the first use, if the values cannot be had.
        """
        images = ops.convert_to_tensor(images)
        self._check_images("images", images)
        if not self.built:
            self.build(tuple(images.shape), tuple(images.shape))
        if self._missing is not None:
            raise self._missing
        backbone = BACKBONES[self.net]
        x = network_input(ops.cast(images, "float32"))
        x = enlarge_small(
            ops.cast(x, self.compute_dtype), backbone.minimum_side
        )
        taps = tapped_features(
            backbone,
            x,
            [ops.cast(k, self.compute_dtype) for k in self._kernels],
            [ops.cast(b, self.compute_dtype) for b in self._biases],
        )
        features = []
        for tap, head in zip(taps, self._heads, strict=True):
            # Squares of VGG16's features overflow float16.
            tap = ops.cast(tap, "float32")
            square = ops.sum(ops.square(tap), axis=-1, keepdims=True)
            unit = tap * ops.rsqrt(square + _EPSILON)
            features.append(unit * ops.cast(head, "float32"))
        return features

    def layer_weights(self, weights, features):
        """Weights of every layer's pixels, from those of the pictures'.

        Args:
            weights: tensor `[batch, height, width]` of the pictures' size,
                not negative.
            features: what `features` returned for pictures of that size.

        Returns:
            A list of five float32 tensors `[batch, h, w]`: means over the
            area that a layer's pixel stands for.
        """
        weights = ops.convert_to_tensor(weights)[..., None]
        return [
            area_resize(weights, *ops.shape(layer)[-3:-1])[..., 0]
            for layer in features
        ]

    def compare(self, a_features, b_features, weights=None):
        """Distances between two lists of `features`.

        Leading axes broadcast: features `[batch, n, h, w, c]` against
        `[batch, 1, h, w, c]` give distances `[batch, n]`.

        Args:
            a_features: list of `[..., h, w, channels]`, as from `features`.
            b_features: the same for the other pictures.
            weights: list of `[..., h, w]`, as from `layer_weights`, or None.
                With them the means over pixels are weighted means, so that
                a constant weight changes nothing.

        Returns:
            float32 distances `[...]`.
        """
        if weights is None:
            weights = [None] * len(a_features)
        distance = 0.0
        for a, b, w in zip(a_features, b_features, weights, strict=True):
            difference = ops.cast(a, "float32") - ops.cast(b, "float32")
            squared = ops.sum(ops.square(difference), axis=-1)
            distance = distance + spatial_mean(squared, w)
        return distance

    def cell_distances(self, a_features, b_features, rows, columns):
        """Distances of every cell of a grid over the pictures.

        The mean over the cells is the distance, where the grid's cells are
        equally large.

        Args:
            a_features: list of `[batch, h, w, channels]`, as from `features`.
            b_features: the same for the other pictures.
            rows: int or scalar tensor, cells from top to bottom.
            columns: the same from left to right.

        Returns:
            float32 tensor `[batch, rows, columns]`.
        """
        total = 0.0
        for a, b in zip(a_features, b_features, strict=True):
            squared = ops.sum(
                ops.square(ops.cast(a, "float32") - ops.cast(b, "float32")),
                axis=-1,
                keepdims=True,
            )
            total = total + area_resize(squared, rows, columns)
        return total[..., 0]

    def spatial_map(self, a, b):
        """Distances pixel by pixel.

        Every layer's map is resized bilinearly to the size of the pictures,
        and the layers are summed. The mean over pixels is near the distance,
        but not equal to it.

        Args:
            a: pictures `[batch, height, width, 3]` as in a call, of a height
                and width that are known.
            b: pictures of the same shape and range.

        Returns:
            float32 tensor `[batch, height, width]`.

        Raises:
            ValueError: if an argument is not as described. The range is
                checked for concrete (eager) inputs only.
            WeightsError: at the first use, if the values cannot be had.
        """
        a, b = ops.convert_to_tensor(a), ops.convert_to_tensor(b)
        self._check_pair(a, b)
        return self.compare_spatially(
            self.features(a), self.features(b), a.shape[1:3]
        )

    def compare_spatially(self, a_features, b_features, size):
        """`spatial_map` of pictures whose `features` are at hand.

        Args:
            a_features: list of `[batch, h, w, channels]`, as from `features`.
            b_features: the same for the other pictures.
            size: `(height, width)` of the pictures.

        Returns:
            float32 tensor `[batch, height, width]`.
        """
        total = 0.0
        for a, b in zip(a_features, b_features, strict=True):
            squared = ops.sum(ops.square(a - b), axis=-1, keepdims=True)
            total = total + ops.image.resize(
                squared,
                size,
                interpolation="bilinear",
                data_format="channels_last",
            )
        return total[..., 0]

    def get_config(self):
        config = super().get_config()
        config.update({"net": self.net, "weights": self.weights_source})
        return config

    @classmethod
    def from_config(cls, config):
        layer = super().from_config(config)
        layer._from_config = True
        return layer

    def _check_pair(self, a, b):
        self._check_images("a", a)
        self._check_images("b", b)
        _check_same_shape(a.shape, b.shape)
        check_unit_range("a", a, overshoot=True)
        check_unit_range("b", b, overshoot=True)

    def _check_images(self, name, images):
        _check_shape(name, images.shape)
        check_floating(name, images)


def network_input(images):
    """Pictures in [0, 1] as the backbones were trained on them.

    Args:
        images: float32 tensor `[..., 3]`.

    Returns:
        `(2 x - 1 - shift) / scale`.
    """
    # Folded into one multiplication and one addition.
    scale = 2.0 / np.array(_SCALE, "float32")
    offset = -(1.0 + np.array(_SHIFT, "float32")) * scale / 2.0
    return images * scale + offset


def spatial_mean(values, weights=None):
    """Mean over the last two axes, weighted where there are weights.

    Args:
        values: tensor `[..., height, width]`.
        weights: tensor that broadcasts to it, or None. Where all of them are
            zero the mean is.

    Returns:
        Tensor `[...]`.
    """
    if weights is None:
        return ops.mean(values, axis=(-2, -1))
    return ops.divide_no_nan(
        ops.sum(weights * values, axis=(-2, -1)),
        ops.sum(weights, axis=(-2, -1)),
    )


def _constant(values):
    return lambda shape, dtype: ops.convert_to_tensor(values, dtype)


def _check_shape(name, shape):
    if len(shape) != 4 or shape[-1] not in (3, None):
        raise ValueError(
            f"`{name}` must be pictures of shape [batch, height, width, 3]. "
            f"Received: {name}.shape={tuple(shape)}"
        )


def _check_same_shape(a_shape, b_shape):
    for a, b in zip(a_shape, b_shape, strict=True):
        if a is not None and b is not None and a != b:
            raise ValueError(
                "`b` must be of the same shape as `a`. Received: "
                f"a.shape={tuple(a_shape)}, b.shape={tuple(b_shape)}"
            )
