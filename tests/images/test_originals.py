"""What came in goes out: real files of every format, by way of `sample`."""

import functools
import importlib.util
import json
import pathlib
import struct
import zlib

import numpy as np
import pytest
import tifffile
from PIL import ExifTags, Image, ImageCms

import keras_tim
from keras_tim.images import (
    find_pictures,
    read_picture,
    rows,
    write_picture,
)
from keras_tim.images.deep import (
    is_deep_colour,
    read_deep_colours,
    write_deep_tiff,
)
from keras_tim.images.originals import ALPHA, EXIF, Original, read_original
from keras_tim.images.pictures import picture_suffixes, spread_colours
from keras_tim.images.png_rows import write_png
from keras_tim.images.profiles import matrix_profile
from keras_tim.images.records import read_record
from keras_tim.inference import sample_files, samples
from keras_tim.layers.resampling import bicubic_resize
from keras_tim.tasks import get_task

_HERE = pathlib.Path(__file__).parent
_spec = importlib.util.spec_from_file_location("_conf", _HERE / "conftest.py")
profiles = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(profiles)
PIXELS = np.random.default_rng(0).random((8, 12, 4))
DOCS = _HERE.parents[1] / "docs" / "pictures.md"


def bicubic_sample(tim, given, *_):
    """Stands in for a trained network: what it makes is known."""
    size = [tim.output_factor * n for n in given.shape[:2]]
    return np.clip(bicubic_resize(given[None], *size), 0, 1)[0]


@functools.cache
def make_tim(task):
    return keras_tim.TIM(
        task=task,
        residual_channels=(8, 6),
        growth_channels=(4, 3),
        num_blocks=0,
        style_dim=8,
        noise_channels=2,
        mapping_network=False,
    )


@pytest.fixture
def made(tmp_path, monkeypatch):
    """The alternative that is made of a picture."""
    monkeypatch.setattr(samples, "sample_of", bicubic_sample)

    def make(path, task="super_resolution", **options):
        (result,) = sample_files(
            make_tim(task),
            [str(path)],
            str(tmp_path / "out"),
            **options,
        )
        return pathlib.Path(result)

    return make


def image(mode):
    """A small picture of a mode, its transparency running from 0 to 255."""
    values = np.rint(PIXELS * 255).astype(np.uint8)
    values[..., 3] = np.linspace(0, 255, 12)
    if mode == "I;16":
        return Image.fromarray(np.rint(PIXELS[..., 0] * 65535).astype("u2"))
    rgba = Image.fromarray(values)
    if mode == "P":
        return rgba.convert("RGB").convert("P")
    return rgba.convert("LA" if mode == "LA" else mode)


# Name, mode, suffix and mode that come out.
TABLE = [
    ("png", "RGB", "png", "RGB"),
    ("png", "RGBA", "png", "RGBA"),
    ("png", "L", "png", "L"),
    ("png", "LA", "png", "LA"),
    ("png", "1", "png", "L"),
    ("png", "P", "png", "RGB"),
    ("png", "I;16", "png", "I;16"),
    ("jpg", "RGB", "jpg", "RGB"),
    ("jpeg", "L", "jpeg", "L"),
    ("jpg", "CMYK", "jpg", "RGB"),
    ("jpe", "RGB", "jpe", "RGB"),
    ("jfif", "RGB", "jfif", "RGB"),
    ("webp", "RGB", "webp", "RGB"),
    ("webp", "RGBA", "webp", "RGBA"),
    ("tif", "RGB", "tif", "RGB"),
    ("tiff", "RGBA", "tiff", "RGBA"),
    ("tif", "L", "tif", "L"),
    ("tif", "LA", "tif", "LA"),
    ("tif", "I;16", "tif", "I;16"),
    ("tif", "CMYK", "tif", "RGB"),
    ("avif", "RGB", "avif", "RGB"),
    ("avif", "RGBA", "avif", "RGBA"),
    ("bmp", "RGB", "png", "RGB"),
    ("dib", "RGB", "png", "RGB"),
    ("gif", "P", "png", "RGB"),
    ("gif", "L", "png", "L"),
    ("jp2", "RGB", "png", "RGB"),
    ("j2k", "L", "png", "L"),
    ("j2c", "RGB", "png", "RGB"),
    ("jpx", "RGBA", "png", "RGBA"),
    ("ppm", "RGB", "png", "RGB"),
    ("pbm", "1", "png", "L"),
    ("pnm", "RGB", "png", "RGB"),
    ("pgm", "L", "png", "L"),
    ("tga", "RGBA", "png", "RGBA"),
    ("mpo", "RGB", "jpg", "RGB"),
    ("heic", "RGB", "jpg", "RGB"),
    ("heif", "RGB", "jpg", "RGB"),
    ("hif", "RGB", "jpg", "RGB"),
]


