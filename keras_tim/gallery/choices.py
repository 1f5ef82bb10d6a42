"""The alternatives of one picture in the gallery: drawn, varied, mixed."""

import contextlib
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
from keras_tim.inference.recorded_codes import codes_of, mask_text
from keras_tim.inference.rendering import Renderer, TiledRenderer, choice_of
from keras_tim.inference.samples import finished, sample_of, tile_side
from keras_tim.models.fingerprint import fingerprint

# Beside favourites the latest so many are kept, each in a file.
MOST_KEPT = 32
# A window that a phone shows at full size too, and how many alternatives are
# looked at to find it.
CLOSE_UP = (256, 320)
MOST_COMPARED = 8
# Of a picture that is made in tiles a region is shown, of so many pixels of the
# output along each side at most.
REGION = 768

LEVELS = ("all", "fine", "coarse")


@dataclasses.dataclass(frozen=True)
class Alternative:
    """One picture that was made.

    Attributes:
        name: str, what a person calls it.
        path: str, a PNG file of what is shown of it. Where that is all, it has
            a record of how it was made.
        ending: str, of the name of its file.
        made_of: dict that JSON can hold: how its codes came about, see
            `codes_of`. They are larger than the picture, and are not kept.
        temperature: float, what its codes were drawn with.
    """

    name: str
    path: str
    ending: str
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
        tile: as `TIM.sample` takes it.
        last: what is done last to what is made, see
            `keras_tim.inference.last_steps.last_step`, or None. Of a picture in
            tiles it is done to the whole alone.

    Attributes:
        region: None, or, of a picture that is made in tiles, what is shown of
            it: two slices of the rows and columns given. It is the middle at
            first.
        doing: anything, what whoever makes pictures of them is about, so that
            it can be told to end.
        place: anything, the same for where of it is to be looked.
        path: str or None, the picture's file, for the same.
    """

    def __init__(
        self,
        tim,
        given,
        stem,
        folder,
        record=None,
        original=None,
        tile="auto",
        last=None,
    ):
        self._tim, self._given, self._last = tim, given, last
        self._tile = tile_side(tim, given.shape, tile)
        self.region, self.doing, self.place, self.path = (None,) * 4
        if self._tile is None:
            self._renderer = Renderer(tim, given)
        else:
            self._renderer = TiledRenderer(tim, given)
            self._center((0.5, 0.5))
        self._record = record
        self._model = fingerprint(tim)
        self._original = original
        self._stem, self._folder = stem, folder
        self._kept = {}
        self._favourites = []
        # What was shown before a look that has not ended.
        self._before = None
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
            Its path, or None where there are no favourites, or their files
            hold a region of them alone.
        """
        if not self._favourites or self.region:
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
            mask: array `[height, width]` of `size`, from 0, where the
                alternative stays, to 1, where the other one is taken.

        Returns:
            The new `Alternative`.
        """
        a, b = self.named(name), self.named(other)
        mask = np.asarray(mask, "float32")
        height, width = self.size()
        if mask.shape != (height, width) or not (
            mask.min() >= 0 and mask.max() <= 1
        ):
            raise ValueError(
                f"`mask` must be [{height}, {width}] in [0, 1]. "
                f"Received: shape {mask.shape}"
            )
        if not mask.any():
            raise ValueError(
                f"Paint where {other} is right; nothing is painted yet."
            )
        number = self._counted("mix")
        # As the record holds it.
        levels = np.zeros(self._given.shape[:2], "uint8")
        levels[self.region or ...] = np.rint(255.0 * mask)
        return self._made(
            f"mix {number}",
            f"mix{number}",
            {"combine": [a.made_of, b.made_of], "mask": mask_text(levels)},
            max(a.temperature, b.temperature),
        )

    def look(self, down, across, first=()):
        """Shows another region of a picture that is made in tiles.

        Where this ends early, the region that was shown before is shown again.

        Args:
            down: float, where its middle is to be, from 0 at the top to 1.
            across: float, the same from the left.
            first: names of alternatives that are made before the others.

        Yields:
            int, how many alternatives are shown there, from 0 on; nothing where
            all is shown anyway.
        """
        self.stay()
        before, kept = self.region, dict(self._kept)
        if before is None or not self._center((down, across)):
            return
        self._before = moving = before, kept
        names = [name for name in dict.fromkeys(first) if name in kept]
        names += [name for name in kept if name not in first]
        try:
            yield 0
            for number, name in enumerate(names):
                # It may have been told to stay meanwhile.
                if self._before is not moving:
                    return
                made = kept[name]
                path = self._write(made.ending, made.made_of)
                if self._before is not moving:
                    if path != made.path:
                        os.unlink(path)
                    return
                self._kept[name] = dataclasses.replace(made, path=path)
                yield number + 1
            self._before = None
            for made in kept.values():
                os.unlink(made.path)
        finally:
            if self._before is moving:
                self.stay()

    def stay(self):
        """Shows what was shown before a `look` that has not come to its end."""
        if self._before is None:
            return
        moved = {made.path for made in self._kept.values()}
        self.region, self._kept = self._before
        self._before = None
        for path in moved - {made.path for made in self._kept.values()}:
            os.unlink(path)

    def whole(self, name):
        """The file of a whole picture with a record of how it was made.

        Args:
            name: str, an alternative.

        Returns:
            Its path, or None where it is made in tiles and has not been yet,
            see `make_whole`.
        """
        made = self.named(name)
        if self.region is None:
            return made.path
        path = self._path(made.ending)
        return path if os.path.exists(path) else None

    def make_whole(self, name, part_done=None):
        """Makes the whole of a picture of which a region was shown.

        Args:
            name: str, an alternative.
            part_done: None, or a function that is told the share of it that
                has been made since, see `sample_of`.

        Returns:
            The path of its file.
        """
        path = self.whole(name)
        if path is not None:
            return path
        made = self.named(name)
        if self._drawn(made.made_of):
            picture = sample_of(
                *(self._tim, self._given),
                *(made.made_of["seed"], made.made_of["index"]),
                *(made.temperature, self._tile, part_done, self._last),
            )
        else:
            picture = choice_of(
                *(self._tim, self._given, made.made_of),
                *(self._tile, part_done, self._last),
            )
        path = self._path(made.ending)
        record = self._recorded(made.made_of) | {"tile": self._tile}
        write_picture(path, picture, record, self._original)
        return path

    def size(self):
        """Height and width that are shown of the given picture."""
        if self.region is None:
            return self._given.shape[:2]
        return tuple(part.stop - part.start for part in self.region)

    @property
    def size_given(self):
        """Height and width of the picture given."""
        return self._given.shape[:2]

    def size_made(self):
        """Height and width of the alternatives."""
        if self._last is not None:
            return self._last.size
        factor = self._tim.output_factor
        return tuple(factor * n for n in self._given.shape[:2])

    def _counted(self, kind):
        self._counts[kind] += 1
        return self._counts[kind]

    def codes(self, made):
        """The codes of an alternative, made again."""
        return codes_of(self._tim, self._renderer, made.made_of)

    def _made(self, name, ending, made_of, temperature):
        path = self._write(ending, made_of)
        self._kept[name] = Alternative(name, path, ending, made_of, temperature)
        others = [name for name in self._kept if name not in self._favourites]
        for oldest in others[:-MOST_KEPT]:
            forgotten = self._kept.pop(oldest)
            for path in {forgotten.path, self._path(forgotten.ending)}:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path)
        return self._kept[name]

    def _write(self, ending, made_of):
        """Writes what is shown of a picture; gives its path."""
        region = self.region
        if region is None:
            path = self._path(ending)
            codes = codes_of(self._tim, self._renderer, made_of)
            picture = finished(self._renderer.picture(codes), self._last)
            record = self._recorded(made_of)
            write_picture(path, picture, record, self._original)
            return path
        top, left = (part.start for part in region)
        path = self._path(f"{ending}_at_{left}_{top}")
        picture = self._renderer.region(made_of, region)
        record = {"made": "region", "at": [left, top], "codes": made_of}
        write_picture(path, picture, (self._record or {}) | record)
        return path

    def _path(self, ending):
        return os.path.join(self._folder, f"{self._stem}_{ending}.png")

    def _center(self, place):
        """Moves the region; says whether it is another one now."""
        most = max(1, REGION // self._tim.output_factor)
        region = []
        for middle, length in zip(place, self._given.shape, strict=False):
            side = min(most, length)
            start = round(middle * length) - side // 2
            start = min(max(start, 0), length - side)
            region.append(slice(start, start + side))
        before, self.region = self.region, tuple(region)
        return self.region != before

    def _drawn(self, made_of):
        """Whether the command line draws it, too."""
        return self._record is not None and "index" in made_of

    def _recorded(self, made_of):
        """The record of what was drawn is the command line's."""
        size = {} if self._last is None else {"size": list(self._last.size)}
        if self._drawn(made_of):
            return {"made": "alternative"} | self._record | size | made_of
        record = {"made": "choice", "model": self._model, "codes": made_of}
        record |= size
        return (self._record or {}) | record


class _Pictures:
    """A sequence of pictures that stay in their files."""

    def __init__(self, paths):
        self._paths = paths

    def __len__(self):
        return len(self._paths)

    def __getitem__(self, number):
        return read_picture(self._paths[number])
