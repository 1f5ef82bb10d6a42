"""What exported models refuse, and with which words."""

import json
import os
import pathlib
import re
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_tim import TIM
from keras_tim.export import Limits, export_saved_model
from keras_tim.models.generator import Generator

from .conftest import decode, encode

GREY = Image.fromarray(np.arange(80, dtype=np.uint8).reshape(8, 10))


def chunk(kind, content):
    ends = zlib.crc32(kind + content)
    return b"".join(
        (
            struct.pack(">I", len(content)),
            kind,
            content,
            struct.pack(">I", ends),
        )
    )


def bomb(width, height):
    """A PNG file of few bytes that unpacks to many pixels."""
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", header),
            chunk(b"IDAT", zlib.compress(bytes((width // 8 + 1) * height), 9)),
            chunk(b"IEND", b""),
        )
    )


def serve(signatures, files, seed=(1,), index=((0,),)):
    return signatures["serving_default"](
        picture_bytes=tf.constant(files),
        seed=tf.constant(seed, tf.int64),
        index=tf.constant(index, tf.int64),
    )["alternative_bytes"].numpy()


PNG = encode(GREY)
JPEG = encode(GREY, "JPEG")


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (b"", "PNG or JPEG files"),
        (b"this is no picture", "PNG or JPEG files"),
        (encode(GREY, "GIF"), "PNG or JPEG files"),
        (encode(GREY, "TIFF"), "PNG or JPEG files"),
        (PNG[: len(PNG) // 2], "Invalid PNG"),
        (JPEG[: len(JPEG) // 2], "Invalid JPEG"),
        (bomb(0, 0), r"at least 1 x 1 pixels.*0 0"),
        (encode(GREY.resize((64, 40))), r"at most 40,000 pixels.*40 64"),
    ],
)
def test_what_is_no_usable_picture(signatures, file, message):
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        serve(signatures, [file])


def peak_kilobytes():
    status = pathlib.Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1])


def test_bombs_are_refused_before_they_go_off(signatures):
    file = bomb(20_000, 20_000)
    assert len(file) < 100_000
    # Forgets the peaks of earlier tests, which would hide this one's.
    pathlib.Path("/proc/self/clear_refs").write_text("5")
    before = peak_kilobytes()
    with pytest.raises(tf.errors.InvalidArgumentError, match="20000 20000"):
        serve(signatures, [file])
    # And wherever it stands in a batch, however often.
    files = [PNG, file, PNG, file]
    with pytest.raises(tf.errors.InvalidArgumentError, match="20000 20000"):
        serve(signatures, files, seed=range(4), index=[[0]] * 4)
    # The pixels of one would take 2.4 GB.
    assert peak_kilobytes() - before < 300_000


def test_a_huge_jpeg_is_refused_by_its_header(signatures):
    whole = encode(GREY, "JPEG")
    # Height and width stand 5 bytes behind the start of frame's marker.
    place = whole.index(b"\xff\xc0") + 5
    huge = whole[:place] + struct.pack(">HH", 65_000, 65_000)
    with pytest.raises(tf.errors.InvalidArgumentError, match="65000 65000"):
        serve(signatures, [huge + whole[place + 4 :]])


@pytest.mark.parametrize(
    ("preset", "each", "pixels"),
    [
        # Three copies of 32 or 64 channels, upsampled.
        ("super_resolution_x4_nano", 12 * 32, 20_800_000),
        ("super_resolution_x4_small", 12 * 64, 10_400_000),
        # Of all within a dense block: 16 + 4 x 8.
        ("decompression_nano", 12 * 48, 13_800_000),
    ],
)
def test_whole_pictures_take_8_gigabytes_by_default(preset, each, pixels):
    generator = Generator(TIM.from_preset(preset))
    assert generator.bytes_per_output_pixel == each
    assert Limits().of_model(generator).output_pixels == pixels
    given = Limits(output_pixels=5)
    assert given.of_model(generator) is given


@pytest.mark.slow
def test_a_photo_within_the_limits_by_default(nano, tmp_path):
    """One of 640 x 480 pixels, and what memory it takes."""
    folder = export_saved_model(nano, tmp_path / "photos")
    card = json.loads((tmp_path / "photos" / "1" / "card.json").read_text())
    photo = np.random.RandomState(0).randint(0, 256, (480, 640, 3), np.uint8)
    (tmp_path / "photo.jpg").write_bytes(encode(photo, "JPEG"))
    script = (
        "import re, sys\n"
        "import tensorflow as tf\n"
        "model = tf.saved_model.load(sys.argv[1])\n"
        "made = model.signatures['serving_default'](\n"
        "    picture_bytes=tf.io.read_file(sys.argv[2])[None],\n"
        "    seed=tf.constant([0], tf.int64),\n"
        "    index=tf.constant([[0, 1]], tf.int64),\n"
        ")['alternative_bytes'][0]\n"
        "print(*[tf.io.decode_png(x).shape for x in made])\n"
        # Not `ru_maxrss`, which is at least that of this process.
        "status = open('/proc/self/status').read()\n"
        "print(re.search(r'VmHWM:\\s+(\\d+) kB', status)[1])\n"
    )
    printed = subprocess.run(
        [sys.executable, "-c", script, folder, tmp_path / "photo.jpg"],
        check=True,
        capture_output=True,
        text=True,
        # As servers have it.
        env={**os.environ, "TF_ENABLE_ONEDNN_OPTS": "0"},
    ).stdout
    shapes, kilobytes = printed.splitlines()[-2:]
    assert shapes == "(1920, 2560, 3) (1920, 2560, 3)"
    # Beside the 0.8 GB of TensorFlow.
    expected = card["bytes_per_output_pixel"] * 1920 * 2560
    assert 0.5 < (int(kilobytes) * 1024 - 0.8e9) / expected < 1.2


CONVERTED = {
    "grey": PNG,
    "16 bits": tf.io.encode_png(np.full((8, 10, 1), 30_000, np.uint16)).numpy(),
    "alpha": encode(GREY, mode="RGBA"),
    "palette": encode(GREY, mode="P"),
    "CMYK": encode(GREY, "JPEG", mode="CMYK"),
    "one pixel": encode(GREY.crop((0, 0, 1, 1))),
}


@pytest.mark.parametrize("kind", sorted(CONVERTED))
def test_what_is_converted(signatures, kind):
    (answer,) = serve(signatures, [CONVERTED[kind]])[0]
    size = (4, 4, 3) if kind == "one pixel" else (32, 40, 3)
    assert decode(answer).shape == size


@pytest.mark.parametrize(
    ("seed", "index", "message"),
    [
        ((1,), ((),), "`index` must ask for 1 to 12"),
        ((1,), (range(13),), r"`index` must ask for 1 to 12.*13"),
        ((1,), (range(1_000_000),), r"`index` must ask for 1 to 12.*1000000"),
        ((1,), ((-1,),), r"`index` must lie between 0 and .*-1"),
        ((1,), ((2**58,),), "`index` must lie between 0 and"),
        ((1, 2), ((0,),), r"one row per input.*1.*2.*1"),
        ((1,), ((0,), (1,)), r"one row per input.*1.*1.*2"),
    ],
)
def test_wrong_seeds_and_indices(signatures, seed, index, message):
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        serve(signatures, [PNG], seed=seed, index=index)


def test_empty_batches(signatures):
    with pytest.raises(tf.errors.InvalidArgumentError, match="at least one"):
        signatures["serving_default"](
            picture_bytes=tf.constant([], tf.string),
            seed=tf.constant([], tf.int64),
            index=tf.zeros([0, 1], tf.int64),
        )


def test_all_outputs_of_a_request_together(signatures):
    # Each is within its limit, all are not: 11 of 40 x 40 x 16 pixels.
    file = encode(GREY.resize((40, 40)))
    assert serve(signatures, [file], index=(range(7),)).shape == (1, 7)
    with pytest.raises(tf.errors.InvalidArgumentError, match="200,000 pixels"):
        serve(signatures, [file], index=(range(11),))


def sample(signatures, picture, **changes):
    arguments = {
        "picture": tf.constant(picture),
        "seed": tf.constant([0], tf.int64),
        "index": tf.constant([[0]], tf.int64),
    }
    return signatures["sample"](**{**arguments, **changes})


def broken(value):
    picture = np.full((1, 4, 5, 3), 0.5, np.float32)
    picture[0, 2, 3, 1] = value
    return picture


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        (broken(np.nan), r"`picture` must lie in \[0, 1\], without NaN"),
        (broken(np.inf), r"`picture` must lie in \[0, 1\].*inf"),
        (broken(-0.1), r"`picture` must lie in \[0, 1\].*-0.1"),
        (broken(255.0), r"`picture` must lie in \[0, 1\].*255"),
        (np.zeros((1, 0, 5, 3), "f"), r"at least 1 x 1 pixels.*0 5"),
        (np.zeros((1, 99, 99, 3), "f"), r"at most 40,000 pixels.*99 99"),
        (np.zeros((0, 5, 5, 3), "f"), "at least one input"),
    ],
)
def test_wrong_pictures(signatures, picture, message):
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        sample(signatures, picture)


