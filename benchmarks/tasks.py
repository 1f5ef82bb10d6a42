"""Every task beside what it is measured against, as one Markdown table.

For each task and method trains a nano model with the task's own settings, the
same data, the same number of gradient steps and the same candidates per image,
draws 10 samples for each of the same held-out pictures, and measures them:

    tim         the Tower Implicit Model, hierarchical sampling
    vanilla     vanilla cIMLE: independent sampling, no intermediate
                supervision, no mapping network, no weight normalisation
    regression  the same network without codes
    gan         the same network against a PatchGAN, see conditional_gan.py

    python benchmarks/tasks.py --output=results --photos=TRAIN_FOLDER \
        --test_photos=TEST_FOLDER --layouts=FOLDER --layout_labels=FOLDER

Without folders the photos bundled with scikit-image are used, and crops of the
one held out. A killed benchmark goes on where it stopped; finished trainings
are not repeated.
"""

import dataclasses
import datetime
import os

import keras
from absl import app, flags, logging
from conditional_gan import ConditionalGAN

from keras_tim import TIM
from keras_tim.inference import write_picture
from keras_tim.recipes import RECIPES, get_recipe
from keras_tim.runs import RunSettings, examples_report, load_run, train
from keras_tim.runs.callbacks import sample_sheet
from keras_tim.runs.files import read_json, save_model, write_json
from keras_tim.runs.report import averaged
from keras_tim.runs.settings import REGRESSION_WITHOUT, VANILLA_WITHOUT
from keras_tim.runs.training_run import centres

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
flags.DEFINE_integer("steps", None, "gradient steps; each task's own if none")
flags.DEFINE_integer("seed", 0, "seed of everything")
flags.DEFINE_integer("count", 20, "held-out pictures")
flags.DEFINE_integer("crop", 96, "side of the part of each that is measured")
flags.DEFINE_string("photos", None, "folder of photos to train on")
flags.DEFINE_string("test_photos", None, "folder of photos to measure on")
flags.DEFINE_integer("downsample", None, "reduce the photos first")
flags.DEFINE_string("layouts", None, "folder of pictures that have layouts")
flags.DEFINE_string("layout_labels", None, "folder of their label maps")
flags.DEFINE_string("layout_classes", None, "file of their classes")


def settings_of(task, method):
    """The task's own settings, with the data that were named."""
    chosen = {"steps": FLAGS.steps, "seed": FLAGS.seed}
    if task == "layout_synthesis":
        chosen |= {
            "data": FLAGS.layouts,
            "labels": FLAGS.layout_labels,
            "classes": FLAGS.layout_classes,
        }
    elif task != "mnist":
        chosen |= {"data": FLAGS.photos, "downsample": FLAGS.downsample}
    return RunSettings.of_task(task, without=WITHOUT[method], **chosen)


def test_examples(tim, settings):
    """The held-out examples, the same for every method."""
    recipe = get_recipe(settings.task)(settings)
    photo_task = hasattr(recipe, "pair")
    if photo_task and FLAGS.test_photos:
        other = dataclasses.replace(
            settings, data=FLAGS.test_photos, held_out=()
        )
        examples = type(recipe)(other).examples(tim, count=FLAGS.count)
        return centres(examples, FLAGS.crop)
    held_out, _ = recipe.held_out(tim)
    _, crops = recipe.crops(tim, held_out[0])
    return (crops or held_out)[: FLAGS.count]


def trained(folder, settings, method):
    """The method's model, from its folder if it is finished."""
    if os.path.exists(os.path.join(folder, "model.keras")):
        return load_run(folder)
    if method == "gan":
        return trained_gan(folder, settings)
    return train(folder, settings, verbose=2)


def trained_gan(folder, settings):
    """A TIM trained as a conditional GAN for as many gradient steps."""
    os.makedirs(folder, exist_ok=True)
    keras.utils.set_random_seed(settings.seed)
    recipe = get_recipe(settings.task)(
        dataclasses.replace(
            settings, images_per_selection=settings.mini_batch_size
        ),
        folder,
    )
    recipe.prepare()
    tim = TIM.from_preset(settings.preset, **recipe.model_arguments())
    _, excluded = recipe.held_out(tim)
    gan = ConditionalGAN(tim, seed=settings.seed)
    gan.compile()
    gan.fit(
        recipe.dataset(tim, excluded, settings.seed),
        steps_per_epoch=-(-settings.steps // 10),
        epochs=10,
        shuffle=False,
        verbose=2,
    )
    save_model(tim, os.path.join(folder, "model.keras"))
    return tim


def measured(task, method):
    """The method's row of the table, from its folder if it is there."""
    folder = os.path.join(FLAGS.output, f"{task}_{method}")
    result = os.path.join(folder, "measures.json")
    if os.path.exists(result):
        return read_json(result)
    settings = settings_of(task, method)
    tim = trained(folder, settings, method)
    examples = test_examples(tim, settings)
    recipe = get_recipe(task)(settings, folder)
    rows = examples_report(
        tim, recipe, examples, num_samples=NUM_SAMPLES, seed=settings.seed
    )
    sheet = sample_sheet(tim, recipe, examples[:6], 6, settings.seed)
    write_picture(os.path.join(folder, "test_samples.png"), sheet)
    row = {
        **averaged(rows, method),
        "pictures": len(rows),
        "steps": settings.steps,
        "candidates": settings.candidates,
        "preset": settings.preset,
    }
    write_json(result, row)
    return row


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


def main(_):
    """Trains and measures what is missing, and prints the table."""
    logging.set_verbosity(logging.INFO)
    lines, notes = [], []
    for task in FLAGS.task or sorted(RECIPES):
        rows = []
        for method in FLAGS.method or WITHOUT:
            logging.info("%s: %s", task, method)
            rows.append(measured(task, method))
        lines += table_lines(task, rows)
        first = rows[0]
        notes.append(
            f"{task}: {first['preset']}, {first['steps']} steps, "
            f"{first['candidates']} candidates, {first['pictures']} held-out "
            f"pictures; faithfulness: {first.get('faithfulness_name', 'n/a')}"
        )
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
    with open(
        os.path.join(FLAGS.output, "table.md"), "w", encoding="utf-8"
    ) as file:
        file.write(text + "\n")
    print(text)


if __name__ == "__main__":
    app.run(main)