@pytest.mark.parametrize(("name", "mode", "suffix", "expected"), TABLE)
def test_formats_in_and_out(tmp_path, made, name, mode, suffix, expected):
    if name in ("heic", "heif", "hif"):
        pillow_heif = pytest.importorskip("pillow_heif")
        pillow_heif.register_heif_opener()
    path = tmp_path / f"a.{name}"
    image(mode).save(path)
    result = made(path)
    assert result.name == f"a_0_0000.{suffix}"
    with Image.open(result) as written:
        assert written.mode == expected
        assert written.size == (48, 32)
    assert read_record(result)["index"] == 0
    # The pixels are the enlarged ones, whatever lay between.
    given = read_picture(path, transparent="spread")[None]
    wanted = np.clip(bicubic_resize(given, 32, 48), 0, 1)[0]
    if mode in ("RGBA", "LA"):
        with Image.open(path) as opened:
            alpha = np.asarray(opened.getchannel("A"), "f4") / 255
        alpha = bicubic_resize(alpha[None, ..., None], 32, 48)[0]
        alpha = np.clip(alpha, 0, 1)
        wanted = wanted * alpha + 1 - alpha
    if expected in ("L", "LA", "I;16"):
        wanted = wanted @ [[0.299], [0.587], [0.114]] * np.ones(3)
    lossless = suffix in ("png", "tif", "tiff")
    error = np.abs(read_picture(result) - wanted)
    assert error.mean() < (0.003 if lossless else 0.08)
    if lossless:
        assert error.max() < 2.1 / 255


def test_the_table_of_the_documentation_is_this_one():
    documented = {}
    for line in DOCS.read_text().splitlines():
        if line.startswith("| `."):
            names, suffix, _ = line.replace("`", "").strip("| ").split(" | ")
            for name in names.split():
                documented[name] = name if suffix == "same" else suffix
    assert set(documented) >= set(picture_suffixes())
    tried = {f".{name}": f".{suffix}" for name, _, suffix, _ in TABLE}
    assert tried == documented


@pytest.mark.parametrize("format", ["png", "jpg", "webp", "tiff", "avif"])
@pytest.mark.parametrize("mode", ["RGBA", "I;16"])
def test_formats_that_are_asked_for(tmp_path, made, format, mode):
    image(mode).save(tmp_path / "a.png")
    result = made(tmp_path / "a.png", format=format)
    assert result.suffix == f".{format}"
    lossless = format in ("png", "tiff")
    with Image.open(result) as written:
        if mode == "RGBA":
            assert written.mode == ("RGB" if format == "jpg" else "RGBA")
        elif lossless:
            assert written.mode == "I;16"
        else:
            assert np.asarray(written).dtype == np.uint8
    assert read_record(result)["seed"] == 0


# Pillow reads no TIFF files of deep grey and alpha.
@pytest.mark.parametrize(
    ("suffix", "channels"),
    [("png", 2), ("png", 3), ("png", 4), ("tif", 3), ("tif", 4)],
)
def test_colours_of_16_bits_stay_so(tmp_path, made, channels, suffix):
    path = tmp_path / f"a.{suffix}"
    values = np.random.default_rng(1).integers(0, 65536, (8, 12, channels))
    if channels in (2, 4):
        values[..., -1] = 65535
    values = values.astype(np.uint16)
    with path.open("wb") as file:
        if suffix == "png":
            write_png(file, [values], values.shape[:2])
        else:
            write_deep_tiff(file, values)
    colours = values[..., :3] if channels > 2 else values[..., [0, 0, 0]]
    np.testing.assert_array_equal(
        read_picture(path), colours.astype("f4") / np.float32(65535)
    )
    result = made(path)
    with result.open("rb") as file, Image.open(file) as written:
        assert is_deep_colour(written)
        found = read_deep_colours(written, result, None)
    assert found.shape == (32, 48, channels)
    wanted = np.clip(bicubic_resize(read_picture(path)[None], 32, 48), 0, 1)[0]
    if channels == 2:
        wanted = wanted[..., :1]
    wanted = wanted[..., :3] * 65535
    assert np.abs(found[..., : wanted.shape[-1]] - wanted).max() < 1.1
    # More than 8 bits are in use.
    assert len(np.unique(found[..., 0])) > 600


