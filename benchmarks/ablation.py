"""What each part of the method is worth: the ladder of the paper's table 5.

Every rung lacks one part more than the one before it, as in the paper: first
hierarchical sampling, then the mapping network, then intermediate supervision,
then weight normalisation; the last rung is vanilla cIMLE. All rungs have the
same photos, the same gradient steps, the same candidates per image (each
passes once through every level, whether a level's codes are chosen by
themselves or whole codes are), and the same crops that are measured.

Whole codes are chosen by what is trained on, as in section 4.1: the sum of the
levels' distances in the two rungs that still have intermediate supervision
(without hierarchical sampling; without the mapping network too), the last
level's in those below. The figures in `results/` are of November 2026, when
the last level's distance chose in all of them; it was trained on the sum.

    python benchmarks/ablation.py --output=ablation --photos=TRAIN_FOLDER \
        --test_photos=TEST_FOLDER

Writes `ablation.md`, `ablation.json` and `ablation.png`. Without folders the
photos bundled with scikit-image are used. A killed study goes on where it
stopped, and finished runs are not measured again, so that another `--count` or
other test photos need another folder. Two processes can share the work,
`--seed=0` and `--seed=1` with the same output; a third call with both seeds
then makes the table of what they have found.

The intervals are of the mean over seeds, at 95%. Two seeds say little about
their own spread, so that one spread is taken for all rungs of a task: the root
of the mean variance over seeds, with as many degrees of freedom as all rungs
together have.
"""

import datetime
import os

import keras
import numpy as np
from absl import app, flags, logging
from charts import BLUE, GREY, Chart, side_by_side
from study import (
    CONFIDENCE,
    define_photo_flags,
    half_width_of_means,
    measured_once,
    publish,
    recipe_of_test_photos,
    test_crops,
    trained,
)

from keras_tim import LPIPS
from keras_tim.evaluation import picture_measures
from keras_tim.evaluation.evaluation import draw_samples, picture_seed
from keras_tim.files import write_json
from keras_tim.images import write_picture
from keras_tim.images.sheets import stacked
from keras_tim.metrics import (
    InceptionFeatures,
    frechet_estimate,
    kernel_distance,
    picture_features,
)
from keras_tim.models.presets import VANILLA_WITHOUT
from keras_tim.runs import RunSettings
from keras_tim.runs.callbacks import sample_sheet

TASKS = ("super_resolution", "decompression")
# What is left out, in the order of the paper; a rung lacks its own part and
# those before it.
RUNGS = {
    "full": (),
    **{
        part: VANILLA_WITHOUT[:number]
        for number, part in enumerate(VANILLA_WITHOUT, start=1)
    },
}
# FID of table 5, super-resolution 16x and JPEG repair.
PUBLISHED = {
    "super_resolution": (16.75, 17.70, 18.58, 21.66, 22.51),
    "decompression": (72.75, 81.24, 84.57, 99.54, 102.82),
}
SHORT = {
    "full": "full",
    "hierarchical_sampling": "- hier-\narchical\nsampling",
    "mapping_network": "- mapping\nnetwork",
    "intermediate_supervision": "- inter-\nmediate\nsupervision",
    "weight_norm": "- weight\nnorm",
}
NUM_SAMPLES = 10
# Key, what the table calls it, decimals.
MEASURES = (
    ("fid", "FID", 1),
    ("kid", "KID x 1000", 1),
    ("lpips_alex_mean", "LPIPS mean", 4),
    ("lpips_alex_best", "LPIPS best", 4),
    ("pairs_alex_all", "diversity", 4),
    ("faithfulness_mean", "faithfulness [dB]", 2),
)

FLAGS = flags.FLAGS
flags.DEFINE_string("output", "ablation", "where runs and results go")
flags.DEFINE_multi_enum("task", TASKS, TASKS, "tasks")
flags.DEFINE_multi_enum("rung", list(RUNGS), list(RUNGS), "rungs")
flags.DEFINE_multi_integer("seed", [0, 1], "seeds; two or more for intervals")
flags.DEFINE_integer("steps", 600, "gradient steps of every run")
flags.DEFINE_integer("crop", 64, "side of the crops, trained on and measured")
flags.DEFINE_integer("count", 200, "crops that are measured, at most")
define_photo_flags(downsample=2)


