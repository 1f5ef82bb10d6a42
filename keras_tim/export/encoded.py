"""Encoded pictures inside a graph: checked, read and written.

Nothing is decoded before the size in the header is known to be acceptable (see
`headers`). What TensorFlow's decoders would get wrong is put right or refused:

- PNG of 1 to 16 bits, grey, palette or colour; 16 bits keep their precision;
- transparent pixels are laid over white;
- JPEG, progressive too; grey and CMYK become RGB, as Pillow would have it;
- of an animated PNG the first picture is read;
- EXIF orientations are applied, colour profiles are not;
- everything else, GIF among it, is an error of the client.
"""

import tensorflow as tf

from keras_tim.export.headers import (
    find_chunk,
    is_png,
    orientation,
    png_number,
    require,
    upright,
)

# Colour types of PNG that have transparency.
ALPHA_TYPES = (4, 6)


def read_rgb(encoded):
    """Decodes a PNG or JPEG file whose size has been found acceptable.

    Args:
        encoded: scalar string tensor.

    Returns:
        float32 tensor `[height, width, 3]` in [0, 1].
    """
    rgb = tf.cond(
        is_png(encoded), lambda: _png_rgb(encoded), lambda: _jpeg_rgb(encoded)
    )
    rgb = upright(rgb, orientation(encoded))
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
        is_png(encoded),
        "`picture_bytes` must hold PNG files, whose grey levels are the "
        "ids of classes. Received a JPEG file, in which they change.",
    )
    depth, colour_type = png_number(encoded, 24), png_number(encoded, 25)
    encoded = require(
        encoded,
        tf.logical_and(tf.equal(depth, 8), tf.equal(colour_type, 0)),
        "`picture_bytes` must hold grey PNG files of 8 bits, whose grey levels "
        "are the ids of classes. Received bits and colour type:",
        depth,
        colour_type,
    )
    ids = tf.io.decode_png(encoded, channels=1)
    ids = upright(ids, orientation(encoded))[..., 0]
    return tf.gather(
        tf.constant(channel_of_id, tf.int32), tf.cast(ids, tf.int32)
    )


def to_bytes(picture):
    """Rounds a picture as `keras_tim.images.write_picture` does.

    Args:
        picture: float tensor `[height, width, 3]` in [0, 1].

    Returns:
        uint8 tensor of the same shape.
    """
    rounded = tf.round(tf.clip_by_value(picture, 0.0, 1.0) * 255.0)
    return tf.cast(rounded, tf.uint8)


def _png_rgb(png):
    """A PNG file as RGB `[height, width, 3]`, laid over white."""
    has_alpha = tf.logical_or(
        tf.reduce_any(tf.equal(png_number(png, 25), ALPHA_TYPES)),
        find_chunk(png, b"tRNS") >= 0,
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


def _jpeg_rgb(jpeg):
    pixels = tf.io.decode_jpeg(jpeg, channels=3, dct_method="INTEGER_ACCURATE")
    return _unit(pixels, 255)
