"""The distance that selection and the loss share, and its pixel term."""

import math
from collections.abc import Hashable

import keras
from keras import ops

from keras_tim.layers.resampling import area_resize
from keras_tim.perceptual.lpips import LPIPS, spatial_mean
from keras_tim.perceptual.mixed import NETWORKS, MixedLPIPS


class SelectionDistance:
    """A distance split into features and their comparison.

    The target's features are computed once and held against those of many
    candidates.

    Args:
        distance: "lpips_vgg", "lpips_alex", "mean_squared_error",
            "mean_absolute_error", a dict from the first two to weights (see
            `MixedLPIPS`), the same as text, such as
            "lpips_vgg+0.5*lpips_alex", a layer with `features(pictures)` and
            `compare(a, b)` such as `keras_tim.LPIPS`, a `keras.losses.Loss`,
            or a callable `(pictures, targets) -> [batch]`; of values per
            pixel the mean is taken.
        pixel_weight: float, factor of the mean absolute difference added.
        dtype: dtype policy of the networks of a distance given by its name.

    Raises:
        ValueError: if `distance` is none of these.
    """

    def __init__(self, distance, pixel_weight=0.0, dtype="float32"):
        self.distance = _resolve(distance, dtype)
        if pixel_weight < 0:
            raise ValueError(
                "`pixel_weight` must not be negative. Received: "
                f"pixel_weight={pixel_weight}"
            )
        self.pixel_weight = pixel_weight

    def build(self, channels):
        """Readies the distance's weights, outside of any graph."""
        layer = self.distance
        if isinstance(layer, keras.Layer) and not layer.built:
            shape = (None, None, None, channels)
            layer.build(shape, shape)
            layer.built = True

    def features(self, pictures, weights=None):
        """What `compare` needs of pictures.

        Args:
            pictures: tensor `[batch, height, width, channels]`.
            weights: tensor `[batch, height, width]`, by which the pixels of
                targets count, or None.

        Returns:
            dict of nested tensors `[batch, ...]`.

        Raises:
            ValueError: if there are weights and the distance cannot weigh
                pixels.
        """
        features = {}
        if _splits(self.distance):
            features["perceptual"] = self.distance.features(pictures)
        if self.pixel_weight or not _splits(self.distance):
            features["pixels"] = pictures
        if weights is not None:
            if not hasattr(self.distance, "layer_weights"):
                raise ValueError(
                    "`sample_weight` must be one weight per image, [batch], "
                    "where `distance` has no method `layer_weights` to weigh "
                    "pixels with, as keras_tim.LPIPS has. Received: weights "
                    f"per pixel and distance={self.distance!r}"
                )
            features["layer_weights"] = self.distance.layer_weights(
                weights, features["perceptual"]
            )
            features["weights"] = weights
        return features

    def cell_distances(self, a, b, rows, columns):
        """Distances of every cell of a grid over the pictures.

        Args:
            a: what `features` returned for pictures `[batch, ...]`.
            b: the same for their targets.
            rows: int or scalar tensor, cells from top to bottom.
            columns: the same from left to right.

        Returns:
            float32 tensor `[batch, rows, columns]`.

        Raises:
            ValueError: if the distance has no method `cell_distances`.
        """
        if isinstance(self.distance, Hashable) and self.distance in _PIXELWISE:
            difference = _PIXELWISE[self.distance](a["pixels"] - b["pixels"])
            mean = ops.mean(difference, axis=-1, keepdims=True)
            distances = area_resize(mean, rows, columns)[..., 0]
        elif hasattr(self.distance, "cell_distances"):
            distances = self.distance.cell_distances(
                a["perceptual"], b["perceptual"], rows, columns
            )
        else:
            raise ValueError(
                "`distance` must have a method `cell_distances`, as "
                "keras_tim.LPIPS has, for a model with `style_cell`. "
                f"Received: distance={self.distance!r}"
            )
        if self.pixel_weight:
            difference = ops.mean(
                ops.abs(a["pixels"] - b["pixels"]), axis=-1, keepdims=True
            )
            mean = area_resize(difference, rows, columns)[..., 0]
            distances = distances + self.pixel_weight * mean
        return distances

    def compare(self, a, b):
        """Distances of features, over any leading axes.

        Args:
            a: what `features` returned for pictures.
            b: the same for their targets; it may broadcast, and its weights
                count where there are some.

        Returns:
            float32 tensor of the leading axes.
        """
        weighted = "weights" in b
        if weighted:
            distances = self.distance.compare(
                a["perceptual"], b["perceptual"], b["layer_weights"]
            )
        elif _splits(self.distance):
            distances = self.distance.compare(a["perceptual"], b["perceptual"])
        else:
            distances = _call_on_pairs(self.distance, a["pixels"], b["pixels"])
        if self.pixel_weight:
            difference = ops.abs(a["pixels"] - b["pixels"])
            mean = (
                spatial_mean(ops.mean(difference, axis=-1), b["weights"])
                if weighted
                else ops.mean(difference, axis=(-3, -2, -1))
            )
            distances = distances + self.pixel_weight * mean
        return distances


