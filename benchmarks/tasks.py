"""Every task beside what it is measured against, as one Markdown table.

For each task and method trains nano models with the same settings (the task's
own but for `SETTINGS`), data, number of gradient steps and candidates per image
and level:

    tim         the Tower Implicit Model, hierarchical sampling
    vanilla     vanilla cIMLE: independent sampling, no intermediate
                supervision, no mapping network, no weight normalisation
    regression  the same network without codes
    gan         the same network against a PatchGAN, see conditional_gan.py

What may differ between methods is chosen on validation pictures: every method
is trained at each of `--rate_factors` times its learning rate, with the first
seed, and goes on with the one whose best of 10 samples is nearest by the
distance that it was trained by. With that it is trained for every seed, and
measured on the test pictures: once, whatever comes out. LPIPS by both networks
and KID are reported, so that there is always a distance that was neither
trained nor chosen by. Intervals are over seeds.

    python benchmarks/tasks.py --output=results --photos=TRAIN_FOLDER \
        --validation_photos=FOLDER --test_photos=TEST_FOLDER \
        --layouts=FOLDER --layout_labels=FOLDER --validation_layouts=FOLDER \
        --validation_layout_labels=FOLDER --test_layouts=FOLDER \
        --test_layout_labels=FOLDER

Without folders the photos bundled with scikit-image are used, of which one is
for validation and one for the test. A killed benchmark goes on where it
stopped; finished trainings are not repeated. Processes can share the work,
`--task=mnist` and `--task=colourization` with the same output; a last call
without tasks then makes the table of what they have found.
"""

import dataclasses
import datetime
import functools
import os

import keras
import numpy as np
from absl import app, flags, logging
from conditional_gan import LEARNING_RATE, train_gan
from study import (
    CONFIDENCE,
    define_photo_flags,
    measured_once,
    publish,
    trained,
)
from task_table import HEAD, NETS, NUM_SAMPLES, comparisons, table_lines

from keras_tim import LPIPS
from keras_tim.evaluation import picture_measures
from keras_tim.images import write_picture
from keras_tim.images.alternatives import spread
from keras_tim.metrics import (
    InceptionFeatures,
    kernel_distance,
    picture_features,
)
from keras_tim.models.presets import REGRESSION_WITHOUT, VANILLA_WITHOUT
from keras_tim.recipes import RECIPES, get_recipe
from keras_tim.recipes.photos import PhotoRecipe
from keras_tim.runs import RunSettings, train
from keras_tim.runs.callbacks import sample_sheet

# What a training may cost: on one core it ends within some fifteen minutes,
# but for super-resolution. It is the same for all methods, and nothing that
# was found to suit one of them.
SETTINGS = {
    # The paper's factor. At 4x the last of two levels decides nearly all, see
    # `code_shares.py`, so that hierarchical sampling has little to choose. It
    # takes more than a thousand steps to learn from what it chooses: about an
    # hour on one core, minutes on a GPU.
    "super_resolution": {
        "preset": "super_resolution_x16_nano",
        "crop_size": 96,
        "num_candidates": 2,
        "steps": 3600,
    },
    "colourization": {"num_candidates": 4},
    "decompression": {"crop_size": 64, "steps": 240},
    # The same number at every level: whole codes, which vanilla cIMLE draws,
    # are made at all of them.
    "layout_synthesis": {"downsample": 2, "num_candidates": 8, "steps": 360},
}

WITHOUT = {
    "tim": (),
    "vanilla": VANILLA_WITHOUT,
    "regression": REGRESSION_WITHOUT,
    "gan": (),
}
# Of the bundled photos, and of the layouts made of them.
HELD_OUT = {
    "validation": ("astronaut", "astronaut *"),
    "test": ("chelsea", "chelsea *"),
}
# Of the test split of MNIST, which nothing is trained on.
DIGITS = {"validation": range(5_000), "test": range(5_000, 10_000)}

FLAGS = flags.FLAGS
flags.DEFINE_string("output", "task_results", "where runs and tables go")
flags.DEFINE_multi_enum("task", None, sorted(RECIPES), "tasks; all if none")
flags.DEFINE_multi_enum("method", None, list(WITHOUT), "methods; all if none")
flags.DEFINE_integer("steps", None, "gradient steps; see `SETTINGS` if none")
flags.DEFINE_integer("candidates", None, "per image and level; see `SETTINGS`")
flags.DEFINE_multi_integer("seed", [0, 1, 2], "seeds of everything")
flags.DEFINE_multi_float(
    "rate_factors",
    [0.5, 1.0, 2.0],
    "what the learning rate is multiplied by in turn, on validation pictures",
)
flags.DEFINE_integer("count", 40, "held-out pictures, or crops of photos")
flags.DEFINE_integer("crop", 128, "side of the crops that are measured")
define_photo_flags()
flags.DEFINE_string("validation_photos", None, "folder of photos to choose by")
flags.DEFINE_string("layouts", None, "folder of pictures that have layouts")
flags.DEFINE_string("layout_labels", None, "folder of their label maps")
flags.DEFINE_string("layout_classes", None, "file or name of their classes")
for name, use in (("validation", "choose by"), ("test", "measure on")):
    flags.DEFINE_string(f"{name}_layouts", None, f"folder of others to {use}")
    flags.DEFINE_string(
        f"{name}_layout_labels", None, "folder of their label maps"
    )


