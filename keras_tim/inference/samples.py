"""Alternatives of picture files: what the `sample` command makes."""

import dataclasses
import errno
import functools
import hashlib
import itertools
import math
import os
import re
import time

import numpy as np
from absl import logging

from keras_tim.checks import integer
from keras_tim.images.alternatives import (
    alternative_name,
    alternatives_sheet,
)
from keras_tim.images.encoders import (
    IN_ROWS,
    LARGEST_SIDES,
    WRITERS,
    writable_suffixes,
)
from keras_tim.images.originals import read_original
from keras_tim.images.pictures import (
    PictureError,
    find_pictures,
    picture_size,
    read_picture,
    write_picture,
)
from keras_tim.images.records import read_record
from keras_tim.images.reduced import read_reduced
from keras_tim.images.resizing import resized_rows
from keras_tim.images.rows import PictureInRows, whole
from keras_tim.images.sheets import deviation_map, pixel_deviation
from keras_tim.inference.last_steps import last_step
from keras_tim.inference.progress import Progress
from keras_tim.inference.reading import LARGEST_HELD, read_by, read_input
from keras_tim.inference.sizing import Sizing
from keras_tim.models.fingerprint import fingerprint
from keras_tim.models.tiles import Tiling
from keras_tim.tasks.task import SUFFIX

# Larger alternatives are reduced for their sheet and their map.
LARGEST_ON_SHEET = 16_000_000
_SHEET = "_sheet.png"
_DIFFERENCES = "_differences.png"
_TILES = ("tile", "first_tile")
# What results of one picture, model and settings differ in.
_VARYING = ("seed", "index", "alternatives", "suffix", *_TILES)
# Most file systems allow names of so many bytes.
_LONGEST_NAME = 255
# So many files are named where many are in the way.
_MOST_NAMED = 5
# What a record says to be read, beside what a result depends on.
_SAID = ("picture", "preset", *_TILES)
# Phones' photos, in formats that are read only.
_LIKE_JPEG = (".heic", ".heif", ".hif", ".mpo")


