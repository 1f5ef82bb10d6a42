"""How near to the observed picture codes can be found, by gradient descent.

Of a trained model, for held-out crops: the distance of the nearest picture
that `TIM.invert` finds, over the mean distance of random samples, both to the
observed picture. The figure is the ratio of the two means over the crops.

    python benchmarks/inversion_recall.py --model=RUN --test_photos=FOLDER

Without a folder, crops of what the run held out. Every `--net` is measured;
the first one is descended under. `keras-tim evaluate --invert` gives the same
numbers picture by picture, with the strips and the films.
"""

import datetime

import numpy as np
from absl import app, flags
from study import define_photo_flags, recipe_of_test_photos, test_crops

from keras_tim import LPIPS
from keras_tim.evaluation import EvaluationSettings
from keras_tim.evaluation.evaluation import draw_samples, picture_seed
from keras_tim.metrics import lpips_to_target
from keras_tim.runs import RunSettings, load_run, load_settings

DEFAULTS = EvaluationSettings()

FLAGS = flags.FLAGS
flags.DEFINE_string("model", None, "a run folder", required=True)
flags.DEFINE_multi_enum("net", ["vgg", "alex"], ["vgg", "alex"], "networks")
flags.DEFINE_integer("count", 8, "crops")
flags.DEFINE_integer("crop", 64, "their side")
flags.DEFINE_integer("steps", DEFAULTS.inversion_steps, "steps of descent")
flags.DEFINE_float(
    "learning_rate", DEFAULTS.inversion_learning_rate, "the first rate"
)
flags.DEFINE_float("shell_width", 2.0, "see `TIM.invert`")
flags.DEFINE_integer("num_samples", 10, "random samples of every crop")
flags.DEFINE_integer("together", 8, "crops inverted at a time")
flags.DEFINE_integer("seed", 0, "seed of everything")
define_photo_flags()


def main(_):
    """Inverts the crops and prints the table."""
    tim = load_run(FLAGS.model)
    settings = load_settings(FLAGS.model) or RunSettings.of_task(tim.task)
    recipe = recipe_of_test_photos(settings, FLAGS.model)
    crops = test_crops(tim, recipe, FLAGS.crop, FLAGS.count)
    names = [name for name, _ in crops]
    given, targets = (
        np.stack(part)
        for part in zip(*(read() for _, read in crops), strict=True)
    )
    seeds = [picture_seed(FLAGS.seed, name) for name in names]
    distances = {net: LPIPS(net) for net in dict.fromkeys(FLAGS.net)}
    nearest = []
    for start in range(0, len(given), FLAGS.together):
        part = slice(start, start + FLAGS.together)
        found = tim.invert(
            given[part],
            targets[part],
            steps=FLAGS.steps,
            learning_rate=FLAGS.learning_rate,
            seed=seeds[part],
            distance=distances[FLAGS.net[0]],
            shell_width=FLAGS.shell_width,
            verbose=2,
        )
        nearest.extend(found.pictures)
    lines = []
    samples = [
        draw_samples(tim, picture, FLAGS.num_samples, seed)
        for picture, seed in zip(given, seeds, strict=True)
    ]
    for net, distance in distances.items():
        random = np.asarray(
            [
                lpips_to_target(drawn, target, distance)
                for drawn, target in zip(samples, targets, strict=True)
            ]
        )
        reached = np.asarray(
            [
                float(lpips_to_target(picture[None], target, distance)[0])
                for picture, target in zip(nearest, targets, strict=True)
            ]
        )
        ratios = reached / random.mean(axis=1)
        lines.append(
            f"| LPIPS-{net} | {reached.mean():.4f} | {random.mean():.4f} "
            f"| {random.min(axis=1).mean():.4f} "
            f"| {reached.mean() / random.mean():.3f} "
            f"| {ratios.min():.3f} to {ratios.max():.3f} |"
        )
    print(
        f"{len(crops)} crops of {targets.shape[1]} pixels, descent under "
        f"LPIPS-{FLAGS.net[0]}, {FLAGS.steps} steps from "
        f"{FLAGS.learning_rate:g}, shell {FLAGS.shell_width:g}, "
        f"{FLAGS.num_samples} random samples each, seed {FLAGS.seed}, "
        f"{datetime.date.today()}\n\n"
        "| distance | nearest | random, mean | random, best | nearest over "
        "random | per picture |\n|---|---|---|---|---|---|\n" + "\n".join(lines)
    )


if __name__ == "__main__":
    app.run(main)
