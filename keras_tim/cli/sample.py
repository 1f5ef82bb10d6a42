"""keras-tim sample."""

import re

from absl import flags, logging

from keras_tim.cli.main import flag_of_names, report_failed

DESCRIPTION = """make alternatives of picture files.

  keras-tim sample --output=FOLDER PICTURE_OR_FOLDER ...

Without --model they are made by a trained preset that comes with the package.

Every alternative is named by its seed; the same seed gives the same picture
again. Each picture also gets a contact sheet and a map of where its
alternatives differ. Results of a folder's sub-folders go into sub-folders. Run
the same command again after an interruption and it makes the rest.

The exit status is 0 if all pictures were used, 3 if some could not be, which
are named at the end, and 1 if none could be."""


def define_flags(values):
    """Defines the command's flags.

    Args:
        values: `flags.FlagValues` to define them in.
    """
    from keras_tim.task_names import TASK_NAMES

    text = {"flag_values": values}
    flags.DEFINE_string(
        "model",
        None,
        "a run folder, a .keras file, or a trained preset, by name or folder; "
        "by default the one that comes with the package for the task",
        **text,
    )
    flags.DEFINE_flag(
        flag_of_names(
            "task",
            None,
            sorted(TASK_NAMES),
            "what to do; checked where a model is named",
        ),
        **text,
    )
    flags.DEFINE_string("output", "alternatives", "where to write", **text)
    flags.DEFINE_bool(
        "overwrite",
        False,
        "write over results of other pictures, models and settings, and over "
        "other files of their names",
        **text,
    )
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


def check(values, arguments):
    """Raises where there is no picture, no model, or no seed.

    Args:
        values: parsed flags.
        arguments: list of str, picture files and folders.
    """
    if not arguments:
        raise ValueError(
            "give picture files or folders to make alternatives of"
        )
    parse_seeds(values.seeds)
    _model(values)


def _model(values):
    """What names the model."""
    from keras_tim.models.pretrained import default_preset, find_model

    if values.model is None:
        return default_preset(values.task or "super_resolution")
    find_model(values.model)
    return values.model


def run(values, arguments):
    """Makes alternatives.

    Args:
        values: parsed flags.
        arguments: list of str, picture files and folders.

    Returns:
        int, the exit status.
    """
    from keras_tim.inference.samples import sample_files
    from keras_tim.recipes import get_recipe
    from keras_tim.runs.settings import RunSettings, load_settings
    from keras_tim.runs.training_run import load_run

    seeds = parse_seeds(values.seeds)
    model = _model(values)
    if values.model is None:
        logging.info("Alternatives are made by the preset %s.", model)
    tim = load_run(model)
    if values.task not in (None, tim.task):
        raise ValueError(f"{model} has learned {tim.task}, not {values.task}")
    reading = {"reduce": values.reduce}
    if values.quality is not None:
        if tim.task != "decompression":
            raise ValueError(
                "--quality is for models that repair JPEGs. "
                f"{model} has learned {tim.task}"
            )
        reading["quality"] = values.quality
    settings = load_settings(model) or RunSettings.of_task(tim.task)
    recipe = get_recipe(tim.task)(settings, model)
    recipe.take_over(tim)
    failed = []
    made = sample_files(
        tim,
        recipe,
        arguments,
        values.output,
        seeds,
        overwrite=values.overwrite,
        failed=failed,
        **reading,
    )
    logging.info("%d alternatives are in %s", len(made), values.output)
    return report_failed(failed)


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