def sample_files(
    tim,
    paths,
    folder,
    seeds=(0,),
    overwrite=False,
    failed=None,
    *,
    alternatives=(0,),
    temperature=1.0,
    format=None,
    preset=None,
    tell=None,
    tile="auto",
    size=None,
    scale=None,
    repair=False,
    **reading,
):
    """Writes alternatives of picture files.

    An alternative is known by its picture, its seed and its number, as sample
    `k` of `TIM.sample(seed=seed)` is. Of `photo.png`, seed 0 and the numbers 0
    to 7 the folder gets `photo_0_0000.png` to `photo_0_0007.png`,
    `photo_sheet.png` with all of them, and `photo_differences.png`, a map of
    where they differ. Pictures of a folder's sub-folders go into sub-folders
    of the same names. Where two pictures would be called the same, the second
    one gets a number.

    What a picture file holds beside its colours, the results keep, as far as
    the task allows: see the task's `keeps`.

    What an earlier call finished is kept, so that one that was interrupted
    goes on; of a picture that has other alternatives there already, the sheet
    shows all. Every file holds a record of the picture, the model and the
    alternative, by which `keras_tim.inference.again.sample_again` makes it
    again. Files that cannot be read are reported and skipped.

    Args:
        tim: a `TIM`.
        paths: list of picture files, and of folders to look for pictures in.
        folder: where the results go; made if missing.
        seeds: list of int.
        overwrite: bool, whether files that are in the way are written over:
            others of the same name, and results of other pictures, models or
            settings. The pictures to be sampled never are.
        failed: list or None; it gets the paths of files that were skipped.
        alternatives: list of int from 0 on, which samples of every seed.
        temperature: float, see `TIM.sample`.
        format: "png", "jpg", "webp", "tiff" or "avif"; None for the
            picture's own, where the task keeps it, and else PNG.
        preset: str or None, the name of the model, for the records.
        tell: function or None. It is called when a picture is done, with a
            dict: `picture`, its path; `alternatives`, dicts of `path`, `seed`
            and `index`; `sheet` and `differences`, paths, where there are
            any; `made`, how many alternatives were made and not there yet;
            `seconds`; or, of one that was skipped, `picture` and `error`.
        tile: int, "auto" or None, as `TIM.sample` takes it. What is finished
            is finished, whatever tiles it was made in.
        size: what results are resampled to as the last step, for models that
            enlarge: int, pixels of the longer side, or `(height, width)`,
            which stretches pictures of other proportions; "same" for the
            picture's size before it was reduced; None for the model's own.
            Where that is exceeded by more than half, the model is given its
            own result once more, resampled so that it comes out as large as
            is wanted. What is larger still is resampled: nothing but size is
            added.
        scale: float or None, the same relative to what the model is given,
            such as 3.5.
        repair: bool, whether JPEG files are to be repaired. A model that
            enlarges is given each at half its size, or reduced by `reduce`,
            where most of the blocks are gone; what it makes gets the file's
            size, and is kept near what the file's coefficients say, see
            `keras_tim.layers.coefficients.within_steps`. A model of JPEG
            repair is given the file as it is, and what it makes is kept near.
            Results are PNG files unless `format` says otherwise: as a JPEG
            they would be compressed once more.
        **reading: how the pictures are read, as `read_input` takes
            it: for every task `reduce`, a factor to reduce them by. Without
            it colourization reduces large pictures to a longer side of at
            most 448 pixels, see `keras_tim.tasks.Task.working_side`, and lays
            colours onto the picture as it was.

    Returns:
        List of the alternatives' paths, also of those finished earlier.

    Raises:
        FileExistsError: if files are in the way; nothing was written.
        ValueError: if no file could be used, `tile` is too small, `size` or
            `scale` is none that the model's results can have, or the model
            cannot repair.
    """
    Tiling.of_model(tim).check_tile(tile)
    sizing = Sizing.of(tim, reading.pop("reduce", None), size, scale, repair)
    if repair and reading.get("quality") is not None:
        raise ValueError(
            "What is compressed first does not agree with its file any more, "
            "by which it would be repaired. Give `quality` or `repair`, not "
            f"both. Received: quality={reading['quality']}, repair={repair}"
        )
    if repair and format is None:
        format = "png"
    wanted = [
        (integer("seeds", seed, least=None), integer("alternatives", k, 0))
        for seed in seeds
        for k in alternatives
    ]
    failed = [] if failed is None else failed
    sources = _sources(paths)
    names = _unique_names([name for _, name in sources])
    suffixes = [_suffix(path, tim, format) for path, _ in sources]
    most = _longest_stem(folder, wanted)
    made_from = what_it_is_made_from(tim, temperature, **reading)
    jobs = [
        _Job(
            path,
            os.path.join(folder, _short(name, most)),
            suffix,
            made_from,
            sizing,
            preset,
        )
        for (path, _), name, suffix in zip(
            sources, names, suffixes, strict=True
        )
    ]
    for job, (_, name) in zip(jobs, sources, strict=True):
        called = os.path.relpath(job.base, folder)
        if called != os.path.normpath(name):
            logging.info("What is made of %s is called %s", job.path, called)
    in_the_way = _in_the_way(jobs, wanted, overwrite)
    # Of pictures that cannot be used nothing will be written.
    if any(_can_be_used(tim, job) for job, _ in in_the_way):
        paths = [path for _, path in in_the_way]
        more = len(paths) - _MOST_NAMED
        raise FileExistsError(
            f"{folder} holds files that results would be written over, and "
            "that are none of the same picture, model and settings: "
            f"{', '.join(paths[:_MOST_NAMED])}"
            f"{f' and {more} more' if more > 0 else ''}. Choose another "
            "folder, or write over them with --overwrite. Nothing was written."
        )
    os.makedirs(folder, exist_ok=True)
    finished = []
    progress = Progress([_pixels(job.path) for job in jobs], len(wanted))
    for number, job in enumerate(jobs):
        logging.info("%s (%d of %d)", job.path, number + 1, len(jobs))
        begun = time.monotonic()
        try:
            made = _sample_file(tim, job, wanted, overwrite, tile, progress)
        except (PictureError, OSError) as error:
            # Of a path that is too long others need not suffer.
            if isinstance(error, OSError) and error.errno != errno.ENAMETOOLONG:
                raise
            progress.end()
            logging.warning("Skipped a picture. %s", error)
            failed.append(job.path)
            told = {"picture": job.path, "error": str(error)}
        else:
            finished += [job.alternative(*which) for which in wanted]
            seconds = round(time.monotonic() - begun, 3)
            told = job.told(wanted) | {"made": made, "seconds": seconds}
        progress.picture_done()
        if tell is not None:
            tell(told)
    progress.end()
    if not finished:
        raise ValueError(
            f"None of the {len(jobs)} pictures could be used; see the "
            "warnings above."
        )
    return finished


