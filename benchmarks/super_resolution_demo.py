"""Figures of the demonstration, over several seeds and photos held out.

Trains with the settings of `keras-tim demo` and prints the held-out photo's
measures as a Markdown table: of the whole photo, and of its crops of 64 pixels.
Every photo named has trainings of its own that have not seen it.

    python benchmarks/super_resolution_demo.py --seeds 0 1 2
    python benchmarks/super_resolution_demo.py --held_out chelsea coffee

The trainings are kept in `--folder`: the same command goes on after an
interruption, and makes none of them twice.
"""

import argparse
import datetime
import os

from absl import logging

from keras_tim.cli.demo import MINUTES, SETTINGS
from keras_tim.recipes.photos import DEFAULT_HELD_OUT
from keras_tim.runs import RunSettings, read_report, train
from keras_tim.runs.settings import load_settings


def main():
    """Trains whatever is missing and prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument(
        "--held_out",
        nargs="+",
        default=[DEFAULT_HELD_OUT],
        help="photos bundled with scikit-image, by name",
    )
    parser.add_argument("--minutes", type=float, default=MINUTES)
    parser.add_argument("--steps", type=int, default=SETTINGS["steps"])
    parser.add_argument("--folder", default="runs/super_resolution_demo")
    arguments = parser.parse_args()
    logging.set_verbosity(logging.INFO)
    lines = []
    for photo in arguments.held_out:
        for seed in arguments.seeds:
            changes = {
                "held_out": (photo,),
                "minutes": arguments.minutes,
                "seed": seed,
                "steps": arguments.steps,
            }
            settings = RunSettings.of_task(
                "super_resolution", **{**SETTINGS, **changes}
            )
            run = os.path.join(arguments.folder, f"{photo}_{seed}")
            report = os.path.join(run, "report.json")
            if not os.path.exists(report):
                train(run, settings, verbose=2)
            elif load_settings(run) != settings:
                parser.error(
                    f"{run} was trained with other flags: name another "
                    f"--folder. Received: --folder={arguments.folder}"
                )
            lines += [_line(seed, row) for row in read_report(report)]
    print(f"8 samples, LPIPS-alex, {datetime.date.today()}")
    print(
        "| seed | on | bicubic | mean of 8 | best of 8 | diversity "
        "| LR-PSNR bicubic | LR-PSNR samples |"
    )
    print("|---|---|---|---|---|---|---|---|")
    print("\n".join(lines))


def _line(seed, row):
    samples, baseline = row["samples"], row["baseline"]
    plain = baseline["lpips_alex_mean"]
    mean, best = (samples[f"lpips_alex_{which}"] for which in ("mean", "best"))
    return (
        f"| {seed} | {row['name']} "
        f"| {plain:.3f} "
        f"| {mean:.3f} ({mean / plain:.2f}) "
        f"| {best:.3f} ({best / plain:.2f}) "
        f"| {samples['pairs_alex_all']:.3f} "
        f"| {baseline['faithfulness_mean']:.1f} "
        f"| {samples['faithfulness_mean']:.1f} |"
    )


if __name__ == "__main__":
    main()
