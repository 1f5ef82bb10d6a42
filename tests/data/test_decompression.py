import hashlib
import io

import numpy as np
import pytest
from PIL import Image

from keras_tim.data import (
    compressed,
    crop_dataset,
    decompression_dataset,
    decompression_pair,
    sample_photos,
)
from keras_tim.metrics import psnr, recompressed_psnr


@pytest.fixture(scope="module")
def photo():
    pytest.importorskip("skimage")
    return sample_photos()["coffee"][100:164, 200:280]


def through_a_file(pixels, quality):
    """What a program that saves and opens JPEGs sees."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(
        file, format="JPEG", quality=quality, subsampling=2
    )
    file.seek(0)
    return np.asarray(Image.open(file))


@pytest.mark.parametrize("quality", [1, 10, 75, 100])
def test_compressed_is_what_a_jpeg_file_holds(photo, quality):
    found = compressed(photo, quality)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(
        np.rint(255.0 * found), through_a_file(photo, quality)
    )
    # Floats are rounded to the same 8 bits first.
    np.testing.assert_array_equal(found, compressed(photo / 255.0, quality))


def test_quality_one_leaves_one_colour_a_block():
    """All quantisers are 255: of noise nothing but the mean survives."""
    noise = np.random.RandomState(0).randint(64, 192, (16, 16, 3), np.uint8)
    found = compressed(noise, 1)
    assert len(np.unique(found.reshape(-1, 3), axis=0)) == 1
    flat = np.full((16, 16, 3), 128, np.uint8)
    np.testing.assert_array_equal(compressed(flat, 1), flat / np.float32(255))


def test_colours_are_stored_at_half_the_resolution():
    # Both stripes have a luma of 116, so that colour alone tells them apart.
    stripes = np.empty((16, 16, 3), np.uint8)
    stripes[:, ::2], stripes[:, 1::2] = (130, 100, 160), (100, 100, 239)
    found = 255.0 * compressed(stripes, 100)
    before = np.abs(np.diff(stripes[..., 2].astype(int), axis=1))
    after = np.abs(np.diff(found[..., 2], axis=1))
    assert before.min() == 79
    assert after.max() < 8


def test_better_quality_comes_closer(photo):
    target = photo / 255.0
    found = [psnr(compressed(photo, q), target) for q in (1, 5, 20, 60, 95)]
    assert found == sorted(found)
    assert found[-1] > found[0] + 10


def test_measured_by_the_codec_that_training_uses(photo):
    for quality in (1, 30):
        given, target = decompression_pair(photo, 4, quality)
        assert recompressed_psnr(target[None], given, quality) == np.inf


def test_pairs_are_crops_and_what_jpeg_leaves_of_them(photo):
    options = {"crop_size": 16, "batch_size": 3, "crops_per_picture": 5}
    dataset = decompression_dataset([photo], quality=4, **options)
    crops = list(crop_dataset([photo], **options))
    batches = list(dataset)
    assert len(batches) == len(crops) == 2
    for (given, target), crop in zip(batches, crops, strict=True):
        np.testing.assert_array_equal(target, crop)
        assert given.dtype == target.dtype == "float32"
        expected = [compressed(image.numpy(), 4) for image in crop]
        np.testing.assert_array_equal(given, expected)
    for spec in dataset.element_spec:
        assert spec.shape == (None, 16, 16, 3)


def test_same_seed_same_batches(photo):
    def digest(seed):
        summary = hashlib.sha256()
        for batch in decompression_dataset([photo], crop_size=16, seed=seed):
            for image in batch:
                summary.update(image.numpy().tobytes())
        return summary.hexdigest()

    assert digest(5) == digest(5)
    assert digest(5) != digest(6)


def test_pair_is_the_centre_of_the_photo(photo):
    given, target = decompression_pair(photo[:61, :79], 8, quality=20)
    assert given.shape == target.shape == (56, 72, 3)
    np.testing.assert_allclose(target, photo[2:58, 3:75] / 255.0, rtol=1e-6)
    np.testing.assert_array_equal(given, compressed(target, 20))


@pytest.mark.parametrize("quality", [0, -3, 101, 50.0, "best", None, True])
def test_quality_out_of_range(photo, quality):
    with pytest.raises(ValueError, match="`quality` must be"):
        compressed(photo, quality)
    with pytest.raises(ValueError, match="`quality` must be"):
        decompression_pair(photo, quality=quality)
    with pytest.raises(ValueError, match="`quality` must be"):
        decompression_dataset([photo], crop_size=16, quality=quality)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"crop_size": 18, "num_levels": 3}, r"multiple of 2 \*\* \(num_leve"),
        ({"crop_size": -8}, "crop_size"),
        ({"crop_size": 16, "num_levels": 0}, "num_levels"),
        ({"crop_size": 96}, "at least 96 x 96"),
    ],
)
def test_bad_arguments(photo, arguments, message):
    with pytest.raises(ValueError, match=message):
        decompression_dataset([photo], **arguments)


def test_bad_photos():
    with pytest.raises(ValueError, match="at least 4 pixels"):
        decompression_pair(np.zeros((3, 40, 3), np.uint8), 4)
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        compressed(np.full((8, 8, 3), 255.0))
