"""keras-tim sample."""

import json
import re

from absl import flags, logging

from keras_tim import inference
from keras_tim.cli.main import report_failed
from keras_tim.cli.opening import (
    define_model_flags,
    model_of,
    open_model,
    preset_of,
)
from keras_tim.models.pretrained import shipped_presets

DESCRIPTION = """make alternatives of picture files.

  keras-tim sample --output=FOLDER PICTURE_OR_FOLDER ...
  keras-tim sample --seed=5 --alternatives=3 PICTURE
  keras-tim sample --again=ALTERNATIVE PICTURE

Without --model they are made by a trained preset that comes with the package.
--task=decompression repairs JPEG files: their blocks go, their size stays, and
what the file says of the photo stays, too.

An alternative is known by its picture, its seed and its number: file names,
sheets and flags agree. PICTURE_5_0003.png is alternative 3 of seed 5, the same
picture whenever it is made. Each picture also gets a contact sheet and a map
of where its alternatives differ. Results of a folder's sub-folders go into
sub-folders. Run the same command again after an interruption and it makes the
rest.

What came in goes out: grey, 16 bits, transparency, colour profile, EXIF data
and the format stay, as far as the task and the format allow. Every file says
how it was made; --again makes it again to the last bit.

The exit status is 0 if all pictures were used, 3 if some could not be, which
are named at the end, and 1 if none could be."""
FORMATS = ("png", "jpg", "webp", "tiff", "avif")
# What an alternative says of itself.
CHOICES = (
    *("seed", "seeds", "alternatives", "temperature"),
    *("format", "reduce", "tile", "quality", "scale", "size"),
)


def define_flags(values):
    """Defines the command's flags."""
    text = {"flag_values": values}
    define_model_flags(values)
    flags.DEFINE_string("output", "alternatives", "where to write", **text)
    flags.DEFINE_bool(
        "overwrite",
        False,
        "write over results of other pictures, models and settings, and over "
        "other files of their names",
        **text,
    )
    flags.DEFINE_integer(
        "seed", None, "of the alternatives; 0 by default", **text
    )
    flags.DEFINE_string(
        "alternatives",
        None,
        "numbers of the alternatives: 3, 3,14,15 or, by default, 0-7",
        **text,
    )
    flags.DEFINE_string(
        "seeds",
        None,
        "several seeds, such as 0-7 or 3,14,15; without --alternatives, "
        "alternative 0 of each",
        **text,
    )
    flags.DEFINE_float(
        "temperature",
        1.0,
        "below 1 the alternatives differ less; 0 gives the best guess",
        lower_bound=0.0,
        **text,
    )
    flags.DEFINE_enum(
        "format",
        None,
        list(FORMATS),
        "of the alternatives; by default that of the picture, and PNG where "
        "that cannot be written",
        **text,
    )
    flags.DEFINE_string(
        "again",
        None,
        "an alternative to make again from what it says of itself; its picture "
        "is looked for nearby, or named after the flags",
        **text,
    )
    flags.DEFINE_bool(
        "json",
        False,
        "print one line of JSON on standard output when a picture is done",
        **text,
    )
    flags.DEFINE_integer(
        "reduce",
        None,
        "reduce the pictures by this factor first; by default large ones are "
        "for colourization, whose colours are laid onto the picture as it was",
        lower_bound=1,
        **text,
    )
    flags.DEFINE_float(
        "scale",
        None,
        "resample what a model that enlarges has made, so that it is so many "
        "times larger than what the model was given: 3.5, for example. More "
        "than one and a half times the model's own, such as 8 or 16, it makes "
        "by enlarging its own result",
        **text,
    )
    flags.DEFINE_string(
        "size",
        None,
        "the same to so many pixels: WIDTHxHEIGHT, one number for the longer "
        "side, or same: as many as the picture has before --reduce",
        **text,
    )
    flags.DEFINE_string(
        "tile",
        "auto",
        "make pictures in tiles of so many pixels of the output on a side, for "
        "less memory; auto: where they need more than 2 GB; none: whole",
        **text,
    )
    flags.DEFINE_integer(
        "quality",
        None,
        "compress the pictures at this JPEG quality first, to try a model "
        "that repairs JPEGs on good ones; otherwise they are taken as they are",
        lower_bound=1,
        upper_bound=100,
        **text,
    )


def check(values, arguments):
    """Raises where there is no picture, no model, or no seed."""
    if values.again is None:
        if not arguments:
            raise ValueError(
                "give picture files or folders to make alternatives of"
            )
        _wanted(values)
        parse_tile(values.tile)
        parse_size(values.size)
        if values.scale is not None and not 0 < values.scale < float("inf"):
            raise ValueError(
                f"--scale must be a number above 0. Received: {values.scale}"
            )
        if None not in (values.scale, values.size):
            raise ValueError("give --scale or --size, not both")
    if values.again is None or values.model is not None:
        model_of(values, of_files=True)


