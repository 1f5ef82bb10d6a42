"""A weighted sum of LPIPS distances."""

import math

import keras

from keras_tim.perceptual.lpips import LPIPS

NETWORKS = {"lpips_vgg": "vgg", "lpips_alex": "alex"}


@keras.saving.register_keras_serializable(package="keras_tim")
class MixedLPIPS(keras.layers.Layer):
    """A weighted sum of LPIPS distances by several networks.

    A model that learns and chooses by one network finds pictures that please
    this network alone. Two networks hold each other.

    Args:
        parts: dict from "lpips_vgg" and "lpips_alex" to positive weights.
        dtype: dtype policy of the networks, see `LPIPS`.
        **kwargs: other arguments of `keras.layers.Layer`.

    Call arguments:
        a: pictures `[batch, height, width, 3]`, floating point in [0, 1].
        b: pictures of the same shape and range.

    Returns:
        float32 distances `[batch]`.

    Example:
        ```python
        tim.compile(distance=MixedLPIPS({"lpips_vgg": 1.0, "lpips_alex": 0.3}))
        ```
    """

    def __init__(self, parts, *, dtype="float32", **kwargs):
        kwargs.setdefault("trainable", False)
        super().__init__(dtype=dtype, autocast=False, **kwargs)
        if not isinstance(parts, dict) or not parts:
            raise ValueError(
                "`parts` must be a dict from names of distances to weights. "
                f"Received: parts={parts!r}"
            )
        for name, weight in parts.items():
            if name not in NETWORKS:
                raise ValueError(
                    f"`parts` must be of {sorted(NETWORKS)}. Received: {name!r}"
                )
            if not 0 < weight < math.inf:
                raise ValueError(
                    "`parts` must have positive, finite weights. Received: "
                    f"{name}={weight}"
                )
        self.parts = dict(parts)
        self.networks = [
            LPIPS(NETWORKS[name], dtype=dtype, name=name) for name in self.parts
        ]

    def build(self, a_shape, b_shape=None):
        for network in self.networks:
            network.build(a_shape, b_shape)
            network.built = True

    def call(self, a, b):
        return self._summed(lambda network: network(a, b))

    def compute_output_shape(self, a_shape, b_shape):
        return tuple(a_shape[:1])

    def features(self, images):
        """See `LPIPS.features`: a list over networks of such lists."""
        return [network.features(images) for network in self.networks]

    def layer_weights(self, weights, features):
        """See `LPIPS.layer_weights`."""
        return [
            network.layer_weights(weights, part)
            for network, part in zip(self.networks, features, strict=True)
        ]

    def compare(self, a_features, b_features, weights=None):
        """See `LPIPS.compare`."""
        weights = weights or [None] * len(self.networks)
        return self._summed(LPIPS.compare, a_features, b_features, weights)

    def cell_distances(self, a_features, b_features, rows, columns):
        """See `LPIPS.cell_distances`."""
        return self._summed(
            lambda network, a, b: network.cell_distances(a, b, rows, columns),
            a_features,
            b_features,
        )

    def _summed(self, function, *lists):
        return sum(
            weight * function(network, *arguments)
            for weight, network, *arguments in zip(
                self.parts.values(), self.networks, *lists, strict=True
            )
        )

    def get_config(self):
        return {**super().get_config(), "parts": self.parts}
