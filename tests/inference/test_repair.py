"""JPEG files are repaired, and stay what they say."""

import numpy as np
import pytest
from PIL import Image

from keras_tim.images import read_picture
from keras_tim.images.quantisation import read_quantisation
from keras_tim.images.records import read_record
from keras_tim.inference import last_steps, repairs, sample_again, sample_files
from keras_tim.inference.last_steps import WithinJPEG, last_step
from keras_tim.inference.sizing import SHARE, Sizing
from keras_tim.layers.coefficients import block_coefficients
from keras_tim.layers.resampling import bicubic_picture


@pytest.fixture(scope="module")
def tim(make_tim):
    return make_tim(quick=True)


@pytest.fixture
def jpeg(tmp_path):
    """Makes a JPEG file of 70 x 90 pixels."""

    def make(name="photo.jpg", orientation=1, quality=15):
        rng = np.random.default_rng(0)
        photo = bicubic_picture(
            rng.random((8, 9, 3)).astype("float32"), (70, 90)
        )
        exif = Image.Exif()
        exif[0x112] = orientation
        pixels = np.uint8(255.0 * np.clip(0.2 + 0.6 * photo, 0.0, 1.0))
        path = tmp_path / name
        Image.fromarray(pixels).save(path, quality=quality, exif=exif)
        return path

    return make


def distance_in_steps(made, given, quantisation):
    """How far luminance is from the file's, for each coefficient."""
    padding = [*quantisation.padding(*given.shape[:2]), (0, 0)]
    found = [
        np.asarray(
            block_coefficients(
                255.0
                * np.pad(x, padding, "edge")[None]
                @ np.array([0.299, 0.587, 0.114])
                - 128.0
            )
        )
        for x in (made, given)
    ]
    steps = quantisation.luminance[:, None, :]
    return np.abs(found[0] - np.round(found[1] / steps) * steps) / steps


@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_results_are_near_what_the_file_says(tim, jpeg, tmp_path, orientation):
    path = jpeg(orientation=orientation)
    (made,) = sample_files(tim, [path], tmp_path / "out", repair=True)
    assert made.endswith(".png")
    given, picture = read_picture(path), read_picture(made)
    assert picture.shape == given.shape
    record = read_record(made)
    assert record["reading"] == {"reduce": 2}
    assert record["share"] == SHARE
    distance = distance_in_steps(picture, given, read_quantisation(path))
    # Results are rounded to 8 bits, and cut off where no colour is so bright.
    assert np.mean(distance > SHARE + 0.05) < 0.02
    # Another picture than the JPEG it is.
    assert np.abs(picture - given).mean() > 0.005


def test_repairs_are_made_again(tim, jpeg, tmp_path):
    path = jpeg()
    (made,) = sample_files(tim, [path], tmp_path / "out", repair=True)
    _, same = sample_again(tim, made, path, tmp_path / "again")
    assert same
    # Finished is what was repaired, not what was resampled.
    with pytest.raises(FileExistsError):
        sample_files(
            tim,
            [path],
            tmp_path / "out",
            reduce=2,
            size="same",
            format="png",
        )


@pytest.mark.parametrize("orientation", [1, 3])
def test_bands_are_the_whole(jpeg, monkeypatch, orientation):
    path = jpeg(orientation=orientation)
    given = read_picture(path)
    last = WithinJPEG(read_quantisation(path), given, 0.25)
    made = np.random.default_rng(0).random(given.shape).astype("float32")
    (whole,) = last.rows([made], made.shape[:2])
    monkeypatch.setattr(last_steps, "_BAND", 1)
    bands = [*last.rows([made[:5], made[5:61], made[61:]], made.shape[:2])]
    assert len(bands) == 5
    np.testing.assert_allclose(np.concatenate(bands), whole, atol=1e-6)


def test_other_files_are_repaired_all_the_same(tim, jpeg, tmp_path, caplog):
    Image.open(jpeg()).save(tmp_path / "photo.png")
    arguments = [tmp_path / "photo.png"], tmp_path / "out"
    (made,) = sample_files(tim, *arguments, repair=True)
    assert "is no JPEG file" in caplog.text
    assert read_picture(made).shape == (70, 90, 3)


def test_converted_colours_are_noticed(tim, jpeg, tmp_path):
    path = jpeg()
    image = Image.open(path)
    tables = image.quantization
    darker = image.point(lambda level: int(0.93 * level))
    # A file with these steps, whose pixels are others.
    darker.save(tmp_path / "other.jpg", qtables=tables)
    kept = last_step(tim, tmp_path / "other.jpg", None, SHARE)
    assert isinstance(kept, WithinJPEG)
    stored = read_picture(tmp_path / "other.jpg")
    assert last_steps._is_kept_by(kept.quantisation, stored)
    assert not last_steps._is_kept_by(kept.quantisation, 0.9 * stored)
    assert not last_steps._is_kept_by(None, stored)


def test_models_of_repair_are_given_the_file_as_it_is(make_tim, jpeg, tmp_path):
    tim = make_tim("decompression", quick=True)
    path = jpeg()
    (made,) = sample_files(tim, [path], tmp_path / "out", repair=True)
    given, picture = read_picture(path), read_picture(made)
    distance = distance_in_steps(picture, given, read_quantisation(path))
    assert np.mean(distance > SHARE + 0.05) < 0.02
    with pytest.raises(ValueError, match="reduce=2"):
        Sizing.of(tim, reduce=2, repair=True)


def test_who_cannot_repair_says_so(make_tim, tim):
    with pytest.raises(ValueError, match="has learned colourization"):
        Sizing.of(make_tim("colourization", quick=True), repair=True)
    with pytest.raises(ValueError, match="scale=2"):
        Sizing.of(tim, scale=2, repair=True)
    assert repairs(tim, "decompression")
    assert not repairs(tim, "super_resolution")
    assert not repairs(tim, None)
    assert not repairs(make_tim("decompression", quick=True), "decompression")
