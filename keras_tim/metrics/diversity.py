"""Diversity of several samples per input."""

import numpy as np

from keras_tim.checks import check_floating, check_unit_range, one_of
from keras_tim.metrics.fidelity import batch_of_one
from keras_tim.perceptual import LPIPS


def lpips_diversity(samples, distance=None, pairs="all"):
    """Mean LPIPS over pairs of samples of one input, over inputs.

    Args:
        samples: array `[n, m, height, width, 3]`, float in [0, 1], m >= 2.
        distance: a `keras_tim.LPIPS`; AlexNet's by default.
        pairs: `"all"` pairs of samples of an input, or `"consecutive"` ones:
            the first with the second, the second with the third and so on.

    Returns:
        float; 0 where all samples of an input are the same.

    Raises:
        ValueError: if an argument is not as described.

    Reference:
        Zhu et al., "Toward Multimodal Image-to-Image Translation", NeurIPS
        2017, who take consecutive pairs.
    """
    samples = _checked_samples(samples, least=2)
    one_of("pairs", pairs, ("all", "consecutive"))
    distance = distance or LPIPS("alex")
    means = []
    for group in samples:
        found = PairDistances(distance)
        for sample in group:
            found.add(_features(sample, distance))
        means.append(found.all if pairs == "all" else found.consecutive)
    return float(np.mean(means))


class PairDistances:
    """Mean distances of pairs of samples, gathered as samples go by.

    LPIPS is a squared Euclidean distance of features. Those of all pairs add
    up to the number of samples times their spread about the mean: no more
    than one sample's features and the mean need be kept.

    Args:
        distance: a `keras_tim.LPIPS`.
    """

    def __init__(self, distance):
        self._distance = distance
        self._count = 0
        self._mean = None
        self._last = None
        self._spread = 0.0
        self._steps = 0.0

    def add(self, features):
        """Adds a sample.

        Args:
            features: what the distance's `features` returned for a batch of
                one.
        """
        if self._count:
            compare = self._distance.compare
            i = self._count
            self._spread += (
                i / (i + 1) * float(compare(features, self._mean)[0])
            )
            self._steps += float(compare(features, self._last)[0])
            self._mean = [
                mean + (found - mean) / (i + 1)
                for found, mean in zip(features, self._mean, strict=True)
            ]
        else:
            self._mean = features
        self._last = features
        self._count += 1

    @property
    def all(self):
        """Mean over all pairs of two samples or more."""
        return 2.0 * self._spread / (self._count - 1)

    @property
    def consecutive(self):
        """Mean over the first with the second, the second with the third..."""
        return self._steps / (self._count - 1)


def faithfulness_weighted_variance(samples, targets, bandwidths, distance=None):
    """Spread of samples about their mean, far-off samples counting less.

    With d the distance, s_ij sample j of input i and y_i the observed output,
    it is the mean over i and j of w_ij d(s_ij, mean_j s_ij), where
    w_ij = exp(-d(s_ij, y_i)^2 / (2 bandwidth^2)). The weights are not
    normalised, so that it grows with the bandwidth.

    Args:
        samples: array `[n, m, height, width, 3]`, float in [0, 1].
        targets: array `[n, height, width, 3]`, float in [0, 1].
        bandwidths: float or sequence of floats above 0, in units of the
            distance.
        distance: a `keras_tim.LPIPS`; AlexNet's by default.

    Returns:
        float64 array, one value per bandwidth; 0 where all samples of an
        input are the same.

    Raises:
        ValueError: if an argument is not as described.

    Reference:
        Peng et al., "Generating Unobserved Alternatives", 2020.
    """
    samples, targets = _checked_pairs(samples, targets)
    bandwidths = np.atleast_1d(np.asarray(bandwidths, dtype=np.float64))
    if bandwidths.ndim != 1 or not (bandwidths > 0).all():
        raise ValueError(
            "`bandwidths` must be above 0. Received: "
            f"bandwidths={bandwidths.tolist()}"
        )
    distance = distance or LPIPS("alex")
    to_target, to_mean = [], []
    for group, target in zip(samples, targets, strict=True):
        target = _features(target, distance)
        mean = _features(np.mean(group, axis=0, dtype=np.float64), distance)
        for sample in group:
            features = _features(sample, distance)
            to_target.append(float(distance.compare(features, target)[0]))
            to_mean.append(float(distance.compare(features, mean)[0]))
    return weighted_variance(to_target, to_mean, bandwidths)