@keras.saving.register_keras_serializable(package="keras_tim")
def mean_squared_error(pictures, targets):
    """The plainest distance, for pictures too small for LPIPS to say much.

    Args:
        pictures: float tensor `[batch, height, width, channels]`.
        targets: tensor of the same shape.

    Returns:
        Tensor `[batch]`: the mean square of the difference over pixels and
        channels.
    """
    return ops.mean(ops.square(pictures - targets), axis=(1, 2, 3))


@keras.saving.register_keras_serializable(package="keras_tim")
def mean_absolute_error(pictures, targets):
    """What settles colours and edges before there is texture to choose from.

    Args:
        pictures: float tensor `[batch, height, width, channels]`.
        targets: tensor of the same shape.

    Returns:
        Tensor `[batch]`: the mean absolute difference over pixels and
        channels.
    """
    return ops.mean(ops.abs(pictures - targets), axis=(1, 2, 3))


# Distances that are means over pixels, of what.
_PIXELWISE = {mean_squared_error: ops.square, mean_absolute_error: ops.abs}


def _resolve(distance, dtype):
    plain = {function.__name__: function for function in _PIXELWISE}
    # As Keras has them.
    plain |= {"mse": mean_squared_error, "mae": mean_absolute_error}
    if isinstance(distance, str):
        if distance in plain:
            return plain[distance]
        if "+" in distance or "*" in distance:
            return MixedLPIPS(_parsed_parts(distance), dtype=dtype)
        if distance not in NETWORKS:
            raise ValueError(
                f"`distance` must be one of {sorted({**NETWORKS, **plain})}, a "
                "layer such as keras_tim.LPIPS, or a callable (pictures, "
                f"targets) -> [batch]. Received: distance={distance!r}"
            )
        return LPIPS(net=NETWORKS[distance], dtype=dtype)
    if isinstance(distance, dict):
        return MixedLPIPS(distance, dtype=dtype)
    if not callable(distance):
        raise ValueError(
            "`distance` must be a name, a layer such as keras_tim.LPIPS, or "
            "a callable (pictures, targets) -> [batch]. Received: "
            f"distance={distance!r}"
        )
    return distance


def _parsed_parts(text):
    """Weights of distances from text such as "lpips_vgg+0.5*lpips_alex"."""
    parts = {}
    for part in text.split("+"):
        weight, _, name = (x.strip() for x in part.rpartition("*"))
        try:
            weight = float(weight) if weight else 1.0
        except ValueError:
            weight = math.nan
        positive = 0 < weight < math.inf
        if not positive or name not in NETWORKS or name in parts:
            raise ValueError(
                "`distance` must be a sum of "
                f"{sorted(NETWORKS)}, each once, perhaps with weights, such as "
                f"lpips_vgg+0.5*lpips_alex. Received: distance={text!r}"
            )
        parts[name] = weight
    return parts


def _splits(distance):
    return hasattr(distance, "features") and hasattr(distance, "compare")


def _call_on_pairs(distance, a, b):
    """Calls `distance` on flat batches of pairs; `b` is broadcast to `a`."""
    shape = ops.shape(a)
    b = ops.broadcast_to(b, shape)
    a, b = (ops.reshape(x, (-1, *shape[-3:])) for x in (a, b))
    if isinstance(distance, keras.losses.Loss):
        # Before its reduction, which would leave one number for the batch.
        flat = ops.convert_to_tensor(distance.call(b, a))
    else:
        flat = ops.convert_to_tensor(distance(a, b))
    # TensorFlow may not know it.
    known = getattr(flat.shape, "rank", 0) is not None
    rank = len(flat.shape) if known else None
    if rank == 0:
        raise ValueError(
            "`distance` must give one value per picture, [batch]. Received: "
            f"distance={distance!r}, which gives a single value"
        )
    if rank is not None and rank > 1:
        flat = ops.mean(flat, axis=tuple(range(1, rank)))
    return ops.reshape(flat, shape[:-3])
