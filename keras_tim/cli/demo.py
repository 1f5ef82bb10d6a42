"""keras-tim demo."""

import os

from absl import flags, logging

DESCRIPTION = """train a small 4x super-resolution model and look at it.

Takes four to six minutes on two CPU cores. Trains on photos bundled with
scikit-image, holds one out, and leaves a contact sheet of one input, eight
alternatives and the observed picture. Run it again after an interruption and
it goes on."""


# Leaves room for start and report within eight minutes on two slow cores.
MINUTES = 5.5
# Found for the bundled photos. A pixel term just strong enough to hold the
# colours leaves all else to LPIPS, which whole photos gain by. More steps than
# these add nothing on a photo that was not trained on.
SETTINGS = {
    "steps": 624,
    "learning_rate": 2e-3,
    "enlarged": 0.7,
    "pixel_weight": 0.05,
    "dtype": "auto",
}


def define_flags(values):
    """Defines the command's flags.

    Args:
        values: `flags.FlagValues` to define them in.
    """
    text = {"flag_values": values}
    flags.DEFINE_string("output", "demo", "the run folder", **text)
    flags.DEFINE_bool("overwrite", False, "begin anew", **text)
    flags.DEFINE_float(
        "minutes", MINUTES, "wall-clock limit of training", **text
    )
    flags.DEFINE_integer("steps", None, "gradient steps in all", **text)
    flags.DEFINE_integer("seed", 0, "seed of everything", **text)


def run(values, arguments):
    """Trains the demonstration and says where to look.

    Args:
        values: parsed flags.
        arguments: list of str, what was given besides flags.
    """
    from keras_tim.cli.train import reject_arguments
    from keras_tim.runs.settings import RunSettings
    from keras_tim.runs.training_run import train

    reject_arguments(arguments)
    chosen = {**SETTINGS, "minutes": values.minutes, "seed": values.seed}
    if values.steps is not None:
        chosen["steps"] = values.steps
    train(
        values.output,
        RunSettings.of_task("super_resolution", **chosen),
        overwrite=values.overwrite,
    )
    sheet = os.path.join(values.output, "contact_sheet.png")
    logging.info(
        "\nLook at %s\nMake alternatives of a picture of your own, four times "
        "larger:\n  keras-tim sample --model=%s --output=alternatives "
        "PICTURE.png",
        sheet,
        values.output,
    )
