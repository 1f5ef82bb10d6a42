"""Re-creates an alternative from the record in its metadata."""

import filecmp
import os
import pathlib

from keras_tim.checks import integer, integers
from keras_tim.files import written
from keras_tim.images.encoders import writable_suffixes
from keras_tim.images.originals import read_original
from keras_tim.images.pictures import store_picture
from keras_tim.images.records import read_record
from keras_tim.inference.last_steps import last_step
from keras_tim.inference.reading import (
    LARGEST_ALTERNATIVE,
    read_by,
    read_input,
    refuse_large_output,
)
from keras_tim.inference.rendering import choice_of
from keras_tim.inference.samples import (
    picture_digest,
    refuse_large_file,
    sample_of,
    tile_side,
)
from keras_tim.inference.sizing import LARGEST_SIDE, refuse_size
from keras_tim.models.fingerprint import fingerprint

_READING = {
    "reduce": {},
    "quality": {"most": 100},
    "deblock": {"least": 0, "most": 1},
}


def read_recipe(path):
    """Reads how an alternative was made.

    Args:
        path: path of the file.

    Returns:
        The record of it, a dict, see `sample_files`; of what was chosen on the
        page of `keras-tim gallery`, with `codes`, see
        `keras_tim.inference.recorded_codes.codes_of`.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it holds no such record, or a damaged one.
    """
    if not os.path.isfile(path):
        raise FileNotFoundError(f"There is no file `{path}` to make again.")
    record = read_record(path)
    if record is None:
        raise ValueError(
            f"`{path}` does not say how it was made: it is none of this "
            "package's pictures, or another program has written it since."
        )
    made = record.get("made")
    chosen = made == "choice" and "of" in record
    if not chosen and (made != "alternative" or "index" not in record):
        raise ValueError(
            f"`{path}` is no alternative that can be made again, but "
            f"{made!r}. Name one of the alternatives; sheets "
            "and maps come with them."
        )
    try:
        for name, value in record["reading"].items():
            integer(name, value, **_READING[name])
        if chosen:
            dict.keys(record["codes"])
        else:
            integer("seed", record["seed"], least=None)
            integer("index", record["index"], least=0)
        float(record["temperature"])
        for name in ("tile", "first_tile"):
            if name in record:
                integer(name, record[name])
        if "middle" in record:
            _, _ = integers("middle", record["middle"])
        if "size" in record:
            height, width = integers("size", record["size"])
            integer("size", max(height, width), most=LARGEST_SIDE)
        if "share" in record and not 0.0 < record["share"] <= 0.5:
            raise ValueError(record["share"])
        str.encode(record["of"] + record["model"] + record["read_by"])
    except (KeyError, AttributeError, TypeError, ValueError) as error:
        raise ValueError(
            f"What `{path}` says of how it was made is damaged: {error!r}"
        ) from error
    return record


class _InTheWayError(Exception):
    """Another file lies where one would be written."""


def sample_again(tim, path, picture, folder, overwrite=False):
    """Makes an alternative again, to the last bit.

    Args:
        tim: the `TIM` that made it.
        path: path of the alternative.
        picture: path of the picture that it was made of, or a folder that it
            lies in; None to look for it beside `path`, in the folder above,
            and in the working folder.
        folder: where the new file goes, under the name of the old one; made
            if missing.
        overwrite: bool, whether another file that is in the way is written
            over.

    Returns:
        `(made, same)`: the new file's path, and whether it is the same as the
        old one to the last bit.

    Raises:
        FileNotFoundError: if the file or its picture is missing.
        FileExistsError: if another file is in the way.
        ValueError: if the file holds no record, the picture has changed, or
            the model is another one.
    """
    record = read_recipe(path)
    picture = _picture(path, record, picture)
    if record["model"] != fingerprint(tim):
        raise ValueError(
            f"`{path}` was made by another model. Name that one with --model; "
            f"its fingerprint is {record['model']}."
        )
    if record["read_by"] != read_by(tim):
        raise ValueError(
            f"`{path}` was made with other classes or components. Name the "
            "model's whole folder with --model."
        )
    suffix = pathlib.Path(path).suffix.lower()
    if suffix not in writable_suffixes():
        raise ValueError(f"Files like `{path}` cannot be written here.")
    given = read_input(tim, picture, **record["reading"])
    own = [tim.output_factor * n for n in given.shape[:2]]
    size, middle = record.get("size"), record.get("middle")
    if middle is not None:
        refuse_large_output(
            picture, *middle, tim.output_factor, LARGEST_ALTERNATIVE
        )
        own = [tim.output_factor * n for n in middle]
    if size is not None:
        refuse_size(picture, own, size)
    refuse_large_file(picture, size or own, suffix)
    original = read_original(picture, tim.task_definition.keeps)
    side = tile_side(tim, middle or given.shape, record.get("tile"))
    last = last_step(tim, picture, size, record.get("share"))
    if record["made"] == "choice":
        try:
            sample = choice_of(tim, given, record["codes"], side, last=last)
        except ValueError as error:
            raise ValueError(
                f"What `{path}` says of how it was made is damaged. {error}"
            ) from error
    else:
        sample = sample_of(
            tim,
            given,
            record["seed"],
            record["index"],
            float(record["temperature"]),
            side,
            last=last,
            middle=middle,
            first_side=record.get("first_tile"),
        )
    os.makedirs(folder, exist_ok=True)
    made = os.path.join(folder, os.path.basename(path))
    exists = os.path.exists(made)
    try:
        with written(made) as temporary:
            store_picture(temporary, sample, record, original)
            same = filecmp.cmp(temporary, path, shallow=False)
            other = exists and not filecmp.cmp(temporary, made, shallow=False)
            if other and not overwrite:
                raise _InTheWayError
    except _InTheWayError:
        raise FileExistsError(
            f"`{made}` holds something else. Choose another folder, or write "
            "over it with --overwrite. Nothing was written."
        ) from None
    return made, same


def _picture(path, record, given):
    """The picture that an alternative was made of, as it was then."""
    name = os.path.basename(str(record.get("picture", "")))
    if given is None:
        beside = os.path.dirname(os.path.abspath(path))
        folders = [beside, os.path.dirname(beside), os.curdir]
    elif os.path.isdir(given):
        folders = [given]
    elif os.path.isfile(given):
        if picture_digest(given) != record["of"]:
            raise ValueError(
                f"`{path}` was made of another picture than `{given}`, or "
                "that one has changed since. Its SHA-256 was "
                f"{record['of']}, and its name {name!r}."
            )
        return given
    else:
        raise FileNotFoundError(f"There is no picture `{given}`.")
    places = [os.path.join(folder, name) for folder in folders]
    found = [place for place in places if name and os.path.isfile(place)]
    for place in found:
        if picture_digest(place) == record["of"]:
            return place
    changed = f" {found[0]} is another one, or has changed." if found else ""
    raise FileNotFoundError(
        f"`{path}` was made of the picture {name!r} with the SHA-256 "
        f"{record['of']}, which is not in "
        f"{', '.join(map(os.path.abspath, folders))}.{changed} Name it, or "
        "its folder, after the file."
    )