@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}])
@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_deep_tiff_of_another_writer(tmp_path, options, byteorder):
    values = np.random.default_rng(1).integers(0, 65536, (50, 37, 3))
    tifffile.imwrite(
        tmp_path / "a.tif",
        values.astype(np.uint16),
        photometric="rgb",
        byteorder=byteorder,
        **options,
    )
    found = np.rint(read_picture(tmp_path / "a.tif") * 65535)
    np.testing.assert_array_equal(found, values)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_deep_colours_are_turned_as_others_are(tmp_path, orientation):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    values = np.random.default_rng(2).integers(0, 256, (5, 7, 3))
    deep, plain = tmp_path / "deep.png", tmp_path / "plain.png"
    with deep.open("wb") as file:
        values_of_16_bits = (values * 257).astype(np.uint16)
        size = values.shape[:2]
        write_png(file, [values_of_16_bits], size, exif=exif.tobytes())
    Image.fromarray(values.astype(np.uint8)).save(plain, exif=exif)
    np.testing.assert_array_equal(read_picture(deep), read_picture(plain))


def test_one_transparent_colour_of_16_bits(tmp_path):
    values = np.array([[[1000, 2000, 3000], [1000, 2000, 3001]]], np.uint16)
    path = tmp_path / "a.png"
    with path.open("wb") as file:
        write_png(file, [values], values.shape[:2])
    content = path.read_bytes()
    # Pillow writes the chunk for 8 bits only.
    body = struct.pack(">3H", 1000, 2000, 3000)
    check = struct.pack(">I", zlib.crc32(b"tRNS" + body))
    chunk = struct.pack(">I", len(body)) + b"tRNS" + body + check
    path.write_bytes(content[:33] + chunk + content[33:])
    found = read_picture(path)[0]
    assert found[0].tolist() == [1.0, 1.0, 1.0]
    np.testing.assert_allclose(found[1] * 65535, values[0, 1], atol=0.01)


@pytest.mark.parametrize("hidden", [0, 255])
def test_no_halo_around_what_is_transparent(tmp_path, made, hidden):
    """Whatever colour files hold where nothing is seen."""
    values = np.full((16, 16, 4), hidden, np.uint8)
    values[..., 3] = 0
    values[4:12, 4:12] = (200, 80, 60, 255)
    values[4, 4:12, 3] = 128
    Image.fromarray(values).save(tmp_path / "a.png")
    with Image.open(made(tmp_path / "a.png")) as written:
        found = np.asarray(written).astype(int)
    seen = found[found[..., 3] > 0][:, :3]
    np.testing.assert_allclose(
        seen, np.broadcast_to((200, 80, 60), seen.shape), atol=1
    )
    # Its edge is as soft as bicubic interpolation makes it.
    alpha = bicubic_resize(values[None, ..., 3:] / np.float32(255), 64, 64)
    alpha = np.rint(np.clip(alpha, 0, 1)[0, ..., 0] * 255)
    np.testing.assert_array_equal(found[..., 3], alpha)


def test_spread_colours_are_means_of_what_is_seen():
    colours = np.zeros((1, 4, 3), np.float32)
    colours[0, 0], colours[0, 1] = 1.0, 0.5
    alpha = np.array([[1.0, 0.5, 0.0, 0.0]], np.float32)
    found = spread_colours(colours, alpha)[0, :, 0]
    mean = (1.0 * 1.0 + 0.5 * 0.5) / 1.5
    np.testing.assert_allclose(found, [1.0, 0.5, mean, mean], rtol=1e-6)
    nothing = np.zeros_like(alpha)
    np.testing.assert_array_equal(spread_colours(colours, nothing), colours)


