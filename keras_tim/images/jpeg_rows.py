"""JPEG files of any size, of which a few rows are held at a time."""

import struct

from keras_tim.images.rows import in_bands

# Side of a block, and of what is coded together where colours are not halved.
_BLOCK = 8
# How many such blocks may lie between two restarts, and how many rows of them
# are compressed at a time.
_MOST_BLOCKS = 65535
_MOST_ROWS = 16
_FRAME, _SCAN = 0xC0, 0xDA


def write_jpeg(file, parts, size, encode):
    """Writes a JPEG file.

    Strips are compressed one by one and joined by restart markers: pixels are
    those of a file that is written at once.

    Args:
        file: Binary file to write to.
        parts: Iterable of `uint8` arrays of shape `(rows, width, channels)`,
            one below the other.
        size: `(height, width)` of the picture.
        encode: Function of the pixels of a strip and of its number, giving a
            baseline JPEG file with colours at full resolution. The first one's
            header becomes the picture's; the tables of all must be the same.
    """
    height, width = size
    across = -(-width // _BLOCK)
    down = min(_MOST_ROWS, _MOST_BLOCKS // across)
    interval = struct.pack(">HHH", 0xFFDD, 4, across * down)
    strips = in_bands(parts, down * _BLOCK)
    for number, strip in enumerate(strips):
        content = encode(strip, number)
        frame, scan, data = _segments(content)
        if number == 0:
            # Behind the frame's marker, length and precision.
            tall = struct.pack(">H", height)
            file.write(content[: frame + 5] + tall + content[frame + 7 : scan])
            file.write(interval + content[scan:data])
        else:
            file.write(bytes([0xFF, 0xD0 + (number - 1) % 8]))
        file.write(content[data:-2])
    file.write(content[-2:])


def _segments(content):
    """Where the frame's header, the scan's and its data begin."""
    place = frame = 2
    while True:
        kind = content[place + 1]
        following = place + 2 + int.from_bytes(content[place + 2 : place + 4])
        if kind == _FRAME:
            frame = place
        if kind == _SCAN:
            return frame, place, following
        place = following