def codes(signatures, **changes):
    arguments = {
        "seed": tf.constant([0], tf.int64),
        "index": tf.constant([[0, 1]], tf.int64),
        "size": tf.constant([[4, 5]], tf.int64),
    }
    return signatures["draw_codes"](**{**arguments, **changes})


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ([[0, 4]], "`size` must be at least"),
        ([[-4, 4]], "`size` must be at least"),
        ([[2**62, 2**62]], "outputs of at most 40,000 pixels"),
        ([[4, 4], [4, 4]], r"`size` must hold one \(height, width\)"),
    ],
)
def test_wrong_sizes_of_codes(signatures, size, message):
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        codes(signatures, size=tf.constant(size, tf.int64))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("style_1", np.zeros((1, 1, 32), "f"), "`style_1` must have one code"),
        ("noise_0", np.zeros((1, 2, 5, 4, 2), "f"), "noise the size of its"),
        ("noise_1", np.zeros((1, 2, 4, 5, 2), "f"), "noise the size of its"),
        ("style_0", np.full((1, 2, 32), np.nan, "f"), "finite values only"),
        ("style_0", np.zeros((1, 0, 32), "f"), "`style_0` must ask for 1"),
    ],
)
def test_wrong_codes(signatures, name, value, message):
    drawn = {**codes(signatures), name: tf.constant(value)}
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        signatures["decode"](picture=tf.fill([1, 4, 5, 3], 0.5), **drawn)
    right = signatures["decode"](
        picture=tf.fill([1, 4, 5, 3], 0.5), **codes(signatures)
    )
    assert right["alternatives"].shape == (1, 2, 16, 20, 3)