def run(values, arguments):
    """Makes alternatives."""
    if values.again is not None:
        return _again(values, arguments)
    seeds, alternatives = _wanted(values)
    model = model_of(values, of_files=True)
    tim = open_model(values, model, of_files=True)
    reading = {}
    if values.reduce is not None:
        reading["reduce"] = values.reduce
    if values.quality is not None:
        if not tim.task_definition.compresses:
            raise ValueError(
                "--quality is for models that repair JPEGs. "
                f"{model} has learned {tim.task}"
            )
        reading["quality"] = values.quality
    failed = []
    made = inference.sample_files(
        tim,
        arguments,
        values.output,
        seeds,
        overwrite=values.overwrite,
        failed=failed,
        alternatives=alternatives,
        temperature=values.temperature,
        format=values.format,
        preset=preset_of(model),
        tell=_print_line if values.json else None,
        tile=parse_tile(values.tile),
        size=parse_size(values.size),
        scale=values.scale,
        repair=inference.repairs(tim, values.task),
        **reading,
    )
    logging.info("%d alternatives are in %s", len(made), values.output)
    return report_failed(failed)


def _wanted(values):
    """Seeds and numbers of the alternatives that flags ask for."""
    if values.seeds is None:
        seeds = [values.seed or 0]
        return seeds, parse_numbers(values.alternatives or "0-7")
    if values.seed is not None:
        raise ValueError("give --seed or --seeds, not both")
    seeds = parse_numbers(values.seeds, "seeds")
    return seeds, parse_numbers(values.alternatives or "0")


def _again(values, arguments):
    """Makes one alternative again."""
    if len(arguments) > 1:
        raise ValueError(
            "--again takes one picture, that which the file was made of. "
            f"Received: {' '.join(arguments)}"
        )
    chosen = [
        f"--{name}"
        for name in CHOICES
        if values[name].value != values[name].default
    ]
    if chosen:
        raise ValueError(
            f"{values.again} says itself how it is made. Leave out "
            f"{', '.join(chosen)}"
        )
    model = values.model or inference.read_recipe(values.again).get("preset")
    # A file may come from anybody: no path in it is followed.
    if values.model is None and model not in shipped_presets():
        raise ValueError(
            f"{values.again} was made by a model that does not come with the "
            "package: give it as --model"
        )
    tim = open_model(values, model, of_files=True)
    made, same = inference.sample_again(
        tim,
        values.again,
        arguments[0] if arguments else None,
        values.output,
        overwrite=values.overwrite,
    )
    if values.json:
        _print_line({"path": made, "of": values.again, "same": same})
    if same:
        logging.info("%s is %s to the last bit", made, values.again)
        return 0
    logging.warning(
        "%s is not %s to the last bit: that one was edited since, or made by "
        "other versions of TensorFlow or Pillow, or on another processor.",
        made,
        values.again,
    )
    return 1


def _print_line(told):
    print(json.dumps(told), flush=True)


def parse_numbers(text, flag="alternatives"):
    """Parses "0-7" or "3,14,15" or both.

    Args:
        text: str.
        flag: str, what messages call it.

    Returns:
        List of int, each once.

    Raises:
        ValueError: if the text is something else.
    """
    numbers = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d+)(?:-(\d+))?\s*", part)
        if not match:
            raise ValueError(
                f"--{flag} must be like 0-7 or 3,14,15. Received: {text!r}"
            )
        first = int(match[1])
        last = int(match[2] or first)
        if last < first or last - first >= 10_000:
            raise ValueError(
                f"--{flag} must name up to 10,000 numbers in ascending order. "
                f"Received: {text!r}"
            )
        numbers += range(first, last + 1)
    return list(dict.fromkeys(numbers))


def parse_tile(text):
    """Parses "auto", "none" or a number.

    Args:
        text: str.

    Returns:
        "auto", None or int.

    Raises:
        ValueError: if the text is something else.
    """
    if text in ("auto", "none"):
        return None if text == "none" else text
    if not re.fullmatch(r"[1-9]\d*", text):
        raise ValueError(
            "--tile must be auto, none or a number of pixels. Received: "
            f"{text!r}"
        )
    return int(text)


def parse_size(text):
    """Parses "1600x1200", "1600" or "same".

    Args:
        text: str, the width and the height, or the longer side; or None.

    Returns:
        `(height, width)`, int, "same" or None.

    Raises:
        ValueError: if the text is something else.
    """
    if text in (None, "same"):
        return text
    match = re.fullmatch(r"(0*[1-9]\d{0,8})(?:x(0*[1-9]\d{0,8}))?", text)
    if not match:
        raise ValueError(
            "--size must be like 1600x1200, width and height, or 1600, the "
            f"longer side, or same. Received: {text!r}"
        )
    width, height = match.groups()
    return int(width) if height is None else (int(height), int(width))
