"""Servers colour large pictures as the command line does."""

import numpy as np
import pytest
import tensorflow as tf

from keras_tim.export import Limits, export_saved_model
from keras_tim.export.deployed import deployed
from keras_tim.export.signatures import Signatures
from keras_tim.images import read_picture, write_picture
from keras_tim.inference import sample_files
from keras_tim.layers.resampling import bicubic_picture
from keras_tim.tasks.colourization import rgb_to_lab

from .conftest import decode
from .test_cpp_loader import Session


@pytest.fixture(scope="module")
def tim(make_tim):
    return make_tim(quick=True, task="colourization")


@pytest.fixture(scope="module")
def answers(tim):
    """What a server makes of a file: the picture of alternative 1, seed 0."""
    limits = Limits(output_pixels=10**7)
    served = tf.function(Signatures(deployed(tim), limits).serving_default)

    def ask(path):
        answer = served(
            picture_bytes=tf.constant([path.read_bytes()]),
            seed=tf.constant([0], tf.int64),
            index=tf.constant([[1]], tf.int64),
        )
        return decode(answer["alternative_bytes"].numpy()[0, 0])

    return ask


def photo(path, height, width):
    rng = np.random.default_rng(0)
    light = rng.random((5, 7, 1)).astype("float32")
    light = bicubic_picture(light, (height, width))
    light += rng.normal(0.0, 0.03, light.shape)
    pixels = np.clip(0.3 + 0.4 * light, 0.1, 0.9).astype("float32")
    write_picture(path, np.repeat(pixels, 3, axis=-1))


@pytest.mark.parametrize(
    "size", [(700, 901), (901, 70), (37, 1500), (300, 448), (51, 60)]
)
def test_servers_and_files_agree(tim, answers, tmp_path, size):
    path = tmp_path / "photo.png"
    photo(path, *size)
    (made,) = sample_files(
        tim, [path], tmp_path / "out", alternatives=[1], tile=None
    )
    served = answers(path)
    assert served.shape == (*size, 3)
    expected = read_picture(made, "uint8").astype("float32")
    error = np.abs(served - expected)
    if max(size) <= 448:
        # Weights are folded there.
        assert error.max() <= 1
        assert error.mean() < 1e-3
        return
    # The two Lanczos filters differ by rounding.
    assert error.mean() < 0.5
    before, after = (
        np.asarray(rgb_to_lab(x.astype("float32") / 255.0))[..., 0]
        for x in (read_picture(path, "uint8"), served)
    )
    assert np.median(np.abs(after - before)) < 0.5


def test_without_python_it_is_the_same(tim, answers, tmp_path):
    """In bands, of which the last one is smaller."""
    path = tmp_path / "photo.png"
    photo(path, 1300, 1200)
    folder = export_saved_model(
        tim, tmp_path / "colours", limits=Limits(output_pixels=10**7)
    )
    made = Session(folder).run(
        "serving_default",
        picture_bytes=[path.read_bytes()],
        seed=np.array([0]),
        index=np.array([[1]]),
    )["alternative_bytes"]
    np.testing.assert_array_equal(decode(made[0][0]), answers(path))
