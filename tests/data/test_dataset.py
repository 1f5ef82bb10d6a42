import keras
import numpy as np
import pytest

from keras_tim import data


@pytest.fixture
def photos():
    return [np.random.RandomState(n).rand(40, 48, 3) for n in range(3)]


@pytest.mark.parametrize(
    ("task", "function", "options"),
    [
        (
            "super_resolution",
            data.super_resolution_dataset,
            {"crop_size": 16, "scale": 4},
        ),
        ("colorization", data.colourization_dataset, {"crop_size": 16}),
        (
            "decompression",
            data.decompression_dataset,
            {"crop_size": 16, "quality": 5},
        ),
    ],
)
def test_the_same_as_the_tasks_own(photos, task, function, options):
    options |= {"batch_size": 2, "seed": 3}
    found = data.dataset(task, photos, **options)
    expected = function(photos, **options)
    for pair, own in zip(found, expected, strict=True):
        pairs = zip(*map(keras.tree.flatten, (pair, own)), strict=True)
        for array, other in pairs:
            np.testing.assert_array_equal(array, other)


def test_tasks_that_there_are_not(photos):
    with pytest.raises(ValueError, match="`task` must be one of"):
        data.dataset("segmentation", photos)
