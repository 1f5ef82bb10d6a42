import numpy as np
import pytest

from keras_tim import LPIPS
from keras_tim.metrics import (
    faithfulness_weighted_variance,
    lpips_diversity,
    ntire_diversity,
)


@pytest.fixture(scope="module")
def distance(lpips_weights):
    return LPIPS("alex")


@pytest.fixture
def samples():
    return np.random.RandomState(0).rand(2, 3, 32, 40, 3).astype("float32")


def test_diversity_is_the_mean_over_all_pairs(distance, samples):
    pairs = [
        float(distance(group[i][None], group[j][None])[0])
        for group in samples
        for i, j in [(0, 1), (0, 2), (1, 2)]
    ]
    assert lpips_diversity(samples, distance) == pytest.approx(
        np.mean(pairs), rel=1e-4
    )


def test_equal_samples_have_no_diversity(distance, samples):
    same = np.repeat(samples[:, :1], 4, axis=1)
    assert lpips_diversity(same, distance) == pytest.approx(0.0, abs=1e-7)


def test_diversity_does_not_depend_on_order(distance, samples):
    assert lpips_diversity(samples[::-1, ::-1], distance) == pytest.approx(
        lpips_diversity(samples, distance), rel=1e-5
    )


@pytest.mark.parametrize("shape", [(3, 8, 8, 3), (1, 1, 8, 8, 3)])
def test_diversity_needs_several_samples(shape):
    with pytest.raises(ValueError, match="m >= 2"):
        lpips_diversity(np.zeros(shape, "float32"))


def test_consecutive_pairs(distance, samples):
    pairs = [
        float(distance(group[i][None], group[j][None])[0])
        for group in samples
        for i, j in [(0, 1), (1, 2)]
    ]
    found = lpips_diversity(samples, distance, pairs="consecutive")
    assert found == pytest.approx(np.mean(pairs), rel=1e-4)
    same = np.repeat(samples[:, :1], 4, axis=1)
    assert lpips_diversity(same, distance, pairs="consecutive") == 0
    with pytest.raises(ValueError, match=r"`pairs` must be .*'some'"):
        lpips_diversity(samples, distance, pairs="some")


def test_diversity_is_the_mean_over_inputs(distance, samples):
    for pairs in ("all", "consecutive"):
        alone = [
            lpips_diversity(group[None], distance, pairs) for group in samples
        ]
        assert lpips_diversity(samples, distance, pairs) == pytest.approx(
            np.mean(alone), rel=1e-6
        )


class SquaredDifference:
    """The mean squared difference, in place of LPIPS: worked by hand."""

    def features(self, images):
        return [np.asarray(images)]

    def compare(self, first, second):
        return np.mean((first[0] - second[0]) ** 2, axis=(-3, -2, -1))

    def spatial_map(self, first, second):
        return np.mean((first - second) ** 2, axis=-1)


def levels(*rows):
    """Pictures of one row of gray pixels: `[n, m, 1, width, 3]`."""
    return np.repeat(np.array(rows, "float32")[:, :, None, :, None], 3, axis=-1)


def test_all_pairs_by_hand():
    # Squared differences 1, 9 and 4 between the values 0, 1 and 3, times
    # a hundredth.
    samples = levels([[0.0], [0.1], [0.3]])
    assert lpips_diversity(samples, SquaredDifference()) == pytest.approx(
        (1 + 9 + 4) / 300, rel=1e-5
    )


# Faithfulness-weighted variance.


