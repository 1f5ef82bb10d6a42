import hashlib

import numpy as np
import pytest

from keras_tim.data import (
    colourization_dataset,
    colourization_pair,
    crop_dataset,
)


def random_photos(count=3, height=24, width=30):
    rng = np.random.RandomState(0)
    return list(rng.randint(0, 256, (count, height, width, 3), np.uint8))


def digest(dataset):
    summary = hashlib.sha256()
    for batch in dataset:
        for image in batch:
            summary.update(image.numpy().tobytes())
    return summary.hexdigest()


def test_pairs_are_crops_and_their_lightness():
    options = {"crop_size": 16, "batch_size": 2, "seed": 3}
    dataset = colourization_dataset(random_photos(), num_levels=3, **options)
    crops = list(crop_dataset(random_photos(), **options))
    batches = list(dataset)
    assert len(batches) == len(crops) == 2
    for (lightness, target), crop in zip(batches, crops, strict=True):
        np.testing.assert_array_equal(target, crop)
        assert lightness.shape == (*crop.shape[:3], 1)
        assert lightness.dtype == target.dtype == "float32"
        assert 0.0 <= np.min(lightness) < np.max(lightness) <= 1.0
    spec_lightness, spec_target = dataset.element_spec
    assert spec_lightness.shape == (None, 16, 16, 1)
    assert spec_target.shape == (None, 16, 16, 3)


def test_lightness_is_that_of_scikit_image():
    color = pytest.importorskip("skimage.color")
    (lightness, target), *_ = colourization_dataset(
        random_photos(), crop_size=16
    )
    expected = color.rgb2lab(np.asarray(target))[..., :1]
    np.testing.assert_allclose(100.0 * lightness, expected, atol=1e-3)


def test_same_seed_same_batches():
    def made(seed):
        return digest(
            colourization_dataset(random_photos(), crop_size=16, seed=seed)
        )

    assert made(5) == made(5)
    assert made(5) != made(6)


@pytest.mark.parametrize(
    ("height", "width", "multiple", "size"),
    [(25, 31, 4, (24, 28)), (24, 32, 8, (24, 32)), (5, 7, 1, (5, 7))],
)
def test_pair_is_the_centre_of_the_photo(height, width, multiple, size):
    photo = np.random.RandomState(0).rand(height, width, 3)
    lightness, target = colourization_pair(photo, multiple)
    assert lightness.shape == (*size, 1)
    assert lightness.dtype == target.dtype == np.float32
    top, left = (height - size[0]) // 2, (width - size[1]) // 2
    np.testing.assert_allclose(
        target, photo[top : top + size[0], left : left + size[1]], rtol=1e-6
    )


@pytest.mark.parametrize("level", [0, 1, 50, 128, 254, 255])
def test_lightness_of_grey_follows_from_its_level(level):
    photo = np.full((2, 2, 3), level, np.uint8)
    lightness, _ = colourization_pair(photo)
    linear = level / 255 / 12.92
    if level > 10:
        linear = ((level / 255 + 0.055) / 1.055) ** 2.4
    expected = 903.2963 * linear
    if linear > 0.008856:
        expected = 116.0 * linear ** (1 / 3) - 16.0
    np.testing.assert_allclose(lightness, expected / 100.0, atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"crop_size": 18, "num_levels": 3}, r"multiple of 2 \*\* \(num_leve"),
        ({"crop_size": 0}, "crop_size"),
        ({"crop_size": 16, "num_levels": 0}, "num_levels"),
        ({"crop_size": 16, "num_levels": 2.0}, "num_levels"),
        ({"crop_size": 64}, "at least 64 x 64"),
        ({"crop_size": 16, "batch_size": 0}, "batch_size"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        colourization_dataset(random_photos(), **arguments)


@pytest.mark.parametrize(
    ("photo", "message"),
    [
        (np.zeros((3, 40, 3), np.uint8), "at least 4 pixels"),
        (np.zeros((8, 8), np.uint8), "photo"),
        (np.zeros((8, 8, 1), np.uint8), "photo"),
        (np.full((8, 8, 3), 255.0), r"\[0, 1\]"),
        (np.full((8, 8, 3), np.nan), "finite"),
    ],
)
def test_bad_photos(photo, message):
    with pytest.raises(ValueError, match=message):
        colourization_pair(photo, 4)
