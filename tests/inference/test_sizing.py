"""Results of other sizes than the model's own."""

import logging
import pathlib

import numpy as np
import pytest
from PIL import Image

from keras_tim.images import read_picture, write_picture
from keras_tim.images.pictures import PictureError, read_decoded
from keras_tim.images.png_rows import write_png
from keras_tim.images.records import read_record
from keras_tim.images.resizing import resized_rows
from keras_tim.inference import sample_again, sample_files
from keras_tim.inference.again import read_recipe
from keras_tim.inference.sizing import Sizing, refuse_size
from keras_tim.layers.resampling import bicubic_picture
from keras_tim.models.tiles import Tiling


@pytest.fixture(scope="module")
def tim(make_tim):
    return make_tim(quick=True)


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "in" / "photo.png"
    path.parent.mkdir()
    write_picture(path, smooth(12, 20))
    return path


def smooth(height, width, channels=3):
    """A picture whose resampled versions are known."""
    values = np.random.default_rng(0).random((3, 4, channels))
    return bicubic_picture(values.astype("float32"), (height, width))


@pytest.fixture
def make(tim, picture, tmp_path):
    def make(out="out", model=None, path=picture, **options):
        options = {"seeds": [5], "alternatives": [3]} | options
        folder = str(tmp_path / out)
        return sample_files(model or tim, [path], folder, **options)[0]

    return make


def test_much_larger_ones_are_made_by_enlarging_twice(
    make, picture, tmp_path, tim
):
    made = make(scale=8)
    record = read_record(made)
    assert (record["middle"], record["size"]) == ([24, 40], [96, 160])
    drawn = {"num_samples": 1, "seed": 5, "first": 3}
    first = tim.sample(read_picture(picture)[None], **drawn)[0, 0]
    middle = np.concatenate([*resized_rows([first], (48, 80), (24, 40))])
    wanted = tim.sample(middle[None], **drawn)[0, 0]
    assert np.abs(read_picture(made) - wanted).max() <= 0.51 / 255.0
    _, same = sample_again(tim, made, picture, tmp_path / "again")
    assert same
    # A finished one is of another size.
    with pytest.raises(FileExistsError):
        make(scale=6)


def test_sides_that_the_factor_does_not_divide_are_rounded_up(make):
    record = read_record(make(size=131))
    assert record["size"] == [79, 131]
    assert record["middle"] == [20, 33]


def test_twice_is_the_most(make, caplog):
    caplog.set_level(logging.INFO)
    record = read_record(make(scale=20))
    assert record["middle"] == [48, 80]  # as the model made it
    assert "it is given again, at 80 x 48 pixels" in caplog.text
    assert "more than the 320 x 192 that the model makes" in caplog.text


def test_both_passes_are_made_in_tiles(make, tim, picture, tmp_path):
    side = Tiling.of_model(tim).least_tile
    large = tmp_path / "large.png"
    write_picture(large, smooth(side, side))
    made = make(path=large, scale=8, tile=side)
    record = read_record(made)
    assert record["tile"] == record["first_tile"] == side
    _, same = sample_again(tim, made, large, tmp_path / "again")
    assert same
    # Tiles are no part of what a result depends on.
    make(path=large, scale=8, tile=None)


def lanczos(pixels, size):
    """What Pillow makes of 8 bits."""
    image = Image.fromarray(pixels)
    resized = image.resize(size[::-1], Image.Resampling.LANCZOS)
    return np.asarray(resized)