def settings_of(task, rung, seed):
    """The task's own settings, without what the rung lacks.

    Nano models of JPEG repair do without a mapping network of their own
    accord: here the upper rungs have one.
    """
    return RunSettings.of_task(
        task,
        data=FLAGS.photos,
        downsample=FLAGS.downsample,
        crop_size=FLAGS.crop,
        steps=FLAGS.steps,
        without=RUNGS[rung],
        mapping_network=True,
        seed=seed,
    )


class Features:
    """Inception's features; those of observed crops are computed once."""

    def __init__(self):
        self._extractor = InceptionFeatures()
        self._observed = {}

    def of(self, pictures):
        """Features of pictures of one size, a list of arrays."""
        return picture_features(
            np.stack(pictures), self._extractor, batch_size=8
        )

    def of_observed(self, task, pictures):
        """The same for a task's observed crops, equal for all its runs."""
        if task not in self._observed:
            self._observed[task] = self.of(pictures)
        return self._observed[task]


def measures(folder, settings, features):
    """Trains a run where that is not done, and measures it.

    Args:
        folder: str, the run's.
        settings: its `RunSettings`.
        features: a `Features`.

    Returns:
        dict.
    """
    tim = trained(folder, settings)
    recipe = recipe_of_test_photos(settings, folder)
    crops = test_crops(tim, recipe, FLAGS.crop, FLAGS.count)
    distances = {"alex": LPIPS("alex")}
    pictures, examples, made = [], [], []
    for name, read in crops:
        given, target = read()
        samples = draw_samples(
            tim, given, NUM_SAMPLES, picture_seed(settings.seed, name)
        )
        found = picture_measures(
            samples, target, given, tim, distances, bandwidths=()
        )
        pictures.append(found["samples"])
        examples.append((name, given, target))
        made.append(samples[0])
    write_picture(
        os.path.join(folder, "test_samples.png"),
        sample_sheet(tim, examples[:6], 6, settings.seed),
    )
    sets = (
        features.of_observed(
            settings.task, [target for _, _, target in examples]
        ),
        features.of(made),
    )
    frechet, kernel = frechet_estimate(*sets), kernel_distance(*sets)

    return {
        "crops": len(crops),
        "fid": frechet.distance,
        "fid_extrapolated": frechet.extrapolated,
        "kid": 1000.0 * kernel.value,
        "kid_standard_error": 1000.0 * kernel.standard_error,
        **{
            key: float(np.mean([picture[key] for picture in pictures]))
            for key, _, _ in MEASURES
            if key in pictures[0]
        },
        "faithfulness_name": tim.task_definition.faithfulness_name,
        "preset": settings.preset,
        "without": list(settings.without),
        "steps": int(settings.steps),
        "candidates": settings.candidates,
        "parameters": tim.count_params(),
    }


def summary(found):
    """Means over seeds, and their intervals.

    Args:
        found: dict from a rung's name to a list of `measures` over seeds.

    Returns:
        dict from a measure's key to a dict of `values` (lists over rungs of
        lists over seeds), `means` (a list over rungs) and `half_width` (None
        for a single seed).
    """
    result = {}
    for key, _, _ in MEASURES:
        values = [[row[key] for row in rows] for rows in found.values()]
        result[key] = {
            "values": values,
            "means": np.mean(values, axis=1).tolist(),
            "half_width": half_width_of_means(values),
        }
    return result


