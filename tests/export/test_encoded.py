"""Encoded pictures, as a graph reads them, against Pillow."""

import io
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_tim.export.encoded import (
    MOST_CHUNKS,
    picture_size,
    read_labels,
    read_rgb,
    write_png,
)
from keras_tim.inference import read_picture, write_picture

from .conftest import decode, encode

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
        decode(tf.function(write_png)(picture).numpy()),
        read_picture(path, "uint8"),
    )
