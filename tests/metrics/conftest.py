import keras
import numpy as np
import pytest

from keras_tim.metrics import InceptionFeatures, picture_features
from keras_tim.perceptual import WeightsError, fetch_weights


@pytest.fixture(scope="session")
def inception():
    """The network with the published weights."""
    try:
        fetch_weights("inception")
    except WeightsError as error:
        pytest.skip(f"the published Inception weights cannot be had: {error}")
    return InceptionFeatures()


@pytest.fixture(scope="session")
def golden_fid(golden_dir):
    with np.load(golden_dir / "fid.npz") as stored:
        return dict(stored)


@pytest.fixture(scope="session")
def golden_features(golden_fid, inception):
    """Features of the 24 real and the 24 compressed pictures."""
    return tuple(
        picture_features(golden_fid[kind], inception, batch_size=8)
        for kind in ("real", "fake")
    )


@pytest.fixture(scope="session")
def reference_fid(references):
    """The published distance, and our features of the two sets of 24."""
    with np.load(references.FID) as stored:
        return {key: stored[key].astype("float64") for key in stored.files}


@pytest.fixture
def mean_colour():
    """A quick extractor: three features."""
    return keras.Sequential(
        [
            keras.Input((None, None, 3)),
            keras.layers.GlobalAveragePooling2D(),
        ]
    )


@pytest.fixture
def draw_pictures():
    """Callable `(n, seed, gain)`: uint8 pictures of random mean colours."""

    def draw(n, seed, gain=1.0):
        random = np.random.default_rng(seed)
        colours = random.uniform(0, 200, (n, 1, 1, 3)) * gain
        noise = random.uniform(0, 50, (n, 5, 7, 3))
        return np.clip(colours + noise, 0, 255).astype(np.uint8)

    return draw
