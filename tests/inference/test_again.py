import json
import os
import shutil

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

import keras_tim
from keras_tim.images import read_picture, write_picture
from keras_tim.images.records import read_record
from keras_tim.inference import sample_again, sample_files
from keras_tim.inference.again import read_recipe
from keras_tim.inference.recorded_codes import mask_text
from keras_tim.models.tiles import Tiling


def make_tim():
    return keras_tim.TIM(
        residual_channels=(8, 6),
        growth_channels=(4, 3),
        num_blocks=0,
        style_dim=8,
        noise_channels=2,
        mapping_network=False,
    )


@pytest.fixture(scope="module")
def tim():
    return make_tim()


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "in" / "photo.png"
    path.parent.mkdir()
    write_picture(path, np.random.default_rng(0).random((10, 8, 3)))
    return path


@pytest.fixture
def make(tim, picture, tmp_path):
    def make(**options):
        folder = str(tmp_path / "out")
        options = {"seeds": [5], "alternatives": [3]} | options
        (made,) = sample_files(tim, [picture], folder, **options)
        return made

    return make


@pytest.mark.parametrize("format", ["png", "jpg", "webp", "tiff", "avif"])
def test_files_are_made_again_to_the_last_bit(
    tim, picture, make, tmp_path, format
):
    made = make(format=format, temperature=0.8, reduce=2)
    folder = str(tmp_path / "again")
    again, same = sample_again(tim, made, picture, folder)
    assert same
    assert again == os.path.join(folder, f"photo_5_0003.{format}")
    with open(made, "rb") as one, open(again, "rb") as two:
        assert one.read() == two.read()
    record = read_recipe(again)
    assert (record["seed"], record["index"]) == (5, 3)
    assert record["temperature"] == 0.8
    assert record["picture"] == "photo.png"


def test_what_was_made_in_tiles_is_made_again_in_them(
    tim, picture, make, tmp_path
):
    values = np.random.default_rng(2).random((72, 150, 3))
    write_picture(picture, values)
    tile = Tiling.of_model(tim).least_tile
    made = make(tile=tile)
    assert read_record(made)["tile"] == tile
    assert sample_again(tim, made, picture, tmp_path / "again")[1]


def test_all_that_a_file_keeps_is_made_again(tim, picture, make, tmp_path):
    exif = Image.Exif()
    exif[271] = "Acme"
    values = np.random.default_rng(1).integers(0, 256, (10, 8, 4))
    image = Image.fromarray(values.astype(np.uint8))
    image.save(picture, exif=exif)
    made = make()
    with Image.open(made) as written:
        assert written.mode == "RGBA"
    assert sample_again(tim, made, picture, tmp_path / "again")[1]


def test_the_number_is_that_of_python(tim, picture, make):
    made = read_picture(make())
    given = read_picture(picture)[None]
    all_of_them = tim.sample(given, num_samples=5, seed=5)[0]
    np.testing.assert_allclose(made, all_of_them[3], atol=0.5001 / 255)
    one = tim.sample(given, num_samples=2, seed=5, first=3)[0]
    np.testing.assert_array_equal(one, all_of_them[3:])
    with pytest.raises(ValueError, match="`first` must be"):
        tim.sample(given, first=-1)


def test_an_edited_file_is_told_from_what_was_made(
    tim, picture, make, tmp_path
):
    made = make()
    with open(made, "rb") as file:
        before = file.read()
    # An editor that keeps the text.
    info = PngInfo()
    info.add_text("keras_tim", json.dumps(read_record(made)))
    with Image.open(made) as image:
        image.load()
        image.transpose(0).save(made, pnginfo=info)
    folder = os.path.dirname(made)
    with pytest.raises(FileExistsError, match="--overwrite"):
        sample_again(tim, made, picture, folder)
    again, same = sample_again(tim, made, picture, tmp_path / "again")
    assert not same
    with open(again, "rb") as file:
        assert file.read() == before
    sample_again(tim, made, picture, folder, overwrite=True)
    with open(made, "rb") as file:
        assert file.read() == before


