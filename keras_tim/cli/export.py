"""keras-tim export."""

import os

from absl import flags, logging

from keras_tim import images, inference, perceptual, runs
from keras_tim.checks import parsed_size
from keras_tim.cli.main import reject_arguments
from keras_tim.cli.opening import MODELS
from keras_tim.cli.sample import parse_tile
from keras_tim.models.pretrained import find_model
from keras_tim.runs.settings import load_settings

DESCRIPTION = """export a model for servers, devices or other stacks.

  keras-tim export --model=RUN --output=models/photos
  keras-tim export --model=RUN --output=photos.tflite --size=64x64
  keras-tim export --model=RUN --output=photos.onnx

A SavedModel becomes the next version within its folder, such as
models/photos/1, as TensorFlow Serving expects it. The ending decides."""

FORMAT_OF_ENDING = {".tflite": "tflite", ".onnx": "onnx"}
LIMITS = ("output_pixels", "alternatives", "total_pixels")
MOST_PICTURES = 32


def define_flags(values):
    """Defines the command's flags."""
    text = {"flag_values": values}
    flags.DEFINE_string("model", None, MODELS, **text)
    flags.DEFINE_string(
        "output", None, "folder, or file ending in .tflite or .onnx", **text
    )
    flags.DEFINE_bool(
        "overwrite", False, "write over a .tflite or .onnx file", **text
    )
    flags.DEFINE_integer(
        "version",
        None,
        "number of the SavedModel's version; by default the next one",
        lower_bound=0,
        **text,
    )
    flags.DEFINE_string(
        "name", None, "what the SavedModel is called where served", **text
    )
    flags.DEFINE_enum(
        "dtype",
        "float32",
        ["float32", "bfloat16"],
        "what the SavedModel computes in",
        **text,
    )
    flags.DEFINE_bool(
        "frozen", False, "put the SavedModel's weights into its graph", **text
    )
    for name, help_text in {
        "output_pixels": "most pixels of an alternative",
        "alternatives": "most alternatives of a request",
        "total_pixels": "most pixels of all alternatives of a request",
    }.items():
        flags.DEFINE_integer(
            name,
            None,
            f"limit that the SavedModel keeps: {help_text}",
            lower_bound=1,
            **text,
        )
    flags.DEFINE_string(
        "tile",
        "auto",
        "side of the tiles that the SavedModel makes large pictures in, in "
        "pixels of the output, which sets its memory; auto for 2 GB, none for "
        "pictures made whole",
        **text,
    )
    flags.DEFINE_string(
        "size",
        None,
        "for TFLite: height and width of the inputs, such as 64x64",
        **text,
    )
    flags.DEFINE_enum(
        "precision",
        "float32",
        ["float32", "float16", "int8_weights", "int8"],
        "for TFLite: int8_weights keeps closer to the model, int8 suits "
        "accelerators",
        **text,
    )
    flags.DEFINE_string(
        "pictures",
        None,
        "for TFLite: folder of inputs such as the model will get, which int8 "
        "needs; the model is measured on the first",
        **text,
    )
    flags.mark_flag_as_required("model", **text)
    flags.mark_flag_as_required("output", **text)


def check(values, arguments):
    """Raises where there is no model, or the flags do not fit together."""
    reject_arguments(arguments)
    format = _format(values)
    _reject_flags_of_others(values, format)
    if (
        format != "tf_saved_model"
        and os.path.exists(values.output)
        and not values.overwrite
    ):
        raise FileExistsError(
            f"{values.output} is there already. Choose another name, or write "
            "over it with --overwrite."
        )
    parse_tile(values.tile)
    if format == "tflite" and values.size is None:
        raise ValueError("--size must be given for TFLite, such as 64x64")
    find_model(values.model)


def _format(values):
    ending = os.path.splitext(values.output)[1]
    return FORMAT_OF_ENDING.get(ending, "tf_saved_model")


def run(values, arguments):
    """Exports."""
    format = _format(values)
    tim = runs.load_run(values.model)
    settings = load_settings(values.model)
    options = {}
    if format == "tf_saved_model":
        options = _saved_model_options(values, settings)
    if format == "tflite":
        options = _tflite_options(values, tim)
    made = tim.export(values.output, format=format, verbose=False, **options)
    if isinstance(made, dict) and "distance" in made:
        logging.info(
            "LPIPS (AlexNet) to the model's own picture: %.4f", made["distance"]
        )
    logging.info("Saved %s", values.output)


def _reject_flags_of_others(values, format):
    of_format = {
        "tf_saved_model": (
            "version",
            "name",
            "dtype",
            "frozen",
            "tile",
            *LIMITS,
        ),
        "tflite": ("size", "precision", "pictures"),
        "onnx": (),
    }
    for owner, names in of_format.items():
        for name in names:
            if owner != format and values[name].value != values[name].default:
                raise ValueError(
                    f"--{name} is for the format {owner}. Received: "
                    f"--output={values.output}, which is {format}"
                )


def _saved_model_options(values, settings):
    report = os.path.join(values.model, "report.json")
    return {
        "version": values.version,
        "name": values.name,
        "dtype": values.dtype,
        "frozen": values.frozen,
        "limits": {
            name: values[name].value
            for name in LIMITS
            if values[name].value is not None
        },
        "tile": parse_tile(values.tile),
        "training": settings.jsonable() if settings else None,
        "measures": runs.read_report(report)
        if os.path.isfile(report)
        else None,
    }


def _tflite_options(values, tim):
    size = parsed_size(values.size)
    options = {"size": size, "precision": values.precision}
    if values.pictures is None:
        return options
    options["pictures"] = _centres(values.pictures, size, tim)
    try:
        perceptual.fetch_weights("lpips_alex")
    except perceptual.WeightsError as error:
        logging.warning("LPIPS to the model's own is left out: %s", error)
        return options
    return {**options, "distance": perceptual.LPIPS("alex")}


def _centres(folder, size, tim):
    """Inputs of the given size from the middle of a folder's pictures."""
    inputs = []
    for path in images.find_pictures(folder):
        try:
            given = inference.read_input(tim, path)
        except images.PictureError as error:
            logging.warning("Skipped a picture. %s", error)
            continue
        spare = [
            have - want for have, want in zip(given.shape, size, strict=False)
        ]
        if min(spare) < 0:
            logging.warning(
                "Skipped %s: its input is smaller than --size.", path
            )
            continue
        top, left = (n // 2 for n in spare)
        inputs.append(given[top : top + size[0], left : left + size[1]])
        if len(inputs) == MOST_PICTURES:
            break
    if not inputs:
        raise ValueError(
            f"{folder} holds no picture from which an input of {size[0]} x "
            f"{size[1]} pixels could be cut"
        )
    return inputs