@pytest.mark.parametrize("space", ["Adobe RGB", "Display P3"])
@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.webp", "a.jpg"])
def test_profiles_are_converted_and_embedded_again(tmp_path, made, space, name):
    profile = profiles.rgb_profile(space)
    colour = (60, 160, 60)
    path = tmp_path / name
    Image.new("RGB", (8, 8), colour).save(path, icc_profile=profile)
    # What the network is given is sRGB.
    np.testing.assert_allclose(
        read_picture(path, "uint8")[4, 4],
        profiles.as_srgb(colour, space),
        atol=5 if name.endswith(("jpg", "webp")) else 1.6,
    )
    with Image.open(made(path)) as written:
        assert written.info["icc_profile"] == profile
        found = np.asarray(written.convert("RGB"))[16, 16].astype(int)
    # Also what this green has that sRGB has not.
    np.testing.assert_allclose(found, colour, atol=4)


def test_a_profile_of_grey_is_embedded_again(tmp_path, made):
    profile = profiles.grey_profile(1.8)
    levels = np.linspace(10, 245, 8).astype(np.uint8)
    values = levels[None].repeat(8, 0).repeat(3, 1)
    path = tmp_path / "a.png"
    Image.fromarray(values).save(path, icc_profile=profile)
    with Image.open(made(path)) as written:
        assert written.mode == "L"
        assert written.info["icc_profile"] == profile
        found = np.asarray(written)[16].astype(int)
    # The middle of every stripe.
    np.testing.assert_allclose(found[6::12], levels, atol=1)


def test_deep_colours_of_a_profile(tmp_path, made):
    profile = profiles.rgb_profile("Display P3")
    ramp = np.linspace(20_000, 40_000, 2000).astype(np.uint16)
    values = np.stack([ramp, ramp - 3000, ramp + 3000], -1)[None]
    values = values.repeat(2, 0)
    path = tmp_path / "a.png"
    with path.open("wb") as file:
        write_png(file, [values], values.shape[:2], profile)
    result = made(path)
    with result.open("rb") as file, Image.open(file) as written:
        assert written.info["icc_profile"] == profile
        found = read_deep_colours(written, result, None)
    wanted = bicubic_resize(values[None].astype("f4") / 65535, 8, 8000)[0]
    # Far below one of 256 levels, which is 257 here.
    assert np.abs(found - np.asarray(wanted) * 65535).max() < 8


@pytest.mark.parametrize("size", [(32, 48), (30, 45), (8, 12)])
def test_large_pictures_are_fitted_in_bands(tmp_path, monkeypatch, size):
    profile = profiles.rgb_profile("Display P3")
    image("RGBA").save(tmp_path / "a.png", icc_profile=profile)
    keeps = get_task("super_resolution").keeps

    def fitted():
        original = read_original(tmp_path / "a.png", keeps)
        assert original.beyond.any()
        return original.fitted(picture, True, False, True)[0]

    picture = np.random.default_rng(3).random((*size, 3)).astype("f4")
    whole = fitted()
    monkeypatch.setattr(rows, "BAND", 5 * size[1])
    np.testing.assert_allclose(fitted().astype(int), whole, atol=1)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "I;16"])
