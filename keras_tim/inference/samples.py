"""Alternatives of picture files: what the `sample` command makes."""

import dataclasses
import errno
import hashlib
import math
import os
import re

import keras
import numpy as np
from absl import logging
from PIL import Image

from keras_tim.inference.alternatives import alternatives_sheet
from keras_tim.inference.own import read_record
from keras_tim.inference.pictures import (
    PictureError,
    as_uint8,
    decode_picture,
    find_pictures,
    read_picture,
    write_picture,
)
from keras_tim.inference.sheets import deviation_map, pixel_deviation
from keras_tim.models.fingerprint import fingerprint
from keras_tim.models.tiles import Tiling

# Larger alternatives are reduced for their sheet and their map.
LARGEST_ON_SHEET = 16_000_000
_SHEET = "_sheet.png"
_DIFFERENCES = "_differences.png"
# What results of one picture, model and settings differ in.
_VARYING = ("seed", "seeds", "tile")
# Most file systems allow names of so many bytes.
_LONGEST_NAME = 255
# So many files are named where many are in the way.
_MOST_NAMED = 5


def sample_files(
    tim,
    recipe,
    paths,
    folder,
    seeds,
    overwrite=False,
    failed=None,
    tile="auto",
    **reading,
):
    """Writes alternatives of picture files.

    Of `photo.png` and seeds 0 to 7 the folder gets `photo_seed0000.png` to
    `photo_seed0007.png`, `photo_sheet.png` with all of them, and
    `photo_differences.png`, a map of where they differ. Pictures of a folder's
    sub-folders go into sub-folders of the same names. Where two pictures would
    be called the same, the second one gets a number.

    What an earlier call finished is kept, so that one that was interrupted
    goes on; of a picture that has other alternatives there already, the sheet
    shows all. Every file holds a record of the picture, the model and the seed
    that it came from. Files that cannot be read are reported and skipped.

    Args:
        tim: a `TIM`.
        recipe: the `keras_tim.recipes.Recipe` of its task.
        paths: list of picture files, and of folders to look for pictures in.
        folder: where the results go; made if missing.
        seeds: list of int, one alternative each.
        overwrite: bool, whether files that are in the way are written over:
            others of the same name, and results of other pictures, models or
            settings. The pictures to be sampled never are.
        failed: list or None; it gets the paths of files that were skipped.
        tile: int, "auto" or None, as `TIM.sample` takes it. What is finished
            is finished, whatever tiles it was made in.
        **reading: how the pictures are read, as the recipe's `read_input`
            takes it: for every task `reduce`, a factor to reduce them by.

    Returns:
        List of the alternatives' paths, also of those finished earlier.

    Raises:
        FileExistsError: if files are in the way; nothing was written.
        ValueError: if no file could be used, or `tile` is too small.
    """
    Tiling.of_model(tim).check_tile(tile)
    seeds = [int(seed) for seed in seeds]
    failed = [] if failed is None else failed
    sources = _sources(paths)
    names = _unique_names([name for _, name in sources])
    most = _longest_stem(folder, seeds)
    made_from = {
        "model": fingerprint(tim),
        "reading": {"reduce": 1, **reading},
        "read_by": hashlib.sha256(recipe.read_by()).hexdigest(),
    }
    jobs = [
        _Job(path, os.path.join(folder, _short(name, most)), made_from)
        for (path, _), name in zip(sources, names, strict=True)
    ]
    for job, (_, name) in zip(jobs, sources, strict=True):
        called = os.path.relpath(job.base, folder)
        if called != os.path.normpath(name):
            logging.info("What is made of %s is called %s", job.path, called)
    in_the_way = _in_the_way(jobs, seeds, overwrite)
    # Of pictures that cannot be used nothing will be written.
    if any(_can_be_used(tim, recipe, job, reading) for job, _ in in_the_way):
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
    for number, job in enumerate(jobs):
        logging.info("%s (%d of %d)", job.path, number + 1, len(jobs))
        try:
            _sample_file(tim, recipe, job, seeds, overwrite, tile, reading)
        except PictureError as error:
            logging.warning("Skipped a picture. %s", error)
            failed.append(job.path)
        except OSError as error:
            # Of a path that is too long others need not suffer.
            if error.errno != errno.ENAMETOOLONG:
                raise
            logging.warning("Skipped a picture. %s", error)
            failed.append(job.path)
        else:
            finished += [job.alternative(seed) for seed in seeds]
    if not finished:
        raise ValueError(
            f"None of the {len(jobs)} pictures could be used; see the "
            "warnings above."
        )
    return finished


@dataclasses.dataclass
class _Job:
    """One picture, and what is made of it.

    Attributes:
        path: the picture.
        base: path of the results, without what tells them apart.
        made_from: dict, what they depend on beside the picture.
    """

    path: str
    base: str
    made_from: dict
    _digest: str | None = None

    def alternative(self, seed):
        """The path of an alternative."""
        return f"{self.base}_seed{seed:04d}.png"

    def record(self, made, **more):
        """The record of a result, see `keras_tim.inference.own`."""
        if self._digest is None:
            self._digest = _digest(self.path)
        return {"made": made, "of": self._digest, **self.made_from, **more}

    def is_finished(self, seed):
        """Whether an alternative is there already."""
        path = self.alternative(seed)
        if not os.path.exists(path):
            return False
        record = read_record(path)
        if record is None:
            return False
        record.pop("tile", None)
        return record == self.record("alternative", seed=seed)

    def other_seeds(self):
        """Seeds of all alternatives that are there."""
        folder, name = os.path.split(self.base)
        pattern = re.compile(re.escape(name) + r"_seed(\d{4,})\.png")
        matches = map(pattern.fullmatch, os.listdir(folder))
        seeds = {int(match[1]) for match in matches if match}
        return {seed for seed in seeds if self.is_finished(seed)}


