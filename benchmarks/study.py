"""What the studies share: runs that are not repeated, and what is measured.

A study keeps a folder per run: `model.keras` once it is trained,
`measures.json` once it is measured. What is there is taken as it is, so that
a killed study goes on where it stopped.
"""

import dataclasses
import os

import numpy as np
from absl import flags
from scipy import stats

from keras_tim.files import read_json, write_json, write_text
from keras_tim.images.alternatives import spread
from keras_tim.recipes import get_recipe
from keras_tim.runs import load_run, load_settings, train

# Of the intervals.
CONFIDENCE = 0.95
# What earlier files call the measures of `keras_tim.metrics.vocabulary`.
_EARLIER = {
    "lpips_mean": "lpips_alex_mean",
    "lpips_best": "lpips_alex_best",
    "alex_mean": "lpips_alex_mean",
    "alex_best": "lpips_alex_best",
    "vgg_mean": "lpips_vgg_mean",
    "vgg_best": "lpips_vgg_best",
    "diversity": "pairs_alex_all",
    "faithfulness": "faithfulness_mean",
}


def define_photo_flags(downsample=None):
    """Defines the flags that name photos.

    Args:
        downsample: int, by how much they are reduced, or None for what each
            task has of its own.
    """
    flags.DEFINE_string("photos", None, "folder of photos to train on")
    flags.DEFINE_string("test_photos", None, "folder of photos to measure on")
    flags.DEFINE_integer("downsample", downsample, "reduce the photos first")


def trained(folder, settings, train_run=train, **options):
    """The model of a run, trained if it is not there yet.

    Args:
        folder: str.
        settings: a `RunSettings`.
        train_run: function like `keras_tim.runs.train`.
        **options: its other arguments.

    Returns:
        A `TIM`.
    """
    if os.path.exists(os.path.join(folder, "model.keras")):
        return load_run(folder)
    return train_run(folder, settings, verbose=2, **options)


def measured_once(folder, settings, measure, name="measures.json"):
    """What was measured of a run.

    Args:
        folder: str.
        settings: the `RunSettings` that are asked for.
        measure: function without arguments that gives what JSON can hold;
            called if there is no such file yet.
        name: str, of the file.

    Returns:
        What `measure` gives or has given.

    Raises:
        FileExistsError: if the folder holds a run with other settings.
    """
    earlier = load_settings(folder)
    if earlier is not None and earlier != settings:
        wanted, found = settings.jsonable(), earlier.jsonable()
        changed = sorted(key for key in wanted if wanted[key] != found[key])
        raise FileExistsError(
            f"{folder} holds a run with other settings "
            f"({', '.join(changed)}). Choose another folder, or repeat the "
            "earlier settings."
        )
    path = os.path.join(folder, name)
    if not os.path.exists(path):
        write_json(path, measure())
    return _named_as_now(read_json(path))


def _named_as_now(found):
    if not isinstance(found, dict):
        return found
    return {_EARLIER.get(k, k): _named_as_now(v) for k, v in found.items()}


def recipe_of_test_photos(settings, folder=None):
    """The recipe of a photo task, for what is not trained on.

    Args:
        settings: the run's `RunSettings`.
        folder: the run folder, or None.

    Returns:
        A `Recipe`: of `--test_photos` where they are given, else of the run.
    """
    if flags.FLAGS.test_photos:
        settings = dataclasses.replace(
            settings, data=flags.FLAGS.test_photos, held_out=()
        )
    return get_recipe(settings.task)(settings, folder)


def test_crops(tim, recipe, side, count):
    """Squares of photos that are not trained on, spread evenly over all.

    Args:
        tim: a `TIM`.
        recipe: from `recipe_of_test_photos`.
        side: int, of the squares, in pixels of the output.
        count: int, how many at most.

    Returns:
        List of pairs of a name and a function that gives input and output,
        see `Recipe.listed`.
    """
    names = None
    if not flags.FLAGS.test_photos:
        names = recipe.held_out_names(tim)
    return spread(recipe.listed(tim, names, crop=side), count)


def half_width_of_means(values):
    """Half the width of the confidence intervals of means over seeds.

    The spread over seeds is taken to be the same in every group: two seeds
    alone say little about it.

    Args:
        values: array `[groups, seeds]`.

    Returns:
        Float, the same for all groups; None for a single seed.
    """
    groups, seeds = np.shape(values)
    if seeds < 2:
        return None
    spread = np.sqrt(np.var(values, axis=1, ddof=1).mean())
    quantile = stats.t.ppf(0.5 + CONFIDENCE / 2.0, groups * (seeds - 1))
    return float(quantile * spread / np.sqrt(seeds))


def publish(path, text):
    """Writes a text and prints it."""
    write_text(path, text + "\n")
    print(text)
