import warnings

import numpy as np
import pytest

from keras_tim.metrics import (
    FeatureStatistics,
    SampleSizeWarning,
    frechet_distance,
    frechet_estimate,
    frechet_inception_distance,
)
from keras_tim.metrics.frechet import distance_of_statistics


def statistics_of(features, parts=1):
    statistics = FeatureStatistics()
    for part in np.array_split(features, parts):
        statistics.update(part)
    return statistics


def draws(n, seed=0, features=6):
    """Correlated features far from the origin."""
    random = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).normal(size=(features, features))
    return random.normal(size=(n, features)) @ mixing + 50.0


# The distance of two Gaussians.


def test_closed_form_of_a_commuting_pair():
    # (3^2 + 4^2) + (sqrt 4 - sqrt 9)^2 + (sqrt 1 - sqrt 25)^2
    found = frechet_distance(
        [0.0, 1.0], np.diag([4.0, 1.0]), [3.0, 5.0], np.diag([9.0, 25.0])
    )
    assert found == pytest.approx(25 + 1 + 16, rel=1e-12)


def test_closed_form_of_a_pair_that_does_not_commute():
    # Of two by two matrices Tr sqrt(S1 S2) is sqrt(Tr S1 S2 + 2 sqrt det S1
    # S2): here sqrt(8 + 2 * 3).
    found = frechet_distance(
        np.zeros(2), [[2, 1], [1, 2]], np.ones(2), np.diag([1, 3])
    )
    assert found == pytest.approx(2 + 4 + 4 - 2 * np.sqrt(14), rel=1e-12)


def test_is_symmetric_and_zero_for_equal_gaussians():
    first, second = statistics_of(draws(50)), statistics_of(draws(50, 1))
    moments = [
        (first.mean, first.covariance),
        (second.mean, second.covariance),
    ]
    forth = frechet_distance(*moments[0], *moments[1])
    back = frechet_distance(*moments[1], *moments[0])
    assert forth == pytest.approx(back, rel=1e-12)
    assert 0 <= frechet_distance(*moments[0], *moments[0]) < 1e-9


def test_singular_covariances_are_exact():
    # 12 draws of 100 features: nearly all eigenvalues are 0, and rounding
    # must not add up.
    random = np.random.default_rng(0)
    first, second = random.normal(size=(2, 12, 100))
    a, b = (
        (features - features.mean(axis=0)) / np.sqrt(11)
        for features in (first, second)
    )
    expected = (
        np.sum((first.mean(axis=0) - second.mean(axis=0)) ** 2)
        + np.trace(a @ a.T)
        + np.trace(b @ b.T)
        - 2 * np.linalg.svd(a @ b.T, compute_uv=False).sum()
    )
    found = frechet_distance(
        first.mean(axis=0),
        np.cov(first.T),
        second.mean(axis=0),
        np.cov(second.T),
    )
    assert found == pytest.approx(expected, rel=1e-10)
    own = (first.mean(axis=0), np.cov(first.T))
    assert frechet_distance(*own, *own) < 1e-9


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.zeros(2), np.eye(3), np.zeros(2), np.eye(2)), "first.*shapes"),
        ((np.zeros(2), np.eye(2), np.zeros(3), np.eye(3)), "same shape"),
        (
            (np.zeros(2), np.eye(2), np.zeros(2), np.eye(2) * np.nan),
            "second Gaussian must have a finite",
        ),
        (
            (np.zeros(2), [[1, 0.5], [0, 1]], np.zeros(2), np.eye(2)),
            r"symmetric.*0\.5",
        ),
    ],
)
def test_what_are_no_gaussians_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        frechet_distance(*arguments)


# Statistics.


@pytest.mark.parametrize("n", [2, 6, 7, 500])
@pytest.mark.parametrize("parts", [1, 2, 30])
def test_streamed_statistics_are_numpys(n, parts):
    features = draws(n)
    statistics = statistics_of(features, min(parts, n))
    assert (statistics.count, statistics.dimensions) == (n, 6)
    np.testing.assert_allclose(
        statistics.mean, features.mean(axis=0), rtol=1e-13
    )
    np.testing.assert_allclose(
        statistics.covariance, np.cov(features.T), atol=1e-12
    )
    factor = statistics.factor()
    np.testing.assert_allclose(
        factor.T @ factor, np.cov(features.T), atol=1e-11
    )