def _sample_file(tim, recipe, job, seeds, overwrite, tile, reading):
    """Makes what is missing of one picture's results."""
    missing = [s for s in seeds if overwrite or not job.is_finished(s)]
    given = None
    if missing:
        # The record first: it reads the file as it is now.
        job.record("alternative")
        given = recipe.read_input(tim, job.path, **reading)
        os.makedirs(os.path.dirname(job.base), exist_ok=True)
        padded, size = _padded(tim, given)
        sampler = tim.tiled_sampler()
        side = sampler.tile_of(tile, *padded.shape[:2])
        # Of a large picture there is something to show for every tile.
        parts = 1
        if side is not None:
            parts = sampler.num_tiles(*padded.shape[:2], side)
            logging.info(
                "In %d tiles of up to %d x %d pixels", parts, side, side
            )
        bar = keras.utils.Progbar(parts * len(missing))
        more = {} if side is None else {"tile": side}
        for seed in missing:
            sample = _sample(tim, padded, seed, side, bar)
            write_picture(
                job.alternative(seed),
                sample[: size[0], : size[1]],
                job.record("alternative", seed=seed, **more),
            )
    seeds = sorted({*seeds, *job.other_seeds()})
    sheet, differences = (
        (job.base + ending, job.record(made, seeds=seeds))
        for made, ending in (("sheet", _SHEET), ("map", _DIFFERENCES))
    )
    wanted = [sheet, differences] if len(seeds) > 1 else [sheet]
    if not missing and all(read_record(p) == record for p, record in wanted):
        logging.info("Everything of it is finished.")
        return
    if given is None:
        given = recipe.read_input(tim, job.path, **reading)
    # As they were written, so that it does not matter when they were.
    size = [tim.output_factor * n for n in given.shape[:2]]
    samples = _Files([job.alternative(seed) for seed in seeds], size)
    deviation = pixel_deviation(samples)
    if len(seeds) > 1:
        picture, peak = deviation_map(deviation)
        write_picture(differences[0], picture, differences[1])
        logging.info(
            "%s: the alternatives differ by a standard deviation of up to "
            "%.3f per pixel.",
            os.path.basename(job.base),
            peak,
        )
    picture = alternatives_sheet(
        os.path.basename(job.base),
        recipe.shown(given),
        samples,
        titles=[f"seed {seed}" for seed in seeds],
        baseline=recipe.baseline(given, deviation.shape),
        deviation=deviation,
        reduced=samples.reduced,
    )
    write_picture(sheet[0], picture, sheet[1])


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
        self._pixels = size[0] * size[1]
        self.reduced = math.ceil(math.sqrt(self._pixels / LARGEST_ON_SHEET))

    def __len__(self):
        return len(self._paths)

    def __getitem__(self, number):
        path = self._paths[number]
        if self.reduced == 1:
            return read_picture(path)
        # Pillow suspects files of that size, but these are ours.
        suspected = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = max(suspected or 0, self._pixels)
        try:
            small = decode_picture(
                path, lambda image: image.reduce(self.reduced)
            )
        finally:
            Image.MAX_IMAGE_PIXELS = suspected
        return np.asarray(small, np.float32) / np.float32(255.0)


def _padded(tim, given):
    """What the model is given, and the size of what becomes of the input."""
    size = [tim.output_factor * n for n in given.shape[:2]]
    # Edge pixels repeated up to a multiple of the sides.
    missing = [(0, -n % tim.input_multiple) for n in given.shape[:2]]
    if any(after for _, after in missing):
        given = np.pad(given, (*missing, (0, 0)), mode="edge")
    return given, size


def _sample(tim, given, seed, side, bar):
    """Sample 0 of a seed, `[H, W, 3]`; in uint8 where it is made in tiles."""
    if side is None:
        sample = tim.sample(given[None], num_samples=1, seed=seed)[0, 0]
        bar.add(1)
        return sample
    size = [tim.output_factor * n for n in given.shape[:2]]
    sample = np.empty((*size, 3), np.uint8)
    top = 0
    for rows in tim.tiled_sampler().rows(
        given, seed, 0, side, progress=lambda made, count: bar.add(1)
    ):
        sample[top : top + len(rows)] = as_uint8(rows, "rows")
        top += len(rows)
    return sample


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


def _longest_stem(folder, seeds):
    """How many bytes of a name leave room for what is added to it."""
    folder = os.path.abspath(folder)
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    longest = _LONGEST_NAME
    if hasattr(os, "pathconf"):
        longest = min(longest, os.pathconf(folder, "PC_NAME_MAX"))
    endings = [_SHEET, _DIFFERENCES, f"_seed{max(seeds):04d}.png"]
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


def _in_the_way(jobs, seeds, overwrite):
    """Pairs of a job and a file that its results must not be written over."""
    inputs = {_identity(job.path): job.path for job in jobs}
    in_the_way = []
    for job in jobs:
        results = {job.alternative(seed): "alternative" for seed in seeds}
        results |= {job.base + _SHEET: "sheet"}
        if len(seeds) > 1:
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


def _can_be_used(tim, recipe, job, reading):
    try:
        recipe.read_input(tim, job.path, **reading)
    except PictureError:
        return False
    return True


def _is_ours(job, path, made):
    """Whether a file is a result of a job, if maybe of other seeds."""
    record = read_record(path)
    if record is None:
        return False
    record = {k: v for k, v in record.items() if k not in _VARYING}
    try:
        return record == job.record(made)
    except PictureError:  # of which nothing will be written
        return True


def _digest(path):
    """The SHA-256 sum of a picture file."""
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
