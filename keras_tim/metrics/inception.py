"""The Inception network of the Frechet and kernel Inception distances.

It is the one published on 2015-12-05 and in use ever since: another network,
with other weights, than Keras Applications' InceptionV3, which gives other
distances.
"""

import dataclasses
import io
import os

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from keras_tim.assets.downloads import (
    WeightsError,
    read_weights,
    refuse_saved_path,
)
from keras_tim.assets.errors import CheckpointError
from keras_tim.assets.torch_file import read_torchscript_tensors
from keras_tim.checks import check_floating, check_unit_range, one_of

FEATURES = 2048
SIDE = 299

_RESIZINGS = ("original", "antialiased")
_BATCH_NORM_EPSILON = 1e-3


@dataclasses.dataclass(frozen=True)
class _Convolution:
    """A convolution, batch normalisation without gamma, and a ReLU."""

    filters: int
    size: tuple[int, int] = (1, 1)
    stride: int = 1
    padding: str = "same"


@dataclasses.dataclass(frozen=True)
class _Pool:
    """Pooling of 3 x 3 pixels; averages leave out the padding."""

    kind: str
    stride: int = 1
    padding: str = "same"


@dataclasses.dataclass(frozen=True)
class _Fork:
    """Branches of steps that start alike and are concatenated."""

    branches: tuple


def _reduction(kind, filters=0):
    """A step of 3 x 3 pixels that halves the size."""
    if kind == "convolution":
        return _Convolution(filters, (3, 3), stride=2, padding="valid")
    return _Pool(kind, stride=2, padding="valid")


def _mixed_35(pool_filters):
    """A block at 35 x 35 pixels."""
    return _Fork(
        (
            (_Convolution(64),),
            (_Convolution(48), _Convolution(64, (5, 5))),
            (
                _Convolution(64),
                _Convolution(96, (3, 3)),
                _Convolution(96, (3, 3)),
            ),
            (_Pool("average"), _Convolution(pool_filters)),
        )
    )


def _mixed_17(filters):
    """A block at 17 x 17 pixels."""
    return _Fork(
        (
            (_Convolution(192),),
            (
                _Convolution(filters),
                _Convolution(filters, (1, 7)),
                _Convolution(192, (7, 1)),
            ),
            (
                _Convolution(filters),
                _Convolution(filters, (7, 1)),
                _Convolution(filters, (1, 7)),
                _Convolution(filters, (7, 1)),
                _Convolution(192, (1, 7)),
            ),
            (_Pool("average"), _Convolution(192)),
        )
    )


def _mixed_8(pool):
    """A block at 8 x 8 pixels."""
    last = _Fork(((_Convolution(384, (1, 3)),), (_Convolution(384, (3, 1)),)))
    return _Fork(
        (
            (_Convolution(320),),
            (_Convolution(384), last),
            (_Convolution(448), _Convolution(384, (3, 3)), last),
            (_Pool(pool), _Convolution(192)),
        )
    )


# In the order in which the published file holds the convolutions.
_STEPS = (
    _reduction("convolution", 32),
    _Convolution(32, (3, 3), padding="valid"),
    _Convolution(64, (3, 3)),
    _reduction("max"),
    _Convolution(80),
    _Convolution(192, (3, 3), padding="valid"),
    _reduction("max"),
    _mixed_35(32),
    _mixed_35(64),
    _mixed_35(64),
    _Fork(
        (
            (_reduction("convolution", 384),),
            (
                _Convolution(64),
                _Convolution(96, (3, 3)),
                _reduction("convolution", 96),
            ),
            (_reduction("max"),),
        )
    ),
    _mixed_17(128),
    _mixed_17(160),
    _mixed_17(160),
    _mixed_17(192),
    _Fork(
        (
            (_Convolution(192), _reduction("convolution", 320)),
            (
                _Convolution(192),
                _Convolution(192, (1, 7)),
                _Convolution(192, (7, 1)),
                _reduction("convolution", 192),
            ),
            (_reduction("max"),),
        )
    ),
    _mixed_8("average"),
    # Maximum, not average: a slip of the original that every published
    # distance depends on.
    _mixed_8("max"),
)


def _kernel_shapes(steps, channels, shapes):
    """Appends every kernel's shape to `shapes`; returns the last channels."""
    for step in steps:
        if isinstance(step, _Fork):
            channels = sum(
                _kernel_shapes(branch, channels, shapes)
                for branch in step.branches
            )
        elif isinstance(step, _Convolution):
            shapes.append((*step.size, channels, step.filters))
            channels = step.filters
    return channels


