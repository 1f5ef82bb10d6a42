"""What the parts of the codes are worth: how far samples differ by each.

Of a trained model, for held-out crops: the diversity of samples (LPIPS over
all pairs) where all codes are drawn, and where only one part is, the others
being the same for all samples. A choice among codes can gain no more than what
the codes tell apart: where the last level's style has nearly all of the
diversity, choosing level by level is worth little.

    python benchmarks/code_shares.py --model=RUN --test_photos=FOLDER

Without a folder, crops of what the run held out.
"""

import datetime

import keras
import numpy as np
from absl import app, flags
from study import define_photo_flags, recipe_of_test_photos, test_crops

from keras_tim import LPIPS
from keras_tim.metrics import lpips_diversity
from keras_tim.runs import RunSettings, load_run, load_settings

FLAGS = flags.FLAGS
flags.DEFINE_string("model", None, "a run folder", required=True)
flags.DEFINE_integer("count", 12, "crops")
flags.DEFINE_integer("crop", 64, "their side")
flags.DEFINE_integer("num_samples", 8, "samples of every crop", lower_bound=2)
flags.DEFINE_integer("seed", 0, "seed of the codes")
define_photo_flags()


def varied(codes, parts):
    """Codes of which only some parts differ between samples.

    Args:
        codes: list over levels of `(style, noise)`, samples of one input.
        parts: set of `(kind, level)`, kind 0 being style and 1 noise.

    Returns:
        The same, with every other part that of the first sample.
    """
    return [
        tuple(
            part
            if (kind, level) in parts
            else keras.ops.repeat(part[:1], part.shape[0], axis=0)
            for kind, part in enumerate(code)
        )
        for level, code in enumerate(codes)
    ]


def main(_):
    """Measures every part and prints the table."""
    tim = load_run(FLAGS.model)
    settings = load_settings(FLAGS.model) or RunSettings.of_task(tim.task)
    recipe = recipe_of_test_photos(settings, FLAGS.model)
    crops = test_crops(tim, recipe, FLAGS.crop, FLAGS.count)
    every = {(kind, k) for kind in (0, 1) for k in range(tim.num_levels)}
    rows = {"all": every}
    for kind, name in enumerate(("style", "noise")):
        rows[name] = {part for part in every if part[0] == kind}
        for level in range(tim.num_levels):
            rows[f"{name} of level {level}"] = {(kind, level)}
    distance = LPIPS("alex")
    found = {name: [] for name in rows}
    bar = keras.utils.Progbar(len(crops), unit_name="crop")
    for number, (_, read) in enumerate(crops, start=1):
        given = np.repeat(read()[0][None], FLAGS.num_samples, axis=0)
        codes = tim.draw_codes(given[:1], FLAGS.num_samples, seed=FLAGS.seed)
        for name, parts in rows.items():
            samples = tim.decode(given, varied(codes, parts))[-1]
            found[name].append(
                lpips_diversity(np.asarray(samples)[None], distance)
            )
        bar.update(number)
    whole = np.mean(found["all"])
    print(
        f"{len(crops)} crops of {FLAGS.crop} pixels, {FLAGS.num_samples} "
        f"samples, LPIPS-alex over all pairs, seed {FLAGS.seed}, "
        f"{datetime.date.today()}\n\n"
        "| what differs | diversity | of all |\n|---|---|---|"
    )
    for name, values in found.items():
        mean = np.mean(values)
        print(f"| {name} | {mean:.4f} | {mean / whole:.2f} |")


if __name__ == "__main__":
    app.run(main)