def settings_of(task, method, factor, seed):
    """What a method is trained with, with the data that were named.

    Args:
        task: str.
        method: str.
        factor: float, what the learning rate is multiplied by.
        seed: int.

    Returns:
        A `RunSettings`.
    """
    chosen = {**SETTINGS.get(task, {}), "seed": seed}
    if FLAGS.steps is not None:
        chosen["steps"] = FLAGS.steps
    if FLAGS.candidates is not None:
        chosen["num_candidates"] = FLAGS.candidates
    if task == "layout_synthesis":
        chosen |= {
            "data": FLAGS.layouts,
            "labels": FLAGS.layout_labels,
            "classes": FLAGS.layout_classes,
        }
        place = 1
    elif task != "mnist":
        chosen["data"] = FLAGS.photos
        if FLAGS.downsample is not None:
            chosen["downsample"] = FLAGS.downsample
        place = 0
    if task != "mnist" and chosen["data"] is None:
        chosen["held_out"] = tuple(names[place] for names in HELD_OUT.values())
    settings = RunSettings.of_task(task, without=WITHOUT[method], **chosen)
    return dataclasses.replace(
        settings, learning_rate=factor * settings.learning_rate
    )


def examples_of(part, tim, settings, folder):
    """Pictures that are not trained on, the same for every method.

    Args:
        part: str, "validation" or "test".
        tim: the `TIM` they are for.
        settings: the run's `RunSettings`.
        folder: str, the run folder, which may hold classes or components.

    Returns:
        List of examples, see `keras_tim.recipes.Recipe`: crops of photos,
        else whole ones.
    """
    of_photos = issubclass(get_recipe(settings.task), PhotoRecipe)
    crop = FLAGS.crop if of_photos else None
    if settings.task == "mnist":
        names = [f"test/{number}" for number in DIGITS[part]]
    elif settings.data is None:
        names = (HELD_OUT[part][0 if of_photos else 1],)
    else:
        names = None
        others = {"data": FLAGS[f"{part}_photos"].value}
        if not of_photos:
            others = {
                "data": FLAGS[f"{part}_layouts"].value,
                "labels": FLAGS[f"{part}_layout_labels"].value,
            }
        settings = dataclasses.replace(settings, held_out=(), **others)
    recipe = get_recipe(settings.task)(settings, folder)
    listed = spread(recipe.listed(tim, names, crop=crop), FLAGS.count)
    return [(name, *read()) for name, read in listed]


def trained_by(settings):
    """The LPIPS network that a run was trained by, or None."""
    net = settings.distance.removeprefix("lpips_")
    return net if net in NETS else None


def measured(part, task, method, factor, seed):
    """What a method makes of some pictures, from its folder if it is there.

    Args:
        part: str, "validation" or "test".
        task: str, see `settings_of`, as are the others.
        method: str.
        factor: float.
        seed: int.

    Returns:
        dict, see `measures`.
    """
    folder = os.path.join(
        FLAGS.output, f"{task}_{method}", f"rate{factor:g}_seed{seed}"
    )
    settings = settings_of(task, method, factor, seed)
    train_run = train
    if method == "gan":
        train_run = functools.partial(
            train_gan, learning_rate=factor * LEARNING_RATE
        )

    def measure():
        tim = trained(folder, settings, train_run)
        examples = examples_of(part, tim, settings, folder)
        sheet = sample_sheet(tim, examples[:6], 6, seed)
        write_picture(os.path.join(folder, f"{part}_samples.png"), sheet)
        found = measures(tim, examples, seed, settings.quality)
        # Models of other shapes follow one another.
        keras.backend.clear_session()
        return {
            **found,
            "steps": settings.steps,
            "candidates": settings.candidates,
            "preset": settings.preset,
            "trained_by": settings.distance,
        }

    return measured_once(folder, settings, measure, f"{part}.json")


