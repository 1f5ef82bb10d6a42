"""keras-tim train."""

import dataclasses
import functools

from absl import flags, logging

from keras_tim.cli.main import flag_of_names, reject_arguments

DESCRIPTION = """train a model into a run folder, or resume one.

Without --data the pictures that the task comes with are used: for most, the
photos bundled with scikit-image; paired images come with none. Run the same
command again after an interruption and it goes on from the last checkpoint,
to the same end. Ctrl-C and SIGTERM make one first.

A preset comes with the settings that it is meant to be trained with, which
are printed; flags change them. Where it comes with trained weights, or
--start names a trained model, these are trained on."""
FASTER_KERNELS = True

_SKIPS = {"none": False, "previous": True, "own": "own"}


def define_flags(values):
    """Defines the command's flags.

    Args:
        values: `flags.FlagValues` to define them in.
    """
    from keras_tim.models.presets import PARTS, preset_names
    from keras_tim.runs.precision import DTYPES
    from keras_tim.task_names import TASK_NAMES

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
    for flag in (
        ("task", "super_resolution", sorted(TASK_NAMES), "what to learn"),
        ("preset", None, preset_names(), _help("preset", "model")),
    ):
        flags.DEFINE_flag(flag_of_names(*flag), **text)
    strings = {
        "data": "folder of photos (recursive), or tfds:NAME or "
        "tfds:NAME:SPLIT; by default what the task comes with",
        "data_dir": "folder of TFDS data sets",
        "inputs": "for paired images: folder of inputs, whose names are those "
        "of --data",
        "labels": "for layouts: folder of label maps",
        "classes": "for layouts: class file, or camvid, cityscapes (GTA5, "
        "too), bdd100k; by default every id in the maps is a class",
        "size": "for layouts: height and width to resize to, such as 256x512",
        "rarity": "for layouts: what `keras-tim rarity` wrote",
        "distance": "lpips_alex, lpips_vgg, several of these with weights "
        "such as lpips_vgg+0.5*lpips_alex, mean_absolute_error or "
        "mean_squared_error",
    }
    integers = {
        "downsample": "reduce the photos by this factor first",
        "crop_size": "side of the training crops in pixels",
        "steps": "gradient steps in all",
        "images_per_selection": "images that codes are selected for at once",
        "steps_per_selection": "gradient steps between selections (M)",
        "mini_batch_size": "images per gradient step",
        "candidate_chunk": "candidates made at a time; bounds the memory",
    }
    floats = {
        "minutes": "wall-clock limit",
        "learning_rate": "Adam's first rate",
        "last_rate": "share of it that is left at the end; 1 keeps it constant",
        "beta_2": "Adam's beta_2",
        "epsilon": "Adam's epsilon",
        "pixel_weight": "factor of the L1 term",
        "enlarged": "share of the crops whose middle is enlarged twice",
    }
    flags.DEFINE_string(
        "start",
        None,
        "what to start from in place of fresh weights: a run folder, a .keras "
        "file or a trained preset; also given as --from. A finished run goes "
        "on so, in a folder of its own",
        **text,
    )
    flags.DEFINE_alias("from", "start", flag_values=values)
    flags.DEFINE_string(
        "trunk",
        None,
        "for super-resolution: an ESRGAN-type 4x upscaler (.pth, .safetensors, "
        "ncnn's .param or .bin) that becomes a model of alternatives",
        **text,
    )
    for name, help_text in strings.items():
        flags.DEFINE_string(name, None, _help(name, help_text), **text)
    for name, help_text in integers.items():
        flags.DEFINE_integer(
            name, None, _help(name, help_text), lower_bound=1, **text
        )
    for name, help_text in floats.items():
        flags.DEFINE_float(name, None, _help(name, help_text), **text)
    flags.DEFINE_integer(
        "quality",
        None,
        _help("quality", "JPEG quality to learn to repair"),
        lower_bound=1,
        upper_bound=100,
        **text,
    )
    flags.DEFINE_list(
        "num_candidates",
        None,
        _help(
            "num_candidates",
            "candidate codes per image and level (m), or one number per "
            "level, coarsest first, such as 32,16,8",
        ),
        **text,
    )
    flags.DEFINE_alias("num_samples", "num_candidates", flag_values=values)
    for name in ("residual_channels", "growth_channels"):
        flags.DEFINE_list(
            name,
            None,
            "width of each level, coarsest first, such as 64,48; by default "
            "the preset's",
            **text,
        )
    flags.DEFINE_enum(
        "dtype",
        None,
        [*DTYPES, "auto"],
        _help(
            "dtype",
            "precision of training; auto is mixed_bfloat16 where this machine "
            "is faster in it. The finished model is float32 in any case",
        ),
        **text,
    )
    flags.DEFINE_list(
        "held_out",
        None,
        "pictures to keep from training and show instead; by default the "
        "first of a folder, chelsea of the bundled photos, and the test split "
        "of a TFDS data set, else validation, else the last tenth. Of such a "
        "data set also splits, such as train[95%:]",
        **text,
    )
    flags.DEFINE_multi_enum(
        "without",
        None,
        sorted(PARTS),
        "part to leave out, to see what it is worth; may be repeated",
        **text,
    )
    flags.DEFINE_enum(
        "input_skip",
        None,
        list(_SKIPS),
        "whether levels predict what to add to a picture, where the input is "
        "one: to the previous level's, to their own input, which suits inputs "
        "that are nearly right, or none; by default as the preset has it",
        **text,
    )
    flags.DEFINE_bool(
        "mapping_network",
        None,
        "pass styles through a mapping network first; by default as the "
        "preset has it",
        **text,
    )
    flags.DEFINE_integer("seed", 0, "seed of everything", **text)
    flags.mark_flag_as_required("run", **text)