def test_huge_results_are_shown_reduced(tmp_path, made, mode, monkeypatch):
    image(mode).save(tmp_path / "a.png")
    result = made(tmp_path / "a.png")
    monkeypatch.setattr(samples, "LARGEST_ON_SHEET", 32 * 48 // 4)
    files = samples._Files([result], (32, 48))
    assert files.reduced == 2
    whole = read_picture(result).reshape(16, 2, 24, 2, 3).mean((1, 3))
    # Of transparent colours the mean is not quite that of what is seen.
    atol = 0.06 if mode in ("RGBA", "LA") else 0.01
    np.testing.assert_allclose(files[0], whole, atol=atol)


def test_profiles_that_are_of_no_use_are_left_out(tmp_path, made):
    path = tmp_path / "a.tif"
    image("RGB").save(path, icc_profile=b"no profile at all")
    with Image.open(made(path)) as written:
        assert "icc_profile" not in written.info


def described(orientation):
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Acme"
    exif[ExifTags.Base.Copyright] = "A. Photographer"
    exif[ExifTags.Base.Orientation] = orientation
    details = exif.get_ifd(ExifTags.IFD.Exif)
    details[ExifTags.Base.LensModel] = "50mm"
    details[ExifTags.Base.ExifImageWidth] = 12
    exif.get_ifd(ExifTags.IFD.GPSInfo)[1] = "N"
    return exif


@pytest.mark.parametrize(
    "name", ["a.jpg", "a.png", "a.webp", "a.avif", "a.tif"]
)
@pytest.mark.parametrize("orientation", [1, 6])
def test_exif_data_are_kept_and_pixels_turned(
    tmp_path, made, name, orientation
):
    path = tmp_path / name
    smooth = np.zeros((16, 24, 3), np.uint8)
    smooth[:8] = 200  # bright at the top, as stored
    exif = described(orientation).tobytes()
    options = {"compression": "raw"} if name == "a.tif" else {}
    Image.fromarray(smooth).save(path, exif=exif, **options)
    result = made(path)
    with Image.open(result) as written:
        size = (96, 64) if orientation == 1 else (64, 96)
        assert written.size == size
        found = written.getexif()
        assert found[ExifTags.Base.Make] == "Acme"
        assert found[ExifTags.Base.Copyright] == "A. Photographer"
        assert found.get(ExifTags.Base.Orientation, 1) == 1
        details = found.get_ifd(ExifTags.IFD.Exif)
        assert details[ExifTags.Base.LensModel] == "50mm"
        assert details[ExifTags.Base.ExifImageWidth] == size[0]
        assert found.get_ifd(ExifTags.IFD.GPSInfo)[1] == "N"
        if name != "a.png":
            comment = details[ExifTags.Base.UserComment]
            assert comment.startswith(b"ASCII\0\0\0keras_tim {")
        pixels = np.asarray(written.convert("L")).astype(int)
    # A quarter turn to the right brings the top to the right.
    if orientation == 6:
        pixels = np.rot90(pixels)
    assert pixels[:24].mean() > 150
    assert pixels[-24:].mean() < 50
    assert read_record(result)["picture"] == name


# Pillow's, which goes on with what it has read.
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_damaged_exif_data_do_not_cost_the_picture(tmp_path, made):
    good = described(1).tobytes()
    for end in (20, 60, len(good) - 20):
        path = tmp_path / f"{end}.jpg"
        image("RGB").save(path, exif=good[:end])
        assert read_record(made(path))["picture"] == path.name


def test_exif_data_too_long_for_a_jpeg(tmp_path, made):
    exif = described(1)
    details = exif.get_ifd(ExifTags.IFD.Exif)
    details[ExifTags.Base.MakerNote] = b"x" * 70_000
    image("RGB").save(tmp_path / "a.png", exif=exif)
    with Image.open(made(tmp_path / "a.png", format="jpg")) as written:
        assert written.getexif()[ExifTags.Base.Make] == "Acme"


def test_repaired_jpegs_are_no_jpegs(tmp_path, made):
    path = tmp_path / "a.jpg"
    image("L").save(path, exif=described(1).tobytes())
    result = made(path, "decompression")
    assert result.suffix == ".png"
    with Image.open(result) as written:
        assert written.mode == "L"
        assert written.getexif()[ExifTags.Base.Make] == "Acme"


def test_colours_of_grey_pictures_are_kept(tmp_path):
    image("LA").save(tmp_path / "a.png")
    original = read_original(
        tmp_path / "a.png", get_task("colourization").keeps
    )
    write_picture(tmp_path / "b.png", PIXELS[..., :3], None, original)
    with Image.open(tmp_path / "b.png") as written:
        assert written.mode == "RGBA"
    assert not read_original(tmp_path / "a.png", (ALPHA, EXIF)).grey
    assert read_original(tmp_path / "a.png", ()) == Original(tmp_path / "a.png")


@pytest.mark.parametrize("format", ["png", "jpg", "webp", "tiff", "avif"])
def test_own_results_of_every_format_are_not_searched(tmp_path, made, format):
    image("RGB").save(tmp_path / "a.png")
    result = made(tmp_path / "a.png", format=format)
    assert [p.name for p in find_pictures(tmp_path)] == ["a.png"]
    record = read_record(result)
    assert json.dumps(record).isascii()


def test_sides_that_a_format_cannot_have(tmp_path, made, caplog):
    Image.new("RGB", (4096, 2)).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match="None of the 1 pictures"):
        made(tmp_path / "a.png", format="webp")
    assert "16384 pixels along one side" in caplog.text
    assert "--format" in caplog.text


def test_profiles_that_go_by_a_table_are_left_to_littlecms():
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    assert matrix_profile(lab) is None
    good = profiles.rgb_profile("Adobe RGB")
    assert matrix_profile(good) is not None
    for end in (0, 100, 140, 300, len(good) - 10):
        assert matrix_profile(good[:end]) is None