@pytest.mark.parametrize(
    ("wanted", "size"),
    [
        ({"scale": 3.5}, (42, 70)),
        ({"scale": 0.5}, (6, 10)),
        ({"scale": 6}, (72, 120)),
        ({"size": 33}, (20, 33)),
        ({"size": (30, 50)}, (30, 50)),
        ({"size": 1}, (1, 1)),
        ({"scale": 2.0, "reduce": 2}, (12, 20)),
    ],
)
def test_results_are_of_the_size_that_is_wanted(
    make, picture, tmp_path, tim, wanted, size
):
    reduce = wanted.get("reduce", 1)
    own = read_picture(make("own", reduce=reduce), "uint8")
    assert own.shape == (48 // reduce, 80 // reduce, 3)
    made = make(**wanted, alternatives=[3, 4])
    pixels = read_picture(made, "uint8")
    assert pixels.shape == (*size, 3)
    difference = np.abs(pixels.astype(int) - lanczos(own, size))
    assert difference.max() <= 2  # Pillow rounds between its two passes
    # A filter that is cut off at borders weighs them otherwise.
    assert abs(pixels.mean() - own.mean()) < 4.0 or size == (1, 1)
    assert read_record(made)["size"] == list(size)
    assert sample_again(tim, made, picture, tmp_path / "again")[1]
    # The sheet is of these pictures: the map of differences has their size.
    differences = tmp_path / "out" / "photo_differences.png"
    assert read_picture(differences).shape == (*size, 3)


def test_the_models_own_size_is_the_models_own(make):
    own = pathlib.Path(make("own")).read_bytes()
    for n, wanted in enumerate(({"scale": 4.0}, {"size": 80}, {"scale": None})):
        made = pathlib.Path(make(f"out{n}", **wanted))
        assert made.read_bytes() == own
        assert "size" not in read_record(made)


def test_tiles_are_resampled_as_they_come(tim, make, tmp_path):
    path = tmp_path / "wide.png"
    write_picture(path, smooth(72, 150))
    tile = Tiling.of_model(tim).least_tile
    whole = make("whole", path=path, scale=2.5)
    tiled = make("tiled", path=path, scale=2.5, tile=tile)
    assert read_record(tiled) == {**read_record(whole), "tile": tile}
    a, b = (read_picture(made, "uint8").astype(int) for made in (whole, tiled))
    assert a.shape == (180, 375, 3)
    assert np.abs(a - b).max() <= 1
    for made in (whole, tiled):
        assert sample_again(tim, made, path, tmp_path / "again", True)[1]


def test_sides_that_tiles_exceed(tim, make, tmp_path, make_tim):
    """What is padded for the model is cut off before it is resampled."""
    tim = make_tim(quick=True, style_cell=4)
    path = tmp_path / "odd.png"
    write_picture(path, smooth(73, 151))
    sides = [None, Tiling.of_model(tim).least_tile]
    a, b = (
        read_picture(
            make(str(side), tim, path, scale=1.5, tile=side), "uint8"
        ).astype(int)
        for side in sides
    )
    assert a.shape == (110, 226, 3)
    assert np.abs(a - b).max() <= 1


def test_alpha_and_depth_are_kept(tim, make, tmp_path):
    path = tmp_path / "deep.png"
    colours = np.full((12, 16, 3), 0.7) * [1.0, 0.5, 0.25]
    alpha = np.ones((12, 16, 1))
    alpha[:, :8] = 0.25
    values = np.rint(np.dstack([colours, alpha]) * 65535).astype(np.uint16)
    with open(path, "wb") as file:
        write_png(file, [values], values.shape[:2])
    for side in (None, Tiling.of_model(tim).least_tile):
        made = make(str(side), path=path, scale=2.5, tile=side)
        found = read_decoded(made)
        assert found.colours.dtype == np.float32  # 16 bits
        assert found.colours.shape == (30, 40, 3)
        assert found.alpha.shape == (30, 40)
        np.testing.assert_allclose(found.alpha[:, :15], 0.25, atol=1e-4)
        np.testing.assert_allclose(found.alpha[:, 25:], 1.0, atol=1e-4)
        assert len(np.unique(np.rint(found.colours * 65535) % 256)) > 100
        assert sample_again(tim, made, path, tmp_path / "again", True)[1]


@pytest.mark.parametrize("format", ["png", "jpg", "webp", "tiff", "avif"])
def test_a_transparent_grey_picture_in_every_format(
    tim, make, tmp_path, format
):
    path = tmp_path / "grey.png"
    values = np.random.default_rng(1).integers(0, 256, (12, 16, 2))
    exif = Image.Exif()
    exif[271] = "Acme"
    Image.fromarray(values.astype(np.uint8), "LA").save(path, exif=exif)
    made = make(path=path, size=(17, 23), format=format)
    with Image.open(made) as image:
        assert image.size == (23, 17)
        assert image.getexif()[271] == "Acme"
        assert image.has_transparency_data == (format != "jpg")
    assert sample_again(tim, made, path, tmp_path / "again")[1]


def test_what_is_larger_or_stretched_is_told(make, caplog):
    make("a", scale=3.5)
    assert "photo.png: " not in caplog.text
    make("b", size=110)
    assert "110 x 66 pixels are more than the 80 x 48 that" in caplog.text
    assert "stretched" not in caplog.text
    make("c", size=(40, 40))
    assert "it is stretched" in caplog.text


def test_another_size_is_in_the_way(make):
    make(scale=2)
    make(size=40)  # the same
    with pytest.raises(FileExistsError, match="--overwrite"):
        make(scale=2.5)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"scale": 0}, "`scale` must be a number above 0. Received: scale=0"),
        ({"scale": -1.5}, "`scale` must be"),
        ({"scale": float("nan")}, "scale=nan"),
        ({"scale": float("inf")}, "scale=inf"),
        ({"scale": "2"}, "scale='2'"),
        ({"scale": True}, "scale=True"),
        ({"size": 0}, "`size` must be a positive integer"),
        ({"size": 8.5}, "`size` must be"),
        ({"size": (8, -1)}, r"size\[1\]=-1"),
        ({"size": (8, 8, 3)}, r"\(height, width\)"),
        ({"size": 8, "scale": 2}, "not both"),
    ],
)
def test_what_is_no_size(make, tmp_path, wanted, message):
    with pytest.raises(ValueError, match=message):
        make(**wanted)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "wanted",
    [
        {"scale": 1e300},
        {"size": 10**9},
        {"size": (50_000, 50_000)},
        {"size": (400, 1_200_000)},
    ],
)
def test_what_would_not_fit_is_refused_first(
    tim, picture, make, wanted, monkeypatch, caplog
):
    monkeypatch.setattr(tim, "sample", None)
    monkeypatch.setattr(tim, "tiled_sampler", None)
    with pytest.raises(ValueError, match="None of the 1 pictures"):
        make(**wanted)
    assert f"What is made of {picture} cannot have" in caplog.text


