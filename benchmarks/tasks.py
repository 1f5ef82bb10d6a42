"""Every task beside what it is measured against, as one Markdown table.

For each task and method trains a nano model with the same settings (the task's
own but for `SETTINGS`), data, number of gradient steps and candidates per image
and level, draws 10 samples for each of the same held-out pictures, and measures
them:

    tim         the Tower Implicit Model, hierarchical sampling
    vanilla     vanilla cIMLE: independent sampling, no intermediate
                supervision, no mapping network, no weight normalisation
    regression  the same network without codes
    gan         the same network against a PatchGAN, see conditional_gan.py

    python benchmarks/tasks.py --output=results --photos=TRAIN_FOLDER \
        --test_photos=TEST_FOLDER --layouts=FOLDER --layout_labels=FOLDER \
        --test_layouts=FOLDER --test_layout_labels=FOLDER

Without folders the photos bundled with scikit-image are used, and crops of the
one held out. A killed benchmark goes on where it stopped; finished trainings
are not repeated. Processes can share the work, `--task=mnist` and
`--task=colourization` with the same output; a last call without tasks then
makes the table of what they have found.
"""

import dataclasses
import datetime
import os

import keras
import numpy as np
from absl import app, flags, logging
from conditional_gan import train_gan
from study import (
    CONFIDENCE,
    define_photo_flags,
    evenly,
    half_width_of_means,
    measured_once,
    publish,
    recipe_of_test_photos,
    test_crops,
    trained,
)

from keras_tim.inference import write_picture
from keras_tim.models.presets import REGRESSION_WITHOUT, VANILLA_WITHOUT
from keras_tim.recipes import RECIPES, get_recipe
from keras_tim.recipes.photos import PhotoRecipe
from keras_tim.runs import RunSettings, examples_report, train
from keras_tim.runs.callbacks import sample_sheet
from keras_tim.runs.report import averaged

# Where the tasks' own settings would not do. Every training then ends within
# some fifteen minutes on one core, but for super-resolution.
SETTINGS = {
    # The paper's factor. At 4x the last of two levels decides nearly all, see
    # `code_shares.py`, so that hierarchical sampling has little to choose. It
    # takes more than a thousand steps to learn from what it chooses: about an
    # hour on one core, minutes on a GPU, see `jax_training.py`.
    "super_resolution": {
        "preset": "super_resolution_x16_nano",
        "crop_size": 96,
        "num_samples": 2,
        "steps": 3600,
    },
    "colourization": {"num_samples": 4},
    "decompression": {"crop_size": 64, "steps": 240},
    # The same number at every level: whole codes, which vanilla cIMLE draws,
    # are made at all of them.
    "layout_synthesis": {"downsample": 2, "num_samples": 8, "steps": 360},
}

WITHOUT = {
    "tim": (),
    "vanilla": VANILLA_WITHOUT,
    "regression": REGRESSION_WITHOUT,
    "gan": (),
}
NUM_SAMPLES = 10

FLAGS = flags.FLAGS
flags.DEFINE_string("output", "task_results", "where runs and tables go")
flags.DEFINE_multi_enum("task", None, sorted(RECIPES), "tasks; all if none")
flags.DEFINE_multi_enum("method", None, list(WITHOUT), "methods; all if none")
flags.DEFINE_integer("steps", None, "gradient steps; see `SETTINGS` if none")
flags.DEFINE_integer("candidates", None, "per image and level; see `SETTINGS`")
flags.DEFINE_integer("seed", 0, "seed of everything")
flags.DEFINE_integer("count", 40, "held-out pictures, or crops of photos")
flags.DEFINE_integer("crop", 128, "side of the crops that are measured")
define_photo_flags()
flags.DEFINE_string("layouts", None, "folder of pictures that have layouts")
flags.DEFINE_string("layout_labels", None, "folder of their label maps")
flags.DEFINE_string("layout_classes", None, "file or name of their classes")
flags.DEFINE_string("test_layouts", None, "folder of others to measure on")
flags.DEFINE_string("test_layout_labels", None, "folder of their label maps")


def settings_of(task, method):
    """What a method is trained with, with the data that were named."""
    chosen = {**SETTINGS.get(task, {}), "seed": FLAGS.seed}
    if FLAGS.steps is not None:
        chosen["steps"] = FLAGS.steps
    if FLAGS.candidates is not None:
        chosen["num_samples"] = FLAGS.candidates
    if task == "layout_synthesis":
        chosen |= {
            "data": FLAGS.layouts,
            "labels": FLAGS.layout_labels,
            "classes": FLAGS.layout_classes,
        }
    elif task != "mnist":
        chosen["data"] = FLAGS.photos
        if FLAGS.downsample is not None:
            chosen["downsample"] = FLAGS.downsample
    return RunSettings.of_task(task, without=WITHOUT[method], **chosen)


