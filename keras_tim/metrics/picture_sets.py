"""FID and KID as Keras metrics."""

import os

import keras
import numpy as np
import tensorflow as tf

from keras_tim.metrics.features import feature_batches
from keras_tim.metrics.frechet import (
    FeatureStatistics,
    distance_of_statistics,
)
from keras_tim.metrics.inception import InceptionFeatures
from keras_tim.metrics.kernel import kernel_distance


class _PictureSetMetric(keras.metrics.Metric):
    """A distance of two sets of pictures by their features.

    Children say what is kept of features: `_add_real`, `_add_generated`.
    """

    def __init__(self, extractor, batch_size, name, **kwargs):
        super().__init__(name=name, **kwargs)
        self.extractor = extractor
        self.batch_size = batch_size
        self._default_extractor = None
        self.reset_state()

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Adds pictures.

        Args:
            y_true: Real pictures as `picture_features` takes them.
            y_pred: Generated pictures, not necessarily as many.
            sample_weight: Must be None; there are no weighted distances.

        Raises:
            ValueError: If an argument is not as described, or the call is
                being compiled.
        """
        if sample_weight is not None:
            raise ValueError(
                f"`sample_weight` must be None. Received: {sample_weight}"
            )
        if any(tf.is_symbolic_tensor(given) for given in (y_true, y_pred)):
            raise ValueError(
                f"{type(self).__name__} cannot be updated within a compiled "
                "step. Update it from a callback or a loop, with pictures "
                "that are there."
            )
        for features in self._features(y_true):
            self._add_real(features)
        for features in self._features(y_pred):
            self._add_generated(features)

    def _features(self, pictures):
        extractor = self.extractor
        if extractor is None:
            # Kept: it reads its weights when first used.
            if self._default_extractor is None:
                self._default_extractor = InceptionFeatures()
            extractor = self._default_extractor
        return feature_batches(pictures, extractor, self.batch_size)

    def get_config(self):
        config = super().get_config()
        config.update(
            {
                "extractor": keras.saving.serialize_keras_object(
                    self.extractor
                ),
                "batch_size": self.batch_size,
            }
        )
        return config

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        config["extractor"] = keras.saving.deserialize_keras_object(
            config["extractor"]
        )
        return cls(**config)


@keras.saving.register_keras_serializable(package="keras_tim")
class FrechetInceptionDistance(_PictureSetMetric):
    """Frechet Inception distance (FID) as a Keras metric.

    The extractor runs at every update, and memory is bounded however many
    pictures there are. A result takes seconds: use the metric by itself or in
    a callback, not in `compile`, whose steps are compiled and ask for a
    result after every batch.

    Args:
        extractor: Keras layer or model from pictures to features, see
            `keras_tim.metrics.picture_features`; Inception's by default.
        real_statistics: Path of a `.npz` file of `FeatureStatistics` of real
            pictures, which then take the place of `y_true`, to be given as
            None; or None. It is read at construction; a metric made by
            `from_config` opens no path, and says so when it is asked for a
            result.
        batch_size: Int, pictures per call of the extractor.
        name: Name of the metric.
        **kwargs: Other arguments of `keras.metrics.Metric`.

    Example:
        ```python
        fid = keras_tim.metrics.FrechetInceptionDistance()
        for inputs, targets in pairs:
            fid.update_state(targets, tim.sample(inputs, num_samples=8, seed=0))
        fid.result()
        ```
    """

    def __init__(
        self,
        extractor=None,
        real_statistics=None,
        batch_size=32,
        name="frechet_inception_distance",
        **kwargs,
    ):
        self.real_statistics = (
            None if real_statistics is None else os.fspath(real_statistics)
        )
        self._known = (
            None
            if real_statistics is None
            else FeatureStatistics.load(self.real_statistics)
        )
        super().__init__(extractor, batch_size, name, **kwargs)

    def _features(self, pictures):
        if pictures is None and self.real_statistics is not None:
            return []
        return super()._features(pictures)

    def _add_real(self, features):
        if self.real_statistics is not None:
            raise ValueError(
                "`y_true` must be None where `real_statistics` takes its "
                f"place. Received: real_statistics={self.real_statistics!r}"
            )
        self._real.update(features)

    def _add_generated(self, features):
        self._generated.update(features)

    def result(self):
        """The distance of the pictures since the last reset, a float."""
        if self.real_statistics is not None and self._known is None:
            raise ValueError(
                "A metric that was loaded or copied opens no path by itself. "
                "Make it anew with `real_statistics="
                f"{self.real_statistics!r}`."
            )
        return distance_of_statistics(self._real, self._generated)

    def reset_state(self):
        """Forgets all pictures."""
        self._generated = FeatureStatistics()
        self._real = FeatureStatistics() if self._known is None else self._known

    def get_config(self):
        return {
            **super().get_config(),
            "real_statistics": self.real_statistics,
        }

    @classmethod
    def from_config(cls, config):
        # The configuration, and what lies at the path, may be a stranger's.
        metric = super().from_config({**config, "real_statistics": None})
        metric.real_statistics = config.get("real_statistics")
        return metric


@keras.saving.register_keras_serializable(package="keras_tim")
class KernelInceptionDistance(_PictureSetMetric):
    """Kernel Inception distance (KID) as a Keras metric.

    The extractor runs at every update. The features of all pictures are kept:
    8 KB a picture. Use it as `FrechetInceptionDistance`.

    Args:
        extractor: Keras layer or model from pictures to features, see
            `keras_tim.metrics.picture_features`; Inception's by default.
        batch_size: Int, pictures per call of the extractor.
        num_subsets: See `keras_tim.metrics.kernel`.
        subset_size: See `keras_tim.metrics.kernel`.
        seed: See `keras_tim.metrics.kernel`.
        name: Name of the metric.
        **kwargs: Other arguments of `keras.metrics.Metric`.
    """

    def __init__(
        self,
        extractor=None,
        batch_size=32,
        num_subsets=100,
        subset_size=1000,
        seed=0,
        name="kernel_inception_distance",
        **kwargs,
    ):
        self.num_subsets = num_subsets
        self.subset_size = subset_size
        self.seed = seed
        super().__init__(extractor, batch_size, name, **kwargs)

    def _add_real(self, features):
        self._real.append(features)

    def _add_generated(self, features):
        self._generated.append(features)

    def estimate(self):
        """The `KernelDistance`: the result with its standard error."""
        if not self._real or not self._generated:
            raise ValueError(
                "The kernel distance needs real and generated pictures: call "
                "`update_state` first."
            )
        return kernel_distance(
            np.concatenate(self._real),
            np.concatenate(self._generated),
            self.num_subsets,
            self.subset_size,
            self.seed,
        )

    def result(self):
        """The distance of the pictures since the last reset, a float."""
        return self.estimate().value

    def reset_state(self):
        """Forgets all pictures."""
        self._real, self._generated = [], []

    def get_config(self):
        return {
            **super().get_config(),
            "num_subsets": self.num_subsets,
            "subset_size": self.subset_size,
            "seed": self.seed,
        }
