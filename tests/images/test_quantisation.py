import io

import numpy as np
import pytest
from PIL import Image

from keras_tim.images import PictureError
from keras_tim.images.pictures import EncodedPicture, read_picture
from keras_tim.images.quantisation import read_quantisation
from keras_tim.layers.coefficients import step_errors

# ITU-T T.81, table K.1, which libjpeg uses at quality 50.
FIRST_ROW = [16, 11, 10, 16, 24, 40, 51, 61]
FIRST_COLUMN = [16, 12, 14, 14, 18, 24, 49, 72]


def file(mode="RGB", size=(45, 37), format="JPEG", **arguments):
    pixels = np.random.default_rng(0).integers(60, 190, (9, 9, 3), np.uint8)
    image = Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)
    stream = io.BytesIO()
    image.convert(mode).save(stream, format, **arguments)
    return EncodedPicture("file", stream.getvalue())


def turned_file(orientation, **arguments):
    exif = Image.Exif()
    exif[0x112] = orientation
    return file(exif=exif, **arguments)


def test_steps_are_the_tables_of_the_file():
    found = read_quantisation(file(quality=50))
    assert found.luminance[0].tolist() == FIRST_ROW
    assert found.luminance[:, 0].tolist() == FIRST_COLUMN
    assert found.chrominance[0, 0] == 17
    assert found.from_end == (False, False)
    halved = read_quantisation(file(quality=75))
    assert halved.luminance[0].tolist()[:3] == [8, 6, 5]


@pytest.mark.parametrize(
    ("subsampling", "cell"),
    [("4:4:4", (1, 1)), ("4:2:2", (1, 2)), ("4:2:0", (2, 2))],
)
def test_cells_are_what_one_colour_stands_for(subsampling, cell):
    found = read_quantisation(file(subsampling=subsampling))
    assert found.cell == cell
    aside = read_quantisation(turned_file(6, subsampling=subsampling))
    assert aside.cell == cell[::-1]


def test_grey_files_have_no_steps_of_colours():
    found = read_quantisation(file("L"))
    assert found.chrominance is None
    assert found.unit == (8, 8)


@pytest.mark.parametrize(
    "arguments", [{"format": "PNG"}, {"format": "WEBP"}, {"mode": "CMYK"}]
)
def test_other_files_say_nothing(arguments):
    assert read_quantisation(file(**arguments)) is None


@pytest.mark.parametrize("orientation", range(1, 9))
def test_blocks_are_found_in_turned_pictures(orientation):
    turned = turned_file(orientation, quality=20)
    found, picture = read_quantisation(turned), read_picture(turned)
    padding = [*found.padding(*picture.shape[:2]), (0, 0)]
    whole = np.pad(picture, padding, "edge")[None]
    assert whole.shape == (1, 48, 48, 3)
    assert np.median(step_errors(whole, found.luminance)) < 0.5
    if any(found.from_end):
        # Counted from the other end they are no blocks.
        padding = [pair[::-1] for pair in padding]
        other = np.pad(picture, padding, "edge")[None]
        assert np.median(step_errors(other, found.luminance)) > 0.5


def test_damaged_files_are_refused():
    damaged = EncodedPicture("damaged.jpg", b"\xff\xd8\xff\xe0" + bytes(20))
    with pytest.raises(PictureError, match=r"damaged\.jpg"):
        read_quantisation(damaged)
