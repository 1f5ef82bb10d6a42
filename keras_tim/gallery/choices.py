"""The alternatives of one picture in the gallery: drawn, varied, mixed."""

import dataclasses
import os
import zipfile

import numpy as np

from keras_tim.files import written
from keras_tim.images.alternatives import (
    alternative_name,
    most_different,
    spread,
)
from keras_tim.images.pictures import read_picture, write_picture
from keras_tim.images.sheets import pixel_deviation
from keras_tim.inference.choosing import codes_of, mask_text
from keras_tim.inference.rendering import Renderer
from keras_tim.models.fingerprint import fingerprint

# Beside favourites the latest so many are kept, each in a file.
MOST_KEPT = 32
# A window that a phone shows at full size too, and how many alternatives are
# looked at to find it.
CLOSE_UP = (256, 320)
MOST_COMPARED = 8

LEVELS = ("all", "fine", "coarse")


@dataclasses.dataclass(frozen=True)
class Alternative:
    """One picture that was made.

    Attributes:
        name: str, what a person calls it.
        path: str, a PNG file with a record of how it was made.
        made_of: dict that JSON can hold: how its codes came about, see
            `codes_of`. They are larger than the picture, and are not kept.
        temperature: float, what its codes were drawn with.
    """

    name: str
    path: str
    made_of: dict
    temperature: float = 1.0


