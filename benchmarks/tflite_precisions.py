"""Size, closeness and speed of a model's TFLite files, by precision.

    keras-tim demo
    python benchmarks/tflite_precisions.py --model=demo

converts a 4x super-resolution model in every precision and draws the same
alternatives from each, for crops of the photo that the demonstration has not
seen. LPIPS (AlexNet) is between an alternative of a precision and the float32
one of the same code. For comparison: LPIPS between different alternatives of
float32. The ranges of int8 are found on crops of the other bundled photos.
Times are the processor's, of one thread.
"""

import argparse
import itertools
import pathlib
import statistics
import tempfile
import time

import numpy as np
import tensorflow as tf

from keras_tim import LPIPS
from keras_tim.data import sample_photos
from keras_tim.export.tflite import PRECISIONS, load_tflite
from keras_tim.runs.training_run import load_run

UNSEEN = "chelsea"
CALIBRATION_CROPS = 24


def main():
    """Reads the command line, converts, compares and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", required=True, help="a run or .keras file")
    parser.add_argument("--side", type=int, default=32, help="of the inputs")
    parser.add_argument("--crops", type=int, default=8)
    parser.add_argument("--samples", type=int, default=4)
    arguments = parser.parse_args()
    tim = load_run(arguments.model)
    photos = sample_photos()
    unseen = photos.pop(UNSEEN)
    random = np.random.RandomState(0)
    names = sorted(photos)
    calibration = [
        crop(photos[names[n % len(names)]], arguments.side, tim.scale, random)
        for n in range(CALIBRATION_CROPS)
    ]
    inputs = [
        crop(unseen, arguments.side, tim.scale, random)
        for _ in range(arguments.crops)
    ]
    codes = [
        draw(tim, given, number, arguments.samples)
        for number, given in enumerate(inputs)
    ]
    lpips = LPIPS("alex")
    reference, first = None, None
    print(f"{'':<14}{'bytes':>10}{'share':>7}{'LPIPS':>9}{'ms':>8}")
    for precision in PRECISIONS:
        content = converted(tim, arguments.side, precision, calibration)
        made, seconds = alternatives(content, inputs, codes)
        if reference is None:
            reference, first = made, len(content)
        distance = np.mean(
            [np.mean(lpips(a, b)) for a, b in zip(made, reference, strict=True)]
        )
        print(
            f"{precision:<14}{len(content):>10,}{len(content) / first:>7.2f}"
            f"{distance:>9.5f}{1000 * seconds:>8.1f}",
            flush=True,
        )
    pairs = list(itertools.combinations(range(arguments.samples), 2))
    apart = [
        np.mean(lpips(made[[a for a, _ in pairs]], made[[b for _, b in pairs]]))
        for made in reference
    ]
    print(f"LPIPS between alternatives: {np.mean(apart):.5f}")


def crop(photo, side, scale, random):
    """A crop of a photo, `scale` times smaller, `[side, side, 3]`."""
    large = side * scale
    top, left = (random.randint(0, n - large + 1) for n in photo.shape[:2])
    part = photo[top : top + large, left : left + large] / np.float32(255)
    small = tf.image.resize(part, (side, side), "bicubic", antialias=True)
    return np.clip(small, 0, 1)


def draw(tim, given, seed, count):
    """Codes by input name, one dict per alternative."""
    drawn = tim.draw_codes(given[None], num_samples=count, seed=seed)
    return [
        {
            f"{kind}_{level}": np.asarray(part)[number][None]
            for level, pair in enumerate(drawn)
            for kind, part in zip(("style", "noise"), pair, strict=True)
        }
        for number in range(count)
    ]


def converted(tim, side, precision, calibration):
    """The bytes of a `.tflite` file."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "model.tflite"
        tim.export(
            path,
            "tflite",
            verbose=False,
            size=(side, side),
            precision=precision,
            pictures=calibration,
        )
        return path.read_bytes()


def alternatives(content, inputs, codes):
    """All alternatives `[n, height, width, 3]` per input; median seconds."""
    run, _ = load_tflite(content, threads=1)
    made, seconds = [], []
    for given, drawn in zip(inputs, codes, strict=True):
        row = []
        for code in drawn:
            start = time.process_time()
            row.append(run(picture=given[None], **code)[0].copy())
            seconds.append(time.process_time() - start)
        made.append(np.stack(row))
    return made, statistics.median(seconds)


if __name__ == "__main__":
    main()
