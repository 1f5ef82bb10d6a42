import struct

import numpy as np
import pytest

# CIE 1931 chromaticities; the white of all three is D65.
PRIMARIES = {
    "sRGB": [(0.64, 0.33), (0.30, 0.60), (0.15, 0.06)],
    "Adobe RGB": [(0.64, 0.33), (0.21, 0.71), (0.15, 0.06)],
    "Display P3": [(0.68, 0.32), (0.265, 0.69), (0.15, 0.06)],
}
_D65, _D50 = (0.3127, 0.3290), (0.3457, 0.3585)
_BRADFORD = np.array(
    [
        [0.8951, 0.2664, -0.1614],
        [-0.7502, 1.7135, 0.0367],
        [0.0389, -0.0685, 1.0296],
    ]
)


def _xyz(x, y):
    return np.array([x / y, 1.0, (1.0 - x - y) / y])


def to_xyz(space):
    """The matrix from linear RGB to XYZ under D65."""
    columns = np.stack([_xyz(*p) for p in PRIMARIES[space]], axis=1)
    return columns * np.linalg.solve(columns, _xyz(*_D65))


def as_srgb(rgb, space, gamma=2.2):
    """8-bit sRGB of 8-bit RGB in a wide space, worked out without a profile."""
    linear = (np.asarray(rgb) / 255.0) ** gamma
    linear = np.linalg.solve(to_xyz("sRGB"), to_xyz(space) @ linear)
    linear = np.clip(linear, 0, 1)
    encoded = np.where(
        linear > 0.0031308, 1.055 * linear ** (1 / 2.4) - 0.055, 12.92 * linear
    )
    return 255.0 * encoded


def _number(value):
    return struct.pack(">i", round(value * 65536))


def _profile(space, tags):
    """An ICC profile, version 2, for a display."""
    content, table = b"", struct.pack(">I", len(tags))
    for name, body in tags.items():
        body += b"\0" * (-len(body) % 4)
        start = 132 + 12 * len(tags) + len(content)
        table += name + struct.pack(">II", start, len(body))
        content += body
    head = b"\0" * 4 + struct.pack(">I", 0x02400000)
    head += b"mntr" + space + b"XYZ " + b"\0" * 12 + b"acsp"
    head = head.ljust(64, b"\0") + b"".join(map(_number, _xyz(*_D50)))
    head = struct.pack(">I", 132 + 12 * len(tags) + len(content)) + head
    return head.ljust(128, b"\0") + table + content


def _curve(gamma):
    return b"curv" + b"\0" * 4 + struct.pack(">IH", 1, round(gamma * 256))


def _described(tags):
    def xyz(values):
        return b"XYZ " + b"\0" * 4 + b"".join(map(_number, values))

    text = b"a test\0"
    text = b"desc" + b"\0" * 4 + struct.pack(">I", len(text)) + text
    return {
        b"desc": text + b"\0" * 78,
        b"wtpt": xyz(_xyz(*_D50)),
        **{k: xyz(v) if k.endswith(b"XYZ") else v for k, v in tags.items()},
    }


def rgb_profile(space, gamma=2.2):
    white, d50 = (_BRADFORD @ _xyz(*w) for w in (_D65, _D50))
    adapted = np.linalg.solve(_BRADFORD, (d50 / white)[:, None] * _BRADFORD)
    columns = (adapted @ to_xyz(space)).T
    tags = dict(zip((b"rXYZ", b"gXYZ", b"bXYZ"), columns, strict=True))
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), _curve(gamma))
    return _profile(b"RGB ", _described(tags))


def grey_profile(gamma):
    return _profile(b"GRAY", _described({b"kTRC": _curve(gamma)}))


@pytest.fixture
def saved(tmp_path):
    def save(image, name, **options):
        path = tmp_path / name
        image.save(path, **options)
        return path

    return save
