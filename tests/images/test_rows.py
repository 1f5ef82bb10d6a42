"""Pictures that are written, and read, some rows at a time."""

import io
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import ExifTags, Image

from keras_tim.images import read_picture, reduced, rows, write_picture
from keras_tim.images.encoders import encode, encode_rows
from keras_tim.images.jpeg_rows import write_jpeg
from keras_tim.images.originals import Original
from keras_tim.images.png_rows import read_png_rows, write_png
from keras_tim.images.records import read_record
from keras_tim.images.rows import PictureInRows, in_bands

RANDOM = np.random.default_rng(0)
# Smooth and noisy parts, so that either filter is the better one somewhere.
SLOPES = np.add.outer(np.arange(61), 3 * np.arange(47))[..., None]
NOISE = RANDOM.integers(0, 256, (61, 47, 4))
PIXELS = np.where(SLOPES % 50 < 25, SLOPES % 256, NOISE).astype(np.uint8)


def in_parts(pixels):
    return [pixels[:10], pixels[10:11], pixels[11:]]


def png(pixels, **options):
    file = io.BytesIO()
    write_png(file, in_parts(pixels), pixels.shape[:2], **options)
    file.seek(0)
    return file


def pixels_of(file):
    return np.asarray(Image.open(file))


@pytest.mark.parametrize("count", [1, 7, 61, 100])
def test_bands_are_the_parts_cut_anew(count):
    bands = list(in_bands(in_parts(PIXELS), count))
    assert [len(band) for band in bands[:-1]] == [count] * (len(bands) - 1)
    assert 0 < len(bands[-1]) <= count
    np.testing.assert_array_equal(np.concatenate(bands), PIXELS)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_png_files_hold_what_was_written(channels, dtype):
    pixels = PIXELS[..., :channels].astype(dtype)
    if dtype == np.uint16:
        pixels = pixels * 251 + 7
    file = png(pixels)
    found = list(read_png_rows(file, pixels.shape[:2], 8))
    assert [len(part) for part in found] == [8] * 7 + [5]
    np.testing.assert_array_equal(np.concatenate(found), pixels)
    if dtype == np.uint8:
        shown = pixels_of(file).reshape(pixels.shape)
        np.testing.assert_array_equal(shown, pixels)


def test_both_filters_are_used():
    content = png(PIXELS[..., :3]).getvalue()
    start = content.index(b"IDAT")
    length = int.from_bytes(content[start - 4 : start])
    lines = zlib.decompress(content[start + 4 : start + 4 + length])
    ways = lines[:: 1 + 3 * 47]
    assert set(ways) == {1, 2}


def test_png_files_may_have_any_cut_through_their_chunks(monkeypatch):
    noise = RANDOM.integers(0, 256, (200, 200, 4), np.uint8)
    monkeypatch.setattr("keras_tim.images.png_rows._CHUNK", 20)
    file = png(noise)
    assert file.getvalue().count(b"IDAT") > 1
    found = np.concatenate(list(read_png_rows(file, (200, 200), 9)))
    np.testing.assert_array_equal(found, noise)
    np.testing.assert_array_equal(pixels_of(file), noise)


