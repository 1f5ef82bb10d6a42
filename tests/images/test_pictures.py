import errno
import io
import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from keras_tim.images import pictures
from keras_tim.images.pictures import (
    PictureError,
    decode_picture,
    find_pictures,
    picture_size,
    read_picture,
    write_picture,
)


def gradient(height=6, width=9):
    values = np.arange(height * width * 3).reshape(height, width, 3)
    return (values * 255 / values.max()).astype(np.uint8)


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


TURNED = {
    1: lambda x: x,
    2: lambda x: x[:, ::-1],
    3: lambda x: x[::-1, ::-1],
    4: lambda x: x[::-1],
    5: lambda x: x.swapaxes(0, 1),
    6: lambda x: np.rot90(x, -1),
    7: lambda x: np.rot90(x, 2).swapaxes(0, 1),
    8: lambda x: np.rot90(x),
}


def exif_of(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


@pytest.mark.parametrize("orientation", TURNED)
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.png", {}),
        ("a.webp", {"lossless": True}),
        ("a.tif", {}),
        ("a.tif", {"compression": "tiff_lzw"}),
        ("a.tif", {"compression": "tiff_adobe_deflate", "big_tiff": True}),
    ],
)
def test_exif_orientation_is_honoured(saved, name, options, orientation):
    exif = exif_of(orientation)
    path = saved(Image.fromarray(gradient()), name, exif=exif, **options)
    expected = TURNED[orientation](gradient())
    np.testing.assert_array_equal(read_picture(path, "uint8"), expected)
    assert picture_size(path) == expected.shape[:2]


@pytest.mark.parametrize("name", ["a.jpg", "a.mpo", "a.avif"])
def test_orientation_of_lossy_formats(saved, name):
    left_half_white = np.zeros((32, 64, 3), np.uint8)
    left_half_white[:, :32] = 255
    path = saved(Image.fromarray(left_half_white), name, exif=exif_of(6))
    picture = read_picture(path)
    assert picture.shape == (64, 32, 3)
    assert picture_size(path) == (64, 32)
    assert picture[:24].min() > 0.9
    assert picture[40:].max() < 0.1


def chunk(name, data):
    return (
        struct.pack(">I", len(data))
        + name
        + data
        + struct.pack(">I", zlib.crc32(name + data))
    )


def test_orientation_behind_the_pixels_of_a_png_file(saved):
    path = saved(Image.fromarray(gradient()), "a.png")
    exif = chunk(b"eXIf", exif_of(6).tobytes()[len(b"Exif\0\0") :])
    content = path.read_bytes()
    path.write_bytes(content[:-12] + exif + content[-12:])
    np.testing.assert_array_equal(
        read_picture(path, "uint8"), TURNED[6](gradient())
    )
    assert picture_size(path) == (9, 6)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_damaged_metadata_does_not_cost_the_picture(saved):
    exif = b"Exif\0\0II*\0" + b"garbage" * 4
    path = saved(Image.fromarray(gradient()), "a.png", exif=exif)
    np.testing.assert_array_equal(read_picture(path, "uint8"), gradient())
    assert picture_size(path) == (6, 9)


def test_label_maps_are_turned_too(saved):
    labels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    path = saved(Image.fromarray(labels), "a.png", exif=exif_of(8))
    found = decode_picture(path, lambda image: np.asarray(image))
    np.testing.assert_array_equal(found, np.rot90(labels))


def test_gray_of_16_bits_keeps_its_precision(saved):
    values = np.array([[0, 1, 256, 65535]], np.uint16)
    path = saved(Image.fromarray(values), "a.png")
    np.testing.assert_allclose(
        read_picture(path)[..., 1], values / 65535, rtol=1e-6
    )
    assert read_picture(path, "uint8").tolist()[0][-1] == [255, 255, 255]


