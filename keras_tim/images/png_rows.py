"""PNG files of any size, of which a few rows are held at a time.

Pillow holds a picture whole, and has 8 bits. What is written here has rows
filtered by "sub" and "up" alone, which NumPy undoes quickly.
"""

import itertools
import struct
import zlib

import numpy as np

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEADER = ">IIBBBBB"
# PNG's colour types by the number of channels: 2 and 4 end in alpha.
_COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}
_NONE, _SUB, _UP = 0, 1, 2
# Bytes of compressed pixels per chunk at least, and read at a time.
_CHUNK = 1 << 16


def write_png(file, parts, size, profile=None, exif=None, text=None):
    """Writes a PNG file.

    Args:
        file: Binary file to write to.
        parts: Iterable of `uint8` or `uint16` arrays of shape `(rows, width,
            channels)`, of 1 to 4 channels, one below the other.
        size: `(height, width)` of the picture.
        profile: ICC profile as bytes, or `None`.
        exif: EXIF block as bytes, or `None`.
        text: Tuple of two ASCII strings, a keyword and its text, or `None`.
    """
    parts = iter(parts)
    first = next(parts)
    height, width = size
    channels, depth = first.shape[-1], first.dtype.itemsize
    file.write(_SIGNATURE)
    kind = _COLOUR_TYPES[channels]
    header = struct.pack(_HEADER, width, height, 8 * depth, kind, 0, 0, 0)
    _write_chunk(file, b"IHDR", header)
    if profile:
        name = b"ICC Profile\0\0"
        _write_chunk(file, b"iCCP", name + zlib.compress(profile))
    if exif:
        _write_chunk(file, b"eXIf", exif.removeprefix(b"Exif\0\0"))
    if text:
        _write_chunk(file, b"tEXt", "\0".join(text).encode("ascii"))
    above = np.zeros(width * channels * depth, np.uint8)
    compressor, body = zlib.compressobj(), b""
    for part in itertools.chain([first], parts):
        rows = np.ascontiguousarray(part, part.dtype.newbyteorder(">"))
        rows = rows.view(np.uint8).reshape(len(part), -1)
        body += compressor.compress(_filtered(rows, above, channels * depth))
        above = rows[-1]
        if len(body) >= _CHUNK:
            _write_chunk(file, b"IDAT", body)
            body = b""
    _write_chunk(file, b"IDAT", body + compressor.flush())
    _write_chunk(file, b"IEND", b"")


def _write_chunk(file, kind, body):
    check = zlib.crc32(body, zlib.crc32(kind))
    file.write(struct.pack(">I", len(body)) + kind)
    file.write(body)
    file.write(struct.pack(">I", check))


def _filtered(rows, above, step):
    """Rows of bytes as differences, each by the filter that leaves less."""
    up = rows.copy()
    up[0] -= above
    up[1:] -= rows[:-1]
    sub = rows.copy()
    sub[:, step:] -= rows[:, :-step]
    # Half of the differences are negative.
    left = [np.minimum(x, -x).sum(axis=1, dtype=np.int64) for x in (sub, up)]
    better = left[1] < left[0]
    filtered = np.empty((len(rows), 1 + rows.shape[1]), np.uint8)
    filtered[:, 0] = np.where(better, _UP, _SUB)
    filtered[:, 1:] = np.where(better[:, None], up, sub)
    return filtered


def read_png_rows(file, size, count):
    """Reads what `write_png` wrote.

    Args:
        file: Binary file to read.
        size: `(height, width)` of the picture.
        count: Integer, rows per part.

    Yields:
        Arrays like those that were written, of `count` rows, the last of
        fewer.

    Raises:
        ValueError: If it is another kind of file, or damaged.
    """
    if file.read(len(_SIGNATURE)) != _SIGNATURE:
        raise ValueError("no PNG file")
    chunks = _chunks(file)
    kind, body = next(chunks, (b"", b""))
    if kind != b"IHDR" or len(body) != struct.calcsize(_HEADER):
        raise ValueError("no header")
    width, height, bits, colours, *ways = struct.unpack(_HEADER, body)
    channels = {v: k for k, v in _COLOUR_TYPES.items()}.get(colours)
    if channels is None or bits not in (8, 16) or any(ways):
        raise ValueError("another kind of PNG file")
    if (height, width) != tuple(size):
        raise ValueError("another size")
    step = channels * bits // 8
    above = np.zeros((width, step), np.uint8)
    packed = (body for kind, body in chunks if kind == b"IDAT")
    stream = _Inflated(packed)
    for top in range(0, height, count):
        rows = min(count, height - top)
        content = stream.read(rows * (1 + width * step))
        coded = np.frombuffer(content, np.uint8).reshape(rows, -1)
        values = np.empty((rows, width, step), np.uint8)
        for row, (way, *_), line in zip(values, coded, coded, strict=True):
            line = line[1:].reshape(width, step)
            if way == _SUB:
                np.cumsum(line, axis=0, dtype=np.uint8, out=row)
            elif way == _UP:
                np.add(line, above, out=row)
            elif way == _NONE:
                row[:] = line
            else:
                raise ValueError("another filter")
            above = row
        yield values.view(f">u{bits // 8}")


def _chunks(file):
    """Kinds and bodies of the chunks that are left, some in pieces."""
    while len(head := file.read(8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        while length:
            body = file.read(min(length, _CHUNK))
            if not body:
                raise ValueError("cut off")
            length -= len(body)
            yield kind, body
        file.read(4)  # the checksum


class _Inflated:
    """Reads a compressed stream by pieces of known length."""

    def __init__(self, packed):
        self._packed = packed
        self._inflater = zlib.decompressobj()

    def read(self, length):
        parts = []
        while length:
            part = self._inflater.unconsumed_tail or next(self._packed, b"")
            try:
                made = self._inflater.decompress(part, length)
            except zlib.error as error:
                raise ValueError("damaged") from error
            if not made and not part:
                raise ValueError("cut off")
            parts.append(made)
            length -= len(made)
        return b"".join(parts)
