"""What the headers of PNG and JPEG files say, read inside a graph.

Nothing is decoded. Files are strangers': every place and length in them is
checked, or cannot lead out of the file.
"""

import tensorflow as tf

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
JPEG_SIGNATURE = b"\xff\xd8\xff"
# A PNG file is at least its signature and its header.
SMALLEST_PNG = 33
# Real files have a few dozen before the pixels. Walking them takes time.
MOST_CHUNKS = 1000

# EXIF data is a TIFF file; its tags stand in entries of 12 bytes.
EXIF_SIGNATURE = b"Exif\0\0"
LARGEST_EXIF = 2**16
LITTLE_ENDIAN, BIG_ENDIAN = b"II*\0", b"MM\0*"
ENTRY_SIZE = 12
ORIENTATION = 0x0112
SHORT, LONG = 3, 4


def require(value, condition, message, *shown):
    """Passes a tensor on, or fails with an error of the client's.

    Args:
        value: tensor.
        condition: scalar bool tensor, what must hold.
        message: str, what must hold and what to do.
        *shown: tensors to show behind the message.

    Returns:
        `value`, computed from only if the condition holds.
    """
    assertion = tf.debugging.Assert(condition, [message, *shown], summarize=8)
    with tf.control_dependencies([assertion]):
        return tf.identity(value)


def is_png(encoded):
    """Whether a scalar string tensor begins as a PNG file does."""
    return tf.logical_and(
        _starts_with(encoded, PNG_SIGNATURE),
        tf.strings.length(encoded) >= SMALLEST_PNG,
    )


def png_number(encoded, start, count=1):
    """A big-endian number of `count` bytes as an int64 scalar."""
    part = tf.strings.substr(encoded, start, count)
    values = tf.cast(tf.io.decode_raw(part, tf.uint8), tf.int64)
    places = [256**place for place in reversed(range(count))]
    # `decode_raw` cannot know how many bytes there are.
    return tf.reduce_sum(tf.ensure_shape(values, [count]) * places)


def picture_size(encoded):
    """Reads the size of a picture from its header alone.

    Args:
        encoded: scalar string tensor, a PNG or JPEG file.

    Returns:
        int64 tensor `[2]`: height and width as the picture is shown, after
        EXIF orientation.
    """
    encoded = require(
        encoded,
        tf.logical_or(is_png(encoded), _starts_with(encoded, JPEG_SIGNATURE)),
        "`picture_bytes` must hold PNG or JPEG files. Received something else; "
        "convert it first. Its length in bytes:",
        tf.strings.length(encoded),
    )
    size = tf.cond(
        is_png(encoded),
        lambda: _png_size(encoded),
        lambda: tf.cast(tf.io.extract_jpeg_shape(encoded)[:2], tf.int64),
    )
    return tf.where(is_sideways(orientation(encoded)), size[::-1], size)


def _starts_with(encoded, signature):
    start = tf.strings.substr(encoded, 0, len(signature))
    return tf.equal(start, signature)


def _png_size(png):
    png = require(
        png,
        tf.equal(tf.strings.substr(png, 12, 4), b"IHDR"),
        "`picture_bytes` must hold PNG or JPEG files. Received a PNG file that "
        "does not begin with its header.",
    )
    return tf.stack([png_number(png, 20, 4), png_number(png, 16, 4)])


def find_chunk(png, kind):
    """Looks for a chunk before the pixels of a PNG file.

    Args:
        png: scalar string tensor.
        kind: bytes, the chunk's name.

    Returns:
        int64 scalar, where the chunk begins, or -1 if there is none.
    """
    size = tf.cast(tf.strings.length(png), tf.int64)

    def kind_at(start):
        # Where the file ends early, the decoder will say so.
        return tf.strings.substr(png, tf.minimum(start + 4, size), 4)

    def undecided(start, count):
        return tf.reduce_all(
            [
                start + 12 <= size,
                tf.not_equal(kind_at(start), kind),
                tf.not_equal(kind_at(start), b"IDAT"),
                count <= MOST_CHUNKS,
            ]
        )

    def step(start, count):
        return start + 12 + png_number(png, start, 4), count + 1

    # The first chunk, the header, follows the signature.
    start, count = tf.while_loop(
        undecided,
        step,
        (tf.constant(len(PNG_SIGNATURE), tf.int64), tf.constant(0)),
    )
    start = require(
        start,
        count <= MOST_CHUNKS,
        f"`picture_bytes` must hold PNG files with at most {MOST_CHUNKS} "
        "chunks before the pixels. Received one with more; save it anew.",
    )
    return tf.where(tf.equal(kind_at(start), kind), start, -1)


# -- Which side is up ------------------------------------------------------