def measures(tim, examples, seed, quality):
    """Measures samples of pictures.

    Args:
        tim: the `TIM`.
        examples: list of `(name, given, target)`.
        seed: int, from which samples are drawn.
        quality: int, see `Task.faithfulness`.

    Returns:
        dict: lists over pictures by the keys of
        `keras_tim.metrics.vocabulary`; `kid` of the first samples; and the
        same of the baseline under `baseline`, with its name.
    """
    distances = {net: LPIPS(net) for net in NETS}
    extractor = InceptionFeatures()
    rows = []
    features = {"target": [], "samples": [], "baseline": []}

    def add_features(kind, picture):
        (row,) = picture_features(np.asarray(picture)[None], extractor)
        features[kind].append(row)

    for _, given, target in examples:
        samples = tim.sample(given[None], num_samples=NUM_SAMPLES, seed=seed)[0]
        rows.append(
            picture_measures(
                samples, target, given, tim, distances, (), quality
            )
        )
        add_features("target", target)
        add_features("samples", samples[0])
        baseline = tim.baseline(given, target.shape[:2])
        if baseline is not None:
            add_features("baseline", baseline[1])

    def gathered(kind):
        found = {key: [r[kind][key] for r in rows] for key in rows[0][kind]}
        found["kid"] = float("nan")
        if len(examples) >= 3:  # else there is no estimate
            found["kid"] = kernel_distance(
                features["target"], features[kind]
            ).value
        return found

    result = {
        **gathered("samples"),
        "pictures": len(examples),
        "faithfulness_name": tim.task_definition.faithfulness_name,
    }
    if rows[0]["baseline"] is not None:
        plain = gathered("baseline")
        # There is one answer, which is the best of its kind.
        for net in NETS:
            plain[f"lpips_{net}_best"] = plain[f"lpips_{net}_mean"]
        plain["pairs_alex_all"] = [0.0] * len(rows)
        result["baseline"] = {**plain, "name": rows[0]["baseline_name"]}
    return result


def chosen_factor(task, method):
    """The factor of the rate whose samples of validation pictures are best."""
    net = trained_by(settings_of(task, method, 1.0, 0)) or "alex"
    nearest = {}
    for factor in FLAGS.rate_factors:
        logging.info("%s: %s, rate times %g", task, method, factor)
        row = measured("validation", task, method, factor, FLAGS.seed[0])
        nearest[factor] = np.mean(row[f"lpips_{net}_best"])
    return min(nearest, key=nearest.get)


def check_flags(tasks):
    """Raises where the same pictures would be learnt from and measured."""
    needed = {"layout_synthesis": "layouts"}
    for task in tasks:
        name = needed.get(task, "photos")
        folders = [FLAGS[name].value] + [
            FLAGS[f"{part}_{name}"].value for part in HELD_OUT
        ]
        given = [folder for folder in folders if folder]
        if task != "mnist" and given and len(set(given)) < 3:
            raise app.UsageError(
                f"--{name}, --validation_{name} and --test_{name} go "
                "together, and are three different folders."
            )


def main(_):
    """Trains and measures what is missing, and prints the table."""
    logging.set_verbosity(logging.INFO)
    tasks = FLAGS.task or sorted(RECIPES)
    check_flags(tasks)
    lines, notes = [], []
    for task in tasks:
        # All is chosen before the first test picture is looked at.
        factors = {
            method: chosen_factor(task, method)
            for method in FLAGS.method or WITHOUT
        }
        methods = {}
        for method, factor in factors.items():
            logging.info("%s: %s", task, method)
            methods[method] = [
                measured("test", task, method, factor, seed)
                for seed in FLAGS.seed
            ]
        lines += table_lines(task, methods, factors)
        first = next(iter(methods.values()))[0]
        net = trained_by(settings_of(task, "tim", 1.0, 0))
        apart = [f"LPIPS-{n}" for n in NETS if n != (net or "alex")]
        notes += [
            f"{task}: {first['preset']}, {first['steps']} steps, "
            f"{first['candidates']} candidates, {first['pictures']} test "
            f"pictures; trained by {first['trained_by']}, rates chosen by "
            f"LPIPS-{net or 'alex'} of validation pictures; neither trained "
            f"nor chosen by: {', '.join(apart)} and KID; faithfulness: "
            f"{first['faithfulness_name'] or 'n/a'}",
            *(f"{task}: {sentence}" for sentence in comparisons(methods)),
        ]
    text = "\n".join(
        [
            f"{NUM_SAMPLES} samples, means over seeds "
            f"{', '.join(map(str, FLAGS.seed))} with {CONFIDENCE:.0%} "
            f"intervals, {datetime.date.today()}",
            "",
            *HEAD,
            *lines,
            "",
            *(f"- {note}" for note in notes),
        ]
    )
    publish(os.path.join(FLAGS.output, "table.md"), text)


if __name__ == "__main__":
    app.run(main)