def test_statistics_may_be_read_between_updates():
    features = draws(40)
    statistics = FeatureStatistics()
    for n in range(1, 40):
        statistics.update(features[n - 1 : n])
        np.testing.assert_allclose(
            statistics.mean, features[:n].mean(axis=0), rtol=1e-13
        )
    np.testing.assert_allclose(
        statistics.covariance, np.cov(features[:39].T), atol=1e-12
    )


def test_statistics_keep_a_copy():
    features = draws(3)
    statistics = statistics_of(features)
    expected = statistics.mean.copy()
    features[:] = 0
    np.testing.assert_array_equal(statistics.mean, expected)


@pytest.mark.parametrize("n", [4, 40])
def test_statistics_are_saved_and_go_on(tmp_path, n):
    features, more = draws(n), draws(9, seed=1)
    path = tmp_path / "real.npz"
    statistics_of(features).save(path)
    assert list(tmp_path.iterdir()) == [path]
    again = FeatureStatistics.load(path)
    assert again.count == n
    np.testing.assert_allclose(again.covariance, np.cov(features.T), atol=1e-12)
    again.update(more)
    everything = np.concatenate([features, more])
    assert again.count == n + 9
    np.testing.assert_allclose(
        again.covariance, np.cov(everything.T), atol=1e-11
    )


def test_files_of_other_programs_are_read(tmp_path):
    features = draws(40)
    path = tmp_path / "other.npz"
    np.savez(path, mu=features.mean(axis=0), sigma=np.cov(features.T))
    statistics = FeatureStatistics.load(path)
    assert statistics.count is None
    distance = distance_of_statistics(statistics, statistics_of(features))
    assert distance < 1e-9
    with pytest.warns(SampleSizeWarning, match="unknown number of real and 5"):
        distance_of_statistics(statistics, statistics_of(features[:5]))
    with pytest.raises(ValueError, match="without a count"):
        statistics.update(features)


def test_damaged_files_are_refused(tmp_path):
    path = tmp_path / "real.npz"
    with pytest.raises(FileNotFoundError):
        FeatureStatistics.load(path)
    np.savez(path, mu=np.zeros(3))
    with pytest.raises(ValueError, match=r"real\.npz must be .* mu and sigma"):
        FeatureStatistics.load(path)
    np.savez(path, mu=np.zeros(3), sigma=np.eye(2), count=9)
    with pytest.raises(ValueError, match=r"real\.npz must have a mean"):
        FeatureStatistics.load(path)
    path.write_bytes(b"PK\x03\x04 cut short")
    with pytest.raises(ValueError, match=r"real\.npz must be"):
        FeatureStatistics.load(path)


def test_failed_write_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "real.npz"
    statistics_of(draws(5)).save(path)
    before = path.read_bytes()

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match="No space left"):
        statistics_of(draws(6)).save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_wrong_features_are_refused():
    statistics = statistics_of(draws(5))
    with pytest.raises(ValueError, match="must have 6 columns"):
        statistics.update(np.zeros((3, 7)))
    with pytest.raises(ValueError, match=r"\(pictures, features\)"):
        statistics.update(np.zeros(6))
    with pytest.raises(ValueError, match="1 values that are NaN"):
        statistics.update(np.diag([np.nan, 1, 1, 1, 1, 1]))
    with pytest.raises(ValueError, match=r"2 pictures or more.*1"):
        _ = statistics_of(draws(1)).covariance
    with pytest.raises(ValueError, match=r"1 pictures or more.*0"):
        _ = FeatureStatistics().mean
    with pytest.raises(ValueError, match=r"same number of features.*6 and 4"):
        distance_of_statistics(statistics, statistics_of(draws(5, features=4)))


# Distances of pictures.


def test_reproduces_the_reference_distance(reference_fid):
    real, fake = (statistics_of(reference_fid[k]) for k in ("real", "fake"))
    with pytest.warns(SampleSizeWarning, match="24 real and 24 generated"):
        found = distance_of_statistics(real, fake)
    # The features are kept as float16.
    assert found == pytest.approx(float(reference_fid["fid"]), rel=1e-4)


