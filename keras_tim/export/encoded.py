"""Encoded pictures inside a graph: checked, read and written.

Nothing is decoded before the size in the header is known to be acceptable.
What TensorFlow's decoders would get wrong is put right or refused:

- PNG of 1 to 16 bits, grey, palette or colour; 16 bits keep their precision;
- transparent pixels are laid over white;
- JPEG, progressive too; grey and CMYK become RGB, as Pillow would have it;
- of an animated PNG the first picture is read;
- everything else, GIF among it, is an error of the client.

EXIF orientations are not applied.
"""

import tensorflow as tf

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
JPEG_SIGNATURE = b"\xff\xd8\xff"
# A PNG file is at least its signature and its header.
SMALLEST_PNG = 33
# Real files have a few dozen before the pixels. Walking them takes time.
MOST_CHUNKS = 1000

# Colour types of PNG.
PALETTE = 3
ALPHA_TYPES = (4, 6)


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


def picture_size(encoded):
    """Reads the size of a picture from its header alone.

    Args:
        encoded: scalar string tensor, a PNG or JPEG file.

    Returns:
        int64 tensor `[2]`: height and width.
    """
    encoded = require(
        encoded,
        tf.logical_or(_is_png(encoded), _starts_with(encoded, JPEG_SIGNATURE)),
        "`picture_bytes` must hold PNG or JPEG files. Received something else; "
        "convert it first. Its length in bytes:",
        tf.strings.length(encoded),
    )
    return tf.cond(
        _is_png(encoded),
        lambda: _png_size(encoded),
        lambda: tf.cast(tf.io.extract_jpeg_shape(encoded)[:2], tf.int64),
    )


def read_rgb(encoded):
    """Decodes a PNG or JPEG file whose size has been found acceptable.

    Args:
        encoded: scalar string tensor.

    Returns:
        float32 tensor `[height, width, 3]` in [0, 1].
    """
    rgb = tf.cond(
        _is_png(encoded), lambda: _png_rgb(encoded), lambda: _jpeg_rgb(encoded)
    )
    return tf.ensure_shape(rgb, [None, None, 3])


def read_labels(encoded, channel_of_id):
    """Decodes a grey PNG file whose grey levels are the ids of classes.

    Args:
        encoded: scalar string tensor.
        channel_of_id: int array `[256]`.

    Returns:
        int32 tensor `[height, width]`: the channels of the ids.
    """
    encoded = require(
        encoded,
        _is_png(encoded),
        "`picture_bytes` must hold PNG files, whose grey levels are the "
        "ids of classes. Received a JPEG file, in which they change.",
    )
    depth, colour_type = _png_bytes(encoded, 24), _png_bytes(encoded, 25)
    encoded = require(
        encoded,
        tf.logical_and(tf.equal(depth, 8), tf.equal(colour_type, 0)),
        "`picture_bytes` must hold grey PNG files of 8 bits, whose grey levels "
        "are the ids of classes. Received bits and colour type:",
        depth,
        colour_type,
    )
    ids = tf.io.decode_png(encoded, channels=1)[..., 0]
    return tf.gather(
        tf.constant(channel_of_id, tf.int32), tf.cast(ids, tf.int32)
    )


def write_png(picture):
    """Encodes a picture, rounding as `keras_tim.inference.write_picture` does.

    Args:
        picture: float tensor `[height, width, 3]` in [0, 1].

    Returns:
        Scalar string tensor, a PNG file of 8 bits.
    """
    rounded = tf.round(tf.clip_by_value(picture, 0.0, 1.0) * 255.0)
    return tf.io.encode_png(tf.cast(rounded, tf.uint8))


def _starts_with(encoded, signature):
    start = tf.strings.substr(encoded, 0, len(signature))
    return tf.equal(start, signature)


def _is_png(encoded):
    return tf.logical_and(
        _starts_with(encoded, PNG_SIGNATURE),
        tf.strings.length(encoded) >= SMALLEST_PNG,
    )


def _png_bytes(encoded, start, count=1):
    """A big-endian number of `count` bytes as an int64 scalar."""
    part = tf.strings.substr(encoded, start, count)
    values = tf.cast(tf.io.decode_raw(part, tf.uint8), tf.int64)
    places = [256**place for place in reversed(range(count))]
    # `decode_raw` cannot know how many bytes there are.
    return tf.reduce_sum(tf.ensure_shape(values, [count]) * places)


def _png_size(png):
    png = require(
        png,
        tf.equal(tf.strings.substr(png, 12, 4), b"IHDR"),
        "`picture_bytes` must hold PNG or JPEG files. Received a PNG file that "
        "does not begin with its header.",
    )
    return tf.stack([_png_bytes(png, 20, 4), _png_bytes(png, 16, 4)])


def _png_rgb(png):
    """A PNG file as RGB `[height, width, 3]`, laid over white."""
    has_alpha = tf.logical_or(
        tf.reduce_any(tf.equal(_png_bytes(png, 25), ALPHA_TYPES)),
        _has_transparent_colour(png),
    )

    # 8 bits v become 257 v, which is the same share of the highest value.
    def decoded(channels):
        pixels = tf.io.decode_png(png, channels=channels, dtype=tf.uint16)
        return _unit(pixels, 65535)

    # Asked for alpha, TensorFlow makes up a wrong one for pictures of fewer
    # than 8 bits that have none.
    def over_white():
        rgba = decoded(4)
        rgb, alpha = rgba[..., :3], rgba[..., 3:]
        return rgb * alpha + (1.0 - alpha)

    return tf.cond(has_alpha, over_white, lambda: decoded(3))


def _unit(values, highest):
    """From integers to [0, 1], rounded as NumPy's float32 division rounds.

    TensorFlow turns the division into a product with the reciprocal, which in
    float32 would be off by a last bit here and there.
    """
    exact = tf.cast(values, tf.float64) / tf.constant(highest, tf.float64)
    return tf.cast(exact, tf.float32)


def _has_transparent_colour(png):
    """Whether there is a tRNS chunk, which must stand before the pixels."""
    size = tf.cast(tf.strings.length(png), tf.int64)

    def kind(start):
        # Where the file ends early, the decoder will say so.
        return tf.strings.substr(png, tf.minimum(start + 4, size), 4)

    def undecided(start, count):
        return tf.reduce_all(
            [
                start + 12 <= size,
                tf.not_equal(kind(start), b"tRNS"),
                tf.not_equal(kind(start), b"IDAT"),
                count <= MOST_CHUNKS,
            ]
        )

    def step(start, count):
        return start + 12 + _png_bytes(png, start, 4), count + 1

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
    return tf.equal(kind(start), b"tRNS")


def _jpeg_rgb(jpeg):
    pixels = tf.io.decode_jpeg(jpeg, channels=3, dct_method="INTEGER_ACCURATE")
    return _unit(pixels, 255)