def what_it_is_made_from(tim, temperature=1.0, **reading):
    """What records hold of the model and the settings of a result.

    Args:
        tim: a `TIM`.
        temperature: float.
        **reading: see `read_input`.

    Returns:
        dict.
    """
    return {
        "model": fingerprint(tim),
        "reading": {"reduce": 1, **reading},
        "read_by": read_by(tim),
        "temperature": float(temperature),
    }


def what_is_said(path, preset=None):
    """What records hold of a picture and a model for people to read.

    Args:
        path: the picture.
        preset: str, the model's name, or None.

    Returns:
        dict.
    """
    said = {"picture": text_of_name(path)}
    return said if preset is None else said | {"preset": preset}


@dataclasses.dataclass
class _Job:
    """One picture, and what is made of it.

    Attributes:
        path: the picture.
        base: path of the results, without what tells them apart.
        suffix: that of the alternatives.
        made_from: dict, what they depend on beside the picture, for one that
            is not reduced.
        sizing: `Sizing`, how large they are to be.
        preset: name of the model or None.
    """

    path: str
    base: str
    suffix: str
    made_from: dict
    sizing: Sizing
    preset: str | None = None
    _digest: str | None = None

    @functools.cached_property
    def size(self):
        """Height and width that they are resampled to; else None."""
        return self.sizing.of_picture(self.path)

    @functools.cached_property
    def middle(self):
        """Height and width of what the model is given again; else None."""
        return self.sizing.middle(self.path)

    @functools.cached_property
    def reading(self):
        """How the picture is read, see `read_input`."""
        return self.made_from["reading"] | self.sizing.reading(self.path)

    def alternative(self, seed, index):
        """The path of an alternative."""
        return f"{self.base}_{seed}_{index:04d}{self.suffix}"

    def record(self, made, **more):
        """The record of a result, see `keras_tim.images.records`."""
        if self._digest is None:
            self._digest = picture_digest(self.path)
        if self.size is not None:
            more = {"size": list(self.size), **more}
        if self.middle is not None:
            more = {"middle": list(self.middle), **more}
        if self.sizing.share is not None:
            more = {"share": self.sizing.share, **more}
        record = {"made": made, "of": self._digest, **self.made_from}
        record |= {"reading": self.reading}
        return record | what_is_said(self.path, self.preset) | more

    def is_finished(self, seed, index):
        """Whether an alternative is there already."""
        path = self.alternative(seed, index)
        if not os.path.exists(path):
            return False
        return _same(
            read_record(path),
            self.record("alternative", seed=seed, index=index),
        )

    def others(self):
        """Seeds and numbers of all alternatives that are there."""
        folder, name = os.path.split(self.base)
        pattern = re.compile(
            re.escape(name) + r"_(-?\d+)_(\d{4,})" + re.escape(self.suffix)
        )
        matches = map(pattern.fullmatch, os.listdir(folder))
        found = {(int(match[1]), int(match[2])) for match in matches if match}
        return {which for which in found if self.is_finished(*which)}

    def told(self, wanted):
        """What there is of it now, see `sample_files`."""
        made = [
            {
                "path": self.alternative(*which),
                "seed": which[0],
                "index": which[1],
            }
            for which in wanted
        ]
        sheets = {"sheet": self.base + _SHEET}
        if len(wanted) > 1:
            sheets["differences"] = self.base + _DIFFERENCES
        return {"picture": self.path, "alternatives": made, **sheets}