def tiff(path, rows, width, **tags):
    """Writes a TIFF file of one channel, byte by byte."""
    data = b"".join(rows)
    entries = {256: width, 257: len(rows), 259: 1, 273: 8, 277: 1}
    entries |= {279: len(data)} | {int(k[1:]): v for k, v in tags.items()}
    directory = struct.pack("<H", len(entries))
    for tag, value in sorted(entries.items()):
        directory += struct.pack("<HHII", tag, 4, 1, value)
    head = b"II*\0" + struct.pack("<I", 8 + len(data))
    path.write_bytes(head + data + directory + b"\0" * 4)
    return path


def test_gray_of_12_bits(tmp_path):
    # Two pixels in three bytes: 0xFFF and 0x800.
    path = tiff(tmp_path / "a.tif", [b"\xff\xf8\x00"], 2, t258=12, t262=1)
    np.testing.assert_allclose(
        read_picture(path)[0, :, 0], [1.0, 0x800 / 0xFFF], rtol=1e-6
    )


@pytest.mark.parametrize(
    ("bits", "sample_format", "stored"),
    [
        (16, 1, struct.pack("<HH", 0, 16384)),
        (32, 3, struct.pack("<ff", 0, 0.25)),
    ],
)
def test_gray_that_is_stored_as_a_negative(
    tmp_path, bits, sample_format, stored
):
    path = tiff(
        tmp_path / "a.tif", [stored], 2, t258=bits, t262=0, t339=sample_format
    )
    np.testing.assert_allclose(
        read_picture(path)[0, :, 0], [1.0, 0.75], atol=1e-5
    )


@pytest.mark.parametrize(
    ("bits", "sample_format", "stored"),
    [
        (32, 2, np.array([0, 255], "<i4")),
        (32, 1, np.array([0, 60000], "<u4")),
        (16, 2, np.array([0, 255], "<i2")),
    ],
)
def test_integers_that_say_nothing_of_white_are_refused(
    tmp_path, bits, sample_format, stored
):
    path = tmp_path / "a.tif"
    stored = [stored.tobytes()]
    tiff(path, stored, 2, t258=bits, t262=1, t339=sample_format)
    with pytest.raises(PictureError, match=r"a\.tif.*which of them is white"):
        read_picture(path)


def test_gray_of_16_bits_in_other_formats(saved):
    values = np.array([[0, 1, 256, 65535]], np.uint16)
    for name in ("a.pgm", "a.jp2", "a.tif"):
        image = Image.fromarray(values)
        if name == "a.pgm":
            image = Image.fromarray(values.astype(np.int32))
        np.testing.assert_allclose(
            read_picture(saved(image, name))[..., 0], values / 65535, rtol=1e-6
        )


def test_transparent_gray_of_16_bits_is_white(tmp_path):
    path = tmp_path / "a.png"
    header = struct.pack(">IIBBBBB", 2, 1, 16, 0, 0, 0, 0)
    row = b"\0" + struct.pack(">HH", 1000, 32768)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"tRNS", struct.pack(">H", 1000))
        + chunk(b"IDAT", zlib.compress(row))
        + chunk(b"IEND", b"")
    )
    np.testing.assert_allclose(
        read_picture(path)[0, :, 0], [1.0, 32768 / 65535], rtol=1e-6
    )


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


POSTSCRIPT = b"""%!PS-Adobe-3.0 EPSF-3.0
%%BoundingBox: 0 0 8 8
%%EndComments
(/tmp/started) (w) file closefile showpage
"""


@pytest.mark.parametrize("read", [read_picture, picture_size])
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.png", POSTSCRIPT),
        ("a.jpg", b"8BPS" + b"\0\1" + b"\0" * 60),
        ("a.tga", b"hello, this is text" * 40),
        ("a.png", b"#define a_width 8\n#define a_height 8\nstatic char b[]"),
    ],
    ids=["PostScript", "Photoshop", "text", "X bitmap"],
)
def test_other_formats_are_not_even_opened(
    tmp_path, name, content, read, monkeypatch
):
    opened = []
    monkeypatch.setattr(
        "subprocess.Popen", lambda *args, **kwargs: opened.append(args)
    )
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(PictureError, match="not a picture of a known format"):
        read(path)
    assert not opened


