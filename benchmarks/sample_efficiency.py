"""How many whole codes match a level-by-level choice (figure 3 of the paper).

Of a trained model, for several held-out crops: hierarchical sampling draws m
codes per level and keeps each level's nearest; vanilla sampling draws whole
codes. How many of those are needed until the nearest is as near to the target,
at the last level, as what hierarchical sampling kept? Every number is the mean
over crops, and over runs with other seeds.

    keras-tim train --run=runs/x16 --preset=super_resolution_x16_nano \
        --data=TRAIN_FOLDER
    python benchmarks/sample_efficiency.py --model=runs/x16 \
        --output=efficiency --test_photos=TEST_FOLDER

Without test photos, crops of what the run held out. The more levels there are,
the more a choice at each of them is worth: the paper has four, at 16x.

Writes `sample_efficiency.json`, `.md` and `.png`. Runs that were finished
before an interruption are not repeated.
"""

import datetime
import os

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags
from charts import GREY, Chart
from study import (
    define_photo_flags,
    publish,
    recipe_of_test_photos,
    test_crops,
)

from keras_tim.imle.training import ConditionalIMLE
from keras_tim.inference import write_picture
from keras_tim.runs import RunSettings, load_run, load_settings
from keras_tim.runs.files import read_json, write_json

FLAGS = flags.FLAGS
flags.DEFINE_string("model", None, "a run folder", required=True)
flags.DEFINE_string("output", "sample_efficiency", "where the results go")
flags.DEFINE_multi_integer("per_level", [2, 4, 8, 16, 32], "samples per level")
flags.DEFINE_integer("most", 1024, "whole codes that are drawn at most")
flags.DEFINE_integer("runs", 10, "runs, each with a seed of its own")
flags.DEFINE_integer("crops", 4, "held-out crops")
# At 16x the first level of four makes an eighth of it.
flags.DEFINE_integer("crop", 128, "their side")
flags.DEFINE_string("distance", "lpips_alex", "lpips_alex or lpips_vgg")
define_photo_flags()


def chooser(tim, sampling, num_samples):
    """Function `(inputs, targets, seeds)` -> distances at the last level."""
    imle = ConditionalIMLE(
        tim.num_levels,
        tim.supervised_levels,
        distance=FLAGS.distance,
        num_samples=num_samples,
        sampling=sampling,
        images_per_selection=None,
        steps_per_selection=1,
        mini_batch_size=None,
        candidate_chunk=32,
        pixel_weight=0.0,
        seed=0,
    )
    imle.distance.build(channels=3)

    @tf.function(autograph=False)
    def choose(inputs, targets, seeds):
        selection, _ = imle.select(tim, inputs, targets, seeds)
        return selection.distances[-1]

    return choose


def vanilla_distances(tim, given, target, seed, measure):
    """Distances of whole codes 0 to `most` - 1, by falling minimum."""
    features = measure.features(target[None])
    found = []
    for start in range(0, FLAGS.most, 32):
        # Samples of one seed are numbered from zero: later ones need the
        # earlier ones' seed no more than a seed of their own.
        samples = tim.sample(
            given[None], 32, seed=seed + 7919 * start, batch_size=32
        )[0]
        found.append(
            measure.compare(measure.features(samples), features).numpy()
        )
    return np.minimum.accumulate(np.concatenate(found))


