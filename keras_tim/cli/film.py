"""keras-tim film."""

import os

from absl import flags, logging

from keras_tim import inference
from keras_tim.cli.opening import (
    define_model_flags,
    model_of,
    open_model,
)
from keras_tim.cli.sample import parse_numbers

DESCRIPTION = """walk smoothly through alternatives of a picture, in a loop.

  keras-tim film PICTURE
  keras-tim film --alternatives=3,14,15 --seconds=12 --output=walk.gif PICTURE
  keras-tim film --format=mp4 PICTURE

The film goes from one alternative to the next and from the last one back to the
first. What is the same in all stands still; what moves is what the model had to
invent. Without --model it is made by a trained preset that comes with the
package. The alternatives are those of `keras-tim sample`."""


def define_flags(values):
    """Defines the command's flags."""
    text = {"flag_values": values}
    define_model_flags(values)
    flags.DEFINE_string(
        "output",
        None,
        "the film, ending in .webp (small, true colours), .gif (256 colours) "
        "or .mp4 (for video programs; needs pip install 'keras-tim[film]'); "
        "by default PICTURE_film.webp in the current folder",
        **text,
    )
    flags.DEFINE_enum(
        "format",
        None,
        ["webp", "gif", "mp4"],
        "the format of the film, where --output does not say",
        **text,
    )
    flags.DEFINE_bool(
        "overwrite", False, "write over a film of that name", **text
    )
    flags.DEFINE_integer("seed", 0, "of the alternatives", **text)
    flags.DEFINE_string(
        "alternatives",
        "0-3",
        "the alternatives to come by, in this order: 0-3, or 3,14,15",
        **text,
    )
    flags.DEFINE_float("seconds", 8.0, "how long one round takes", **text)
    flags.DEFINE_float("rate", 10.0, "frames per second, up to 50", **text)
    flags.DEFINE_integer(
        "side",
        640,
        "pixels of the film's longer side at most; larger pictures are reduced",
        lower_bound=16,
        **text,
    )
    flags.DEFINE_integer(
        "reduce",
        None,
        "reduce the picture by this factor before the model is given it; by "
        "default large ones are for colourization",
        lower_bound=1,
        **text,
    )


def check(values, arguments):
    """Raises where there is not one picture, or no model."""
    if len(arguments) != 1:
        raise ValueError(
            "give one picture file to make a film of. Received: "
            f"{' '.join(arguments) or 'none'}"
        )
    parse_numbers(values.alternatives)
    suffix = os.path.splitext(values.output or "")[1].lower()
    if values.format and values.output and suffix != f".{values.format}":
        raise ValueError(
            "--output and --format must be of one format. Received: "
            f"--output={values.output} --format={values.format}"
        )
    model_of(values)


def run(values, arguments):
    """Makes a film."""
    (path,) = arguments
    film = values.output
    if film is None:
        stem = os.path.splitext(os.path.basename(path))[0]
        film = f"{stem}_film.{values.format or 'webp'}"
    tim = open_model(values, model_of(values))
    count = inference.film_file(
        tim,
        path,
        film,
        values.seed,
        parse_numbers(values.alternatives),
        seconds=values.seconds,
        rate=values.rate,
        side=values.side,
        overwrite=values.overwrite,
        reduce=values.reduce,
    )
    logging.info("%s has %d frames.", film, count)
