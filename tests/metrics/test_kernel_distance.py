import numpy as np
import pytest

from keras_tim.metrics import kernel_distance, kernel_inception_distance


def test_by_hand():
    # The kernel is (x y + 1)^3. Within [0, 1, 2] it is 1, 1 and 27; within
    # [1, 1, 1] it is 8; across it is 1, 8 and 27.
    found = kernel_distance([[0.0], [1.0], [2.0]], [[1.0], [1.0], [1.0]])
    assert found.value == pytest.approx(29 / 3 + 8 - 2 * 36 / 3)


def test_kernel_divides_by_the_number_of_features():
    first, second = np.array([[0.0], [1.0], [2.0]]), np.ones((3, 1))
    # Twice the same feature: the mean product is what it was.
    assert kernel_distance(
        np.repeat(first, 2, axis=1), np.repeat(second, 2, axis=1)
    ).value == pytest.approx(kernel_distance(first, second).value)


def test_is_unbiased():
    random = np.random.default_rng(0)
    found = [
        kernel_distance(*random.normal(size=(2, 12, 4))) for _ in range(400)
    ]
    values = np.array([distance.value for distance in found])
    assert (values < 0).any()
    assert abs(values.mean()) < 3 * values.std() / np.sqrt(len(values))


@pytest.mark.parametrize("subset_size", [1000, 25])
def test_standard_error_is_the_spread_of_repetitions(subset_size):
    random = np.random.default_rng(0)
    found = [
        kernel_distance(
            random.normal(size=(100, 3)),
            random.normal(size=(150, 3)) + 0.7,
            num_subsets=15,
            subset_size=subset_size,
        )
        for _ in range(200)
    ]
    spread = np.std([distance.value for distance in found])
    told = np.mean([distance.standard_error for distance in found])
    assert told == pytest.approx(spread, rel=0.2)


def test_whole_sets_in_any_order():
    random = np.random.default_rng(0)
    first, second = random.normal(size=(2, 40, 5))
    distance = kernel_distance(first, second)
    again = kernel_distance(first[::-1], second[::-1], seed=1)
    np.testing.assert_allclose(again, distance, rtol=1e-10)
    back = kernel_distance(second, first)
    np.testing.assert_allclose(back, distance, rtol=1e-10)


def test_subsets_follow_the_seed_and_agree_with_the_whole():
    random = np.random.default_rng(0)
    first = random.normal(size=(90, 5))
    second = random.normal(size=(70, 5)) + 0.5
    whole = kernel_distance(first, second)
    subsets = kernel_distance(first, second, 50, 30)
    assert kernel_distance(first, second, 50, 30) == subsets
    assert kernel_distance(first, second, 50, 30, seed=1) != subsets
    assert subsets.value == pytest.approx(
        whole.value, abs=2 * whole.standard_error
    )


def test_distance_of_pictures(inception):
    random = np.random.default_rng(0)
    noise = random.integers(0, 256, (3, 32, 32, 3)).astype(np.uint8)
    flat = np.broadcast_to(noise[:, :1, :1], noise.shape)
    found = kernel_inception_distance(noise, flat, inception)
    again = kernel_inception_distance(
        noise[::-1], flat / np.float32(255), inception, batch_size=2
    )
    assert found.value > 5 * found.standard_error
    np.testing.assert_allclose(again, found, rtol=1e-3)


def test_wrong_arguments_are_refused():
    features = np.ones((5, 2))
    with pytest.raises(ValueError, match=r"same number of columns.*2 and 3"):
        kernel_distance(features, np.ones((5, 3)))
    with pytest.raises(ValueError, match="3 pictures or more"):
        kernel_distance(features[:2], features)
    with pytest.raises(ValueError, match="`num_subsets` must be a positive"):
        kernel_distance(features, features, 0)
    with pytest.raises(ValueError, match=r"`subset_size` must be .* from 3 on"):
        kernel_distance(features, features, 1, 2)
    with pytest.raises(ValueError, match="NaN"):
        kernel_distance(features * np.nan, features)
