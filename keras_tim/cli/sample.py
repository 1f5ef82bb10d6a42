"""keras-tim sample."""

import os
import re

from absl import flags, logging

DESCRIPTION = """make alternatives of picture files.

  keras-tim sample --model=RUN --output=FOLDER PICTURE_OR_FOLDER ...

Every alternative is named by its seed; the same seed gives the same picture
again. Each picture also gets a contact sheet and a map of where its
alternatives differ."""


def define_flags(values):
    """Defines the command's flags.

    Args:
        values: `flags.FlagValues` to define them in.
    """
    from keras_tim.recipes import RECIPES

    text = {"flag_values": values}
    flags.DEFINE_string("model", None, "a run folder or .keras file", **text)
    flags.DEFINE_enum(
        "task",
        None,
        sorted(RECIPES),
        "what the model must have learned; checked if given",
        **text,
    )
    flags.DEFINE_string("output", "alternatives", "where to write", **text)
    flags.DEFINE_string(
        "seeds", "0-7", "one alternative each: 0-7, or 3,14,15", **text
    )
    flags.DEFINE_integer(
        "reduce",
        1,
        "reduce the pictures by this factor first",
        lower_bound=1,
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
    flags.mark_flag_as_required("model", **text)


def run(values, arguments):
    """Makes alternatives.

    Args:
        values: parsed flags.
        arguments: list of str, picture files and folders.
    """
    from keras_tim.inference.alternatives import sample_files
    from keras_tim.inference.pictures import find_pictures
    from keras_tim.recipes import get_recipe
    from keras_tim.runs.settings import RunSettings, load_settings
    from keras_tim.runs.training_run import load_run

    if not arguments:
        raise ValueError(
            "give picture files or folders to make alternatives of"
        )
    seeds = parse_seeds(values.seeds)
    paths = []
    for argument in arguments:
        if os.path.isdir(argument):
            paths += find_pictures(argument)
        else:
            paths.append(argument)
    tim = load_run(values.model)
    if values.task not in (None, tim.task):
        raise ValueError(
            f"{values.model} has learned {tim.task}, not {values.task}"
        )
    reading = {"reduce": values.reduce}
    if values.quality is not None:
        if tim.task != "decompression":
            raise ValueError(
                "--quality is for models that repair JPEGs. "
                f"{values.model} has learned {tim.task}"
            )
        reading["quality"] = values.quality
    settings = load_settings(values.model) or RunSettings.of_task(tim.task)
    recipe = get_recipe(tim.task)(settings, values.model)
    recipe.take_over(tim)
    written = sample_files(tim, recipe, paths, values.output, seeds, **reading)
    logging.info("Wrote %d alternatives to %s", len(written), values.output)


def parse_seeds(text):
    """Parses "0-7" or "3,14,15" or both.

    Args:
        text: str.

    Returns:
        List of int.

    Raises:
        ValueError: if the text is something else.
    """
    seeds = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d+)(?:-(\d+))?\s*", part)
        if not match:
            raise ValueError(
                f"--seeds must be like 0-7 or 3,14,15. Received: {text!r}"
            )
        first = int(match[1])
        last = int(match[2] or first)
        if last < first or last - first >= 10_000:
            raise ValueError(
                "--seeds must name up to 10,000 seeds in ascending order. "
                f"Received: {text!r}"
            )
        seeds += range(first, last + 1)
    return seeds