def _run(steps, x, parameters):
    """Runs steps, taking kernel and bias from an iterator as it goes."""
    for step in steps:
        if isinstance(step, _Fork):
            x = ops.concatenate(
                [_run(branch, x, parameters) for branch in step.branches],
                axis=-1,
            )
        elif isinstance(step, _Convolution):
            kernel, bias = next(parameters)
            x = ops.conv(
                x,
                kernel,
                strides=step.stride,
                padding=step.padding,
                data_format="channels_last",
            )
            x = ops.relu(x + bias)
        else:
            pool = ops.max_pool if step.kind == "max" else ops.average_pool
            x = pool(
                x,
                3,
                strides=step.stride,
                padding=step.padding,
                data_format="channels_last",
            )
    return x


@keras.saving.register_keras_serializable(package="keras_tim")
class InceptionFeatures(keras.layers.Layer):
    """Features of pictures from the Inception network behind FID and KID.

    Pictures are rounded to 8 bits, as they would be in a file, resized to 299
    x 299 pixels and run through the network up to its last pooling. The layer
    has no trainable weights. Published values are read when the layer is
    built (at the first call), never at construction. A layer made by
    `from_config` downloads nothing and opens no path: it takes values from the
    `.keras` file it is part of, or, by default, from the cache, and says so at
    the first call if it found neither.

    Args:
        weights: `"default"` for the published values (from the cache, else
            fetched with pip); a path to the TorchScript file, to the source
            archive or to a folder holding one of them; or `None` for Keras'
            own random initial values.
        resizing: how pictures of another size are resized. `"original"` is
            the bilinear interpolation inside the original network, which the
            figures in most papers rest on; it skips pixels of pictures larger
            than 299, so that they alias. `"antialiased"` is bicubic with
            antialiasing.
        **kwargs: other arguments of `keras.layers.Layer`.

    Call arguments:
        images: pictures `[batch, height, width, 3]`, floating point in
            [0, 1] or uint8.

    Returns:
        float32 features `[batch, 2048]`, none below 0.

    Raises:
        ValueError: if an argument is not as described.
        WeightsError: at the first call, if the values cannot be had.

    Reference:
        Heusel et al., "GANs Trained by a Two Time-Scale Update Rule Converge
        to a Local Nash Equilibrium", NeurIPS 2017. Parmar et al., "On Aliased
        Resizing and Surprising Subtleties in GAN Evaluation", CVPR 2022.
    """

    def __init__(self, weights="default", resizing="original", **kwargs):
        if not (weights is None or isinstance(weights, str | os.PathLike)):
            raise ValueError(
                '`weights` must be "default", a path or None. '
                f"Received: weights={weights}"
            )
        one_of("resizing", resizing, _RESIZINGS)
        kwargs.setdefault("trainable", False)
        kwargs.setdefault("dtype", "float32")
        # Pictures may be uint8, and are scaled in float32.
        super().__init__(autocast=False, **kwargs)
        # Not `self.weights`: that is Keras' list of a layer's variables.
        self.weights_source = None if weights is None else os.fspath(weights)
        self.resizing = resizing
        self._from_config = False
        self._missing = None

    def build(self, images_shape):
        _check_shape(images_shape)
        shapes = []
        _kernel_shapes(_STEPS, 3, shapes)
        arrays = self._published_arrays(shapes)
        self._kernels, self._biases = [], []
        for i, shape in enumerate(shapes):
            kernel, bias = arrays[i] if arrays else (None, None)
            self._kernels.append(
                self._constant(f"kernel_{i}", shape, kernel, "he_normal")
            )
            self._biases.append(
                self._constant(f"bias_{i}", shape[-1:], bias, "zeros")
            )

    def _constant(self, name, shape, values, default):
        # Values go in as initialisers, not by `assign`: a first call inside a
        # traced function must not put 87 MB into its graph.
        def given(shape, dtype):
            return ops.convert_to_tensor(values, dtype)

        return self.add_weight(
            name=name,
            shape=shape,
            initializer=default if values is None else given,
            trainable=False,
            autocast=False,
        )

    def _published_arrays(self, shapes):
        if self.weights_source is None:
            return None
        try:
            if self._from_config:
                refuse_saved_path(self.weights_source)
            content, origin = read_weights(
                "inception", self.weights_source, fetch=not self._from_config
            )
            tensors = read_torchscript_tensors(io.BytesIO(content), origin)
        except CheckpointError as error:
            raise WeightsError(str(error)) from error
        except WeightsError as error:
            if not self._from_config:
                raise
            # The values may be about to come from a `.keras` file: complain
            # only if the layer is used without them.
            self._missing = error
            return None
        return folded_arrays(tensors, shapes, origin)

    def load_own_variables(self, store):
        super().load_own_variables(store)
        self._missing = None

    def set_weights(self, weights):
        super().set_weights(weights)
        self._missing = None

    def call(self, images):
        if self._missing is not None:
            raise self._missing
        _check_shape(images.shape)
        x = resized(_levels(images), self.resizing)
        x = ops.cast((x - 128.0) / 128.0, self.compute_dtype)
        parameters = [
            (ops.cast(k, x.dtype), ops.cast(b, x.dtype))
            for k, b in zip(self._kernels, self._biases, strict=True)
        ]
        x = _run(_STEPS, x, iter(parameters))
        return ops.mean(ops.cast(x, "float32"), axis=(1, 2))

    def compute_output_spec(self, images):
        _check_shape(images.shape)
        # Always float32, whatever the compute dtype.
        return keras.KerasTensor((images.shape[0], FEATURES), dtype="float32")

    def compute_output_shape(self, images_shape):
        return (images_shape[0], FEATURES)

    def get_config(self):
        config = super().get_config()
        config.update(
            {"weights": self.weights_source, "resizing": self.resizing}
        )
        return config

    @classmethod
    def from_config(cls, config):
        layer = super().from_config(config)
        layer._from_config = True
        return layer


