"""What selection and loss measure: a distance, and perhaps a pixel term."""

import keras
from keras import ops


class SelectionDistance:
    """A distance split into features and their comparison.

    The target's features are computed once and held against those of many
    candidates.

    Args:
        distance: "lpips_vgg", "lpips_alex", a layer with `features(pictures)`
            and `compare(a, b)` such as `keras_tim.LPIPS`, or a callable
            `(pictures, targets) -> [batch]`.
        pixel_weight: float, factor of the mean absolute difference added.

    Raises:
        ValueError: if `distance` is none of these.
    """

    def __init__(self, distance, pixel_weight=0.0):
        self.distance = _resolve(distance)
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

    def features(self, pictures):
        """What `compare` needs of pictures `[batch, height, width, c]`."""
        features = {}
        if _splits(self.distance):
            features["perceptual"] = self.distance.features(pictures)
        if self.pixel_weight or not _splits(self.distance):
            features["pixels"] = pictures
        return features

    def compare(self, a, b):
        """Distances of features, over any leading axes; `b` may broadcast."""
        if _splits(self.distance):
            distances = self.distance.compare(a["perceptual"], b["perceptual"])
        else:
            distances = _call_on_pairs(self.distance, a["pixels"], b["pixels"])
        if self.pixel_weight:
            difference = ops.abs(a["pixels"] - b["pixels"])
            distances = distances + self.pixel_weight * ops.mean(
                difference, axis=(-3, -2, -1)
            )
        return distances


def _resolve(distance):
    from keras_tim.perceptual import LPIPS

    names = {"lpips_vgg": "vgg", "lpips_alex": "alex"}
    if isinstance(distance, str):
        if distance not in names:
            raise ValueError(
                f"`distance` must be one of {sorted(names)}, a layer such as "
                "keras_tim.LPIPS, or a callable (pictures, targets) -> "
                f"[batch]. Received: distance={distance!r}"
            )
        return LPIPS(net=names[distance])
    if not callable(distance):
        raise ValueError(
            "`distance` must be a name, a layer such as keras_tim.LPIPS, or "
            "a callable (pictures, targets) -> [batch]. Received: "
            f"distance={distance!r}"
        )
    return distance


def _splits(distance):
    return hasattr(distance, "features") and hasattr(distance, "compare")


def _call_on_pairs(distance, a, b):
    """Calls `distance` on flat batches of pairs; `b` is broadcast to `a`."""
    shape = ops.shape(a)
    b = ops.broadcast_to(b, shape)
    flat = distance(
        ops.reshape(a, (-1, *shape[-3:])), ops.reshape(b, (-1, *shape[-3:]))
    )
    return ops.reshape(flat, shape[:-3])
