import numpy as np
import pytest

from keras_tim import LPIPS
from keras_tim.metrics import fidelity_summary, lpips_to_target, psnr, ssim

# PSNR.


def test_psnr_by_hand():
    first = np.zeros((2, 4, 4, 3))
    second = np.stack([np.full((4, 4, 3), 1.0), np.full((4, 4, 3), 10 / 255)])
    # Errors of 255 and 10 gray levels: 0 dB and 20 log10(25.5).
    np.testing.assert_allclose(
        psnr(first, second), [0.0, 28.130803608679107], atol=1e-9
    )
    assert psnr(first, first).tolist() == [np.inf, np.inf]


def test_psnr_rounds_to_8_bits():
    first = np.full((4, 4, 3), 10.4 / 255)
    assert psnr(first, np.full((4, 4, 3), 9.6 / 255)) == np.inf


def test_psnr_agrees_with_scikit_image():
    metrics = pytest.importorskip("skimage.metrics")
    random = np.random.default_rng(0)
    first, second = random.integers(0, 256, (2, 16, 20, 3)).astype(np.uint8)
    expected = metrics.peak_signal_noise_ratio(first, second)
    assert psnr(first / 255.0, second / 255.0) == pytest.approx(expected)


# SSIM.


def test_ssim_of_constants_by_hand():
    # No variance: (2 a b + C) / (a^2 + b^2 + C) with C = 2.55^2 remains.
    first = np.full((12, 11, 3), 100 / 255)
    second = np.full((12, 11, 3), 50 / 255)
    expected = (2 * 100 * 50 + 6.5025) / (100**2 + 50**2 + 6.5025)
    assert ssim(first, second) == pytest.approx(expected, rel=1e-12)
    assert ssim(first, first) == pytest.approx(1.0)


@pytest.mark.parametrize("seed", [0, 1])
def test_ssim_agrees_with_scikit_image(seed):
    metrics = pytest.importorskip("skimage.metrics")
    random = np.random.default_rng(seed)
    first = random.integers(0, 256, (31, 23, 3)).astype(np.uint8)
    noise = random.normal(0, 40, first.shape)
    second = np.clip(first + noise, 0, 255).astype(np.uint8)
    expected = metrics.structural_similarity(
        first,
        second,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=255,
        channel_axis=-1,
    )
    assert 0.3 < expected < 0.95
    found = ssim(first / np.float32(255), second / np.float32(255))
    assert found == pytest.approx(expected, abs=1e-6)


def test_ssim_of_several_images():
    random = np.random.default_rng(0)
    samples = random.uniform(size=(2, 3, 12, 13, 3))
    target = random.uniform(size=(12, 13, 3))
    values = ssim(samples, target)
    assert values.shape == (2, 3)
    assert values[1, 2] == ssim(samples[1, 2], target)
    np.testing.assert_allclose(ssim(target, samples), values)


# LPIPS.


@pytest.fixture(scope="module")
def distance(lpips_weights):
    return LPIPS("alex")


@pytest.fixture
def samples():
    return np.random.RandomState(0).rand(3, 32, 40, 3).astype("float32")


def test_lpips_to_target_is_lpips(distance, samples):
    target = samples[::-1][0] ** 2
    expected = np.asarray(distance(samples, np.repeat(target[None], 3, axis=0)))
    np.testing.assert_allclose(
        lpips_to_target(samples, target, distance), expected, rtol=1e-4
    )


# Mean, best and of the mean image.


def test_summary_of_psnr_by_hand():
    target = np.zeros((4, 4, 3))
    samples = np.stack([np.full((4, 4, 3), level / 255) for level in (10, 30)])
    # 20 log10(255 / error), for errors of 10, 30 and, of the mean image, 20.
    values = [28.130803608679107, 18.588378514285854, 22.110203695399477]
    np.testing.assert_allclose(
        fidelity_summary(samples, target, "psnr"),
        (np.mean(values[:2]), values[0], values[2]),
    )


def test_summary_takes_each_measures_best(distance, samples):
    target = np.clip(samples[1] + 0.05, 0, 1)
    mean_image = samples.mean(axis=0, keepdims=True)
    for measure, values, of_mean, best in (
        ("ssim", ssim(samples, target), ssim(mean_image, target), np.max),
        (
            "lpips",
            lpips_to_target(samples, target, distance),
            lpips_to_target(mean_image, target, distance),
            np.min,
        ),
    ):
        summary = fidelity_summary(samples, target, measure, distance)
        np.testing.assert_allclose(
            summary, (values.mean(), best(values), of_mean[0]), rtol=1e-5
        )
        again = fidelity_summary(samples[::-1], target, measure, distance)
        np.testing.assert_allclose(again, summary, rtol=1e-5)


def test_summary_refuses_other_arguments(samples):
    with pytest.raises(
        ValueError, match=r"`measure` must be one of .*'ms-ssim'"
    ):
        fidelity_summary(samples, samples[0], "ms-ssim")
    with pytest.raises(ValueError, match="`samples` must have the shape"):
        fidelity_summary(samples, samples, "psnr")


def test_bad_images():
    good = np.zeros((1, 8, 8, 3))
    with pytest.raises(ValueError, match="from 0 to 255"):
        psnr(np.eye(8)[..., None] * 255, np.zeros((8, 8, 1)))
    with pytest.raises(ValueError, match="must agree in height"):
        psnr(good, np.zeros((1, 8, 4, 3)))
    with pytest.raises(ValueError, match="shape"):
        psnr(np.zeros((8, 8)), np.zeros((8, 8)))
    with pytest.raises(ValueError, match="must agree in height"):
        ssim(np.zeros((12, 12, 3)), np.zeros((12, 13, 3)))
    with pytest.raises(ValueError, match="at least 11 pixels"):
        ssim(good, good)