def weighted_variance(to_target, to_mean, bandwidths):
    """`faithfulness_weighted_variance` of known distances.

    Args:
        to_target: sequence of the samples' distances to the observed output.
        to_mean: sequence of their distances to their mean.
        bandwidths: sequence of floats above 0.

    Returns:
        float64 array, one value per bandwidth.
    """
    ratios = np.asarray(to_target) / np.asarray(bandwidths)[:, None]
    return np.mean(np.exp(-0.5 * ratios**2) * to_mean, axis=1)


def ntire_diversity(samples, targets, distance=None):
    """Diversity as NTIRE 2021 scores it: gain of the best sample per pixel.

    The global best is the smallest mean of the samples' LPIPS maps against
    the observed output; the local best is the mean of their pixel-wise
    minimum. The score is 100 (global - local) / global, averaged over inputs.
    The challenge took 10 samples: more of them score higher.

    Args:
        samples: array `[n, m, height, width, 3]`, float in [0, 1].
        targets: array `[n, height, width, 3]`, float in [0, 1].
        distance: a `keras_tim.LPIPS`; AlexNet's by default.

    Returns:
        float, percent from 0 to 100; 0 where all samples of an input are the
        same, or one of them equals the observed output.

    Raises:
        ValueError: if an argument is not as described.

    Reference:
        Lugmayr et al., "NTIRE 2021 Learning the Super-Resolution Space
        Challenge", CVPR Workshops 2021.
    """
    samples, targets = _checked_pairs(samples, targets)
    distance = distance or LPIPS("alex")
    scores = []
    for group, target in zip(samples, targets, strict=True):
        found = BestMaps()
        for sample in group:
            map_ = distance.spatial_map(
                batch_of_one(sample), batch_of_one(target)
            )
            found.add(map_[0])
        scores.append(found.score)
    return float(np.mean(scores))


class BestMaps:
    """The best sample's map and the pixel-wise best, as maps go by.

    Attributes:
        best_map: float64 array `[height, width]`, the distances of the best
            sample, pixel by pixel.
        smallest: the same of the best sample of every pixel.
    """

    def __init__(self):
        self.best_map = None
        self.smallest = None

    def add(self, distances):
        """Adds a sample's `spatial_map`, `[height, width]`."""
        distances = np.asarray(distances, dtype=np.float64)
        if self.best_map is None:
            self.best_map = self.smallest = distances
            return
        if distances.mean() < self.best_map.mean():
            self.best_map = distances
        self.smallest = np.minimum(self.smallest, distances)

    @property
    def score(self):
        """What the best of every pixel gains over the best, in percent."""
        best = self.best_map.mean()
        return 100.0 * (1.0 - self.smallest.mean() / best) if best else 0.0


def _features(picture, distance):
    return distance.features(batch_of_one(picture))


def _checked_pairs(samples, targets):
    samples = _checked_samples(samples, least=1)
    targets = np.asarray(targets)
    if targets.shape != (len(samples), *samples.shape[2:]):
        raise ValueError(
            "`targets` must have shape [n, height, width, 3] to match "
            "`samples` [n, m, height, width, 3]. Received: shapes "
            f"{targets.shape} and {samples.shape}"
        )
    _check_pictures("targets", targets)
    return samples, targets


def _check_pictures(name, pictures):
    check_floating(name, pictures)
    check_unit_range(name, pictures)


def _checked_samples(samples, least):
    samples = np.asarray(samples)
    if (
        samples.ndim != 5
        or samples.shape[-1] != 3
        or samples.shape[1] < least
        or not len(samples)
    ):
        raise ValueError(
            "`samples` must have shape [n, m, height, width, 3] with "
            f"m >= {least}. Received: shape {samples.shape}"
        )
    _check_pictures("samples", samples)
    return samples