def one_run(tim, choosers, examples, seed):
    """Mean distances kept by either, over the examples."""
    measure = choosers["measure"]
    given = np.stack([given for _, given, _ in examples])
    target = np.stack([target for _, _, target in examples])
    sizes = [
        [n // 2**k for n in target.shape[1:3]]
        for k in range(tim.num_levels - 1, 0, -1)
    ]
    pyramid = [
        tf.clip_by_value(
            tf.image.resize(target, size, "bicubic", antialias=True), 0, 1
        )
        for size in sizes
    ]
    targets = [*pyramid, tf.constant(target)]
    seeds = tf.constant(seed * 1_000_003 + np.arange(len(examples)), tf.int64)
    hierarchical = {
        str(m): float(
            choose([tf.constant(given)], targets, seeds).numpy().mean()
        )
        for m, choose in choosers["hierarchical"].items()
    }
    vanilla = np.mean(
        [
            vanilla_distances(
                tim, *example[1:], seed=int(number), measure=measure
            )
            for number, example in zip(seeds.numpy(), examples, strict=True)
        ],
        axis=0,
    )
    return {"hierarchical": hierarchical, "vanilla": vanilla.tolist()}


def needed(vanilla, wanted):
    """Whole codes until the mean distance is as low, or None."""
    reached = np.flatnonzero(np.asarray(vanilla) <= wanted)
    return int(reached[0]) + 1 if reached.size else None


def plot(rows, most):
    """Needed whole codes over samples per level, on logarithmic axes."""
    counts = [row["per_level"] for row in rows]
    end = 1.2 * max(counts)
    powers = range(0, int(np.log2(most)) + 1, 2)
    chart = Chart(
        (640, 420),
        (1, end),
        (1, most),
        {count: str(count) for count in counts},
        {2**power: str(2**power) for power in powers},
        title="whole codes that match (vanilla)",
        x_title="samples per level",
        logarithmic=True,
    )
    chart.line([(1, 1), (end, end)], GREY, width=1)
    chart.line([(row["per_level"], row["needed_mean"]) for row in rows])
    for row in rows:
        for value in row["needed"]:
            chart.dot(row["per_level"], value, GREY, radius=2)
        chart.dot(row["per_level"], row["needed_mean"])
    return chart.picture


def main(_):
    """Runs what is missing and writes the results."""
    tim = load_run(FLAGS.model)
    settings = load_settings(FLAGS.model) or RunSettings.of_task(tim.task)
    recipe = recipe_of_test_photos(settings, FLAGS.model)
    examples = [
        (name, *read())
        for name, read in test_crops(tim, recipe, FLAGS.crop, FLAGS.crops)
    ]
    choosers = {
        "hierarchical": {
            m: chooser(tim, "hierarchical", m) for m in FLAGS.per_level
        },
        "measure": _measure(),
    }
    os.makedirs(FLAGS.output, exist_ok=True)
    runs = []
    bar = keras.utils.Progbar(FLAGS.runs, unit_name="run")
    for seed in range(FLAGS.runs):
        path = os.path.join(FLAGS.output, f"run_{seed}.json")
        if not os.path.exists(path):
            write_json(path, one_run(tim, choosers, examples, seed))
        runs.append(read_json(path))
        bar.update(seed + 1)
    rows = []
    for m in FLAGS.per_level:
        counts = [
            needed(run["vanilla"], run["hierarchical"][str(m)]) for run in runs
        ]
        # What is not reached counts as the most that was drawn: too little.
        capped = [FLAGS.most if count is None else count for count in counts]
        rows.append(
            {
                "per_level": m,
                "distance": float(
                    np.mean([r["hierarchical"][str(m)] for r in runs])
                ),
                "vanilla_distance": float(
                    np.mean([run["vanilla"][m - 1] for run in runs])
                ),
                "needed": capped,
                "needed_mean": float(np.mean(capped)),
                "needed_median": float(np.median(capped)),
                "ratio": float(np.mean(capped)) / m,
                "ratio_of_median": float(np.median(capped)) / m,
                "not_reached": counts.count(None),
            }
        )
    write_json(os.path.join(FLAGS.output, "sample_efficiency.json"), rows)
    write_picture(
        os.path.join(FLAGS.output, "sample_efficiency.png"),
        plot(rows, FLAGS.most),
    )
    lines = [
        f"{len(runs)} runs, {len(examples)} held-out crops of "
        f"{examples[0][2].shape[0]} pixels, {FLAGS.distance}, "
        f"{datetime.date.today()}. The mean over runs leans on the few that "
        "need many.",
        "",
        "| samples per level | kept, hierarchical | kept, vanilla "
        "| whole codes that match: mean (least to most) | ratio "
        "| ratio of the median |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        more = "> " if row["not_reached"] else ""
        lines.append(
            f"| {row['per_level']} | {row['distance']:.4f} "
            f"| {row['vanilla_distance']:.4f} "
            f"| {more}{row['needed_mean']:.0f} ({min(row['needed'])} to "
            f"{max(row['needed'])}) | {more}{row['ratio']:.1f} "
            f"| {row['ratio_of_median']:.1f} |"
        )
    publish(
        os.path.join(FLAGS.output, "sample_efficiency.md"), "\n".join(lines)
    )


def _measure():
    from keras_tim import LPIPS

    measure = LPIPS(FLAGS.distance.removeprefix("lpips_"))
    measure.build((None, None, None, 3))
    return measure


if __name__ == "__main__":
    app.run(main)
