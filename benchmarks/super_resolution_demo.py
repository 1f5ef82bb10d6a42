"""Figures of the demonstration, over several seeds.

Trains what `keras-tim demo` trains and prints the held-out photo's measures as
a Markdown table: of the whole photo, and of its crops of 64 pixels.

    python benchmarks/super_resolution_demo.py --seeds 0 1 2
"""

import argparse
import datetime
import os
import tempfile
import time

from absl import logging

from keras_tim.cli.demo import MINUTES, SETTINGS
from keras_tim.runs import RunSettings, train
from keras_tim.runs.files import read_json


def main():
    """Trains every seed and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--minutes", type=float, default=MINUTES)
    arguments = parser.parse_args()
    logging.set_verbosity(logging.INFO)
    lines = []
    for seed in arguments.seeds:
        settings = RunSettings.of_task(
            "super_resolution",
            **{**SETTINGS, "minutes": arguments.minutes, "seed": seed},
        )
        start = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            run = os.path.join(folder, "run")
            train(run, settings, verbose=2)
            rows = read_json(os.path.join(run, "report.json"))
        minutes = (time.perf_counter() - start) / 60.0
        for row in rows:
            lines.append(
                f"| {seed} | {minutes:.1f} | {row['name']} "
                f"| {row['lpips_baseline']:.3f} "
                f"| {row['lpips_mean']:.3f} ({row['lpips_mean_ratio']:.2f}) "
                f"| {row['lpips_best']:.3f} ({row['lpips_best_ratio']:.2f}) "
                f"| {row['lpips_diversity']:.3f} "
                f"| {row['faithfulness_baseline']:.1f} "
                f"| {row['faithfulness']:.1f} |"
            )
    print(f"8 samples, LPIPS-alex, {datetime.date.today()}")
    print(
        "| seed | minutes | on | bicubic | mean of 8 | best of 8 | diversity "
        "| LR-PSNR bicubic | LR-PSNR samples |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
