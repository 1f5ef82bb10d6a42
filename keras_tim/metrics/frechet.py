"""Frechet Inception distance, from statistics streamed in float64.

The covariances S1 = A^T A and S2 = B^T B are kept as factors A and B. The
trace of the square root of S1 S2 is then the sum of the singular values of
A B^T: exact however few the pictures, and without a matrix square root.
"""

import os
import pathlib
import warnings
from typing import NamedTuple

import numpy as np

from keras_tim.assets.npz import read_npz
from keras_tim.files import written
from keras_tim.metrics.features import check_features, feature_batches
from keras_tim.metrics.inception import InceptionFeatures


class SampleSizeWarning(UserWarning):
    """Too few pictures for a distance that can be compared."""


class FeatureStatistics:
    """Count, mean and covariance of features, streamed in float64.

    Memory is that of two square matrices of the features, however many
    pictures there are. The first pictures, as many as there are features, are
    kept as they are, which makes small sets quick and exact.

    Example:
        ```python
        statistics = FeatureStatistics()
        for batch in feature_batches(pictures):
            statistics.update(batch)
        statistics.save("real.npz")
        frechet_inception_distance(FeatureStatistics.load("real.npz"), fakes)
        ```
    """

    def __init__(self):
        # Merged: count, mean and sum of outer products about the mean.
        self._merged_count = 0
        self._merged_mean = None
        self._scatter = None
        # Kept as they are, until they are as many as the features.
        self._recent = []
        self._recent_count = 0

    def update(self, features):
        """Adds features.

        Args:
            features: Array of shape `(pictures, features)`.

        Raises:
            ValueError: If the shape is another, a value is not finite, or the
                statistics come from a file that does not tell their count.
        """
        features = check_features(features, "features")
        known = self.dimensions
        if known is not None and features.shape[1] != known:
            raise ValueError(
                f"`features` must have {known} columns, as those before. "
                f"Received: features.shape={features.shape}"
            )
        if self._merged_count is None:
            raise ValueError(
                "Statistics from a file without a count cannot be added to."
            )
        # In blocks, which bound the memory that float64 takes. `astype`
        # copies: what is kept must not change with the caller's array.
        block = features.shape[1]
        for start in range(0, len(features), block):
            self._recent.append(
                features[start : start + block].astype(np.float64)
            )
            self._recent_count += len(self._recent[-1])
            if self._recent_count > block:
                self._merge()

    @property
    def dimensions(self):
        """Number of features; None before the first update."""
        if self._merged_mean is not None:
            return self._merged_mean.size
        return self._recent[0].shape[1] if self._recent else None

    @property
    def count(self):
        """Number of pictures; None if a file did not tell."""
        if self._merged_count is None:
            return None
        return self._merged_count + self._recent_count

    @property
    def mean(self):
        """Float64 array of shape `(features,)`."""
        self._check_count(1)
        if self._scatter is None:
            return np.mean(np.concatenate(self._recent), axis=0)
        self._merge()
        return self._merged_mean

    @property
    def covariance(self):
        """Float64 array `(features, features)`, over `count - 1`."""
        self._check_count(2)
        if self._scatter is None:
            factor = self.factor()
            return factor.T @ factor
        self._merge()
        if self._merged_count is None:
            return self._scatter
        return self._scatter / (self._merged_count - 1)

    def factor(self):
        """Computes a float64 array A with A^T A the covariance."""
        self._check_count(2)
        if self._scatter is not None:
            return _covariance_factor(self.covariance)
        features = np.concatenate(self._recent)
        return (features - features.mean(axis=0)) / np.sqrt(len(features) - 1)

    def save(self, path):
        """Writes the statistics as a `.npz` file, whole or not at all.

        Args:
            path: Path of the file, which will hold `mu`, `sigma` and
                `count`. Its folder must exist.

        Raises:
            OSError: If the file cannot be written.
        """
        path = pathlib.Path(path)
        contents = {"mu": self.mean, "sigma": self.covariance}
        if self.count is not None:
            contents["count"] = self.count
        with written(path) as temporary, open(temporary, "wb") as stream:
            np.savez(stream, **contents)

    @classmethod
    def load(cls, path):
        """Reads statistics from a `.npz` file.

        Args:
            path: Path of a file of `save`, or of any other with `mu` and
                `sigma`, as FID programs exchange them.

        Returns:
            `FeatureStatistics`.

        Raises:
            OSError: If the file cannot be read.
            ValueError: If it holds something else.
        """
        # Opened here: NumPy leaves a file open that it cannot read.
        with open(path, "rb") as stream:
            mean, covariance, count = _read_moments(stream, path)
        _check_moments(mean, covariance, str(path))
        statistics = cls()
        statistics._merged_count = count
        statistics._merged_mean = mean
        statistics._scatter = covariance
        if count is not None:
            if count < 2:
                raise ValueError(
                    f"{path} must be of 2 pictures or more. Received: "
                    f"count={count}"
                )
            statistics._scatter = covariance * (count - 1)
        return statistics

    def _merge(self):
        """Moves what is kept as it is into mean and scatter."""
        if not self._recent:
            return
        features = np.concatenate(self._recent)
        self._recent, self._recent_count = [], 0
        count, mean = len(features), features.mean(axis=0)
        features -= mean
        scatter = features.T @ features
        if self._scatter is None:
            self._merged_count = count
            self._merged_mean, self._scatter = mean, scatter
            return
        total = self._merged_count + count
        shift = mean - self._merged_mean
        self._scatter += scatter
        self._scatter += np.outer(shift, shift) * (
            self._merged_count * count / total
        )
        self._merged_mean = self._merged_mean + shift * (count / total)
        self._merged_count = total

    def _check_count(self, least):
        if self.count is not None and self.count < least:
            raise ValueError(
                f"The statistics need {least} pictures or more. Received: "
                f"{self.count}"
            )


