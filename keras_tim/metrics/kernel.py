"""Kernel Inception distance: an unbiased squared maximum mean discrepancy."""

from typing import NamedTuple

import numpy as np

from keras_tim.checks import integer
from keras_tim.metrics.features import check_features, picture_features
from keras_tim.metrics.inception import InceptionFeatures


class KernelDistance(NamedTuple):
    """A kernel distance and how sure it is.

    Attributes:
        value: the distance; about 0, and as often below as above, for two
            sets of the same kind.
        standard_error: how far another draw of as many pictures would
            typically lead. For two sets of the same kind it is too large
            rather than too small.
    """

    value: float
    standard_error: float


def kernel_inception_distance(
    real,
    generated,
    extractor=None,
    batch_size=32,
    num_subsets=100,
    subset_size=1000,
    seed=0,
):
    """Kernel Inception distance (KID) of two sets of pictures.

    Unlike FID, its expected value does not depend on the number of pictures.

    Args:
        real: Pictures as `picture_features` takes them.
        generated: The same for the generated pictures.
        extractor: See `picture_features`.
        batch_size: Int, pictures per call of the extractor.
        num_subsets: See `kernel_distance`.
        subset_size: See `kernel_distance`.
        seed: See `kernel_distance`.

    Returns:
        A `KernelDistance`. Papers often print it times 1000.

    Raises:
        ValueError: If an argument is not as described.

    Reference:
        Binkowski et al., "Demystifying MMD GANs", ICLR 2018.
    """
    # One extractor for both: the default reads its weights when first used.
    if extractor is None:
        extractor = InceptionFeatures()
    return kernel_distance(
        picture_features(real, extractor, batch_size),
        picture_features(generated, extractor, batch_size),
        num_subsets,
        subset_size,
        seed,
    )


def kernel_distance(
    real_features,
    generated_features,
    num_subsets=100,
    subset_size=1000,
    seed=0,
):
    """Unbiased squared maximum mean discrepancy of two sets of features.

    The kernel is (x . y / features + 1)^3. Sets of at most `subset_size` are
    compared whole, and the result does not depend on their order. Of larger
    ones, random subsets are compared, which bounds time and memory.

    Args:
        real_features: Array of shape `(pictures, features)`, at least three
            pictures.
        generated_features: The same for the generated pictures.
        num_subsets: Int, how many subsets are averaged.
        subset_size: Int, pictures of either kind in a subset, at least 3.
        seed: Int that draws the subsets.

    Returns:
        A `KernelDistance`.

    Raises:
        ValueError: If an argument is not as described.
    """
    sets = [
        check_features(real_features, "real_features"),
        check_features(generated_features, "generated_features"),
    ]
    if sets[0].shape[1] != sets[1].shape[1]:
        raise ValueError(
            "`real_features` and `generated_features` must have the same "
            f"number of columns. Received: {sets[0].shape[1]} and "
            f"{sets[1].shape[1]}"
        )
    num_subsets = integer("num_subsets", num_subsets)
    subset_size = integer("subset_size", subset_size, least=3)
    if min(map(len, sets)) < 3:
        raise ValueError(
            "The kernel distance needs 3 pictures or more of either kind. "
            f"Received: {len(sets[0])} real and {len(sets[1])} generated "
            "pictures"
        )
    sizes = [min(subset_size, len(features)) for features in sets]
    whole = sizes == [len(features) for features in sets]
    random = np.random.default_rng(seed)
    values, variances = [], []
    for _ in range(1 if whole else num_subsets):
        subsets = [
            features
            if whole
            else features[random.choice(len(features), size, replace=False)]
            for features, size in zip(sets, sizes, strict=True)
        ]
        value, variance = _discrepancy(
            *(subset.astype(np.float64) for subset in subsets)
        )
        values.append(value)
        variances.append(variance)
    # The variance of a subset's value shrinks with the pictures at hand, as
    # the whole set's does; drawing finitely many subsets adds to it.
    shares = [size / len(f) for size, f in zip(sizes, sets, strict=True)]
    variance = np.dot(np.mean(variances, axis=0), shares)
    if len(values) > 1:
        variance += np.var(values, ddof=1) / len(values)
    return KernelDistance(float(np.mean(values)), float(np.sqrt(variance)))


def _discrepancy(first, second):
    """The unbiased estimate, and its variances by the jackknife.

    Returns:
        Pair of the estimate, and of the variances that the draws of `first`
        and of `second` give it.
    """
    m, n = len(first), len(second)
    # Sums over the other pictures of the same set, and of the other set.
    within_1, within_2 = _sums_within(first), _sums_within(second)
    kernel = _kernel(first, second)
    across_1, across_2 = kernel.sum(axis=1), kernel.sum(axis=0)
    total_1, total_2, across = within_1.sum(), within_2.sum(), across_1.sum()
    mean_1 = total_1 / (m * (m - 1))
    mean_2 = total_2 / (n * (n - 1))
    value = mean_1 + mean_2 - 2.0 * across / (m * n)
    # The estimate without one picture, for every picture in turn.
    without_1 = (
        (total_1 - 2.0 * within_1) / ((m - 1) * (m - 2))
        + mean_2
        - 2.0 * (across - across_1) / ((m - 1) * n)
    )
    without_2 = (
        mean_1
        + (total_2 - 2.0 * within_2) / ((n - 1) * (n - 2))
        - 2.0 * (across - across_2) / (m * (n - 1))
    )
    return value, ((m - 1) * np.var(without_1), (n - 1) * np.var(without_2))


def _sums_within(features):
    kernel = _kernel(features, features)
    np.fill_diagonal(kernel, 0.0)
    return kernel.sum(axis=1)


def _kernel(first, second):
    """The kernel of every row of `first` with every row of `second`."""
    root = first @ second.T / first.shape[1] + 1.0
    # Far quicker than a power of 3.
    return root * root * root
