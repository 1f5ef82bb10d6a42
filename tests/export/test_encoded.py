"""Encoded pictures, as a graph reads them, against Pillow."""

import io
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_tim.export.encoded import read_labels, read_rgb, to_bytes
from keras_tim.export.headers import MOST_CHUNKS, picture_size
from keras_tim.images import read_picture, write_picture

from .conftest import encode

RANDOM = np.random.RandomState(0)
NOISE = RANDOM.randint(0, 256, (7, 11, 4)).astype(np.uint8)
RGB = Image.fromarray(NOISE[..., :3])
GREY = Image.fromarray(NOISE[..., 0])
PALETTE = RGB.convert("P", palette=Image.Palette.ADAPTIVE, colors=9)


@pytest.fixture(scope="module")
def size():
    return tf.function(picture_size, [tf.TensorSpec([], tf.string)])


@pytest.fixture(scope="module")
def read():
    return tf.function(read_rgb, [tf.TensorSpec([], tf.string)])


def png_chunk(kind, content):
    checksum = zlib.crc32(kind + content)
    return (
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", checksum)
    )


def png_header(width, height, depth=8, colour_type=2):
    fields = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", fields)


OPAQUE = {
    "colour": encode(RGB),
    "grey": encode(GREY),
    "black and white": encode(GREY.point(lambda x: 255 * (x > 99)), mode="1"),
    "palette": encode(PALETTE),
    "palette of 2 bits": encode(
        RGB.convert("P", palette=Image.Palette.ADAPTIVE, colors=4)
    ),
    "JPEG": encode(RGB, "JPEG"),
    "JPEG, whole colours": encode(RGB, "JPEG", subsampling=0, quality=97),
    "JPEG, progressive": encode(RGB, "JPEG", progressive=True),
    "JPEG, grey": encode(GREY, "JPEG"),
    "JPEG, CMYK": encode(RGB, "JPEG", mode="CMYK"),
}


@pytest.mark.parametrize("kind", sorted(OPAQUE))
def test_opaque_pictures_are_what_files_read_as(kind, read, size, tmp_path):
    path = tmp_path / "picture"
    path.write_bytes(OPAQUE[kind])
    np.testing.assert_array_equal(size(OPAQUE[kind]), [7, 11])
    # Bit for bit: samples depend on every bit of their input.
    np.testing.assert_array_equal(read(OPAQUE[kind]), read_picture(path))


TRANSPARENT = {
    "colour": Image.fromarray(NOISE),
    "grey": Image.fromarray(NOISE).convert("LA"),
}


@pytest.mark.parametrize("kind", sorted(TRANSPARENT))
def test_transparent_pixels_lie_over_white(kind, read):
    rgba = np.asarray(TRANSPARENT[kind].convert("RGBA")) / 255.0
    expected = rgba[..., :3] * rgba[..., 3:] + 1.0 - rgba[..., 3:]
    made = read(encode(TRANSPARENT[kind]))
    np.testing.assert_allclose(made, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("image", "transparent"),
    [(PALETTE, 3), (GREY, 77), (RGB, tuple(map(int, NOISE[2, 5, :3])))],
)
def test_a_transparent_colour_becomes_white(image, transparent, read):
    pixels = np.asarray(image)
    gone = pixels == transparent
    if image is RGB:
        gone = gone.all(axis=-1)
    assert gone.any() or image is GREY
    expected = np.asarray(image.convert("RGB")) / 255.0
    expected[gone] = 1.0
    made = read(encode(image, transparency=transparent))
    np.testing.assert_allclose(made, expected, atol=1e-7)


@pytest.mark.parametrize("channels", [1, 3])
def test_16_bits_keep_their_precision(channels, read):
    pixels = RANDOM.randint(0, 2**16, (5, 6, channels)).astype(np.uint16)
    png = tf.io.encode_png(pixels).numpy()
    expected = np.broadcast_to(pixels, (5, 6, 3)) / np.float32(65535)
    np.testing.assert_array_equal(read(png), expected)


def test_of_an_animation_the_first_picture_is_read(read):
    file = io.BytesIO()
    RGB.save(file, "PNG", save_all=True, append_images=[RGB.rotate(180)])
    assert b"acTL" in file.getvalue()
    np.testing.assert_array_equal(
        read(file.getvalue()), NOISE[..., :3] / np.float32(255)
    )


def exif_of(orientation, order="<", kind=3, before=()):
    """EXIF data by hand: a TIFF header and the entries of one directory."""
    entries = [(tag, 3, 1, 9) for tag in before]
    entries.append((0x0112, kind, 1, orientation))
    packed = b"".join(
        struct.pack(order + "HHI", *entry[:3])
        # Short values stand at the beginning of their four bytes.
        + struct.pack(order + ("H2x" if entry[1] == 3 else "I"), entry[3])
        for entry in entries
    )
    start = {"<": b"II*\0", ">": b"MM\0*"}[order]
    return (
        b"Exif\0\0"
        + start
        + struct.pack(order + "IH", 8, len(entries))
        + packed
        + bytes(4)
    )


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_turned_upright(kind, orientation, read, size, tmp_path):
    for order, number, before in (("<", 3, ()), (">", 3, (1, 2)), (">", 4, ())):
        exif = exif_of(orientation, order, number, before)
        path = tmp_path / "picture"
        path.write_bytes(encode(RGB, kind, exif=exif))
        upright = read_picture(path)
        assert upright.shape[:2] == ((7, 11) if orientation < 5 else (11, 7))
        content = path.read_bytes()
        np.testing.assert_array_equal(read(content), upright)
        np.testing.assert_array_equal(size(content), upright.shape[:2])