def test_reproduces_the_reference_distance_of_pictures(
    golden_fid, golden_features
):
    real, fake = map(statistics_of, golden_features)
    with pytest.warns(SampleSizeWarning, match="24 real and 24 generated"):
        found = distance_of_statistics(real, fake)
    assert found == pytest.approx(float(golden_fid["fid"]), rel=1e-5)


def test_set_against_itself_has_no_distance(reference_fid):
    real = reference_fid["real"]
    with pytest.warns(SampleSizeWarning):
        same = distance_of_statistics(
            statistics_of(real), statistics_of(real[::-1], parts=5)
        )
    assert same < 1e-6


def test_distance_of_pictures(inception):
    random = np.random.default_rng(0)
    first, second = random.integers(0, 256, (2, 3, 32, 32, 3)).astype(np.uint8)
    with pytest.warns(SampleSizeWarning):
        distance = frechet_inception_distance(first, second, inception)
    with pytest.warns(SampleSizeWarning):
        again = frechet_inception_distance(
            first[::-1] / np.float32(255),
            list(second),
            inception,
            batch_size=2,
        )
    assert distance > 1
    assert again == pytest.approx(distance, rel=1e-4)


def test_distance_by_hand_with_an_extractor_of_ones_own():
    def first_pixel(x):
        return x[:, 0, 0, :1]

    def gray(levels):
        return np.tile(
            np.array(levels, np.uint8)[:, None, None, None], (1, 4, 4, 3)
        )

    # Levels 0, 2 have mean 1 and variance 2; 5, 13 have mean 9, variance 32.
    found = frechet_inception_distance(gray([0, 2]), gray([5, 13]), first_pixel)
    expected = (8**2 + (np.sqrt(32) - np.sqrt(2)) ** 2) / 255**2
    assert found == pytest.approx(expected, rel=1e-5)


def test_statistics_and_files_stand_for_pictures(
    mean_colour, draw_pictures, tmp_path
):
    real, fake = draw_pictures(9, 0), draw_pictures(8, 1, gain=0.5)
    expected = frechet_inception_distance(real, fake, mean_colour)
    statistics = FeatureStatistics()
    statistics.update(np.asarray(mean_colour(real / np.float32(255))))
    statistics.save(tmp_path / "real.npz")
    for given in (
        statistics,
        tmp_path / "real.npz",
        str(tmp_path / "real.npz"),
    ):
        assert frechet_inception_distance(
            given, fake, mean_colour
        ) == pytest.approx(expected, rel=1e-6)


def test_warns_of_small_sets_only():
    small, large = statistics_of(draws(5)), statistics_of(draws(6))
    with pytest.warns(SampleSizeWarning, match="6 real and 5 generated .* 6"):
        distance_of_statistics(large, small)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        distance_of_statistics(large, large)


# What the number of pictures does to it.


def test_estimate_extrapolates_a_straight_line_in_one_over_n():
    first, second = draws(64), draws(50, seed=1) * 1.1
    estimate = frechet_estimate(first, second, seed=3)
    assert estimate.distance == pytest.approx(
        distance_of_statistics(statistics_of(first), statistics_of(second))
    )
    assert estimate.extrapolated == pytest.approx(
        2 * estimate.distance - estimate.half_distance
    )
    assert (estimate.real_count, estimate.generated_count) == (64, 50)
    assert frechet_estimate(first, second, seed=3) == estimate
    assert frechet_estimate(first, second, seed=4) != estimate


def test_estimate_is_nearer_to_the_truth():
    # Two equal Gaussians of 20 features, 60 draws each: the truth is 0.
    random = np.random.default_rng(0)
    estimates = [
        frechet_estimate(*random.normal(size=(2, 60, 20))) for _ in range(20)
    ]
    distance, half, extrapolated = np.mean(
        [estimate[:3] for estimate in estimates], axis=0
    )
    assert half > distance > 0
    assert abs(extrapolated) < 0.4 * distance


def test_estimate_needs_four_pictures():
    with pytest.raises(ValueError, match=r"4 pictures or more.*3 and 9"):
        frechet_estimate(draws(3), draws(9))