def test_weighted_variance_by_hand():
    # Samples 0 and 1 of one input, 0 and 0.2 of the other; both targets 0.
    # Distances to the target 0, 1, 0, 0.04, to the mean 1/4, 1/4, 0.01, 0.01.
    samples = levels([[0.0], [1.0]], [[0.0], [0.2]])
    targets = np.zeros((2, 1, 1, 3), "float32")
    bandwidths = [0.5, 0.1]
    expected = [
        (
            0.25 * (1 + np.exp(-(1**2) / (2 * s**2)))
            + 0.01 * (1 + np.exp(-(0.04**2) / (2 * s**2)))
        )
        / 4
        for s in bandwidths
    ]
    found = faithfulness_weighted_variance(
        samples, targets, bandwidths, SquaredDifference()
    )
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_weighted_variance_with_lpips(distance, samples):
    targets = samples[:, 0] ** 2
    to_target, to_mean = [], []
    for group, target in zip(samples, targets, strict=True):
        mean = group.mean(axis=0)
        for sample in group:
            to_target.append(float(distance(sample[None], target[None])[0]))
            to_mean.append(float(distance(sample[None], mean[None])[0]))
    bandwidths = np.array([0.1, 0.2, 0.5, 1e6])
    weights = np.exp(-0.5 * (np.array(to_target) / bandwidths[:, None]) ** 2)
    found = faithfulness_weighted_variance(
        samples, targets, bandwidths, distance
    )
    assert found.shape == (4,)
    np.testing.assert_allclose(
        found, (weights * to_mean).mean(axis=1), rtol=1e-3
    )
    # It grows with the bandwidth, up to the variance without weights.
    assert (np.diff(found) > 0).all()
    assert found[-1] == pytest.approx(np.mean(to_mean), rel=1e-4)
    # A wide band and a single number.
    alone = faithfulness_weighted_variance(samples, targets, 1e6, distance)
    np.testing.assert_allclose(alone, found[-1:], rtol=1e-6)
    # The order of inputs and samples does not matter.
    again = faithfulness_weighted_variance(
        samples[::-1, ::-1], targets[::-1], bandwidths, distance
    )
    np.testing.assert_allclose(again, found, rtol=1e-5)


def test_equal_samples_have_no_weighted_variance(distance, samples):
    same = np.repeat(samples[:, :1], 3, axis=1)
    found = faithfulness_weighted_variance(
        same, samples[:, 1], [0.1, 1.0], distance
    )
    np.testing.assert_allclose(found, 0, atol=1e-6)


def test_weighted_variance_refuses_other_arguments(samples):
    targets = samples[:, 0]
    with pytest.raises(ValueError, match="`targets` must have shape"):
        faithfulness_weighted_variance(samples, targets[:1], 0.1)
    with pytest.raises(ValueError, match=r"`samples` must have shape.*m >= 1"):
        faithfulness_weighted_variance(targets, targets, 0.1)
    for bandwidths in (0, [0.1, -1], np.nan):
        with pytest.raises(ValueError, match="`bandwidths` must be above 0"):
            faithfulness_weighted_variance(samples, targets, bandwidths)


# NTIRE 2021.


def test_ntire_diversity_by_hand():
    # Against 0 the samples' maps are (0, 4), (1, 1) and (9, 1) hundredths:
    # means 2, 1 and 5, so 1 globally; (0 + 1) / 2 locally: half is gained.
    # The second input's only gain would be of its one map: none.
    first = [[0.0, 0.2], [0.1, 0.1], [0.3, 0.1]]
    samples = levels(first, [[0.1, 0.2]] * 3)
    targets = np.zeros((2, 1, 2, 3), "float32")
    for part, expected in (
        (slice(0, 1), 50),
        (slice(1, 2), 0),
        (slice(0, 2), 25),
    ):
        found = ntire_diversity(
            samples[part], targets[part], SquaredDifference()
        )
        assert found == pytest.approx(expected, abs=1e-3)


def test_ntire_diversity_with_lpips(distance, samples):
    # The left of one sample and the right of another: each is best somewhere.
    targets = np.concatenate(
        [samples[:, 0, :, :20], samples[:, 1, :, 20:]], axis=2
    )
    scores = []
    for group, target in zip(samples, targets, strict=True):
        maps = distance.spatial_map(group, np.repeat(target[None], 3, axis=0))
        maps = np.asarray(maps)
        best = maps.mean(axis=(1, 2)).min()
        scores.append(100 * (best - maps.min(axis=0).mean()) / best)
    found = ntire_diversity(samples, targets, distance)
    assert found == pytest.approx(np.mean(scores), rel=1e-3)
    assert 10 < found < 100
    again = ntire_diversity(samples[::-1, ::-1], targets[::-1], distance)
    assert again == pytest.approx(found, rel=1e-5)


def test_ntire_diversity_of_equal_samples_is_zero(distance, samples):
    same = np.repeat(samples[:, :1], 3, axis=1)
    assert ntire_diversity(same, samples[:, 1], distance) == pytest.approx(0)
    assert ntire_diversity(same, samples[:, 0], distance) == 0