def frechet_distance(mean1, cov1, mean2, cov2):
    """Frechet distance, squared, of two Gaussians.

    Args:
        mean1: Array of shape `(features,)`.
        cov1: Array of shape `(features, features)`, symmetric without
            negative eigenvalues.
        mean2: Array like `mean1`.
        cov2: Array like `cov1`.

    Returns:
        Float: |mean1 - mean2|^2 + Tr(cov1 + cov2 - 2 (cov1 cov2)^(1/2)).

    Raises:
        ValueError: If an argument is not as described.
    """
    moments = [
        np.asarray(array, dtype=np.float64)
        for array in (mean1, cov1, mean2, cov2)
    ]
    _check_moments(*moments[:2], "the first Gaussian")
    _check_moments(*moments[2:], "the second Gaussian")
    if moments[0].shape != moments[2].shape:
        raise ValueError(
            "`mean1` and `mean2` must have the same shape. Received: "
            f"{moments[0].shape} and {moments[2].shape}"
        )
    return _distance_of_factors(
        moments[0],
        _covariance_factor(moments[1]),
        moments[2],
        _covariance_factor(moments[3]),
    )


def frechet_inception_distance(real, generated, extractor=None, batch_size=32):
    """Frechet Inception distance (FID) of two sets of pictures.

    Its expected value falls with the number of pictures, steeply below some
    thousands: compare distances of equal numbers only. `frechet_estimate`
    tells how much is due to the number.

    Args:
        real: Pictures as `picture_features` takes them, `FeatureStatistics`
            of them, or the path of a `.npz` file of such.
        generated: The same for the generated pictures.
        extractor: See `picture_features`.
        batch_size: Int, pictures per call of the extractor.

    Returns:
        Float, 0 for equal sets.

    Raises:
        ValueError: If an argument is not as described.

    Warns:
        SampleSizeWarning: If there are fewer pictures than features.
    """
    # One extractor for both: the default reads its weights when first used.
    if extractor is None:
        extractor = InceptionFeatures()
    return distance_of_statistics(
        *(
            _as_statistics(given, extractor, batch_size)
            for given in (real, generated)
        )
    )


def distance_of_statistics(real, generated):
    """Frechet distance of two `FeatureStatistics`.

    Args:
        real: `FeatureStatistics`.
        generated: `FeatureStatistics` of as many features.

    Returns:
        Float.

    Raises:
        ValueError: If the numbers of features differ, or either is of fewer
            than two pictures.

    Warns:
        SampleSizeWarning: If there are fewer pictures than features.
    """
    if real.dimensions != generated.dimensions:
        raise ValueError(
            "`real` and `generated` must have the same number of features. "
            f"Received: {real.dimensions} and {generated.dimensions}"
        )
    distance = _distance(real, generated)
    counts = [real.count, generated.count]
    known = [count for count in counts if count is not None]
    if min(known, default=np.inf) < real.dimensions:
        real_count, generated_count = (
            "an unknown number of" if count is None else count
            for count in counts
        )
        warnings.warn(
            f"The Frechet distance is of {real_count} real and "
            f"{generated_count} generated pictures, fewer than its "
            f"{real.dimensions} features: it is biased upwards, by more the "
            "fewer they are. Compare it with distances of as many pictures "
            "only.",
            SampleSizeWarning,
            stacklevel=3,
        )
    return distance


