"""keras-tim evaluate."""

import dataclasses
import os

from absl import flags, logging

from keras_tim import evaluation, recipes, runs
from keras_tim.cli.main import reject_arguments, report_failed
from keras_tim.cli.opening import MODELS
from keras_tim.cli.settings_flags import (
    chosen_settings,
    define_settings_flags,
)
from keras_tim.data.sources import same_source
from keras_tim.evaluation.settings import EvaluationSettings
from keras_tim.evaluation.table import table_text
from keras_tim.models.pretrained import (
    CLASSES_FILE,
    find_model,
    preset_folder,
    shipped_name,
)
from keras_tim.runs.settings import (
    RunSettings,
    load_settings,
    recorded_held_out,
)
from keras_tim.task_names import BESIDE

DESCRIPTION = """measure samples of held-out pictures, in one table.

  keras-tim evaluate --model=RUN
  keras-tim evaluate --model=RUN --data=FOLDER --num_samples=10
  keras-tim evaluate --model=RUN --crop=64 --count=8 --invert=8

Without --data, on what the run held out. Distance to the observed output,
diversity and faithfulness to the input, beside the task's baseline;
sheets of the best and the worst cases; maps of where samples differ. Run the
same command again after an interruption and it measures the rest.

The exit status is 0 if all pictures were measured, 3 if some could not be,
which are named at the end, and 1 if none could be."""
# Settings of the run that may be other ones here.
DATA = {
    "data": "folder of photos (recursive), or tfds:NAME or tfds:NAME:SPLIT; by "
    "default what the run held out",
    **{
        name: f"folder of the {what} of --data" for name, what in BESIDE.items()
    },
    "data_dir": "folder of TFDS data sets",
    "downsample": "reduce the photos by this factor first; by default as the "
    "run did",
    "quality": "JPEG quality to repair; by default that of the run",
    "degraded": "for super-resolution: inputs blurred, noisy and compressed; "
    "by default as the run or the preset learned",
}


def define_flags(values):
    """Defines the command's flags."""
    text = {"flag_values": values}
    flags.DEFINE_string("model", None, MODELS, **text)
    flags.DEFINE_string(
        "output",
        None,
        "where to write; by default `evaluation` in the run folder",
        **text,
    )
    flags.DEFINE_bool("overwrite", False, "begin anew", **text)
    define_settings_flags(values, RunSettings, defaults={}, texts=DATA)
    define_settings_flags(values, EvaluationSettings)
    flags.mark_flag_as_required("model", **text)


def check(values, arguments):
    """Raises where there is no model, or the flags do not fit together."""
    reject_arguments(arguments)
    _settings(values)
    find_model(values.model)


def _settings(values):
    """How to evaluate."""
    return EvaluationSettings(**chosen_settings(values, EvaluationSettings))


def run(values, arguments):
    """Evaluates."""
    settings = _settings(values)
    tim = runs.load_run(values.model)
    run_settings, trained_on = _settings_of(values, tim)
    recipe = recipes.get_recipe(tim.task)(run_settings, values.model)
    recipe.take_over(tim)
    names = None
    if values.data is None:
        names = recipe.held_out_names(tim)
    elif same_source(values.data, trained_on):
        logging.warning(
            "%s is what %s was trained on: measures of pictures that a model "
            "has seen say little. Leave out --data for what it held out.",
            values.data,
            values.model,
        )
    output = values.output
    if output is None and preset_folder(values.model):
        output = "evaluation"  # not among what is installed
    elif output is None:
        output = os.path.join(_folder(values.model), "evaluation")
    result = evaluation.evaluate(
        tim,
        recipe,
        output,
        settings,
        names=names,
        model=values.model,
        overwrite=values.overwrite,
    )
    print(table_text(result))
    for note in result["notes"]:
        print(note)
    logging.info("Wrote %s", os.path.join(output, "evaluation.md"))
    return report_failed(result["skipped"])


def _folder(model):
    """The run folder, or the folder that a model file or preset is in."""
    # The working folder may be a run's, which is not that of a named preset.
    model = preset_folder(model) or model
    return model if os.path.isdir(model) else os.path.dirname(model) or "."


def _settings_of(values, tim):
    """Settings to evaluate with, and what the run was trained on."""
    folder = _folder(values.model)
    settings = load_settings(folder)
    if settings is None or settings.task != tim.task:
        # A preset is measured on such inputs as it was trained on.
        settings = RunSettings.of_task(
            tim.task, preset=shipped_name(values.model)
        )
    trained_on = settings.data
    changes = {
        name: values[name].value
        for name in ("data_dir", "downsample", "quality", "degraded")
        if values[name].value is not None
    }
    beside = recipes.get_recipe(tim.task).beside
    for name, what in BESIDE.items():
        if values[name].value is None:
            continue
        if name != beside:
            raise ValueError(
                f"--{name} is for models that were trained on {what}. "
                f"{values.model} has learned {tim.task}"
            )
        if values.data is None:
            raise ValueError(f"--{name} needs --data, whose {what} they are")
    if "quality" in changes and not tim.task_definition.compresses:
        raise ValueError(
            "--quality is for models that repair JPEGs. "
            f"{values.model} has learned {tim.task}"
        )
    if values.data is not None:
        changes |= {"data": values.data, "held_out": ()}
        if beside is not None:
            changes[beside] = values[beside].value
        if tim.task_definition.reads_labels:
            # What label maps mean to the model is fixed.
            changes["classes"] = os.path.join(folder, CLASSES_FILE)
    elif names := recorded_held_out(folder):
        changes["held_out"] = names
        # Names that the run was given may be patterns.
        if not settings.held_out and os.path.isdir(settings.data or ""):
            for name in names:
                if not os.path.exists(os.path.join(settings.data, name)):
                    raise FileNotFoundError(
                        f"{values.model} holds out {name}, which is no longer "
                        f"in {settings.data}. Name other pictures with --data."
                    )
    return dataclasses.replace(settings, **changes), trained_on
