"""How many whole codes match a level-by-level choice (figure 3 of the paper).

Of a trained model, for several held-out crops: hierarchical sampling draws m
codes per level and keeps each level's nearest; vanilla sampling draws whole
codes. How many of those are needed until the nearest is as near to the target,
at the last level, as what hierarchical sampling kept?

Distances are means over crops, and over runs with other seeds. The nearest of
N whole codes is on average as near as the mean over all choices of N among the
codes of all runs, which is computed exactly from their order. Its first N that
is as near as the mean of what hierarchical sampling kept counts; the interval
is what drawing the runs anew gives (the bootstrap). The number that every run
by itself needs is given, too: its mean over runs leans on the few that need
many.

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
import functools
import os

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags
from charts import GREY, Chart
from scipy.special import gammaln
from study import (
    CONFIDENCE,
    define_photo_flags,
    publish,
    recipe_of_test_photos,
    test_crops,
)

from keras_tim.files import read_json, write_json
from keras_tim.images import write_picture
from keras_tim.imle.training import ConditionalIMLE
from keras_tim.models.inputs import check_inputs
from keras_tim.runs import RunSettings, load_run, load_settings

# Of the runs, for the intervals.
REDRAWN = 200
# The largest number of whole codes that is looked for among what all runs
# drew: the shares take memory in proportion.
MOST_POOLED = 1024
# Flags that all runs in a folder have in common.
SAME_FOR_ALL = (
    "model",
    "test_photos",
    "downsample",
    "distance",
    "per_level",
    "most",
    "crops",
    "crop",
)

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
        num_candidates=num_samples,
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
    """Distances of whole codes, `most` of them, in the order drawn."""
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
    return np.concatenate(found)


def one_run(tim, choosers, examples, seed):
    """Distances over the examples: those kept, and those of whole codes."""
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
    inputs = check_inputs(tim, tf.constant(given))
    seeds = tf.constant(seed * 1_000_003 + np.arange(len(examples)), tf.int64)
    hierarchical = {
        str(m): choose(inputs, targets, seeds).numpy().tolist()
        for m, choose in choosers["hierarchical"].items()
    }
    vanilla = [
        vanilla_distances(
            tim, *example[1:], seed=int(number), measure=measure
        ).tolist()
        for number, example in zip(seeds.numpy(), examples, strict=True)
    ]
    return {"hierarchical": hierarchical, "vanilla": vanilla}


def expected_best(distances, most):
    """The nearest of N whole codes, averaged over all choices of N.

    Args:
        distances: array `[crops, n]`.
        most: int, the largest N, at most n.

    Returns:
        Array `[most]`, the mean over crops for N = 1, 2, ...
    """
    ordered = np.sort(distances, axis=1).mean(axis=0)
    return _shares(len(ordered), most) @ ordered


@functools.cache
def _shares(n, most):
    """How often the i-th nearest of n is the nearest of N drawn.

    It is where the other N - 1 lie behind it: in C(n - i, N - 1) of C(n, N)
    cases.
    """
    others = np.arange(most)[:, None]
    behind = n - np.arange(1, n + 1)[None, :]
    logarithm = _log_choose(np.maximum(behind, others), others) - _log_choose(
        n, others + 1
    )
    return np.exp(logarithm) * (behind >= others)


def _log_choose(n, k):
    return gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)


def matching(runs, per_level, most):
    """Whole codes that match what is kept, over all runs together.

    Args:
        runs: list of what `one_run` gives.
        per_level: samples per level.
        most: int, the largest number.

    Returns:
        Int, or None where `most` are not enough.
    """
    kept = np.mean([run["hierarchical"][str(per_level)] for run in runs])
    pooled = np.concatenate([run["vanilla"] for run in runs], axis=1)
    return needed(expected_best(pooled, min(most, pooled.shape[1])), kept)


def matching_interval(runs, per_level, most):
    """The middle 95% of `matching` for runs drawn anew from the runs.

    Args:
        runs: as for `matching`, as are all that follow.
        per_level: int.
        most: int; what is not reached counts as this.

    Returns:
        List of two floats.
    """
    random = np.random.default_rng(0)
    found = []
    for _ in range(REDRAWN):
        drawn = random.integers(0, len(runs), len(runs))
        found.append(matching([runs[i] for i in drawn], per_level, most))
    tail = 50.0 * (1.0 - CONFIDENCE)
    values = [most if value is None else value for value in found]
    return np.percentile(values, [tail, 100.0 - tail]).tolist()


def needed(best, wanted):
    """Whole codes until the nearest is as near, or None."""
    reached = np.flatnonzero(np.asarray(best) <= wanted)
    return int(reached[0]) + 1 if reached.size else None


def plot(rows):
    """Needed whole codes over samples per level, on logarithmic axes."""
    counts = [row["per_level"] for row in rows]
    end = 1.2 * max(counts)
    # Runs together reach further than each by itself.
    most = max(max(row["interval"][1], *row["needed"]) for row in rows)
    powers = range(0, int(np.log2(most)) + 1, 2)
    chart = Chart(
        (640, 420),
        (1, end),
        (1, 1.2 * most),
        {count: str(count) for count in counts},
        {2**power: str(2**power) for power in powers},
        title="whole codes that match (vanilla)",
        x_title="samples per level",
        logarithmic=True,
    )
    chart.line([(1, 1), (end, end)], GREY, width=1)
    chart.line([(row["per_level"], row["matching"]) for row in rows])
    for row in rows:
        for value in row["needed"]:
            chart.dot(row["per_level"], value, GREY, radius=2)
        chart.interval(row["per_level"], *row["interval"])
        chart.dot(row["per_level"], row["matching"])
    return chart.picture


def check_folder():
    """Keeps runs apart that were measured otherwise.

    Raises:
        FileExistsError: if the folder holds runs of other flags.
    """
    os.makedirs(FLAGS.output, exist_ok=True)
    path = os.path.join(FLAGS.output, "flags.json")
    wanted = {name: FLAGS[name].value for name in SAME_FOR_ALL}
    if not os.path.exists(path):
        write_json(path, wanted)
    found = read_json(path)
    changed = sorted(name for name in wanted if found.get(name) != wanted[name])
    if changed:
        raise FileExistsError(
            f"{FLAGS.output} holds runs with other flags "
            f"({', '.join(changed)}). Choose another --output, or repeat the "
            "earlier flags."
        )


def main(_):
    """Runs what is missing and writes the results."""
    check_folder()
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
    runs = []
    bar = keras.utils.Progbar(FLAGS.runs, unit_name="run")
    for seed in range(FLAGS.runs):
        path = os.path.join(FLAGS.output, f"run_{seed}.json")
        if not os.path.exists(path):
            write_json(path, one_run(tim, choosers, examples, seed))
        runs.append(read_json(path))
        bar.update(seed + 1)
    most = min(MOST_POOLED, FLAGS.most * len(runs))
    rows = []
    for m in FLAGS.per_level:
        kept = [np.mean(run["hierarchical"][str(m)]) for run in runs]
        by_itself = [
            needed(
                np.minimum.accumulate(run["vanilla"], axis=1).mean(axis=0), own
            )
            for run, own in zip(runs, kept, strict=True)
        ]
        # What is not reached counts as the most that was drawn: too little.
        capped = [FLAGS.most if n is None else n for n in by_itself]
        together = matching(runs, m, most)
        rows.append(
            {
                "per_level": m,
                "distance": float(np.mean(kept)),
                "matching": most if together is None else together,
                "reached": together is not None,
                "interval": matching_interval(runs, m, most),
                "needed": capped,
                "needed_mean": float(np.mean(capped)),
                "needed_median": float(np.median(capped)),
                "not_reached": by_itself.count(None),
            }
        )
        rows[-1]["ratio"] = rows[-1]["matching"] / m
    write_json(os.path.join(FLAGS.output, "sample_efficiency.json"), rows)
    write_picture(
        os.path.join(FLAGS.output, "sample_efficiency.png"),
        plot(rows),
    )
    lines = [
        f"{len(runs)} runs, {len(examples)} held-out crops of "
        f"{examples[0][2].shape[0]} pixels, {FLAGS.distance}, "
        f"{datetime.date.today()}.",
        "",
        "| samples per level | kept | whole codes that match "
        f"({CONFIDENCE:.0%} interval) | ratio | by single runs: mean, median "
        "(least to most) |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        low, high = row["interval"]
        lines.append(
            f"| {row['per_level']} | {row['distance']:.4f} "
            f"| {'' if row['reached'] else '> '}{row['matching']} "
            f"({low:.0f} to {high:.0f}) | {row['ratio']:.1f} "
            f"({low / row['per_level']:.1f} to {high / row['per_level']:.1f}) "
            f"| {'> ' if row['not_reached'] else ''}"
            f"{row['needed_mean']:.0f}, {row['needed_median']:.0f} "
            f"({min(row['needed'])} to {max(row['needed'])}) |"
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
