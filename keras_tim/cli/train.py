"""keras-tim train."""

import dataclasses

from absl import flags

DESCRIPTION = """train a model into a run folder, or resume one.

Without --data the photos bundled with scikit-image are used. Run the same
command again after an interruption and it goes on after the last epoch."""


def define_flags(values):
    """Defines the command's flags.

    Args:
        values: `flags.FlagValues` to define them in.
    """
    from keras_tim.models.presets import PRESETS
    from keras_tim.runs.training_run import RunSettings

    default = RunSettings()
    text = {"flag_values": values}
    flags.DEFINE_string("run", None, "the run folder", **text)
    flags.DEFINE_bool("overwrite", False, "begin anew", **text)
    flags.DEFINE_enum(
        "task", default.task, ["super_resolution"], "what to learn", **text
    )
    flags.DEFINE_enum(
        "preset", default.preset, sorted(PRESETS), "size of the model", **text
    )
    flags.DEFINE_string(
        "data", None, "folder of photos (recursive), or tfds:NAME", **text
    )
    flags.DEFINE_string("data_dir", None, "folder of TFDS data sets", **text)
    flags.DEFINE_list(
        "held_out",
        [],
        "pictures to keep from training and show instead; by default the "
        "first of a folder, chelsea of the bundled photos",
        **text,
    )
    flags.DEFINE_string(
        "distance", default.distance, "lpips_alex or lpips_vgg", **text
    )
    integers = {
        "downsample": "reduce the photos by this factor first",
        "crop_size": "side of the training crops in pixels",
        "steps": "gradient steps in all",
        "num_samples": "candidate codes per image and level (m)",
        "images_per_selection": "images that codes are selected for at once",
        "steps_per_selection": "gradient steps between selections (M)",
        "mini_batch_size": "images per gradient step",
        "candidate_chunk": "candidates made at a time; bounds the memory",
    }
    for name, help_text in integers.items():
        flags.DEFINE_integer(
            name, getattr(default, name), help_text, lower_bound=1, **text
        )
    flags.DEFINE_float("minutes", None, "wall-clock limit", **text)
    flags.DEFINE_float(
        "learning_rate", default.learning_rate, "Adam's first rate", **text
    )
    flags.DEFINE_float("beta_2", default.beta_2, "Adam's beta_2", **text)
    flags.DEFINE_float(
        "pixel_weight", default.pixel_weight, "factor of the L1 term", **text
    )
    flags.DEFINE_integer("seed", default.seed, "seed of everything", **text)
    flags.mark_flag_as_required("run", **text)


def run(values, arguments):
    """Trains.

    Args:
        values: parsed flags.
        arguments: list of str, what was given besides flags.
    """
    from keras_tim.runs.training_run import RunSettings, train

    reject_arguments(arguments)
    names = [field.name for field in dataclasses.fields(RunSettings)]
    chosen = {name: values[name].value for name in names}
    chosen["held_out"] = tuple(chosen["held_out"])
    train(values.run, RunSettings(**chosen), overwrite=values.overwrite)


def reject_arguments(arguments):
    """Raises if something was given that is no flag."""
    if arguments:
        raise ValueError(
            "only flags are understood here. Received: " + " ".join(arguments)
        )
