"""Figures of the demonstration, over several seeds.

Trains what `keras-tim demo` trains and prints the held-out photo's measures as
a Markdown table: whole photo, and in tiles of 64 pixels as training sees them.

    python benchmarks/super_resolution_demo.py --seeds 0 1 2
"""

import argparse
import datetime
import os
import tempfile
import time

import numpy as np
from absl import logging

from keras_tim.cli.demo import MINUTES
from keras_tim.data import held_out_pictures, sample_photos
from keras_tim.runs import RunSettings, super_resolution_report, train

TILE = 64


def tiles_of(photo):
    """The photo's whole tiles as `(name, input, target)`."""
    rows, columns = (n // TILE for n in photo.shape[:2])
    tiles = {
        f"tile {row},{column}": photo[
            row * TILE : (row + 1) * TILE, column * TILE : (column + 1) * TILE
        ]
        for row in range(rows)
        for column in range(columns)
    }
    return held_out_pictures(tiles, scale=4)


def averaged(rows):
    """Means of the measures, the ratios being those of the means."""
    mean = {
        name: float(np.mean([row[name] for row in rows]))
        for name, value in rows[0].items()
        if isinstance(value, float)
    }
    for name in ("mean", "best"):
        mean[f"lpips_{name}_ratio"] = (
            mean[f"lpips_{name}"] / mean["lpips_bicubic"]
        )
    return mean


def main():
    """Trains every seed and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--minutes", type=float, default=MINUTES)
    arguments = parser.parse_args()
    logging.set_verbosity(logging.INFO)
    lines = []
    for seed in arguments.seeds:
        settings = RunSettings(minutes=arguments.minutes, seed=seed)
        start = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            tim = train(os.path.join(folder, "run"), settings, verbose=2)
        minutes = (time.perf_counter() - start) / 60.0
        photo = sample_photos()["chelsea"]
        pictures = {
            "whole photo": held_out_pictures({"chelsea": photo}, scale=4),
            "64 px tiles": tiles_of(photo),
        }
        for name, held_out in pictures.items():
            row = averaged(super_resolution_report(tim, held_out))
            lines.append(
                f"| {seed} | {minutes:.1f} | {name} "
                f"| {row['lpips_bicubic']:.3f} "
                f"| {row['lpips_mean']:.3f} ({row['lpips_mean_ratio']:.2f}) "
                f"| {row['lpips_best']:.3f} ({row['lpips_best_ratio']:.2f}) "
                f"| {row['lpips_diversity']:.3f} "
                f"| {row['lr_psnr_bicubic']:.1f} | {row['lr_psnr']:.1f} |"
            )
    print(f"chelsea, 8 samples, {datetime.date.today()}")
    print(
        "| seed | minutes | on | bicubic | mean of 8 | best of 8 | diversity "
        "| LR-PSNR bicubic | LR-PSNR samples |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