def _help(name, text):
    """The text with the settings of each task's own preset."""
    defaults = {
        task: getattr(settings, name)
        for task, settings in _settings_of_tasks().items()
    }
    if set(defaults.values()) == {None}:
        return text
    if len(set(defaults.values())) == 1:
        return f"{text} (default: {next(iter(defaults.values()))})"
    listed = ", ".join(f"{task} {value}" for task, value in defaults.items())
    return f"{text} (defaults: {listed})"


@functools.cache
def _settings_of_tasks():
    from keras_tim.runs.settings import RunSettings
    from keras_tim.task_names import TASK_NAMES

    return {task: RunSettings.of_task(task) for task in TASK_NAMES}


def check(values, arguments):
    """Raises where the flags do not make a run.

    Args:
        values: parsed flags.
        arguments: list of str, what was given besides flags.
    """
    reject_arguments(arguments)
    _settings(values)


def run(values, arguments):
    """Trains.

    Args:
        values: parsed flags.
        arguments: list of str, what was given besides flags.
    """
    from keras_tim.runs.training_run import train

    settings = _settings(values)
    logging.info("%s", settings.description())
    train(
        values.run,
        settings,
        overwrite=values.overwrite,
        checkpoint_every=values.checkpoint_every,
    )


def _settings(values):
    """The run's settings."""
    from keras_tim.runs.settings import RunSettings

    names = [field.name for field in dataclasses.fields(RunSettings)]
    chosen = {name: values[name].value for name in names}
    for name in ("held_out", "without"):
        if chosen[name] is not None:
            chosen[name] = tuple(chosen[name])
    chosen["input_skip"] = _SKIPS.get(chosen["input_skip"])
    if chosen["num_candidates"] is not None:
        counts = _numbers("num_candidates", chosen["num_candidates"])
        chosen["num_candidates"] = counts if len(counts) > 1 else counts[0]
    for name in ("residual_channels", "growth_channels"):
        if chosen[name] is not None:
            chosen[name] = _numbers(name, chosen[name])
    return RunSettings.of_task(**chosen)


def _numbers(name, texts):
    """A flag's numbers, one per level or one for all of them."""
    if not texts or not all(text.strip().isdecimal() for text in texts):
        raise ValueError(
            f"--{name} must be a number, or several such as 32,16,8. "
            f"Received: {','.join(texts)!r}"
        )
    return tuple(int(text) for text in texts)
