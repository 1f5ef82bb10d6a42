import errno
import io
import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from keras_tim.inference import pictures
from keras_tim.inference.pictures import (
    PictureError,
    find_pictures,
    picture_size,
    read_picture,
    write_picture,
)


def gradient(height=6, width=9):
    values = np.arange(height * width * 3).reshape(height, width, 3)
    return (values * 255 / values.max()).astype(np.uint8)


@pytest.fixture
def saved(tmp_path):
    def save(image, name, **options):
        path = tmp_path / name
        image.save(path, **options)
        return path

    return save


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tif", "a.webp", "A.PNG"])
def test_lossless_formats_are_read_exactly(saved, name):
    options = {"lossless": True} if name.endswith("webp") else {}
    path = saved(Image.fromarray(gradient()), name, **options)
    picture = read_picture(path)
    assert picture.dtype == np.float32
    np.testing.assert_array_equal(picture, gradient().astype("f4") / 255)
    np.testing.assert_array_equal(read_picture(path, "uint8"), gradient())
    assert picture_size(path) == (6, 9)


@pytest.mark.parametrize("mode", ["L", "1", "P"])
def test_gray_and_palette_become_rgb(saved, mode):
    image = Image.fromarray(gradient()).convert(mode)
    picture = read_picture(saved(image, "a.png"), "uint8")
    np.testing.assert_array_equal(picture, np.asarray(image.convert("RGB")))


def test_transparency_is_laid_over_white(saved):
    pixels = np.zeros((1, 3, 4), np.uint8)
    pixels[0, :, 3] = 0, 51, 255  # black at 0, 20 and 100 percent
    path = saved(Image.fromarray(pixels), "a.png")
    np.testing.assert_array_equal(
        read_picture(path, "uint8")[0, :, 0], [255, 204, 0]
    )


def test_transparent_palette_entry_is_white(saved):
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putpixel((1, 0), 1)
    path = saved(image, "a.png", transparency=0)
    np.testing.assert_array_equal(
        read_picture(path, "uint8"), [[[255, 255, 255], [40, 50, 60]]]
    )


def test_exif_orientation_is_honoured(saved):
    image = Image.fromarray(gradient())
    exif = Image.Exif()
    exif[0x0112] = 6  # shown after a quarter turn clockwise
    path = saved(image, "a.png", exif=exif)
    np.testing.assert_array_equal(
        read_picture(path, "uint8"), np.rot90(gradient(), -1)
    )
    assert picture_size(path) == (9, 6)


def test_gray_of_16_bits_keeps_its_precision(saved):
    values = np.array([[0, 1, 256, 65535]], np.uint16)
    path = saved(Image.fromarray(values), "a.png")
    np.testing.assert_allclose(
        read_picture(path)[..., 1], values / 65535, rtol=1e-6
    )
    assert read_picture(path, "uint8").tolist()[0][-1] == [255, 255, 255]


def test_cmyk_becomes_rgb(saved):
    image = Image.new("CMYK", (4, 4), (255, 0, 0, 0))
    pixel = read_picture(saved(image, "a.jpg"), "uint8")[0, 0].astype(int)
    assert pixel[0] < 30
    assert pixel[1:].min() > 225


def test_first_frame_of_an_animation(saved):
    frames = [Image.new("RGB", (4, 4), c) for c in ("red", "blue")]
    path = saved(frames[0], "a.gif", save_all=True, append_images=frames[1:])
    assert read_picture(path, "uint8")[0, 0].tolist() == [255, 0, 0]


def test_float_pictures_outside_the_range_are_refused(saved):
    path = saved(Image.fromarray(np.full((2, 2), 2.0, np.float32)), "a.tif")
    with pytest.raises(PictureError, match=r"a\.tif.*leave \[0, 1\]"):
        read_picture(path)


def bomb():
    def chunk(name, data):
        return (
            struct.pack(">I", len(data))
            + name
            + data
            + struct.pack(">I", zlib.crc32(name + data))
        )

    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b""))
        + chunk(b"IEND", b"")
    )


