"""keras-tim demo."""

import os

from absl import flags, logging

from keras_tim import data, images, inference, runs
from keras_tim.cli.main import reject_arguments
from keras_tim.models.pretrained import default_preset

DESCRIPTION = """make alternatives of a sample photo with a trained preset.

Takes the photo of a cat that comes with scikit-image, reduces it four times,
and leaves a contact sheet of this input, eight alternatives four times larger
and the photo itself, within a minute.

With --train a small model is trained first, in four to six minutes on two CPU
cores, on other photos of scikit-image. Run it again after an interruption and
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
PHOTO = "chelsea"
ALTERNATIVES = range(8)
FASTER_KERNELS = True


def define_flags(values):
    """Defines the command's flags."""
    text = {"flag_values": values}
    flags.DEFINE_string("output", "demo", "where to write", **text)
    flags.DEFINE_bool("overwrite", False, "begin anew", **text)
    flags.DEFINE_bool("train", False, "train a small model and watch", **text)
    flags.DEFINE_float(
        "minutes",
        None,
        f"with --train: wall-clock limit of training, {MINUTES} by default",
        **text,
    )
    flags.DEFINE_integer(
        "steps", None, "with --train: gradient steps in all", **text
    )
    flags.DEFINE_integer(
        "seed", None, "with --train: seed of everything, 0 by default", **text
    )


def check(values, arguments):
    """Raises where the flags do not fit together."""
    reject_arguments(arguments)
    for name in ("minutes", "steps", "seed"):
        if values[name].value is not None and not values.train:
            raise ValueError(f"--{name} needs --train")


def run(values, arguments):
    """Makes the sheet and says where to look."""
    if values.train:
        sheet = _trained(values)
        model = f"--model={values.output} "
    else:
        sheet = _sampled(values)
        model = ""
    logging.info(
        "\nLook at %s\nMake alternatives of a picture of your own, four times "
        "larger:\n  keras-tim sample %s--output=alternatives PICTURE.png",
        sheet,
        model,
    )


def _sampled(values):
    """Alternatives by the preset, and a sheet with the photo beside them."""
    photo = data.sample_photos()[PHOTO]
    model = default_preset("super_resolution")
    tim = runs.load_run(model)
    given, target = data.super_resolution_pair(photo, tim.scale)
    os.makedirs(values.output, exist_ok=True)
    small = os.path.join(values.output, f"{PHOTO}.png")
    images.write_picture(small, given)
    paths = inference.sample_files(
        tim,
        [small],
        values.output,
        overwrite=values.overwrite,
        alternatives=ALTERNATIVES,
        preset=model,
    )
    given = images.read_picture(small)
    sheet = os.path.join(values.output, "contact_sheet.png")
    images.write_picture(
        sheet,
        images.alternatives_sheet(
            f"{PHOTO}, {tim.task_definition.title} by {model}",
            given,
            [images.read_picture(path) for path in paths],
            target=target,
            baseline=tim.baseline(given, target.shape[:2]),
        ),
        {"made": "sheet"},
    )
    return sheet


def _trained(values):
    """The run of a small model."""
    chosen = {
        **SETTINGS,
        "minutes": MINUTES if values.minutes is None else values.minutes,
        "seed": values.seed or 0,
    }
    if values.steps is not None:
        chosen["steps"] = values.steps
    runs.train(
        values.output,
        runs.RunSettings.of_task("super_resolution", **chosen),
        overwrite=values.overwrite,
    )
    return os.path.join(values.output, "contact_sheet.png")
