"""The alternatives of one picture in the gallery: drawn, varied, mixed."""

import base64
import dataclasses
import io
import os
import typing

import numpy as np
from PIL import Image

from keras_tim.images.alternatives import alternative_name
from keras_tim.images.pictures import write_picture
from keras_tim.inference.rendering import Renderer
from keras_tim.models.choosing import join
from keras_tim.models.fingerprint import fingerprint

# The latest so many are kept, each in a file.
MOST_KEPT = 32

LEVELS = ("all", "fine", "coarse")


@dataclasses.dataclass(frozen=True)
class Alternative:
    """One picture that was made.

    Attributes:
        name: str, what a person calls it.
        path: str, a PNG file with a record of how it was made.
        made_of: dict that JSON can hold: how its codes came about.
        codes: function without arguments that gives them again. They are
            larger than the picture, and are not kept.
    """

    name: str
    path: str
    made_of: dict
    codes: typing.Callable


class Choices:
    """Alternatives of one picture: drawn, varied, mixed.

    Args:
        tim: a `TIM`.
        given: array `[height, width, channels]`, float in [0, 1].
        stem: str, what files are called after.
        folder: where they go; it must exist.
    """

    def __init__(self, tim, given, stem, folder):
        self._tim = tim
        self._height, self._width = given.shape[:2]
        self._renderer = Renderer(tim, given)
        self._model = fingerprint(tim)
        self._stem, self._folder = stem, folder
        self._kept = {}
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

    def draw(self):
        """Makes the next alternative of seed 0; returns it."""
        index = self._next_index
        self._next_index += 1
        return self._made(
            alternative_name(0, index),
            f"0_{index:04d}",
            {"seed": 0, "index": index},
            lambda: self._renderer.draw(0, index),
        )

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
        return self._made(
            f"variation {seed}",
            f"variation{seed}",
            {"vary": near.made_of, **made_of},
            lambda: self._tim.vary(near.codes(), amount, seed, numbers),
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
            lambda: self._tim.interpolate(a.codes(), b.codes(), t),
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
        masks = np.stack([255 - levels, levels])
        return self._made(
            f"mix {number}",
            f"mix{number}",
            {"combine": [a.made_of, b.made_of], "mask": _as_text(levels)},
            lambda: self._renderer.combine(join(a.codes(), b.codes()), masks),
        )

    def size(self):
        """Height and width of the given picture."""
        return self._height, self._width

    def _counted(self, kind):
        self._counts[kind] += 1
        return self._counts[kind]

    def _made(self, name, ending, made_of, codes):
        path = os.path.join(self._folder, f"{self._stem}_{ending}.png")
        record = {"made": "choice", "model": self._model, "codes": made_of}
        write_picture(path, self._renderer.picture(codes()), record)
        self._kept[name] = Alternative(name, path, made_of, codes)
        while len(self._kept) > MOST_KEPT:
            oldest = self._kept.pop(next(iter(self._kept)))
            os.unlink(oldest.path)
        return self._kept[name]


def _as_text(mask):
    """A uint8 mask as a PNG in base64."""
    file = io.BytesIO()
    Image.fromarray(mask).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode("ascii")
