import io

import numpy as np
import pytest
from PIL import Image

from keras_tim.metrics import (
    lightness_error,
    low_resolution_psnr,
    recompressed_psnr,
)

# Low resolution.


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


def test_bad_low_resolution_images():
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


# Lightness.


def test_lightness_error_by_hand():
    # Black is 0, white 100. Gray 119 / 255 is linear 0.184475, and
    # 116 * 0.184475^(1/3) - 16 = 50.0345. Red has the luminance 0.212671.
    samples = np.array(
        [[[[0, 0, 0], [1, 1, 1]]], [[[119 / 255] * 3, [1, 0, 0]]]]
    )
    lightness = np.array([[0.1, 0.8]])
    red = 116 * 0.212671 ** (1 / 3) - 16
    np.testing.assert_allclose(
        lightness_error(samples, lightness),
        [(10 + 20) / 2, (50.0345 - 10 + 80 - red) / 2],
        atol=1e-3,
    )


def test_lightness_error_near_black():
    # Below a luminance of 0.008856 lightness is 903.3 times it; level 2 is
    # linear 2 / 255 / 12.92.
    samples = np.full((1, 2, 2, 3), 2 / 255)
    expected = 903.296 * 2 / 255 / 12.92
    assert lightness_error(samples, np.zeros((2, 2))) == pytest.approx(
        expected, rel=1e-4
    )


def test_lightness_agrees_with_scikit_image():
    color = pytest.importorskip("skimage.color")
    random = np.random.default_rng(0)
    sample = random.integers(0, 256, (9, 7, 3)).astype(np.uint8)
    lightness = color.rgb2lab(sample)[..., 0] / 100
    for given in (lightness, lightness[..., None].astype(np.float32)):
        error = lightness_error(sample[None] / 255.0, given)
        assert error.shape == (1,)
        assert error.dtype == np.float64
        assert error[0] < 1e-3


def test_lightness_error_rounds_samples_to_8_bits():
    lightness = np.full((3, 3), 0.5)
    samples = np.full((1, 3, 3, 3), 119.4 / 255)
    np.testing.assert_array_equal(
        lightness_error(samples, lightness),
        lightness_error(np.full((1, 3, 3, 3), 119 / 255), lightness),
    )


def test_bad_lightness():
    samples = np.zeros((2, 4, 4, 3))
    with pytest.raises(ValueError, match="`samples` must have the shape"):
        lightness_error(samples, np.zeros((4, 5)))
    with pytest.raises(ValueError, match="`samples` must have the shape"):
        lightness_error(samples[..., :1], np.zeros((4, 4)))
    with pytest.raises(ValueError, match="must have one channel"):
        lightness_error(samples, np.zeros((4, 4, 3)))
    with pytest.raises(ValueError, match="`lightness` must lie in"):
        lightness_error(samples, np.full((4, 4), 50.0))


# JPEG.


def jpeg(levels, quality, subsampling):
    stream = io.BytesIO()
    image = Image.fromarray(levels)
    image.save(stream, "JPEG", quality=quality, subsampling=subsampling)
    return np.asarray(Image.open(stream))


@pytest.fixture
def photo():
    """Smooth colours with an edge; uint8."""
    rows, columns = np.mgrid[:40, :56] / 56.0
    picture = np.stack([rows, columns, 1 - rows * columns], axis=-1)
    picture[10:20, 20:40] = [0.9, 0.1, 0.2]
    return np.rint(picture * 255).astype(np.uint8)


@pytest.mark.parametrize("quality", [1, 50])
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
def test_original_recompresses_to_the_input(photo, quality, subsampling):
    compressed = jpeg(photo, quality, subsampling)
    values = recompressed_psnr(
        np.stack([photo, 255 - photo]) / np.float32(255),
        compressed / np.float32(255),
        quality,
        subsampling,
    )
    assert values.dtype == np.float64
    assert values[0] == np.inf
    assert values[1] < 15


def test_recompressed_psnr_is_that_of_the_decoded_pictures(photo):
    compressed, other = jpeg(photo, 5, "4:2:0"), 255 - photo[::-1]
    again = jpeg(other, 5, "4:2:0").astype(float)
    expected = 10 * np.log10(255**2 / np.mean((again - compressed) ** 2))
    found = recompressed_psnr(other[None] / 255.0, compressed / 255.0, 5)
    np.testing.assert_allclose(found, [expected], rtol=1e-12)


def test_other_settings_do_not_recompress_to_the_input(photo):
    compressed = jpeg(photo, 50, "4:4:4") / 255.0
    for settings in ((49, "4:4:4"), (50, "4:2:0")):
        values = recompressed_psnr(photo[None] / 255.0, compressed, *settings)
        assert np.isfinite(values).all()


def test_bad_jpegs():
    samples, compressed = np.zeros((2, 8, 8, 3)), np.zeros((8, 8, 3))
    with pytest.raises(ValueError, match="`samples` must have the shape"):
        recompressed_psnr(samples, compressed[:4])
    with pytest.raises(ValueError, match="three channels"):
        recompressed_psnr(samples[..., :1], compressed[..., :1])
    for quality in (0, 101, 7.5):
        with pytest.raises(ValueError, match="`quality` must be an integer"):
            recompressed_psnr(samples, compressed, quality)
    with pytest.raises(ValueError, match="`subsampling` must be one of"):
        recompressed_psnr(samples, compressed, 5, "4:1:1")
