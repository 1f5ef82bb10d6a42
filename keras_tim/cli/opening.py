"""The flags `--model` and `--task`, and loading what they name."""

from absl import flags, logging

from keras_tim import inference, runs
from keras_tim.cli.settings_flags import flag_of_names
from keras_tim.models.pretrained import (
    default_preset,
    find_model,
    shipped_presets,
)
from keras_tim.task_names import TASK_NAMES

MODELS = "a run folder, a .keras file, or a trained preset, by name or folder"


def define_model_flags(values):
    """Defines the flags that `model_of` and `open_model` go by.

    Args:
        values: `flags.FlagValues` to define them in.
    """
    flags.DEFINE_string(
        "model",
        None,
        f"{MODELS}; by default the one that comes with the package for the "
        "task",
        flag_values=values,
    )
    flags.DEFINE_flag(
        flag_of_names(
            "task",
            None,
            sorted(TASK_NAMES),
            "what to do; checked where a model is named",
        ),
        flag_values=values,
    )


def model_of(values, of_files=False):
    """What names the model: a flag, or the preset of the task.

    Args:
        values: parsed flags, of which `model` and `task` count.
        of_files: see `default_preset`.

    Returns:
        str.

    Raises:
        FileNotFoundError: if there is no such model.
        ValueError: if no preset is shipped for the task.
    """
    if values.model is None:
        return default_preset(values.task or "super_resolution", of_files)
    find_model(values.model)
    return values.model


def preset_of(model):
    """What records call a model: of a folder only its owner knows where.

    Args:
        model: str, see `model_of`.

    Returns:
        str, or None for what is no shipped preset.
    """
    return model if model in shipped_presets() else None


def open_model(values, model, of_files=False):
    """Opens a model.

    Args:
        values: parsed flags, of which `model` and `task` count.
        model: str, what names it, see `model_of`.
        of_files: bool, whether one that can do the task with files will do,
            see `keras_tim.inference.repairs`.

    Returns:
        A `TIM`.

    Raises:
        ValueError: if it has learned another task than the flags name.
    """
    if values.model is None:
        logging.info("The model is the preset %s.", model)
    tim = runs.load_run(model)
    known = values.task in (None, tim.task)
    if not known and not (of_files and inference.repairs(tim, values.task)):
        raise ValueError(f"{model} has learned {tim.task}, not {values.task}")
    return tim
