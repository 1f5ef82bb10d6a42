"""The report of a run: measures of held-out examples."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from absl import logging

from keras_tim.metrics import lpips_diversity, lpips_to_target
from keras_tim.perceptual import LPIPS

# What rounding alone may tell samples apart by.
_EQUAL = 1e-6


def examples_report(
    tim: Any,
    examples: Iterable[tuple],
    num_samples: int = 8,
    seed: int = 0,
    quality: int | None = None,
) -> list[dict[str, Any]]:
    """Measures samples of held-out examples beside the task's plain answer.

    Args:
        tim: a `TIM`.
        examples: list of `(name, given [h, w, channels], target [H, W, 3])`.
        num_samples: int, samples per example.
        seed: int.
        quality: int or None, see `Task.faithfulness`.

    Returns:
        List of dicts, one per example: `name`; `lpips_mean` and `lpips_best`
        (AlexNet) to the target; `lpips_diversity` over all pairs;
        `num_samples` and `seed`. Where the task has a plain answer:
        `baseline` (its name), `lpips_baseline`, and `lpips_mean_ratio` and
        `lpips_best_ratio` to that, unless it is 0. Where faithfulness to the
        input can be measured: `faithfulness_name`, `faithfulness`, and
        `faithfulness_baseline`.
    """
    distance = LPIPS("alex")
    rows = []
    for name, given, target in examples:
        samples = tim.sample(given[None], num_samples=num_samples, seed=seed)[0]
        distances = lpips_to_target(samples, target, distance)
        row = {
            "name": name,
            "lpips_mean": float(distances.mean()),
            "lpips_best": float(distances.min()),
            "lpips_diversity": lpips_diversity(samples[None], distance)
            if num_samples > 1
            else 0.0,
            "num_samples": num_samples,
            "seed": seed,
        }
        baseline = tim.baseline(given, target.shape[:2])
        if baseline is not None:
            plain = lpips_to_target(baseline[1][None], target, distance)
            row["baseline"] = baseline[0]
            row["lpips_baseline"] = float(plain[0])
            row |= _ratios(row)
        faithfulness = tim.faithfulness(samples, given, quality)
        if faithfulness is not None:
            row["faithfulness_name"] = tim.task_definition.faithfulness_name
            row["faithfulness"] = float(faithfulness.mean())
            if baseline is not None:
                row["faithfulness_baseline"] = float(
                    tim.faithfulness(baseline[1][None], given, quality)[0]
                )
        rows.append(row)
    return rows


def warn_of_equal_samples(tim, rows):
    """Warns where all samples of a picture are one and the same.

    Args:
        tim: the `TIM`.
        rows: list of dicts from `examples_report`.
    """
    if not tim.stochastic or rows[0]["num_samples"] < 2:
        return
    if all(row["lpips_diversity"] < _EQUAL for row in rows):
        logging.warning(
            "All samples of a picture are the same: the last level goes by its "
            "input alone. Train anew with a lower learning_rate."
        )


def averaged(rows, name):
    """One row for many: means, the ratios being ratios of means.

    Args:
        rows: list of dicts from `examples_report`.
        name: str, what to call the row.

    Returns:
        dict like the rows.
    """
    mean = {
        key: float(np.mean([row[key] for row in rows]))
        if isinstance(value, float)
        else value
        for key, value in rows[0].items()
        if not key.endswith("_ratio")
    }
    if "lpips_baseline" in mean:
        mean |= _ratios(mean)
    return {**mean, "name": name}


def _ratios(row):
    # Of an input that is the observed picture already nothing is a multiple.
    if not row["lpips_baseline"]:
        return {}
    return {
        f"lpips_{which}_ratio": row[f"lpips_{which}"] / row["lpips_baseline"]
        for which in ("mean", "best")
    }


def report_table(rows: list[dict[str, Any]]) -> str:
    """The report as a text table, a line per example."""
    first = rows[0]
    columns = [["LPIPS-alex of", *(row["name"] for row in rows)]]
    if "baseline" in first:
        columns.append(
            [first["baseline"], *(f"{r['lpips_baseline']:.3f}" for r in rows)]
        )
    for which in ("mean", "best"):
        cells = [
            f"{row[f'lpips_{which}']:.3f}"
            + (
                f" ({row[f'lpips_{which}_ratio']:.2f})"
                if f"lpips_{which}_ratio" in row
                else ""
            )
            for row in rows
        ]
        columns.append([which, *cells])
    columns.append(
        ["diversity", *(f"{row['lpips_diversity']:.3f}" for row in rows)]
    )
    if "faithfulness" in first:
        if "baseline" in first:
            columns.append(
                [
                    f"{first['faithfulness_name']}: {first['baseline']}",
                    *(f"{row['faithfulness_baseline']:.1f}" for row in rows),
                ]
            )
        columns.append(
            ["samples", *(f"{row['faithfulness']:.1f}" for row in rows)]
        )
    widths = [max(map(len, column)) for column in columns]
    lines = []
    for cells in zip(*columns, strict=True):
        aligned = [
            cell.rjust(width) if place else cell.ljust(width)
            for place, (cell, width) in enumerate(
                zip(cells, widths, strict=True)
            )
        ]
        lines.append("  ".join(aligned))
    return "\n".join(lines)


def report_sentence(row):
    """One row of the report in words.

    Args:
        row: dict from `examples_report`.

    Returns:
        str.
    """
    baseline = ""
    if "baseline" in row:
        baseline = f"{row['baseline']} {row['lpips_baseline']:.3f}, "
    sentence = (
        f"LPIPS-alex to the observed picture: {baseline}alternatives "
        f"{row['lpips_mean']:.3f} on average, best {row['lpips_best']:.3f}; "
        f"between alternatives {row['lpips_diversity']:.3f}."
    )
    if "faithfulness" in row:
        sentence += (
            f" {row['faithfulness_name']} against the input: "
            f"{row['faithfulness']:.1f}."
        )
    return sentence
