"""Choosing by region: how near a mixture comes to its sources in their regions.

Of every crop the two of some samples that differ most are mixed: one within a
disc in the middle, the other around it. Their codes are combined, and one pass
makes the mixture. It is held against each source by LPIPS, in a window that
lies wholly in the source's region (the square within the disc; the leftmost
3/16 of the crop), and over the whole region: there the mixture is put into the
source, and the distance divided by the region's share of the area, so that
what the border costs counts in full.

    python benchmarks/region_mixing.py --model=PRESET --test_photos=FOLDER
"""

import datetime
import os

import keras
import numpy as np
from absl import app, flags
from study import define_photo_flags, recipe_of_test_photos, test_crops

from keras_tim import LPIPS
from keras_tim.images import contact_sheet, write_picture
from keras_tim.inference.rendering import Renderer
from keras_tim.models.choosing import join
from keras_tim.runs import RunSettings, load_run, load_settings

FLAGS = flags.FLAGS
flags.DEFINE_string("model", None, "a preset or a run folder", required=True)
flags.DEFINE_integer("count", 3, "crops")
flags.DEFINE_integer("crop", 256, "their side", lower_bound=128)
flags.DEFINE_integer("num_samples", 6, "seeds to choose two of", lower_bound=2)
flags.DEFINE_string("sheets", None, "folder for pictures of the mixtures")
define_photo_flags()

# Of the disc, as a share of the crop's side.
RADIUS = 0.3


def farthest(pictures, distance):
    """Numbers of the two pictures that differ most, the smaller one first."""
    count = len(pictures)
    pairs = [(i, j) for j in range(count) for i in range(j)]
    return max(pairs, key=lambda ij: distance(*(pictures[k] for k in ij)))


def main(_):
    """Mixes two samples of every crop and prints the table."""
    tim = load_run(FLAGS.model)
    settings = load_settings(FLAGS.model) or RunSettings.of_task(tim.task)
    recipe = recipe_of_test_photos(settings, FLAGS.model)
    crops = test_crops(tim, recipe, FLAGS.crop, FLAGS.count)
    nets = {name: LPIPS(name) for name in ("alex", "vgg")}
    rows = {}
    bar = keras.utils.Progbar(len(crops), unit_name="crop")
    for number, (name, read) in enumerate(crops, start=1):
        given = read()[0]
        renderer = Renderer(tim, given)
        codes = [renderer.draw(seed, 0) for seed in range(FLAGS.num_samples)]
        pictures = [renderer.picture(code) for code in codes]
        side = pictures[0].shape[0]
        measures = {
            net: lambda a, b, lpips=lpips: float(
                np.asarray(lpips(a[None], b[None]))[0]
            )
            for net, lpips in nets.items()
        }
        pair = farthest(pictures, measures["alex"])
        inner, outer = (pictures[k] for k in pair)
        places = np.arange(side) + 0.5 - side / 2
        disc = np.hypot(places[:, None], places[None]) < RADIUS * side
        mask = disc.astype("float32")
        two = join(*(codes[k] for k in pair))
        mixed = renderer.picture(tim.combine(two, [mask, 1.0 - mask]))
        half = int(RADIUS * side / 2**0.5)
        middle = slice(side // 2 - half, side // 2 + half)
        windows = {
            "inside": (inner, outer, np.s_[middle, middle], mask),
            "around": (outer, inner, np.s_[:, : 3 * side // 16], 1.0 - mask),
        }
        for net, measure in measures.items():
            for region, (source, other, window, share) in windows.items():
                put_in = np.where(share[..., None] > 0, mixed, source)
                rows.setdefault((net, region), []).append(
                    (
                        measure(other[window], source[window]),
                        measure(mixed[window], source[window]),
                        measure(put_in, source) / share.mean(),
                    )
                )
        if FLAGS.sheets:
            os.makedirs(FLAGS.sheets, exist_ok=True)
            sheet = contact_sheet(
                [[inner, outer, mixed]],
                column_titles=["inside", "around", "the mixture"],
                title=name,
            )
            write_picture(
                os.path.join(FLAGS.sheets, f"mixture{number}.png"),
                sheet,
                {"made": "sheet"},
            )
        bar.update(number)
    print(
        f"{len(crops)} crops of {FLAGS.crop} pixels, two of "
        f"{FLAGS.num_samples} seeds, {datetime.date.today()}\n\n"
        "| LPIPS | region | sources apart, in the window | mixture to its "
        "source, in the window | the largest | over the region, border "
        "included |\n|---|---|---|---|---|---|"
    )
    for (net, region), values in rows.items():
        apart, near, whole = np.mean(values, axis=0)
        print(
            f"| {net} | {region} | {apart:.4f} | {near:.4f} | "
            f"{np.max(values, axis=0)[1]:.4f} | {whole:.4f} |"
        )


if __name__ == "__main__":
    app.run(main)