def folded_arrays(tensors, shapes, origin):
    """Convolutions with their batch normalisation folded into them.

    Args:
        tensors: dict of arrays in PyTorch's layout: `NAME.weight`,
            `NAME.beta`, `NAME.mean` and `NAME.var` of every convolution, in
            order.
        shapes: list of the kernels' shapes `(height, width, in, out)`.
        origin: what error messages call the file.

    Returns:
        List of float32 pairs `(kernel, bias)`.

    Raises:
        WeightsError: if the arrays are others.
    """
    names = [name for name in tensors if name.endswith(".weight")]
    if len(names) != len(shapes):
        raise WeightsError(
            f"{origin} must hold the {len(shapes)} convolutions of the "
            f"Inception network. Received: {len(names)}"
        )
    pairs = []
    for name, shape in zip(names, shapes, strict=True):
        weight, beta, mean, variance = (
            tensors.get(f"{name.removesuffix('weight')}{part}", np.empty(0))
            for part in ("weight", "beta", "mean", "var")
        )
        height, width, before, filters = shape
        wanted = [(filters, before, height, width)] + [(filters,)] * 3
        found = [array.shape for array in (weight, beta, mean, variance)]
        if found != wanted:
            raise WeightsError(
                f"{origin}: {name} and its batch normalisation must have the "
                f"shapes {wanted}. Received: {found}"
            )
        # What is damaged ends as NaN or infinity, and is seen below.
        with np.errstate(all="ignore"):
            deviation = np.sqrt(
                variance.astype("float64") + _BATCH_NORM_EPSILON
            )
            kernel = np.transpose(weight, (2, 3, 1, 0)) / deviation
            kernel = kernel.astype("float32")
            bias = (beta - mean / deviation).astype("float32")
        if not (np.isfinite(kernel).all() and np.isfinite(bias).all()):
            raise WeightsError(f"{origin}: {name} has values not finite")
        pairs.append((kernel, bias))
    return pairs


def resized(levels, resizing):
    """Resizes pictures to what the network takes.

    Args:
        levels: float32 pictures `[batch, height, width, 3]`, from 0 to 255.
        resizing: `"original"` or `"antialiased"`, see `InceptionFeatures`.

    Returns:
        Pictures `[batch, 299, 299, 3]`, in the same range and not rounded.
    """
    if resizing == "antialiased":
        smooth = tf.image.resize(
            levels, (SIDE, SIDE), method="bicubic", antialias=True
        )
        return ops.clip(smooth, 0.0, 255.0)
    # Pixel i of the result lies at i * size / 299, not at the pixels'
    # centres: TensorFlow 1's grid, which `tf.image.resize` lacks.
    return tf.raw_ops.ResizeBilinear(
        images=levels, size=(SIDE, SIDE), half_pixel_centers=False
    )


def _levels(images):
    """8-bit levels as float32, of uint8 or of floats in [0, 1]."""
    if keras.backend.standardize_dtype(images.dtype) == "uint8":
        return ops.cast(images, "float32")
    check_floating("images", images)
    check_unit_range("images", images, overshoot=True)
    levels = 255.0 * ops.cast(images, "float32")
    return ops.clip(ops.round(levels), 0.0, 255.0)


def _check_shape(shape):
    if len(shape) != 4 or shape[-1] not in (3, None):
        raise ValueError(
            "`images` must be pictures of shape [batch, height, width, 3]. "
            f"Received: images.shape={tuple(shape)}"
        )
