import numpy as np
import pytest

from keras_tim import LPIPS
from keras_tim.metrics import lpips_diversity, lpips_to_target


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


def test_lpips_to_target_is_lpips(distance, samples):
    group, target = samples[0], samples[1, 0]
    expected = np.asarray(distance(group, np.repeat(target[None], 3, axis=0)))
    np.testing.assert_allclose(
        lpips_to_target(group, target, distance), expected, rtol=1e-4
    )
