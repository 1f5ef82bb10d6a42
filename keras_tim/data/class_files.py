"""Class files of semantic label maps.

A class file is a text file of comma-separated values with a header line:

    name,id,red,green,blue
    sky,23,70,130,180
    road,7,128,64,128
    road,,157,234,50
    void,0,0,0,0

The columns may stand in any order; `r`, `g`, `b` are understood, and others
are passed over. `id` is the value of a class in maps of 8-bit ids (grey or
palette-mode pictures), the colour its value in RGB maps; either may be left
out, for the whole file or for a row. Rows of the same name are one class,
which is shown in the first row's colour. Lines that start with # are comments.

What a row calls void, other, ignore, unlabelled or unlabeled is no class of
its own: it goes to "other", as do all ids that no row lists. Of colours every
one must be listed.

These are known by name, without a file:

- `camvid`: the 11 classes of 8-bit ids 0 to 10 in general use (11 is void),
  and the 32 colours of CamVid's own RGB maps, merged to the same classes.
- `cityscapes`: the 19 classes that are scored. The ids are those of
  `*_gtFine_labelIds.png`, the colours those of `*_gtFine_color.png`. GTA5's
  palette-mode maps hold the same ids.
- `bdd100k`: the same 19 classes under the ids 0 to 18 (255 is void).
"""

import csv
import os

from keras_tim.files import write_text
from keras_tim.tasks.classes import Classes

_CAMVID = """name,id,red,green,blue
sky,0,128,128,128
building,1,128,0,0
building,,192,0,128
building,,0,128,64
building,,64,0,64
building,,64,192,0
pole,2,192,192,128
pole,,0,0,64
road,3,128,64,128
road,,128,0,192
road,,192,0,64
pavement,4,0,0,192
pavement,,64,192,128
pavement,,128,128,192
tree,5,128,128,0
tree,,192,192,0
sign,6,192,128,128
sign,,128,128,64
sign,,0,64,64
fence,7,64,64,128
car,8,64,0,128
car,,64,128,192
car,,192,128,192
car,,192,64,128
car,,128,64,64
pedestrian,9,64,64,0
pedestrian,,192,128,64
pedestrian,,64,0,192
pedestrian,,64,128,64
cyclist,10,0,128,192
cyclist,,192,0,192
void,11,0,0,0
"""

# name, Cityscapes id, BDD100K id, colour.
_DRIVING = (
    ("road", 7, 0, (128, 64, 128)),
    ("sidewalk", 8, 1, (244, 35, 232)),
    ("building", 11, 2, (70, 70, 70)),
    ("wall", 12, 3, (102, 102, 156)),
    ("fence", 13, 4, (190, 153, 153)),
    ("pole", 17, 5, (153, 153, 153)),
    ("traffic light", 19, 6, (250, 170, 30)),
    ("traffic sign", 20, 7, (220, 220, 0)),
    ("vegetation", 21, 8, (107, 142, 35)),
    ("terrain", 22, 9, (152, 251, 152)),
    ("sky", 23, 10, (70, 130, 180)),
    ("person", 24, 11, (220, 20, 60)),
    ("rider", 25, 12, (255, 0, 0)),
    ("car", 26, 13, (0, 0, 142)),
    ("truck", 27, 14, (0, 0, 70)),
    ("bus", 28, 15, (0, 60, 100)),
    ("train", 31, 16, (0, 80, 100)),
    ("motorcycle", 32, 17, (0, 0, 230)),
    ("bicycle", 33, 18, (119, 11, 32)),
)
# Colours of what is not scored: unlabelled and its like, dynamic, ground,
# parking, rail track, guard rail, bridge, tunnel, caravan, trailer.
_DRIVING_VOID = (
    (0, 0, 0),
    (111, 74, 0),
    (81, 0, 81),
    (250, 170, 160),
    (230, 150, 140),
    (180, 165, 180),
    (150, 100, 100),
    (150, 120, 90),
    (0, 0, 90),
    (0, 0, 110),
)


def read_classes(source):
    """Reads a class file, see this module's text.

    Args:
        source: path of the file, "camvid", "cityscapes" or "bdd100k", or a
            `Classes`, which is given back.

    Returns:
        A `Classes`.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is not as described; the message names it.
    """
    if isinstance(source, Classes):
        return source
    source = os.fspath(source)
    if source in _KNOWN:
        return Classes(_KNOWN[source]())
    if not os.path.isfile(source):
        raise FileNotFoundError(
            f"There is no class file {source}. Give a file with the columns "
            "name, id, red, green and blue, or one of "
            f"{', '.join(sorted(_KNOWN))}."
        )
    try:
        with open(source, encoding="utf-8-sig") as file:
            return Classes(_rows_of(file.read()))
    except ValueError as error:  # UnicodeDecodeError is one
        raise ValueError(f"{source} is no class file: {error}") from error


def write_classes(path, classes):
    """Writes a class file, whole or not at all.

    Args:
        path: str.
        classes: a `Classes`.

    Raises:
        OSError: if the file cannot be written.
    """
    write_text(path, classes.as_text())


def _rows_of(text):
    """Parses a class file."""
    lines = [
        line
        for line in text.splitlines()
        if line.strip() and not line.lstrip().startswith("#")
    ]
    if not lines:
        raise ValueError("it is empty")
    aliases = {"r": "red", "g": "green", "b": "blue", "class": "name"}
    header, *values = csv.reader(lines, skipinitialspace=True)
    header = [column.strip().lower() for column in header]
    header = [aliases.get(column, column) for column in header]
    primaries = ("red", "green", "blue")
    if "name" not in header or not (
        "id" in header or all(column in header for column in primaries)
    ):
        raise ValueError(
            "its first line must name the columns name, and id or red, green "
            f"and blue. Received: {lines[0]!r}"
        )
    rows = []
    for line, row in zip(lines[1:], values, strict=True):
        if len(row) != len(header):
            raise ValueError(
                f"every line must have {len(header)} values. Received: {line!r}"
            )
        cells = dict(zip(header, row, strict=True))
        number = _byte(cells.get("id", ""), line)
        colour = tuple(_byte(cells.get(n, ""), line) for n in primaries)
        if None in colour:
            if set(colour) != {None}:
                raise ValueError(
                    f"a colour must have all of red, green and blue: {line!r}"
                )
            colour = None
        if not cells["name"].strip():
            raise ValueError(f"every class must have a name: {line!r}")
        rows.append((cells["name"].strip(), number, colour))
    return rows


def _byte(cell, line):
    """An integer from 0 to 255, or None for an empty cell."""
    cell = cell.strip()
    if not cell:
        return None
    if not cell.isdecimal() or int(cell) > 255:
        raise ValueError(
            f"ids and colours must be integers from 0 to 255. Received: "
            f"{cell!r} in {line!r}"
        )
    return int(cell)


def _driving_rows(column):
    rows = [(row[0], row[column], row[3]) for row in _DRIVING]
    return rows + [("void", None, colour) for colour in _DRIVING_VOID]


_KNOWN = {
    "bdd100k": lambda: _driving_rows(2),
    "camvid": lambda: _rows_of(_CAMVID),
    "cityscapes": lambda: _driving_rows(1),
}