class FrechetEstimate(NamedTuple):
    """A Frechet distance, and how it depends on the number of pictures.

    Attributes:
        distance: the distance of all pictures.
        half_distance: the mean distance of two disjoint halves.
        extrapolated: what the distance would tend to with ever more
            pictures, if it were linear in one over their number. Rough below
            some thousand pictures, but nearer than `distance`.
        real_count: number of real pictures.
        generated_count: number of generated pictures.
    """

    distance: float
    half_distance: float
    extrapolated: float
    real_count: int
    generated_count: int


def frechet_estimate(real_features, generated_features, seed=0):
    """Frechet distance at n and at n / 2 pictures, and extrapolated.

    Args:
        real_features: Array of shape `(pictures, features)`, at least four
            pictures; see `picture_features`.
        generated_features: The same for the generated pictures.
        seed: Int that draws the halves.

    Returns:
        A `FrechetEstimate`.

    Raises:
        ValueError: If an argument is not as described.

    Reference:
        Chong and Forsyth, "Effectively Unbiased FID and Inception Score and
        Where to Find Them", CVPR 2020, who fit more than two points.
    """
    sets = [
        check_features(real_features, "real_features"),
        check_features(generated_features, "generated_features"),
    ]
    if min(len(features) for features in sets) < 4:
        raise ValueError(
            "`real_features` and `generated_features` must be of 4 pictures "
            f"or more. Received: {len(sets[0])} and {len(sets[1])}"
        )
    random = np.random.default_rng(seed)
    shuffled = [
        features[random.permutation(len(features))] for features in sets
    ]
    halves = [
        [features[: len(features) // 2], features[-(len(features) // 2) :]]
        for features in shuffled
    ]
    distance = _distance(*map(_statistics, sets))
    half_distance = np.mean(
        [
            _distance(*map(_statistics, pair))
            for pair in zip(*halves, strict=True)
        ]
    )
    return FrechetEstimate(
        distance=distance,
        half_distance=float(half_distance),
        extrapolated=float(2.0 * distance - half_distance),
        real_count=len(sets[0]),
        generated_count=len(sets[1]),
    )


def _as_statistics(given, extractor, batch_size):
    """`FeatureStatistics` of pictures, of a file's path or of themselves."""
    if isinstance(given, FeatureStatistics):
        return given
    if isinstance(given, str | os.PathLike):
        return FeatureStatistics.load(given)
    statistics = FeatureStatistics()
    for features in feature_batches(given, extractor, batch_size):
        statistics.update(features)
    return statistics


def _statistics(features):
    statistics = FeatureStatistics()
    statistics.update(features)
    return statistics


def _distance(real, generated):
    return _distance_of_factors(
        real.mean, real.factor(), generated.mean, generated.factor()
    )


def _distance_of_factors(mean1, factor1, mean2, factor2):
    root_trace = np.linalg.svd(factor1 @ factor2.T, compute_uv=False).sum()
    distance = (
        np.sum(np.square(mean1 - mean2))
        + np.sum(np.square(factor1))
        + np.sum(np.square(factor2))
        - 2.0 * root_trace
    )
    # Rounding may leave equal sets a little below 0.
    return max(float(distance), 0.0)


def _covariance_factor(covariance):
    """A with A^T A the covariance, as many rows as its rank."""
    values, vectors = np.linalg.eigh(covariance)
    # What rounding makes of a zero, about 1e-16 of the largest, has a root of
    # 1e-8: a thousand of those would be seen in the distance.
    smallest = len(values) * np.finfo(np.float64).eps * max(values[-1], 0.0)
    kept = values > smallest
    return np.sqrt(values[kept])[:, None] * vectors[:, kept].T


def _read_moments(stream, path):
    """Mean, covariance and count (None if missing) in a `.npz` file."""
    try:
        contents = read_npz(stream, path, keys=("mu", "sigma", "count"))
        return (
            contents["mu"].astype(np.float64),
            contents["sigma"].astype(np.float64),
            int(contents["count"]) if "count" in contents else None,
        )
    # A damaged file may raise nearly anything.
    except Exception as error:
        raise ValueError(
            f"{path} must be a .npz file with the arrays mu and sigma. "
            f"Received: {error}"
        ) from error


def _check_moments(mean, covariance, name):
    if mean.ndim != 1 or covariance.shape != (mean.size, mean.size):
        raise ValueError(
            f"{name} must have a mean of shape (features,) and a covariance "
            "of shape (features, features). Received: shapes "
            f"{mean.shape} and {covariance.shape}"
        )
    if not (np.isfinite(mean).all() and np.isfinite(covariance).all()):
        raise ValueError(
            f"{name} must have a finite mean and covariance. Received: NaN "
            "or infinite values"
        )
    asymmetry = np.abs(covariance - covariance.T).max()
    if asymmetry > 1e-6 * np.abs(covariance).max():
        raise ValueError(
            f"{name} must have a symmetric covariance. Received: entries that "
            f"differ by {asymmetry:g} from their mirror images"
        )
