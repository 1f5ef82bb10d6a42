"""Classes of semantic label maps: their names, ids and colours."""

import colorsys
import csv
import io

import numpy as np

from keras_tim.checks import integer, integers

VOID_NAMES = ("void", "other", "ignore", "unlabelled", "unlabeled")
_SHOWN_VOID = (0, 0, 0)
# Labels are kept in 8 bits, of which "other" takes one value.
_MOST_CLASSES = 255


class Classes:
    """The classes of a data set of label maps.

    Labels are numbers of classes in the order of their first rows; the last
    number, one more than there are classes, stands for "other".

    Attributes:
        rows: list of `(name, id or None, (red, green, blue) or None)`.
        names: tuple of str, without "other".
        colours: array `[classes + 1, 3]`, uint8: what to show them in, black
            for "other".

    Args:
        rows: as the attribute.

    Raises:
        ValueError: if a row is not as described, an id or a colour stands for
            two classes, or there are none, or more than 255.
    """

    def __init__(self, rows):
        self.rows = [_row(*row) for row in rows]
        void = {row[0] for row in self.rows if row[0].lower() in VOID_NAMES}
        self.names = tuple(
            dict.fromkeys(row[0] for row in self.rows if row[0] not in void)
        )
        if not 1 <= len(self.names) <= _MOST_CLASSES:
            raise ValueError(
                f"there must be from 1 to {_MOST_CLASSES} classes. Received: "
                f"{len(self.names)}"
            )
        self._numbers = {name: n for n, name in enumerate(self.names)}
        self._numbers |= dict.fromkeys(void, len(self.names))
        self._number_of_id = self._numbers_of(1, "id")
        self._number_of_colour = self._numbers_of(2, "colour")
        self.colours = self._shown_colours()

    def _numbers_of(self, column, kind):
        numbers = {}
        for row in self.rows:
            value, number = row[column], self._numbers[row[0]]
            if value is None:
                continue
            if numbers.setdefault(value, number) != number:
                raise ValueError(
                    f"the {kind} {value} must stand for one class alone. "
                    f"Received: it is given to {row[0]!r} and to another"
                )
        return numbers

    def _shown_colours(self):
        shown = {}
        for name, _, colour in self.rows:
            if colour is not None:
                shown.setdefault(name, colour)
        count = len(self.names)
        for number, name in enumerate(self.names):
            if name not in shown:
                # Even steps around the circle of hues, in three lightnesses.
                bright = (0.9, 0.6, 0.75)[number % 3]
                rgb = colorsys.hsv_to_rgb(number / count, 0.65, bright)
                shown[name] = tuple(round(255 * value) for value in rgb)
        colours = [shown[name] for name in self.names]
        return np.array([*colours, _SHOWN_VOID], np.uint8)

    @property
    def num_channels(self):
        """Channels of a one-hot layout: the classes, and "other"."""
        return len(self.names) + 1

    @property
    def has_ids(self):
        """Whether maps of ids can be read."""
        return bool(self._number_of_id)

    @property
    def has_colours(self):
        """Whether maps of colours can be read."""
        return bool(self._number_of_colour)

    def from_ids(self, ids):
        """Labels of a map of ids.

        Args:
            ids: integer array of any shape, in [0, 255].

        Returns:
            uint8 array of the same shape.

        Raises:
            ValueError: if an id is out of range, or none of them is listed.
        """
        low, high = int(ids.min()), int(ids.max())
        if low < 0 or high > 255:
            raise ValueError(
                "labels must be in [0, 255]. Received: "
                f"{low if low < 0 else high}. Use maps of class ids rather "
                "than of instances"
            )
        table = np.full(256, len(self.names), np.uint8)
        listed = np.zeros(256, bool)
        for value, number in self._number_of_id.items():
            table[value], listed[value] = number, True
        found = np.flatnonzero(np.bincount(ids.ravel(), minlength=256))
        if not listed[found].any():
            some = ", ".join(map(str, found[:8]))
            raise ValueError(
                "labels must be ids of the class list, "
                f"{sorted(self._number_of_id)}. Received: none of them, but "
                f"{some}"
            )
        return table[ids]

    def from_colours(self, colours):
        """Labels of a map of colours.

        Args:
            colours: uint8 array `[..., 3]`.

        Returns:
            uint8 array `[...]`.

        Raises:
            ValueError: if a colour is not listed.
        """
        red, green, blue = np.moveaxis(colours.astype(np.uint32), -1, 0)
        packed = (red << 16) + (green << 8) + blue
        found, places = np.unique(packed, return_inverse=True)
        triples = [(v >> 16, v >> 8 & 255, v & 255) for v in found.tolist()]
        unknown = [t for t in triples if t not in self._number_of_colour]
        if unknown:
            some = ", ".join(map(str, unknown[:3]))
            raise ValueError(
                "every colour must be one of the class list (list it as void "
                f"if it is no class). Received: {len(unknown)} that are not, "
                f"such as {some}"
            )
        numbers = [self._number_of_colour[triple] for triple in triples]
        return np.array(numbers, np.uint8)[places].reshape(packed.shape)

    def picture(self, labels):
        """Labels in the classes' colours.

        Args:
            labels: integer array of any shape.

        Returns:
            float32 array `[..., 3]` in [0, 1].
        """
        return self.colours[labels] / np.float32(255.0)

    def as_text(self):
        """The content of a class file."""
        file = io.StringIO()
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("name", "id", "red", "green", "blue"))
        for name, number, colour in self.rows:
            writer.writerow((name, number, *(colour or ("", "", ""))))
        return file.getvalue()

    @property
    def ids(self):
        """Tuple over the classes of tuples of the ids that stand for each."""
        return tuple(
            tuple(
                value
                for value, other in self._number_of_id.items()
                if other == number
            )
            for number in range(len(self.names))
        )

    @classmethod
    def of_ids(cls, ids):
        """Classes without names: an id each, but for 255, which is "other".

        Args:
            ids: integers in [0, 255].

        Returns:
            A `Classes`.
        """
        ids = sorted(set(map(int, ids)) - {255})
        return cls([(f"label {number}", number, None) for number in ids])


def _row(name, number, colour):
    """A row of `Classes`, also where JSON or NumPy made another type of it."""
    if not isinstance(name, str):
        raise ValueError(f"the name of a class must be text. Received: {name}")
    if number is not None:
        number = integer("id", number, least=0, most=255)
    if colour is not None:
        colour = integers("colour", colour, least=0)
        if len(colour) != 3 or max(colour) > 255:
            raise ValueError(
                "a colour must be red, green and blue from 0 to 255. "
                f"Received: {colour} of {name!r}"
            )
    return name, number, colour
