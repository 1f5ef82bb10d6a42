"""JPEG files are repaired, and stay what they say."""

import numpy as np
import pytest
from PIL import Image

from keras_tim.images import read_picture
from keras_tim.images.quantisation import read_quantisation
from keras_tim.images.records import read_record
from keras_tim.inference import (
    jpeg_files,
    last_steps,
    repairs,
    sample_again,
    sample_files,
)
from keras_tim.inference.jpeg_files import deblocked_picture, kept_quantisation
from keras_tim.inference.last_steps import WithinJPEG
from keras_tim.inference.sizing import SHARE, Sizing
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


@pytest.fixture
def distance_in_steps(steps_apart):
    """As `steps_apart`, of two pictures of a file."""

    def measure(made, given, quantisation):
        padding = [*quantisation.padding(*given.shape[:2]), (0, 0)]
        made, given = (np.pad(x, padding, "edge")[None] for x in (made, given))
        return steps_apart(made, given, quantisation.luminance)

    return measure


@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_results_are_near_what_the_file_says(
    tim, jpeg, tmp_path, orientation, distance_in_steps
):
    path = jpeg(orientation=orientation)
    (made,) = sample_files(tim, [path], tmp_path / "out", repair=True)
    assert made.endswith(".png")
    given, picture = read_picture(path), read_picture(made)
    assert picture.shape == given.shape
    record = read_record(made)
    assert record["reading"] == {"reduce": 2, "deblock": 1}
    assert record["share"] == SHARE
    distance = distance_in_steps(picture, given, read_quantisation(path))
    # Results are rounded to 8 bits, and cut off where no colour is so bright.
    assert np.mean(distance > 0.5 + 0.05) < 0.02
    assert np.mean(distance > SHARE + 0.05) < 0.2  # of flat blocks alone
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


def test_converted_colours_are_noticed(jpeg):
    path = jpeg(quality=40)
    pixels = read_picture(path)
    assert kept_quantisation(path, pixels) is not None
    assert kept_quantisation(path, 0.9 * pixels) is None


def test_clipped_colours_say_nothing(tmp_path):
    rng = np.random.default_rng(0)
    stripes = 255.0 * (rng.random((64, 96, 1)) > 0.5)
    photo = np.repeat(stripes, 3, axis=-1)
    path = tmp_path / "stripes.jpg"
    Image.fromarray(np.uint8(photo)).save(path, quality=10)
    assert kept_quantisation(path, read_picture(path)) is not None
    photo[:24] = 100.0 + photo[:24] / 10.0  # some blocks are not
    Image.fromarray(np.uint8(photo)).save(path, quality=10)
    pixels = read_picture(path)
    assert kept_quantisation(path, pixels) is not None
    assert kept_quantisation(path, 0.9 * pixels) is None


def test_flat_parts_lose_the_steps_between_blocks(tmp_path, distance_in_steps):
    """A slope that a JPEG has made stairs of, beside fine texture."""
    slope = np.linspace(90.0, 120.0, 160)[None, :, None]
    photo = np.broadcast_to(slope, (96, 160, 3)).copy()
    rng = np.random.default_rng(0)
    photo[56:] += rng.normal(0.0, 40.0, (40, 160, 1))
    path = tmp_path / "slope.jpg"
    Image.fromarray(np.uint8(photo.clip(0, 255))).save(path, quality=10)
    pixels = read_picture(path)
    quantisation = kept_quantisation(path, pixels)
    made = deblocked_picture(pixels, quantisation)
    stairs, smooth = (
        np.abs(np.diff(255.0 * x[:24].mean(axis=(0, 2))))
        for x in (pixels, made)
    )
    assert stairs.max() > 2.0 > 3.0 * smooth.max()
    errors = [
        np.abs(255.0 * x[:40] - photo[:40]).mean() for x in (pixels, made)
    ]
    assert errors[1] < 0.7 * errors[0]
    np.testing.assert_allclose(made[72:], pixels[72:], atol=2e-3)
    # Still one that may have been compressed to the file.
    distance = distance_in_steps(made, pixels, quantisation)
    assert distance.max() < 0.51


def test_deblocking_by_bands_is_that_of_the_whole(monkeypatch, tmp_path):
    photo = np.linspace(60.0, 160.0, 16 * 40)[:, None, None]
    photo = np.broadcast_to(photo, (16 * 40, 64, 3))
    path = tmp_path / "slope.jpg"
    Image.fromarray(np.uint8(photo)).save(path, quality=10)
    pixels = read_picture(path)[:-5]
    quantisation = kept_quantisation(path, pixels)
    monkeypatch.setattr(jpeg_files, "_BAND", 10_000)
    whole = deblocked_picture(pixels, quantisation)
    monkeypatch.setattr(jpeg_files, "_BAND", 160)
    np.testing.assert_allclose(
        deblocked_picture(pixels, quantisation), whole, atol=1e-5
    )


def test_models_of_repair_are_given_the_file_as_it_is(
    make_tim, jpeg, tmp_path, distance_in_steps
):
    tim = make_tim("decompression", quick=True)
    path = jpeg()
    (made,) = sample_files(tim, [path], tmp_path / "out", repair=True)
    given, picture = read_picture(path), read_picture(made)
    distance = distance_in_steps(picture, given, read_quantisation(path))
    assert np.mean(distance > SHARE + 0.05) < 0.02
    with pytest.raises(ValueError, match="quality=5, repair=True"):
        sample_files(tim, [path], tmp_path, repair=True, quality=5)
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