@pytest.mark.parametrize("tile", [None, "least"])
def test_a_reduced_picture_gets_its_own_size(tim, make, tmp_path, caplog, tile):
    path = tmp_path / "odd.png"
    write_picture(path, smooth(13, 21))
    if tile is not None:
        tile = Tiling.of_model(tim).least_tile
    options = {"path": path, "reduce": 2, "tile": tile}
    made = make(size="same", **options)
    assert read_picture(made).shape == (13, 21, 3)
    assert read_record(made)["size"] == [13, 21]
    assert not [r for r in caplog.records if r.levelno >= logging.WARNING]
    four_times = make("plain", **options)
    wanted = lanczos(read_picture(four_times, "uint8"), (13, 21))
    found = read_picture(made, "uint8").astype(int)
    assert np.abs(found - wanted).max() <= 2
    again, same = sample_again(tim, made, path, tmp_path / "again")
    assert same
    assert again != made


@pytest.mark.parametrize("size", ["other", "", "8x8"])
def test_other_words_are_no_sizes(make, size):
    with pytest.raises(ValueError, match=r'or "same"\. Received'):
        make(size=size)


def test_what_would_be_squeezed_flat_is_refused(tim):
    refuse_size("x.png", (20_000, 20_000), (200, 20_000))
    with pytest.raises(PictureError, match="nearer to its proportions"):
        refuse_size("x.png", (20_000, 20_000), (10, 20_000))


def test_formats_have_their_own_limits(tim, make, caplog):
    with pytest.raises(ValueError, match="None of the"):
        make(size=17_000, format="webp")
    assert "17000 pixels along one side" in caplog.text
    # Those that would have to fit in memory.
    with pytest.raises(ValueError, match="None of the"):
        make(size=(25_000, 20_001), format="tiff")
    assert ".tiff files of more than 500,000,000 are not" in caplog.text


def test_tasks_that_keep_the_size(make_tim, make):
    tim = make_tim("decompression", quick=True)
    with pytest.raises(ValueError, match=r"that enlarge.*decompression"):
        make(model=tim, scale=2.0)
    assert Sizing.of(tim).of_picture("x.png") is None


@pytest.mark.parametrize(
    "size", [3, [4], [4, 0], [4, 2.5], [4, 5, 6], [4, 10**9], "4x4"]
)
def test_records_of_strangers_are_checked(make, tmp_path, size):
    path = tmp_path / "stranger.png"
    for name in ("size", "middle"):
        if name == "middle" and size == [4, 10**9]:
            continue  # refused when the picture is known
        record = read_record(make()) | {name: size}
        write_picture(path, np.zeros((4, 4, 3)), record)
        with pytest.raises(ValueError, match=r"stranger\.png. says.*damaged"):
            read_recipe(path)


@pytest.mark.parametrize("share", [0, 0.6, -1, float("nan"), "half", [0.2]])
def test_shares_of_strangers_are_checked(make, tmp_path, share):
    path = tmp_path / "stranger.png"
    record = read_record(make()) | {"share": share}
    write_picture(path, np.zeros((4, 4, 3)), record)
    with pytest.raises(ValueError, match=r"stranger\.png. says.*damaged"):
        read_recipe(path)


def test_a_strangers_huge_middle_takes_no_memory(tim, picture, make, tmp_path):
    path = tmp_path / "stranger.png"
    record = read_record(make()) | {"middle": [900_000, 900_000]}
    write_picture(path, np.zeros((4, 4, 3)), record)
    with pytest.raises(PictureError, match="900000 x 900000"):
        sample_again(tim, path, picture, tmp_path / "again")


def test_a_strangers_huge_size_takes_no_memory(tim, picture, make, tmp_path):
    path = tmp_path / "stranger.png"
    record = read_record(make()) | {"size": [900_000, 900_000]}
    write_picture(path, np.zeros((4, 4, 3)), record)
    with pytest.raises(PictureError, match="cannot have 900000 x 900000"):
        sample_again(tim, path, picture, tmp_path / "again")