def test_a_known_format_under_another_suffix(saved):
    path = saved(Image.fromarray(gradient()), "a.jpg", format="PNG")
    np.testing.assert_array_equal(read_picture(path, "uint8"), gradient())


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
        monkeypatch.setattr(os, "replace", full)
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


@pytest.mark.parametrize(
    ("name", "format"),
    [
        ("a.jfif", "JPEG"),
        ("b.JPE", "JPEG"),
        ("c.avif", "AVIF"),
        ("d.ppm", "PPM"),
        ("e.pnm", "PPM"),
        ("f.jp2", "JPEG2000"),
        ("g.tga", "TGA"),
        ("h.mpo", "MPO"),
        ("i.dib", "DIB"),
        ("j.heic", "HEIF"),
        ("k.HIF", "HEIF"),
    ],
)
def test_all_that_can_be_read_is_found(tmp_path, name, format):
    if format == "HEIF":
        pillow_heif = pytest.importorskip("pillow_heif")
        pillow_heif.register_heif_opener()
    colour = (40, 120, 200)
    Image.new("RGB", (64, 48), colour).save(tmp_path / name, format=format)
    (path,) = find_pictures(tmp_path)
    assert path.name == name
    assert picture_size(path) == (48, 64)
    np.testing.assert_allclose(
        read_picture(path, "uint8"),
        np.broadcast_to(colour, (48, 64, 3)),
        atol=6,
    )


def test_what_cannot_be_read_is_counted(tmp_path, caplog):
    for name in ("a.png", "b.CR2", "c.cr2", "d.svg", "notes.txt", "LICENSE"):
        (tmp_path / name).touch()
    assert [path.name for path in find_pictures(tmp_path)] == ["a.png"]
    assert "Passed over 2 .cr2, 1 .svg" in caplog.text
    assert "txt" not in caplog.text
    # Said once, however often the folder is looked through.
    caplog.clear()
    find_pictures(tmp_path)
    assert not caplog.text


def test_folders_that_cannot_be_entered_are_named(tmp_path, caplog):
    inside = tmp_path / "photos" / "inside"
    inside.mkdir(parents=True)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for folder in (inside.parent, inside, elsewhere):
        (folder / "a.png").touch()
    (inside.parent / "link").symlink_to(elsewhere)
    found = find_pictures(inside.parent)
    assert found == [inside.parent / "a.png", inside / "a.png"]
    assert f"Passed over {inside.parent / 'link'}: a link" in caplog.text
    if os.geteuid() != 0:  # who may enter everywhere
        inside.chmod(0)
        found = find_pictures(inside.parent)
        inside.chmod(0o700)
        assert found == [inside.parent / "a.png"]
        assert f"Passed over {inside}: Permission denied" in caplog.text


def test_heic_without_its_library(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(pictures, "_heif_suffixes", lambda: ())
    monkeypatch.setattr(pictures, "picture_suffixes", lambda: (".png", ".jpg"))
    (tmp_path / "a.png").touch()
    path = tmp_path / "b.heic"
    path.write_bytes(b"\0\0\0\x18ftypheic" + b"\0" * 40)
    assert [path.name for path in find_pictures(tmp_path)] == ["a.png"]
    assert "1 .heic" in caplog.text
    assert "pip install 'keras-tim[heic]'" in caplog.text
    with pytest.raises(PictureError, match=r"keras-tim\[heic\]"):
        read_picture(path)


def test_folders_without_pictures(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"holds none.*\.png \.jpg"):
        find_pictures(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"not exist.*\.png \.jpg"):
        find_pictures(tmp_path / "gone")
    (tmp_path / "a.png").touch()
    with pytest.raises(NotADirectoryError, match="which is a file"):
        find_pictures(tmp_path / "a.png")