def truncated():
    buffer = io.BytesIO()
    Image.fromarray(gradient(64, 64)).save(buffer, "PNG")
    return buffer.getvalue()[:200]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"hello, this is text", "not a picture"),
        (truncated(), "truncated or damaged"),
        (bomb(), "pixels, which may be an attack"),
    ],
    ids=["empty", "text", "truncated", "bomb"],
)
def test_bad_files_are_named_with_the_reason(tmp_path, content, reason):
    path = tmp_path / "holiday.png"
    path.write_bytes(content)
    with pytest.raises(PictureError, match=reason) as error:
        read_picture(path)
    assert str(path) in str(error.value)


def test_missing_file_and_folder_as_file(tmp_path):
    for read in (read_picture, picture_size):
        with pytest.raises(PictureError, match=r"gone\.png.*no such file"):
            read(tmp_path / "gone.png")
        with pytest.raises(PictureError, match="not a file"):
            read(tmp_path)


def test_unknown_dtype(tmp_path):
    with pytest.raises(ValueError, match="dtype='int8'"):
        read_picture(tmp_path / "a.png", "int8")


def test_written_png_is_read_back(tmp_path):
    path = tmp_path / "a.png"
    write_picture(path, gradient() / np.float32(255))
    np.testing.assert_array_equal(read_picture(path, "uint8"), gradient())
    assert os.listdir(tmp_path) == ["a.png"]
    # An ordinary file, not one that only its owner may read.
    plain = tmp_path / "plain"
    plain.touch()
    assert path.stat().st_mode == plain.stat().st_mode


@pytest.mark.parametrize("suffix", [".jpg", ".JPEG"])
def test_written_jpeg_is_close(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    smooth = np.linspace(0, 1, 32 * 32 * 3).reshape(32, 32, 3)
    write_picture(path, smooth)
    assert path.read_bytes()[:3] == b"\xff\xd8\xff"
    np.testing.assert_allclose(read_picture(path), smooth, atol=0.02)


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (np.zeros((4, 4)), r"shape=\(4, 4\)"),
        (np.zeros((4, 4, 1)), r"shape=\(4, 4, 1\)"),
        (np.zeros((0, 4, 3)), "neither side empty"),
        (np.zeros((4, 4, 3), np.int32), "dtype=int32"),
        (np.full((4, 4, 3), np.nan), "48 values that are NaN"),
        (np.full((4, 4, 3), 255.0), "divide 8-bit values by 255"),
        (np.full((4, 4, 3), -0.5), "from -0.5"),
    ],
)
def test_bad_images_are_not_written(tmp_path, image, reason):
    with pytest.raises(ValueError, match=reason):
        write_picture(tmp_path / "a.png", image)
    assert os.listdir(tmp_path) == []


def test_bad_destinations(tmp_path):
    with pytest.raises(ValueError, match=r"\.png, \.jpg, \.jpeg.*a\.gif"):
        write_picture(tmp_path / "a.gif", gradient())
    with pytest.raises(FileNotFoundError, match="Create"):
        write_picture(tmp_path / "no" / "a.png", gradient())


@pytest.mark.parametrize("step", ["write", "rename"])
def test_full_disk_leaves_no_half_written_file(tmp_path, monkeypatch, step):
    path = tmp_path / "a.png"
    path.write_bytes(b"older")

    def full(*args, **kwargs):
        if step == "write":
            args[1].write(b"some bytes arrive")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if step == "write":
        monkeypatch.setattr(Image.Image, "save", full)
    else:
        monkeypatch.setattr(pictures.os, "replace", full)
    with pytest.raises(OSError, match=r"a\.png.*No space left") as error:
        write_picture(path, gradient())
    assert error.value.errno == errno.ENOSPC
    assert os.listdir(tmp_path) == ["a.png"]
    assert path.read_bytes() == b"older"


def test_pictures_are_found_sorted_and_recursively(tmp_path):
    for name in ("b.PNG", "a.jpg", "sub/c.webp", "notes.txt", ".hidden.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / ".cache").mkdir()
    (tmp_path / ".cache" / "d.png").touch()
    found = [str(p.relative_to(tmp_path)) for p in find_pictures(tmp_path)]
    assert found == ["a.jpg", "b.PNG", os.path.join("sub", "c.webp")]


def test_folders_without_pictures(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"holds none.*\.png \.jpg"):
        find_pictures(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"not exist.*\.png \.jpg"):
        find_pictures(tmp_path / "gone")
    (tmp_path / "a.png").touch()
    with pytest.raises(NotADirectoryError, match="which is a file"):
        find_pictures(tmp_path / "a.png")
