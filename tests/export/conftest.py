import io

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_tim import TIM
from keras_tim.export import export_saved_model

LIMITS = {"output_pixels": 40_000, "alternatives": 12, "total_pixels": 200_000}


def lively(tim):
    """Makes a fresh model's samples differ visibly."""
    for weight in tim.trainable_variables:
        if len(weight.shape) == 2 or weight.path.endswith("output/g"):
            weight.assign(5.0 * weight)
    return tim


@pytest.fixture(scope="session")
def nano():
    keras.utils.set_random_seed(0)
    return lively(TIM.from_preset("super_resolution_x4_nano"))


@pytest.fixture(scope="session")
def exported(nano, tmp_path_factory):
    """Folder of version 1 of the exported nano model."""
    path = tmp_path_factory.mktemp("export") / "photos"
    return export_saved_model(
        nano,
        path,
        limits=LIMITS,
        training={"data": "none", "steps": 0},
        measures=[{"name": "noise", "lpips_mean": 0.51234, "num_samples": 8}],
    )


@pytest.fixture(scope="session")
def signatures(exported):
    loaded = tf.saved_model.load(exported)
    yield loaded.signatures
    # Its functions would go with it.
    del loaded


@pytest.fixture(scope="session")
def photo():
    """uint8 `[13, 18, 3]`: smooth, so that JPEG keeps it."""
    rows, columns = np.mgrid[0:13, 0:18]
    channels = (rows * 18, columns * 14, 250 - rows * 9 - columns * 4)
    return np.stack(channels, axis=-1).astype(np.uint8)


def encode(pixels, kind="PNG", mode=None, **options):
    image = Image.fromarray(pixels) if not hasattr(pixels, "save") else pixels
    image = image.convert(mode) if mode else image
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def decode(png):
    image = Image.open(io.BytesIO(png))
    assert (image.format, image.mode) == ("PNG", "RGB")
    return np.asarray(image)