def _sample_file(tim, job, wanted, overwrite, tile, progress):
    """Makes what is missing of one picture's results; says how much it was."""
    missing = [w for w in wanted if overwrite or not job.is_finished(*w)]
    progress.leave_out(len(wanted) - len(missing))
    given = original = None
    if missing:
        # The record first: it reads the file as it is now.
        job.record("alternative")
        given = read_input(tim, job.path, **job.reading)
        last = last_step(tim, job.path, job.size, job.sizing.share)
        original = read_original(job.path, tim.task_definition.keeps)
        own = [tim.output_factor * n for n in given.shape[:2]]
        refuse_large_file(job.path, job.size or own, job.suffix)
        if job.size is not None:
            job.sizing.tell(job.path, job.size)
        os.makedirs(os.path.dirname(job.base), exist_ok=True)
        tiles = {"tile": tile_side(tim, given.shape, tile)}
        if job.middle is not None:
            tiles["first_tile"] = tiles["tile"]
            tiles["tile"] = tile_side(tim, job.middle, tile)
        more = {name: side for name, side in tiles.items() if side is not None}
        for seed, index in missing:
            sample = sample_of(
                tim,
                given,
                seed,
                index,
                job.made_from["temperature"],
                tiles["tile"],
                progress.part_done,
                last,
                job.middle,
                tiles.get("first_tile"),
            )
            write_picture(
                job.alternative(seed, index),
                sample,
                job.record("alternative", seed=seed, index=index, **more),
                original,
            )
            progress.alternative_done()
    shown = sorted({*wanted, *job.others()})
    sheet, differences = (
        (
            job.base + ending,
            job.record(made, alternatives=[list(w) for w in shown])
            | {"suffix": job.suffix},
        )
        for made, ending in (("sheet", _SHEET), ("map", _DIFFERENCES))
    )
    sheets = [sheet, differences] if len(shown) > 1 else [sheet]
    if not missing and all(_same(read_record(p), r) for p, r in sheets):
        logging.info("Everything of it is finished.")
        return 0
    if given is None:
        given = read_input(tim, job.path, **job.reading)
        last = last_step(tim, job.path, job.size, job.sizing.share)
        original = read_original(job.path, tim.task_definition.keeps)
    # What results were laid onto, where they were.
    seen = getattr(last, "given", given)
    # As they were written, so that it does not matter when they were.
    size = job.size or [tim.output_factor * n for n in given.shape[:2]]
    samples = _Files([job.alternative(*which) for which in shown], size)
    deviation = pixel_deviation(samples)
    if len(shown) > 1:
        picture, peak = deviation_map(deviation)
        write_picture(differences[0], picture, differences[1])
        progress.end()
        logging.info(
            "%s: the alternatives differ by a standard deviation of up to "
            "%.3f per pixel.",
            os.path.basename(job.base),
            peak,
        )
    baseline = tim.baseline(seen, deviation.shape)
    if baseline is not None:
        baseline = (baseline[0], original.over_white(baseline[1]))
    picture = alternatives_sheet(
        os.path.basename(job.base),
        original.over_white(tim.shown(seen)),
        samples,
        titles=[alternative_name(*which) for which in shown],
        baseline=baseline,
        deviation=deviation,
        reduced=samples.reduced,
    )
    write_picture(sheet[0], picture, sheet[1])
    return len(missing)


class _Files:
    """A sequence of pictures that stay in their files.

    Args:
        paths: list of the files, which `write_picture` wrote.
        size: height and width of the pictures in them.

    Attributes:
        reduced: int, how many times smaller the pictures are that it gives, so
            that a sheet of huge ones can be made.
    """

    def __init__(self, paths, size):
        self._paths = paths
        self._size = size
        self.reduced = math.ceil(
            math.sqrt(size[0] * size[1] / LARGEST_ON_SHEET)
        )

    def __len__(self):
        return len(self._paths)

    def __getitem__(self, number):
        path = self._paths[number]
        if self.reduced == 1:
            return read_picture(path)
        return read_reduced(path, self._size, self.reduced)