def test_examples(tim, settings, folder):
    """The held-out examples, the same for every method.

    Args:
        tim: the `TIM` they are for.
        settings: the run's `RunSettings`.
        folder: str, the run folder, which may hold classes or components.

    Returns:
        List of examples, see `keras_tim.recipes.Recipe`: crops of photos,
        else whole ones.
    """
    if issubclass(get_recipe(settings.task), PhotoRecipe):
        recipe = recipe_of_test_photos(settings, folder)
        listed = test_crops(tim, recipe, FLAGS.crop, FLAGS.count)
    elif settings.task == "layout_synthesis" and FLAGS.test_layouts:
        others = dataclasses.replace(
            settings,
            data=FLAGS.test_layouts,
            labels=FLAGS.test_layout_labels,
            held_out=(),
        )
        recipe = get_recipe(settings.task)(others, folder)
        listed = evenly(recipe.listed(tim), FLAGS.count)
    else:
        recipe = get_recipe(settings.task)(settings, folder)
        names = recipe.held_out_names(tim)
        listed = evenly(recipe.listed(tim, names), FLAGS.count)
    return [(name, *read()) for name, read in listed]


def measured(task, method):
    """The method's row of the table, from its folder if it is there."""
    folder = os.path.join(FLAGS.output, f"{task}_{method}")
    settings = settings_of(task, method)
    return measured_once(
        folder, settings, lambda: measures(folder, settings, method)
    )


def measures(folder, settings, method):
    """Trains the method where that is not done, and measures it."""
    train_run = train_gan if method == "gan" else train
    tim = trained(folder, settings, train_run)
    examples = test_examples(tim, settings, folder)
    recipe = get_recipe(settings.task)(settings, folder)
    rows = examples_report(
        tim, recipe, examples, num_samples=NUM_SAMPLES, seed=settings.seed
    )
    sheet = sample_sheet(tim, recipe, examples[:6], 6, settings.seed)
    write_picture(os.path.join(folder, "test_samples.png"), sheet)
    return {
        **averaged(rows, method),
        "best_of_each": [row["lpips_best"] for row in rows],
        "pictures": len(rows),
        "steps": settings.steps,
        "candidates": settings.candidates,
        "preset": settings.preset,
    }


def table_lines(task, rows):
    """The task's lines of the Markdown table."""
    lines = []
    first = rows[0]
    if "baseline" in first:
        faithful = (
            f"{first['faithfulness_baseline']:.2f}"
            if "faithfulness_baseline" in first
            else "n/a"
        )
        lines.append(
            f"| {task} | {first['baseline']} | {first['lpips_baseline']:.3f} "
            f"| {first['lpips_baseline']:.3f} | 0 | {faithful} |"
        )
    for row in rows:
        faithful = (
            f"{row['faithfulness']:.2f}" if "faithfulness" in row else "n/a"
        )
        lines.append(
            f"| {task} | {row['name']} | {row['lpips_mean']:.3f} "
            f"| {row['lpips_best']:.3f} | {row['lpips_diversity']:.3f} "
            f"| {faithful} |"
        )
    return lines


def lead_over_vanilla(rows):
    """How much nearer TIM's best sample is than vanilla cIMLE's.

    Args:
        rows: list of measures of one task's methods.

    Returns:
        List of one sentence, or of none where one of the two is missing.
    """
    best = {row["name"]: np.array(row["best_of_each"]) for row in rows}
    if not {"tim", "vanilla"} <= best.keys():
        return []
    lead = best["vanilla"] - best["tim"]
    half = half_width_of_means(lead[None])
    interval = "" if half is None else f" ± {half:.3f} ({CONFIDENCE:.0%})"
    return [
        f"best of {NUM_SAMPLES}, vanilla less tim, picture by picture: "
        f"{lead.mean():.3f}{interval}"
    ]


def main(_):
    """Trains and measures what is missing, and prints the table."""
    logging.set_verbosity(logging.INFO)
    lines, notes = [], []
    for task in FLAGS.task or sorted(RECIPES):
        rows = []
        for method in FLAGS.method or WITHOUT:
            logging.info("%s: %s", task, method)
            rows.append(measured(task, method))
            # Models of other shapes follow one another.
            keras.backend.clear_session()
        lines += table_lines(task, rows)
        first = rows[0]
        about = [
            f"{task}: {first['preset']}, {first['steps']} steps, "
            f"{first['candidates']} candidates, {first['pictures']} held-out "
            "pictures",
            f"faithfulness: {first.get('faithfulness_name', 'n/a')}",
            *lead_over_vanilla(rows),
        ]
        notes.append("; ".join(about))
    text = "\n".join(
        [
            f"{NUM_SAMPLES} samples, LPIPS-alex, seed {FLAGS.seed}, "
            f"{datetime.date.today()}",
            "",
            "| task | method | LPIPS mean | LPIPS best | diversity "
            "| faithfulness |",
            "|---|---|---|---|---|---|",
            *lines,
            "",
            *(f"- {note}" for note in notes),
        ]
    )
    publish(os.path.join(FLAGS.output, "table.md"), text)


if __name__ == "__main__":
    app.run(main)