def test_the_picture_is_looked_for(tim, picture, make, tmp_path, monkeypatch):
    made = make()
    out = tmp_path / "again"
    with pytest.raises(FileNotFoundError, match=r"'photo\.png' with the SHA"):
        sample_again(tim, made, None, out)
    assert not out.exists()
    assert sample_again(tim, made, picture.parent, out)[1]
    monkeypatch.chdir(picture.parent)
    assert sample_again(tim, made, None, out)[1]
    monkeypatch.chdir(tmp_path)
    shutil.copy(picture, tmp_path / "photo.png")  # the folder above
    assert sample_again(tim, made, None, out)[1]
    write_picture(tmp_path / "photo.png", np.zeros((4, 4, 3)))
    with pytest.raises(FileNotFoundError, match="or has changed"):
        sample_again(tim, made, None, out)
    with pytest.raises(ValueError, match="of another picture than"):
        sample_again(tim, made, tmp_path / "photo.png", out)
    with pytest.raises(FileNotFoundError, match="no picture"):
        sample_again(tim, made, tmp_path / "gone.png", out)


def test_other_models_are_told(picture, make, tmp_path):
    made = make()
    with pytest.raises(ValueError, match=r"another model.*--model"):
        sample_again(make_tim(), made, picture, tmp_path / "again")


def test_what_is_no_alternative(make, picture, tmp_path):
    make()
    with pytest.raises(ValueError, match="does not say how it was made"):
        read_recipe(picture)
    with pytest.raises(ValueError, match="is no alternative"):
        read_recipe(tmp_path / "out" / "photo_sheet.png")
    with pytest.raises(FileNotFoundError, match="to make again"):
        read_recipe(tmp_path / "gone.png")


@pytest.mark.parametrize(
    "change",
    [
        {"seed": "3"},
        {"seed": None},
        {"index": -1},
        {"index": True},
        {"temperature": "hot"},
        {"tile": "all"},
        {"reading": {"reduce": 0}},
        {"reading": {"path": "/etc/passwd"}},
        {"reading": 3},
        {"of": 5},
        {"model": None},
    ],
)
def test_records_of_strangers_are_checked(make, tmp_path, change):
    path = tmp_path / "stranger.png"
    record = read_record(make()) | change
    write_picture(path, np.zeros((4, 4, 3)), record)
    with pytest.raises(ValueError, match=r"stranger\.png. says.*damaged"):
        read_recipe(path)


DRAWN = {"seed": 0, "index": 1}


def deep(times):
    codes = DRAWN
    for seed in range(times):
        codes = {"vary": codes, "amount": 0.5, "levels": None, "seed": seed}
    return codes


@pytest.mark.parametrize(
    "codes",
    [
        {},
        {"seed": "3", "index": 0},
        {"seed": 0, "index": -1},
        {"seed": 0, "index": 1, "temperature": -1},
        {"vary": DRAWN, "amount": 2.0, "levels": None, "seed": 1},
        {"vary": DRAWN, "amount": 0.5, "levels": [7], "seed": 1},
        {"vary": DRAWN, "amount": 0.5, "levels": None, "seed": 10**40},
        {"vary": "all", "amount": 0.5, "levels": None, "seed": 1},
        {"interpolate": [DRAWN], "t": 0.5},
        {"combine": [DRAWN, DRAWN], "mask": "no mask"},
        {"combine": [DRAWN, DRAWN], "mask": mask_text(np.zeros((9, 9), "u1"))},
        deep(200),
    ],
)
def test_choices_of_strangers_are_checked(tim, make, picture, tmp_path, codes):
    path = tmp_path / "stranger.png"
    record = read_record(make()) | {"made": "choice", "codes": codes}
    write_picture(path, np.zeros((4, 4, 3)), record)
    with pytest.raises(ValueError, match=r"stranger\.png. says.*damaged"):
        sample_again(tim, path, picture, tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_choices_that_do_not_say_their_picture(tmp_path):
    path = tmp_path / "early.png"
    record = {"made": "choice", "model": "0" * 64, "codes": DRAWN}
    write_picture(path, np.zeros((4, 4, 3)), record)
    with pytest.raises(ValueError, match="is no alternative that can be"):
        read_recipe(path)
