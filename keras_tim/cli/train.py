"""keras-tim train."""

import functools

from absl import flags, logging

from keras_tim import runs
from keras_tim.cli.main import reject_arguments
from keras_tim.cli.settings_flags import (
    chosen_settings,
    define_settings_flags,
)
from keras_tim.options import options_of
from keras_tim.runs.settings import RunSettings
from keras_tim.task_names import TASK_NAMES

DESCRIPTION = """train a model into a run folder, or resume one.

Without --data the pictures that the task comes with are used: for most, the
photos bundled with scikit-image; paired images come with none. Run the same
command again after an interruption and it goes on from the last checkpoint,
to the same end. Ctrl-C and SIGTERM make one first.

A preset comes with the settings that it is meant to be trained with, which
are printed; flags change them. Where it comes with trained weights, or
--start names a trained model, these are trained on."""
FASTER_KERNELS = True
DEFAULTS = {"task": "super_resolution", "seed": 0}


def define_flags(values):
    """Defines the command's flags."""
    text = {"flag_values": values}
    flags.DEFINE_string("run", None, "the run folder", **text)
    flags.DEFINE_bool("overwrite", False, "begin anew", **text)
    flags.DEFINE_float(
        "checkpoint_every",
        5.0,
        "minutes after which a checkpoint is made, at the end of a round of "
        "selection and gradient steps; there are ten in any case",
        lower_bound=0.0,
        **text,
    )
    define_settings_flags(
        values,
        RunSettings,
        # Others are those of the preset.
        defaults=DEFAULTS,
        texts={
            option.name: _help(option) for option in options_of(RunSettings)
        },
    )
    flags.DEFINE_alias("from", "start", **text)
    flags.DEFINE_alias("num_samples", "num_candidates", **text)
    flags.mark_flag_as_required("run", **text)


def _help(option):
    """What a flag is, with the settings of each task's own preset."""
    defaults = {
        task: getattr(settings, option.name)
        for task, settings in _settings_of_tasks().items()
    }
    if option.name in DEFAULTS or set(defaults.values()) <= {None, ()}:
        return option.text
    if len(set(defaults.values())) == 1:
        return f"{option.text} (default: {next(iter(defaults.values()))})"
    listed = ", ".join(f"{task} {value}" for task, value in defaults.items())
    return f"{option.text} (defaults: {listed})"


@functools.cache
def _settings_of_tasks():
    return {task: RunSettings.of_task(task) for task in TASK_NAMES}


def check(values, arguments):
    """Raises where the flags do not make a run."""
    reject_arguments(arguments)
    _settings(values)


def run(values, arguments):
    """Trains."""
    settings = _settings(values)
    logging.info("%s", settings.description())
    runs.train(
        values.run,
        settings,
        overwrite=values.overwrite,
        checkpoint_every=values.checkpoint_every,
    )


def _settings(values):
    """The run's settings."""
    return RunSettings.of_task(**chosen_settings(values, RunSettings))