def table(task, found):
    """The task's table as Markdown."""
    first = next(iter(found.values()))[0]
    results = summary(found)
    head = [name for _, name, _ in MEASURES]
    lines = [
        f"## {task}",
        "",
        f"{first['preset']} with a mapping network, {first['steps']} steps, "
        f"{first['candidates']} candidates; {first['crops']} crops of "
        f"{FLAGS.crop} pixels; FID and KID of one sample each (n = "
        f"{first['crops']}, so that FID is far above its limit); faithfulness: "
        f"{first['faithfulness_name']}.",
        "",
        f"| rung | {' | '.join(head)} | FID in the paper |",
        "|---" * (len(head) + 2) + "|",
    ]
    published = dict(zip(RUNGS, PUBLISHED[task], strict=True))
    without = ()
    for number, rung in enumerate(found):
        cells = [_named(rung, without)]
        without = RUNGS[rung]
        for key, _, digits in MEASURES:
            cell = f"{results[key]['means'][number]:.{digits}f}"
            if results[key]["half_width"] is not None:
                cell += f" ± {results[key]['half_width']:.{digits}f}"
            cells.append(cell)
        lines.append(f"| {' | '.join(cells)} | {published[rung]:.2f} |")
    return "\n".join(lines)


def _named(rung, above):
    """What a rung lacks beyond the one above it, which need not be the next."""
    parts = [part for part in RUNGS[rung] if part not in above]
    return f"- {', '.join(parts).replace('_', ' ')}" if parts else rung


def panels(task, found):
    """The task's row of the picture: a chart per measure."""
    rungs, results = list(found), summary(found)
    charts = []
    for key, name, _ in MEASURES:
        result = results[key]
        half_width = result["half_width"] or 0.0
        means = np.asarray(result["means"])
        low = min(np.min(result["values"]), (means - half_width).min())
        high = max(np.max(result["values"]), (means + half_width).max())
        margin = 0.08 * (high - low) or 0.1 * abs(high) or 1.0
        chart = Chart(
            (440, 300),
            (-0.5, len(rungs) - 0.5),
            (low - margin, high + margin),
            {number: SHORT[rung] for number, rung in enumerate(rungs)},
            title=f"{task.replace('_', ' ')}: {name}",
        )
        for number, mean in enumerate(means):
            for value in result["values"][number]:
                chart.dot(number + 0.15, value, GREY, radius=3)
            chart.interval(number, mean - half_width, mean + half_width)
            chart.dot(number, mean, BLUE)
        charts.append(chart.picture)
    half = -(-len(charts) // 2)
    return stacked([side_by_side(charts[:half]), side_by_side(charts[half:])])


def main(_):
    """Trains and measures what is missing, and publishes the results."""
    logging.set_verbosity(logging.INFO)
    features = Features()
    runs = [
        (task, rung, seed)
        for seed in FLAGS.seed
        for task in FLAGS.task
        for rung in RUNGS
        if rung in FLAGS.rung
    ]
    found = {task: {} for task in FLAGS.task}
    for number, (task, rung, seed) in enumerate(runs, start=1):
        logging.info(
            "Run %d of %d: %s, %s, seed %d", number, len(runs), task, rung, seed
        )
        settings = settings_of(task, rung, seed)
        folder = os.path.join(FLAGS.output, f"{task}_{rung}_seed{seed}")
        row = measured_once(
            folder,
            settings,
            lambda folder=folder, settings=settings: measures(
                folder, settings, features
            ),
        )
        found[task].setdefault(rung, []).append(row)
        logging.info(
            "FID %.1f, KID %.1f, LPIPS %.4f, best %.4f, diversity %.4f",
            *(row[key] for key, _, _ in MEASURES[:5]),
        )
        # Models of other shapes follow one another.
        keras.backend.clear_session()
    write_json(os.path.join(FLAGS.output, "ablation.json"), found)
    write_picture(
        os.path.join(FLAGS.output, "ablation.png"),
        stacked([panels(task, rows) for task, rows in found.items()]),
    )
    seeds = ", ".join(map(str, FLAGS.seed))
    text = [
        f"Each rung also lacks what the ones above it lack. {NUM_SAMPLES} "
        f"samples per crop, LPIPS-alex; means over seeds {seeds}"
        + (
            f" with {CONFIDENCE:.0%} intervals (one spread for all rungs)"
            if len(FLAGS.seed) > 1
            else ""
        )
        + f", {datetime.date.today()}.",
        *(table(task, rows) for task, rows in found.items()),
    ]
    publish(os.path.join(FLAGS.output, "ablation.md"), "\n\n".join(text))


if __name__ == "__main__":
    app.run(main)
