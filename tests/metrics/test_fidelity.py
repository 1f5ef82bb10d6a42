import numpy as np
import pytest
from PIL import Image

from keras_tim.metrics.fidelity import low_resolution_psnr, psnr


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


def test_low_resolution_psnr_of_a_constant_shift():
    low = np.full((8, 8, 3), 100 / 255)
    samples = np.stack(
        [np.full((32, 32, 3), level / 255) for level in (100, 101, 110)]
    )
    # Errors of 0, 1 and 10 gray levels.
    np.testing.assert_allclose(
        low_resolution_psnr(samples, low),
        [np.inf, 48.130803608679107, 28.130803608679107],
    )


def test_low_resolution_psnr_agrees_with_pillow():
    random = np.random.default_rng(0)
    sample = random.integers(0, 256, (64, 48, 3)).astype(np.uint8)
    low = np.asarray(
        Image.fromarray(sample).resize((12, 16), Image.Resampling.BICUBIC)
    )
    value = low_resolution_psnr(sample[None] / 255.0, low / 255.0)
    # Within one gray level everywhere.
    assert value >= 20 * np.log10(255)
    assert value.shape == (1,)


def test_float32_samples_are_accepted():
    random = np.random.default_rng(0)
    samples = random.uniform(size=(2, 8, 8, 3)).astype(np.float32)
    low = random.uniform(size=(4, 4, 3)).astype(np.float32)
    values = low_resolution_psnr(samples, low)
    assert values.dtype == np.float64
    assert (values < 30).all()


def test_bad_images():
    good = np.zeros((1, 8, 8, 3))
    low = np.zeros((2, 2, 3))
    with pytest.raises(ValueError, match="same whole multiple"):
        low_resolution_psnr(np.zeros((1, 8, 9, 3)), low)
    with pytest.raises(ValueError, match="same whole multiple"):
        low_resolution_psnr(np.zeros((1, 8, 4, 3)), low)
    with pytest.raises(ValueError, match="channels must agree"):
        low_resolution_psnr(good, np.zeros((2, 2, 1)))
    with pytest.raises(ValueError, match="`samples` must have the shape"):
        low_resolution_psnr(good[0], low)
    with pytest.raises(ValueError, match=r"samples\.dtype=uint8"):
        low_resolution_psnr(good.astype(np.uint8), low)
    with pytest.raises(ValueError, match="without NaN"):
        low_resolution_psnr(good * np.nan, low)
    with pytest.raises(ValueError, match="from 0 to 255"):
        psnr(np.eye(8)[..., None] * 255, np.zeros((8, 8, 1)))
    with pytest.raises(ValueError, match="must agree in height"):
        psnr(good, np.zeros((1, 8, 4, 3)))
    with pytest.raises(ValueError, match="shape"):
        psnr(np.zeros((8, 8)), np.zeros((8, 8)))
