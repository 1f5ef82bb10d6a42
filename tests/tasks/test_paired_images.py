"""What pairs show is learned, also what is far from the input."""

import keras
import numpy as np
import pytest

from keras_tim.data import (
    paired_images_dataset,
    paired_images_pair,
    sample_photos,
)


@pytest.mark.slow
def test_an_inversion_is_learned(make_tim):
    pytest.importorskip("skimage")
    photos = sample_photos()
    inputs = {name: 255 - photo for name, photo in photos.items()}
    tim = make_tim("paired_images", mapping_network=False)
    tim.compile(
        optimizer=keras.optimizers.Adam(3e-3),
        distance="mean_squared_error",
        num_candidates=2,
        steps_per_selection=10,
        mini_batch_size=4,
    )
    options = {"num_levels": 2, "crop_size": 32, "exclude": ("chelsea",)}
    pairs = paired_images_dataset(
        photos, inputs, batch_size=20, repeat=True, **options
    )
    tim.fit(pairs, steps_per_epoch=15, verbose=0)

    given, target = paired_images_pair(photos["chelsea"], inputs["chelsea"], 2)
    place = slice(100, 164), slice(150, 214)
    given, target = given[place], target[place]
    samples = tim.sample(given[None], num_samples=4, seed=0)[0]
    _, plain = tim.baseline(given, target.shape[:2])
    error = np.mean((samples - target) ** 2)
    baseline = np.mean((plain - target) ** 2)
    assert error < 0.25 * baseline
    assert np.corrcoef(samples[0].ravel(), target.ravel())[0, 1] > 0.9
