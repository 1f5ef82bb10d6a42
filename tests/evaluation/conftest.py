import json

import numpy as np
import pytest

from keras_tim.data import sample_photos
from keras_tim.images import write_picture
from keras_tim.recipes import get_recipe
from keras_tim.runs import RunSettings


@pytest.fixture(scope="module", autouse=True)
def without_graphs(eagerly):
    """Graphs are those of `keras-tim evaluate`, in `tests/cli`."""
    with eagerly():
        yield


@pytest.fixture(scope="session")
def photo_folder(tmp_path_factory):
    """Four parts of photos, of two sizes."""
    pytest.importorskip("skimage")
    photos = sample_photos()
    folder = tmp_path_factory.mktemp("photos")
    for name, width in (
        ("astronaut", 48),
        ("chelsea", 40),
        ("coffee", 48),
        ("rocket", 40),
    ):
        crop = photos[name][100:140, 150 : 150 + width] / 255.0
        write_picture(folder / f"{name}.png", crop)
    return folder


@pytest.fixture(scope="session")
def tim(make_tim):
    """A tiny model of super-resolution, untrained."""
    return make_tim(quick=True)


@pytest.fixture(scope="session")
def recipe(photo_folder):
    return get_recipe("super_resolution")(
        RunSettings.of_task("super_resolution", data=str(photo_folder))
    )


class Brightness:
    """Stands for a network: the distance of mean colours, squared."""

    def features(self, pictures):
        return [np.asarray(pictures, np.float64).mean((1, 2), keepdims=True)]

    def compare(self, a, b):
        return np.square(a[0] - b[0]).sum((-3, -2, -1))

    def compare_spatially(self, a, b, size):
        return np.broadcast_to(self.compare(a, b)[:, None, None], (1, *size))

    def __call__(self, a, b):
        return self.compare(self.features(a), self.features(b))


@pytest.fixture(scope="session")
def brightness():
    return Brightness()


@pytest.fixture(scope="session")
def read_json():
    return lambda path: json.loads(path.read_text())
