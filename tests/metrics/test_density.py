import numpy as np
import pytest

from keras_tim.metrics.density import GaussianDensity


def gaussian(count, seed=0):
    normal = np.random.default_rng(seed).normal(size=(count, 2))
    return normal @ [[2.0, 0.0], [1.0, 0.5]] + [3.0, -1.0]


def test_kernels_worked_by_hand():
    # Variances 2/3 each and no covariance: with Scott's factor 4 ** (-1 / 3)
    # the kernel's variance is 0.42.
    points = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    variance = 2.0 / 3.0 * 4.0 ** (-1.0 / 3.0)
    density = GaussianDensity(points)
    expected = np.exp(-0.5 / variance) / (2.0 * np.pi * variance)
    assert density([0.0, 0.0]) == pytest.approx(expected)
    # One kernel's middle, two at a distance of sqrt(2), one at 2.
    expected = 1 + 2 * np.exp(-1.0 / variance) + np.exp(-2.0 / variance)
    expected /= 4 * 2.0 * np.pi * variance
    assert density([[1.0, 0.0]]) == pytest.approx([expected])


def test_integrates_to_one():
    density = GaussianDensity(gaussian(60))
    x, y = np.meshgrid(np.linspace(-9, 15, 200), np.linspace(-7, 5, 200))
    cell = (24 / 199) * (12 / 199)
    total = density(np.stack([x, y], -1)).sum() * cell
    assert total == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("share", [0.5, 0.95])
def test_region_holds_its_share_of_fresh_points(share):
    held = [
        GaussianDensity(gaussian(200, seed)).covers(
            gaussian(500, 1000 + seed), share
        )
        for seed in range(20)
    ]
    assert np.mean(held) == pytest.approx(share, abs=0.02)


def test_region_follows_the_points_not_their_axes():
    points = gaussian(400)
    turned = points @ [[0.6, 0.8], [-0.8, 0.6]] * 7.0
    found = GaussianDensity(points).covers(points)
    np.testing.assert_array_equal(found, GaussianDensity(turned).covers(turned))


@pytest.mark.parametrize(
    "points",
    [
        np.zeros((2, 2)),
        np.zeros((5, 3)),
        np.zeros((5, 2)),
        np.stack([np.arange(5.0), np.zeros(5)], -1),
        np.full((5, 2), np.nan),
    ],
)
def test_refuses_other_points(points):
    with pytest.raises(ValueError, match="`points` must"):
        GaussianDensity(points)