class Choices:
    """Alternatives of one picture: drawn, varied, mixed.

    Args:
        tim: a `TIM`.
        given: array `[height, width, channels]`, float in [0, 1].
        stem: str, what files are called after.
        folder: where they go; it must exist.
        record: dict, what `keras_tim.inference.sample_files` would write of
            the picture and the model, so that `keras-tim sample --again` makes
            what was drawn here; None for one that does not say.
        original: `keras_tim.images.originals.Original`, the picture's file,
            or None.
    """

    def __init__(self, tim, given, stem, folder, record=None, original=None):
        self._tim = tim
        self._height, self._width = given.shape[:2]
        self._renderer = Renderer(tim, given)
        self._record = record
        self._model = fingerprint(tim)
        self._original = original
        self._stem, self._folder = stem, folder
        self._kept = {}
        self._favourites = []
        self._place = (None, None)
        self._next_index = 0
        self._counts = {"variation": 0, "between": 0, "mix": 0}

    @property
    def alternatives(self):
        """Those that are kept, in the order they were made."""
        return list(self._kept.values())

    def named(self, name):
        """The alternative of a name.

        Args:
            name: str.

        Returns:
            An `Alternative`.

        Raises:
            ValueError: if there is none of that name.
        """
        if name not in self._kept:
            raise ValueError(
                "Choose one of the alternatives first."
                if not name
                else f"There is no alternative {name!r} any more."
            )
        return self._kept[name]

    @property
    def favourites(self):
        """Those that were marked, in the order they were."""
        return [self._kept[name] for name in self._favourites]

    def mark(self, name):
        """Makes an alternative a favourite, or none where it is one.

        Args:
            name: str, the alternative.

        Returns:
            bool, whether it is one now.
        """
        self.named(name)
        if name in self._favourites:
            self._favourites.remove(name)
            return False
        self._favourites.append(name)
        return True

    def write_favourites(self):
        """Writes the favourites' files into a ZIP file.

        Returns:
            Its path, or None where there are no favourites.
        """
        if not self._favourites:
            return None
        path = os.path.join(self._folder, f"{self._stem}_favourites.zip")
        with (
            written(path) as temporary,
            zipfile.ZipFile(temporary, "w") as archive,
        ):
            for made in self.favourites:
                archive.write(made.path, os.path.basename(made.path))
        return path

    def beside(self, name, step):
        """The name of the next alternative, or of another one nearby.

        Args:
            name: str, an alternative, or None.
            step: int, 1 for the next one and -1 for the one before; behind the
                last one comes the first.

        Returns:
            str, or None where there are none.
        """
        names = list(self._kept)
        if not names:
            return None
        if name not in self._kept:
            return names[0 if step > 0 else -1]
        return names[(names.index(name) + step) % len(names)]

    def close_up(self, name):
        """An alternative where all of them differ most.

        Args:
            name: str, the alternative.

        Returns:
            uint8 array `[h, w, 3]`, a part of the picture at its own size; None
            where there is nothing to differ from.
        """
        chosen = self.named(name)
        if len(self._kept) < 2:
            return None
        paths = [made.path for made in self.alternatives]
        if self._place[0] != paths:
            compared = _Pictures(spread(paths, MOST_COMPARED))
            deviation = pixel_deviation(compared)
            # Not all of a small picture, of which nothing could be learnt.
            half = [-(-side // 2) for side in deviation.shape]
            (place,) = most_different(deviation, np.minimum(CLOSE_UP, half))
            self._place = (paths, place)
        return read_picture(chosen.path, "uint8")[self._place[1]]

    def draw(self, temperature=1.0):
        """Makes the next alternative of seed 0.

        Args:
            temperature: float, see `TIM.sample`.

        Returns:
            The new `Alternative`.
        """
        index, temperature = self._next_index, float(temperature)
        made_of = {"seed": 0, "index": index}
        name = alternative_name(0, index)
        if temperature != 1.0:
            made_of["temperature"] = temperature
            name = f"{name}, temperature {temperature:g}"
        made = self._made(
            name,
            f"0_{index:04d}",
            made_of,
            temperature,
        )
        self._next_index += 1
        return made

    def vary(self, name, amount, levels="all"):
        """Makes one more like an alternative.

        Args:
            name: str, the alternative.
            amount: float in [0, 1], see `TIM.vary`.
            levels: "all", "fine" for the last level alone, or "coarse" for the
                others.

        Returns:
            The new `Alternative`.
        """
        near = self.named(name)
        if levels not in LEVELS:
            raise ValueError(
                f"`levels` must be one of {LEVELS}. Received: {levels!r}"
            )
        last = self._tim.num_levels - 1
        numbers = {
            "all": None,
            "fine": [last],
            "coarse": list(range(last)) or None,
        }[levels]
        # Another one every time: what was varied may be varied again.
        seed = self._counted("variation")
        made_of = {"amount": amount, "levels": numbers, "seed": seed}
        warm = near.temperature
        if warm != 1.0:
            made_of["temperature"] = warm
        return self._made(
            f"variation {seed}",
            f"variation{seed}",
            {"vary": near.made_of, **made_of},
            warm,
        )

    def between(self, name, other, t):
        """Makes one between two alternatives.

        Args:
            name: str, one alternative.
            other: str, another one.
            t: float in [0, 1], how far from the first to the second.

        Returns:
            The new `Alternative`.
        """
        a, b = self.named(name), self.named(other)
        number = self._counted("between")
        return self._made(
            f"between {number}",
            f"between{number}",
            {"interpolate": [a.made_of, b.made_of], "t": t},
            max(a.temperature, b.temperature),
        )

    def combine(self, name, other, mask):
        """Makes one that is this alternative here and another there.

        Args:
            name: str, the alternative.
            other: str, the other one.
            mask: array `[height, width]` of the given picture's size, from 0,
                where the alternative stays, to 1, where the other one is taken.

        Returns:
            The new `Alternative`.
        """
        a, b = self.named(name), self.named(other)
        mask = np.asarray(mask, "float32")
        if mask.shape != (self._height, self._width) or not (
            mask.min() >= 0 and mask.max() <= 1
        ):
            raise ValueError(
                f"`mask` must be [{self._height}, {self._width}] in [0, 1]. "
                f"Received: shape {mask.shape}"
            )
        if not mask.any():
            raise ValueError(
                f"Paint where {other} is right; nothing is painted yet."
            )
        number = self._counted("mix")
        # As the record holds it.
        levels = np.rint(255.0 * mask).astype("uint8")
        return self._made(
            f"mix {number}",
            f"mix{number}",
            {"combine": [a.made_of, b.made_of], "mask": mask_text(levels)},
            max(a.temperature, b.temperature),
        )

    def size(self):
        """Height and width of the given picture."""
        return self._height, self._width

    def size_made(self):
        """Height and width of the alternatives."""
        factor = self._tim.output_factor
        return factor * self._height, factor * self._width

    def _counted(self, kind):
        self._counts[kind] += 1
        return self._counts[kind]

    def codes(self, made):
        """The codes of an alternative, made again."""
        return codes_of(self._tim, self._renderer, made.made_of)

    def _made(self, name, ending, made_of, temperature):
        path = os.path.join(self._folder, f"{self._stem}_{ending}.png")
        codes = codes_of(self._tim, self._renderer, made_of)
        picture = self._renderer.picture(codes)
        write_picture(path, picture, self._recorded(made_of), self._original)
        self._kept[name] = Alternative(name, path, made_of, temperature)
        others = [name for name in self._kept if name not in self._favourites]
        for oldest in others[:-MOST_KEPT]:
            os.unlink(self._kept.pop(oldest).path)
        return self._kept[name]

    def _recorded(self, made_of):
        """The record of what was drawn is the command line's."""
        if self._record is not None and "index" in made_of:
            return {"made": "alternative"} | self._record | made_of
        record = {"made": "choice", "model": self._model, "codes": made_of}
        return (self._record or {}) | record


class _Pictures:
    """A sequence of pictures that stay in their files."""

    def __init__(self, paths):
        self._paths = paths

    def __len__(self):
        return len(self._paths)

    def __getitem__(self, number):
        return read_picture(self._paths[number])