def tile_side(tim, size, tile):
    """The side of the tiles that a picture is made of; None for a whole one.

    Args:
        tim: a `TIM`.
        size: height and width of what it is given; what follows is left out.
        tile: int, "auto" or None, see `TIM.sample`.
    """
    multiple = tim.input_multiple
    padded = [-(-side // multiple) * multiple for side in size[:2]]
    sampler = tim.tiled_sampler()
    side = sampler.tile_of(tile, *padded)
    if side is not None:
        logging.info(
            "In %d tiles of up to %d x %d pixels",
            sampler.num_tiles(*padded, side),
            side,
            side,
        )
    return side


def sample_of(
    tim,
    given,
    seed,
    index,
    temperature=1.0,
    side=None,
    part_done=None,
    last=None,
    middle=None,
    first_side=None,
):
    """One alternative.

    Args:
        tim: a `TIM`.
        given: array `[h, w, channels]`, what it is given, of any sides.
        seed: int.
        index: int.
        temperature: float.
        side: int or None, see `tile_side`.
        part_done: None, or a function that is told the share of it that has
            been made since.
        last: what is done to it last, see
            `keras_tim.inference.last_steps.last_step`, or None.
        middle: `(height, width)` of what the model makes when it is given that
            again, drawn by the same seed and number; None where it is not.
        first_side: int or None, as `side`, of what it makes at first.

    Returns:
        float32 array `[H, W, 3]` in [0, 1]. Of a picture in tiles, or at
        another size, a `keras_tim.images.rows.PictureInRows`: it is made while
        it is written.
    """
    if middle is not None:
        first = sample_of(tim, given, seed, index, temperature, first_side)
        given = tim.condition(_at_size(first, middle))
    padded, own = _padded(tim, given)
    if side is None:
        sample = tim.sample(
            padded[None],
            num_samples=1,
            seed=seed,
            first=index,
            temperature=temperature,
        )[0, 0, : own[0], : own[1]]
        return finished(sample, last)
    parts = tim.tiled_sampler().rows(
        padded, seed, index, side, temperature, shares_told(part_done)
    )
    return in_rows(parts, own, last)


def _at_size(sample, size):
    """A result at another size, as an array."""
    in_parts = isinstance(sample, PictureInRows)
    parts = sample.parts if in_parts else [sample]
    own = sample.size if in_parts else sample.shape[:2]
    return whole(resized_rows(parts, own, size), size)


def finished(sample, last=None):
    """A result that was made whole, after what is done to it last.

    Args:
        sample: float array `[height, width, 3]`.
        last: see `sample_of`.

    Returns:
        The array, or a `keras_tim.images.rows.PictureInRows`.
    """
    if last is None:
        return sample
    return PictureInRows(last.rows([sample], sample.shape[:2]), last.size)


def shares_told(part_done):
    """Tells of tiles as shares of a picture.

    Args:
        part_done: None, or a function that is told the share of a picture that
            has been made since; what completes it is not told.

    Returns:
        A function that is told how many tiles are made, and of how many.
    """

    def progress(made, count):
        if part_done is not None and made < count:
            part_done(1.0 / count)

    return progress


def in_rows(parts, own, last=None):
    """The picture that comes in parts from top to bottom.

    Args:
        parts: float arrays `[rows, W, 3]`, which may go on beyond its size.
        own: `(height, width)`, its size.
        last: see `sample_of`.

    Returns:
        A `keras_tim.images.rows.PictureInRows`. Its first part is made at
        once: it says what is wrong with what all are made of.
    """
    parts = iter(parts)
    parts = _cut(itertools.chain([next(parts)], parts), own)
    if last is None:
        return PictureInRows(parts, own)
    return PictureInRows(last.rows(parts, own), last.size)


def _cut(parts, size):
    """Parts of a picture from top to bottom, without what exceeds a size."""
    left = size[0]
    for rows in parts:
        yield rows[:left, : size[1]]
        left -= len(rows[:left])


def _padded(tim, given):
    """What the model is given, and the size of what becomes of the input."""
    size = [tim.output_factor * n for n in given.shape[:2]]
    # Edge pixels repeated up to a multiple of the sides.
    missing = [(0, -n % tim.input_multiple) for n in given.shape[:2]]
    if any(after for _, after in missing):
        given = np.pad(given, (*missing, (0, 0)), mode="edge")
    return given, size


def refuse_large_file(path, size, suffix):
    """Raises `PictureError` where a format cannot hold a picture."""
    format = WRITERS[suffix]
    if format not in IN_ROWS and size[0] * size[1] > LARGEST_HELD:
        raise PictureError(
            f"What is made of {path} has {size[1]} x {size[0]} pixels, and "
            f"{suffix} files of more than {LARGEST_HELD:,} are not written: "
            "they would have to fit in memory. Choose --format=png."
        )
    largest = LARGEST_SIDES.get(format)
    side = max(size)
    if largest is not None and side > largest:
        raise PictureError(
            f"What is made of {path} has {side} pixels along one side, and "
            f"{suffix} files have at most {largest}. Choose another format "
            "with --format."
        )


def _suffix(path, tim, format):
    """The suffix of what is made of a picture."""
    if format is not None:
        suffix = f".{format}"
        if suffix not in writable_suffixes():
            raise ValueError(
                "`format` must be one of "
                f"{', '.join(s[1:] for s in writable_suffixes())}. Received: "
                f"format={format!r}"
            )
        return suffix
    suffix = os.path.splitext(path)[1].lower()
    if SUFFIX not in tim.task_definition.keeps:
        return ".png"
    if suffix in _LIKE_JPEG:
        return ".jpg"
    return suffix if suffix in writable_suffixes() else ".png"


def _pixels(path):
    """How much work a picture is; 0 for one that cannot be used."""
    try:
        height, width = picture_size(path)
    except PictureError:
        return 0
    return height * width


def _same(record, other):
    """Whether records are of the same result."""
    if record is None:
        return False
    record, other = (
        {k: v for k, v in r.items() if k not in _SAID} for r in (record, other)
    )
    return record == other


def _sources(paths):
    """Pictures, each once, and what to call them: paths without suffixes."""
    sources, taken = [], set()
    for path in map(os.fspath, paths):
        found = [(path, os.path.basename(path))]
        if os.path.isdir(path):
            found = [
                (str(inside), os.path.relpath(inside, path))
                for inside in find_pictures(path)
            ]
        for picture, name in found:
            real = os.path.realpath(picture)
            if real not in taken:
                sources.append((picture, os.path.splitext(name)[0]))
            taken.add(real)
    return sources


def _unique_names(names):
    """The names, numbered where a file system might take two for one."""
    unique, taken = [], set()
    for name in names:
        numbered, number = name, 2
        while numbered.casefold() in taken:
            numbered, number = f"{name}-{number}", number + 1
        taken.add(numbered.casefold())
        unique.append(numbered)
    return unique


def text_of_name(path):
    """The name of a file, as records hold it."""
    name = os.path.basename(path)
    return name.encode("utf-8", "replace").decode("utf-8")


def _longest_stem(folder, wanted):
    """How many bytes of a name leave room for what is added to it."""
    folder = os.path.abspath(folder)
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    longest = _LONGEST_NAME
    if hasattr(os, "pathconf"):
        longest = min(longest, os.pathconf(folder, "PC_NAME_MAX"))
    endings = [_SHEET, _DIFFERENCES]
    endings += [f"_{seed}_{index:04d}.tiff" for seed, index in wanted]
    return longest - max(map(len, endings))


def _short(name, most):
    """A name whose last part has at most so many bytes, and is no other's."""
    folder, last = os.path.split(name)
    encoded = os.fsencode(last)
    if len(encoded) <= most:
        return name
    digest = hashlib.sha256(encoded).hexdigest()[:8]
    last = encoded[: most - 9].decode("utf-8", "ignore")
    return os.path.join(folder, f"{last}-{digest}")


def _in_the_way(jobs, wanted, overwrite):
    """Pairs of a job and a file that its results must not be written over."""
    inputs = {_identity(job.path): job.path for job in jobs}
    in_the_way = []
    for job in jobs:
        results = {job.alternative(*which): "alternative" for which in wanted}
        results |= {job.base + _SHEET: "sheet"}
        if len(wanted) > 1:
            results |= {job.base + _DIFFERENCES: "map"}
        for path, made in results.items():
            identity = _identity(path)
            if identity is None:
                continue
            if identity in inputs:
                raise FileExistsError(
                    f"Results of {job.path} would be written over "
                    f"{inputs[identity]}, which is to be sampled itself. "
                    "Choose another folder for them. Nothing was written."
                )
            if not overwrite and not _is_ours(job, path, made):
                in_the_way.append((job, path))
    return in_the_way


def _can_be_used(tim, job):
    try:
        read_input(tim, job.path, **job.reading)
    except PictureError:
        return False
    return True


def _is_ours(job, path, made):
    """Whether a file is a result of a job, if maybe of other alternatives."""
    record = read_record(path)
    if record is None:
        return False
    record = {k: v for k, v in record.items() if k not in _VARYING}
    try:
        return _same(record, job.record(made))
    except PictureError:  # of which nothing will be written
        return True


def picture_digest(path):
    """The SHA-256 sum of a picture file, as records hold it."""
    if not os.path.isfile(path):
        raise PictureError(f"Cannot read `{path}`: there is no such file.")
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise PictureError(
            f"Cannot read `{path}`: {error.strerror}."
        ) from error


def _identity(path):
    """What two names of one file have in common; None if there is none."""
    try:
        state = os.stat(path)
    except OSError:
        return None
    return state.st_dev, state.st_ino
