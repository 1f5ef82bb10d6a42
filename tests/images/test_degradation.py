import numpy as np
import pytest

from keras_tim.data import super_resolution_dataset, super_resolution_pair
from keras_tim.images.degradation import degraded
from keras_tim.images.jpeg import compressed


class Draws:
    """A generator whose random numbers are all the same."""

    def __init__(self, share):
        self.share = share

    def random(self):
        return self.share

    def uniform(self, least, most):
        return least + self.share * (most - least)

    def integers(self, least, most, endpoint):
        assert endpoint
        return round(self.uniform(least, most))

    def choice(self, options):
        return options[0]

    def normal(self, mean, deviation, shape):
        return np.full(shape, mean + deviation)


def photo(seed=0, shape=(48, 64, 3)):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def test_without_luck_for_any_damage_it_is_the_reduced_photo():
    # 0.99 is above every probability.
    found = degraded(np.full((32, 48, 3), 77, np.uint8), 4, Draws(0.99))
    assert found.shape == (8, 12, 3)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, np.float32(77) / np.float32(255))


def test_all_damage_at_its_least():
    # Twice a deviation of 1, then twice JPEG at 40 and at 35: of a flat colour
    # JPEG keeps the mean to within a step of its coarsest quantiser.
    found = degraded(np.full((32, 48, 3), 100, np.uint8), 4, Draws(0.0))
    once = compressed(np.full((16, 16, 3), 101, np.uint8), 40)
    twice = compressed(np.rint(255.0 * once).astype(np.uint8) + 1, 35)
    np.testing.assert_array_equal(
        found, np.broadcast_to(twice[0, 0], (8, 12, 3))
    )


def test_the_same_photo_is_always_degraded_alike_and_others_are_not():
    first = degraded(photo(), 4)
    np.testing.assert_array_equal(first, degraded(photo(), 4))
    np.testing.assert_array_equal(first, degraded(photo() / 255.0, 4))
    assert not np.array_equal(first, degraded(photo(1), 4))
    rng = np.random.default_rng(5)
    assert not np.array_equal(degraded(photo(), 4, rng), first)


def test_values_stay_in_range():
    for seed in range(20):
        found = degraded(photo(seed), 4)
        assert found.min() >= 0.0
        assert found.max() <= 1.0


@pytest.mark.parametrize("shape", [(3, 64, 3), (64, 64), (64, 64, 4)])
def test_what_is_no_photo_or_too_small_is_refused(shape):
    with pytest.raises(ValueError, match="photo"):
        degraded(np.zeros(shape, np.uint8), 4)


def test_inputs_of_the_data_set_are_degraded_and_targets_are_not():
    options = {"crop_size": 32, "batch_size": 2, "crops_per_picture": 3}
    photos = [photo(0), photo(1)]
    clean = list(super_resolution_dataset(photos, **options))
    dataset = super_resolution_dataset(photos, degraded=True, **options)
    assert dataset.element_spec[0].shape == (None, 8, 8, 3)
    batches = list(dataset)
    for (low, targets), (clean_low, clean_targets) in zip(
        batches, clean, strict=True
    ):
        for one, other in zip(targets, clean_targets, strict=True):
            np.testing.assert_array_equal(one, other)
        assert not np.array_equal(low, clean_low)
        expected = [degraded(crop, 4) for crop in targets[-1].numpy()]
        np.testing.assert_array_equal(low, expected)
    # It can begin anywhere.
    again = super_resolution_dataset(
        photos, degraded=True, repeat=True, start=2, **options
    )
    np.testing.assert_array_equal(next(iter(again))[0], batches[2][0])


def test_a_degraded_pair_shows_the_photo_itself():
    low, target = super_resolution_pair(photo(), 4, degraded=True)
    np.testing.assert_array_equal(np.rint(255 * target), photo())
    np.testing.assert_array_equal(low, degraded(photo(), 4))