def test_other_and_damaged_png_files_are_refused():
    def read(content, size=(61, 47)):
        return list(read_png_rows(io.BytesIO(content), size, 8))

    content = png(PIXELS).getvalue()
    with pytest.raises(ValueError, match="another size"):
        read(content, (61, 48))
    wrong = "no PNG file|no header|cut off|damaged|another"
    for end in (0, 5, 12, 30, 60, len(content) // 2):
        with pytest.raises(ValueError, match=wrong):
            read(content[:end])
    middle = len(content) // 2
    with pytest.raises(ValueError, match=wrong):
        read(content[:middle] + b"?" * 99 + content[middle + 99 :])
    for format in ("PNG", "GIF"):  # of a palette
        file = io.BytesIO()
        Image.fromarray(PIXELS[..., 0]).convert("P").save(file, format)
        with pytest.raises(ValueError, match=wrong):
            read(file.getvalue())


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("rows_at_once", [1, 2, 16])
def test_jpeg_files_are_those_written_at_once(
    channels, rows_at_once, monkeypatch
):
    monkeypatch.setattr("keras_tim.images.jpeg_rows._MOST_ROWS", rows_at_once)
    pixels = PIXELS[..., :channels]
    whole, strips = io.BytesIO(), io.BytesIO()
    encode(whole, pixels, "JPEG", profile=b"a profile")
    parts = in_parts(pixels)
    encode_rows(strips, parts, pixels.shape[:2], "JPEG", b"a profile")
    np.testing.assert_array_equal(pixels_of(strips), pixels_of(whole))
    assert Image.open(strips).info["icc_profile"] == b"a profile"


def test_intervals_of_wide_jpeg_files_fit_their_number():
    # 8188 blocks across: seven rows of them, and not sixteen, stay below 2^16.
    pixels = RANDOM.integers(0, 256, (130, 65500, 1), np.uint8)
    file = io.BytesIO()
    heights = []

    def encoded(strip, _):
        heights.append(len(strip))
        stream = io.BytesIO()
        Image.fromarray(strip[..., 0]).save(stream, "JPEG", quality=95)
        return stream.getvalue()

    write_jpeg(file, [pixels], pixels.shape[:2], encoded)
    assert heights == [64, 64, 2]
    content = file.getvalue()
    place = content.index(b"\xff\xdd\x00\x04")
    assert struct.unpack_from(">H", content, place + 4) == (8 * 8188,)
    whole = io.BytesIO()
    Image.fromarray(pixels[..., 0]).save(whole, "JPEG", quality=95)
    np.testing.assert_array_equal(pixels_of(file), pixels_of(whole))


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tiff"])
def test_pictures_in_rows_are_written_like_others(suffix, tmp_path):
    picture = PIXELS[..., :3].astype("float32") / 255
    exif = Image.Exif()
    exif[ExifTags.Base.Artist] = "somebody"
    original = Original("a.png", grey=True, exif=exif)
    record = {"made": "alternative", "seed": 3}
    paths = [tmp_path / f"{name}{suffix}" for name in ("whole", "rows")]
    write_picture(paths[0], picture, record, original)
    in_rows = PictureInRows(in_parts(picture), picture.shape[:2])
    write_picture(paths[1], in_rows, record, original)
    for path in paths:
        assert read_record(path) == record
        with Image.open(path) as image:
            assert image.mode == "L"
            assert image.getexif()[ExifTags.Base.Artist] == "somebody"
    np.testing.assert_array_equal(*map(read_picture, paths))


def test_an_error_in_the_making_leaves_no_file(tmp_path):
    def parts():
        yield PIXELS[:10, :, :3].astype("float32") / 255
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_picture(tmp_path / "a.png", PictureInRows(parts(), (61, 47)))
    assert not list(tmp_path.iterdir())


def test_exif_data_that_cannot_be_stored_cost_no_picture(tmp_path):
    exif = Image.Exif()
    exif[ExifTags.Base.XResolution] = "no number"
    for suffix in ("png", "jpg"):
        path = tmp_path / f"a.{suffix}"
        parts = [PIXELS[..., :3]]
        with path.open("wb") as file:
            encode_rows(
                file,
                parts,
                (61, 47),
                "PNG" if suffix == "png" else "JPEG",
                described=[exif, Image.Exif()],
            )
        assert read_picture(path).shape == (61, 47, 3)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tiff"])
@pytest.mark.parametrize("times", [2, 4, 5])
def test_what_is_read_reduced_is_the_whole_reduced(
    suffix, times, tmp_path, monkeypatch
):
    smooth = np.sin(SLOPES * [0.004, 0.006, 0.01]) / 2 + 0.5
    picture = PictureInRows([smooth.astype("float32")], (61, 47))
    path = tmp_path / f"a{suffix}"
    write_picture(path, picture)
    monkeypatch.setattr(reduced, "_ROWS", 2)
    found = reduced.read_reduced(path, (61, 47), times)
    wanted = Image.fromarray(np.rint(smooth * 255).astype("uint8"))
    wanted = np.asarray(wanted.reduce(times)) / 255
    assert found.shape == wanted.shape
    # A JPEG file is decoded at a fraction.
    atol = 0.06 if suffix == ".jpg" else 1e-6
    np.testing.assert_allclose(found, wanted, atol=atol)


def test_bands_follow_from_the_width_alone():
    assert rows.band_height(1 << 20) == 4
    assert rows.band_height(1 << 30) == 1


@pytest.mark.parametrize("original", [None, Original("a.png", grey=True)])
@pytest.mark.parametrize(
    ("suffix", "bytes_per_pixel"),
    [(".png", 0.5), (".jpg", 0.5), (".tiff", 3.5), (".webp", 3.5)],
)
def test_no_more_than_the_file_needs_is_held(
    original, suffix, bytes_per_pixel, tmp_path, monkeypatch
):
    monkeypatch.setattr(rows, "BAND", 1 << 14)
    size = (1500, 1000)
    parts = (np.full((10, 1000, 3), 0.5, "float32") for _ in range(150))
    write_picture(tmp_path / f"first{suffix}", np.zeros((8, 8, 3)))
    tracemalloc.start()
    try:
        picture = PictureInRows(parts, size)
        write_picture(tmp_path / f"a{suffix}", picture, None, original)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # Of the pixels; what Pillow holds itself is not seen here.
    assert peak < bytes_per_pixel * size[0] * size[1] + 3e6