def orientation(encoded):
    """Reads which side of a picture is up.

    Args:
        encoded: scalar string tensor, a PNG or JPEG file.

    Returns:
        int64 scalar from 1 to 8 as EXIF has it; 1, upright, where the file
        does not say it. PNG files say it before their pixels if at all.
    """
    exif = tf.cond(
        is_png(encoded), lambda: _png_exif(encoded), lambda: _jpeg_exif(encoded)
    )
    return _orientation_of(exif)


def is_sideways(orientation):
    """Whether height and width change places as a picture is turned upright."""
    return orientation >= 5


def upright(picture, orientation):
    """Turns a picture upright.

    Args:
        picture: tensor `[height, width, channels]`.
        orientation: int64 scalar as from `orientation`.

    Returns:
        Tensor `[height', width', channels]`.
    """
    picture = tf.cond(
        is_sideways(orientation),
        lambda: tf.transpose(picture, [1, 0, 2]),
        lambda: picture,
    )
    for axis, mirrored in ((0, [3, 4, 7, 8]), (1, [2, 3, 6, 7])):
        picture = tf.cond(
            tf.reduce_any(tf.equal(orientation, mirrored)),
            lambda picture=picture, axis=axis: tf.reverse(picture, [axis]),
            lambda picture=picture: picture,
        )
    return picture


def _png_exif(png):
    start = find_chunk(png, b"eXIf")
    # Any number will do where there is no chunk.
    length = png_number(png, tf.maximum(start, 0), 4)
    exif = tf.strings.substr(png, start + 8, tf.minimum(length, LARGEST_EXIF))
    return tf.where(start >= 0, exif, b"")


def _jpeg_exif(jpeg):
    """The EXIF data of a JPEG file's segments, or an empty string."""
    size = tf.cast(tf.strings.length(jpeg), tf.int64)

    def part(start, count):
        return tf.strings.substr(jpeg, tf.minimum(start, size), count)

    def is_exif(start):
        return tf.logical_and(
            tf.equal(part(start, 2), b"\xff\xe1"),
            tf.equal(part(start + 4, len(EXIF_SIGNATURE)), EXIF_SIGNATURE),
        )

    def undecided(start, count):
        marker = part(start, 2)
        return tf.reduce_all(
            [
                start + 4 <= size,
                tf.equal(part(start, 1), b"\xff"),
                # Start of the pixels, end of the picture.
                tf.not_equal(marker, b"\xff\xda"),
                tf.not_equal(marker, b"\xff\xd9"),
                tf.logical_not(is_exif(start)),
                count <= MOST_CHUNKS,
            ]
        )

    def step(start, count):
        length = png_number(jpeg, start + 2, 2)
        # A marker may have more than one 0xff in front.
        is_filling = tf.equal(part(start + 1, 1), b"\xff")
        return start + tf.where(
            is_filling, tf.ones_like(length), 2 + length
        ), count + 1

    start, _ = tf.while_loop(
        undecided, step, (tf.constant(2, tf.int64), tf.constant(0))
    )
    exif = part(start + 4 + len(EXIF_SIGNATURE), LARGEST_EXIF)
    return tf.where(is_exif(start), exif, b"")


def _orientation_of(exif):
    """The orientation that EXIF data has, 1 where it has none or is damaged."""
    header = tf.strings.substr(exif, 0, 4)
    is_little = tf.equal(header, LITTLE_ENDIAN)
    values = tf.cast(tf.io.decode_raw(exif, tf.uint8), tf.int64)

    def numbers(parts):
        """Numbers of the bytes `[n, 2]` or `[n, 4]`."""
        places = [256**place for place in range(parts.shape[1])]
        places = tf.where(is_little, places, places[::-1])
        return tf.reduce_sum(parts * tf.cast(places, tf.int64), axis=1)

    def number(start, count):
        """Zero where the data ends before."""
        part = values[start : start + count]
        part = tf.pad(part, [[0, count - tf.size(part)]])
        return numbers(tf.reshape(part, [1, count]))[0]

    start = number(4, 4)
    count = number(start, 2)
    entries = values[start + 2 : start + 2 + ENTRY_SIZE * count]
    whole = tf.size(entries) // ENTRY_SIZE * ENTRY_SIZE
    entries = tf.reshape(entries[:whole], [-1, ENTRY_SIZE])
    kinds = numbers(entries[:, 2:4])
    found = tf.where(
        tf.equal(kinds, SHORT),
        numbers(entries[:, 8:10]),
        numbers(entries[:, 8:12]),
    )
    is_one = tf.reduce_all(
        [
            tf.equal(numbers(entries[:, :2]), ORIENTATION),
            tf.equal(kinds, SHORT) | tf.equal(kinds, LONG),
            (found >= 1) & (found <= 8),
            tf.fill(tf.shape(found), is_little | tf.equal(header, BIG_ENDIAN)),
        ],
        axis=0,
    )
    found = tf.boolean_mask(found, is_one)[:1]
    return tf.reduce_sum(found) + tf.cast(tf.equal(tf.size(found), 0), tf.int64)
