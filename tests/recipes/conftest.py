import numpy as np
import pytest

from keras_tim.data import sample_photos
from keras_tim.images import write_picture


@pytest.fixture(scope="session")
def photo():
    """Part of a photo, its sides no multiples of anything, in [0, 1]."""
    pytest.importorskip("skimage")
    return sample_photos()["coffee"][100:179, 200:297].astype("float32") / 255


@pytest.fixture(scope="session")
def photo_folder(photo, tmp_path_factory):
    """Three photos, one of them grey."""
    folder = tmp_path_factory.mktemp("photos")
    write_picture(folder / "a.png", photo)
    write_picture(folder / "b.png", photo[::-1])
    grey = np.repeat(photo[..., 1:2], 3, axis=-1)
    write_picture(folder / "grey.png", grey)
    return folder