def test_exif_behind_other_segments(read, tmp_path):
    path = tmp_path / "picture"
    whole = encode(RGB, "JPEG", exif=exif_of(6))
    # A comment, and a marker with fillings in front.
    comment = b"\xff\xff\xff\xfe" + struct.pack(">H", 300) + bytes(298)
    path.write_bytes(whole[:2] + comment + whole[2:])
    np.testing.assert_array_equal(read(path.read_bytes()), read_picture(path))
    assert read_picture(path).shape == (11, 7, 3)


def test_damaged_exif_is_passed_over(read):
    """Whatever it says, the picture is read; it may lie on a side."""
    expected = read(encode(RGB))
    right = exif_of(6, ">", before=(1, 2))
    turned = 0
    for number in range(300):
        random = np.random.RandomState(number)
        exif = bytearray(right[: random.randint(7, len(right) + 1)])
        for _ in range(random.randint(3)):
            exif[random.randint(6, len(exif))] = random.choice([0, 1, 8, 255])
        made = read(encode(RGB, exif=bytes(exif)))
        assert made.shape in (expected.shape, (11, 7, 3))
        turned += made.shape != expected.shape
    assert 0 < turned < 300
    for orientation in (0, 9, 65535):
        made = read(encode(RGB, exif=exif_of(orientation)))
        np.testing.assert_array_equal(made, expected)


def test_interlaced_png(read):
    # Two passes of Adam7 are all that a picture of one row and five columns
    # has pixels in: columns 0 and 4, 2, and 1 and 3.
    grey = bytes([10, 50, 30, 20, 40])
    lines = [grey[0:1], grey[1:2], grey[2:3], grey[3:5]]
    fields = struct.pack(">IIBBBBB", 5, 1, 8, 0, 0, 0, 1)
    png = (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", fields)
        + png_chunk(b"IDAT", zlib.compress(b"".join(b"\0" + x for x in lines)))
        + png_chunk(b"IEND", b"")
    )
    np.testing.assert_array_equal(
        np.rint(255 * read(png)[0, :, 0]), [10, 20, 30, 40, 50]
    )


def test_sizes_are_read_without_the_pixels(size):
    np.testing.assert_array_equal(
        size(png_header(30_000, 20_000)), [20_000, 30_000]
    )
    largest = 2**32 - 1
    np.testing.assert_array_equal(size(png_header(largest, 1)), [1, largest])


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"not a picture",
        b"\x89PNG\r\n\x1a\n",
        b"\xff\xd8\xff",
        encode(RGB, "GIF"),
        encode(RGB, "BMP"),
        png_header(5, 5).replace(b"IHDR", b"IDAT"),
    ],
    ids=["empty", "text", "png", "jpeg", "gif", "bmp", "headless"],
)
def test_what_is_no_picture_is_refused(damaged, size):
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        size(damaged)
    message = str(caught.value)
    assert "PNG or JPEG" in message or "Invalid JPEG" in message
    # No binary data on a person's screen.
    assert message.isprintable() or "\n" in message


@pytest.mark.parametrize("kind", ["colour", "JPEG", "JPEG, progressive"])
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_truncated_files_are_refused(kind, share, read):
    whole = OPAQUE[kind]
    with pytest.raises(tf.errors.InvalidArgumentError):
        read(whole[: int(len(whole) * share)])


def test_endless_chunks_are_refused(read):
    whole = OPAQUE["colour"]
    stuffed = whole[:33] + png_chunk(b"teXt", b"") * (MOST_CHUNKS + 1)
    with pytest.raises(tf.errors.InvalidArgumentError, match="chunks"):
        read(stuffed + whole[33:])
    few = whole[:33] + png_chunk(b"teXt", b"") * 20 + whole[33:]
    np.testing.assert_array_equal(read(few), read(whole))


def test_labels_are_looked_up():
    channels = np.minimum(np.arange(256), 3)
    read = tf.function(
        lambda x: read_labels(x, channels), [tf.TensorSpec([], tf.string)]
    )
    labels = np.array([[0, 1, 2], [3, 4, 255]], np.uint8)
    np.testing.assert_array_equal(read(encode(labels)), [[0, 1, 2], [3, 3, 3]])
    sideways = encode(labels, exif=exif_of(6))
    np.testing.assert_array_equal(read(sideways), [[3, 0], [3, 1], [3, 2]])
    for wrong in (encode(GREY, "JPEG"), encode(RGB), encode(PALETTE)):
        with pytest.raises(tf.errors.InvalidArgumentError, match="classes"):
            read(wrong)


def test_pictures_are_written_as_files_are(tmp_path):
    picture = RANDOM.rand(5, 9, 3).astype(np.float32)
    # Halves are rounded to the even grey level.
    picture[0, 0] = np.float32([0.5, 1.5, 2.5]) / 255
    path = tmp_path / "picture.png"
    write_picture(path, picture)
    np.testing.assert_array_equal(
        tf.function(to_bytes)(picture), read_picture(path, "uint8")
    )
