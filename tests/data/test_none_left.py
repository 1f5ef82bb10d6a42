"""What is said where no picture is left to train on."""

import numpy as np
import pytest
from PIL import Image

from keras_tim.data import crop_dataset, layout_dataset


def write(path, mode="RGB"):
    path.parent.mkdir(exist_ok=True)
    shape = (32, 40, 3) if mode == "RGB" else (32, 40)
    Image.fromarray(np.zeros(shape, np.uint8)).save(path)


def test_the_only_photo_is_held_out(tmp_path):
    write(tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"1 held out .*two or more") as error:
        crop_dataset(tmp_path, crop_size=16, exclude=("a.png",))
    assert "unreadable" not in str(error.value)


def test_the_other_photo_is_unreadable(tmp_path):
    write(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"no picture")
    with pytest.raises(
        ValueError, match=r"2 found, 1 held out .* and 1 unreadable"
    ):
        crop_dataset(tmp_path, crop_size=16, exclude=("a.png",))


def test_nothing_is_held_out(tmp_path):
    (tmp_path / "b.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match="1 found, 1 unreadable") as error:
        crop_dataset(tmp_path, crop_size=16)
    assert "held out" not in str(error.value)


def test_the_only_layout_is_held_out(tmp_path):
    write(tmp_path / "pictures" / "a.png")
    write(tmp_path / "labels" / "a.png", "L")
    with pytest.raises(ValueError, match=r"holds one out.*1 pictures"):
        layout_dataset(
            tmp_path / "pictures", tmp_path / "labels", exclude=("a.png",)
        )
