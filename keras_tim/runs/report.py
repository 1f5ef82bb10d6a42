"""The report of a run: measures of held-out examples."""

import os
from collections.abc import Iterable
from typing import Any

import numpy as np
from absl import logging

from keras_tim.evaluation.evaluation import draw_samples, measured_picture
from keras_tim.evaluation.settings import EvaluationSettings
from keras_tim.files import read_json
from keras_tim.perceptual import LPIPS
from keras_tim.tables import markdown_table

# What rounding alone may tell samples apart by.
_EQUAL = 1e-6
# What rows were called before they had the words of an evaluation.
_EARLIER = {
    "lpips_mean": ("samples", "lpips_alex_mean"),
    "lpips_best": ("samples", "lpips_alex_best"),
    "lpips_diversity": ("samples", "pairs_alex_all"),
    "faithfulness": ("samples", "faithfulness_mean"),
    "lpips_baseline": ("baseline", "lpips_alex_mean"),
    "faithfulness_baseline": ("baseline", "faithfulness_mean"),
}


def examples_report(
    tim: Any,
    examples: Iterable[tuple],
    num_samples: int = 8,
    seed: int = 0,
    quality: int | None = None,
) -> list[dict[str, Any]]:
    """Measures samples of held-out examples beside the task's baseline.

    Args:
        tim: a `TIM`.
        examples: list of `(name, given [h, w, channels], target [H, W, 3])`.
        num_samples: int, samples per example.
        seed: int, the same for all of them.
        quality: int or None, see `Task.faithfulness`.

    Returns:
        List of dicts, one per example, as `pictures` of `evaluation.json` has
        them with the settings that are its defaults: see
        `keras_tim.evaluation.evaluate`.
    """
    settings = EvaluationSettings()
    distances = {net: LPIPS(net) for net in settings.nets}
    return [
        measured_picture(
            tim,
            name,
            given,
            target,
            draw_samples(tim, given, num_samples, seed),
            seed,
            distances,
            settings.bandwidths,
            quality,
        )
        for name, given, target in examples
    ]


def warn_of_equal_samples(tim, rows):
    """Warns where all samples of a picture are one and the same.

    Args:
        tim: the `TIM`.
        rows: list of dicts from `examples_report`.
    """
    if not tim.stochastic or rows[0]["num_samples"] < 2:
        return
    if all(row["samples"]["pairs_alex_all"] < _EQUAL for row in rows):
        logging.warning(
            "All samples of a picture are the same: the last level goes by its "
            "input alone. Train anew with a lower learning_rate."
        )


def averaged(rows, name):
    """One row for many.

    Args:
        rows: list of dicts from `examples_report`, of pictures of one size.
        name: str, what to call the row.

    Returns:
        dict like the rows, with `pictures`, how many they are, in place of
        what single ones have.
    """
    first = rows[0]
    means = {
        which: first[which]
        and {
            key: float(np.mean([row[which][key] for row in rows]))
            for key in first[which]
        }
        for which in ("samples", "baseline")
    }
    kept = {k: v for k, v in first.items() if k not in ("each", "size")}
    return {**kept, **means, "name": name, "pictures": len(rows)}


def read_report(path: str | os.PathLike) -> list[dict[str, Any]]:
    """Reads a `report.json`, also of earlier versions.

    Args:
        path: str or path.

    Returns:
        List of dicts, see `examples_report`. Those of earlier versions hold
        less.

    Raises:
        ValueError: if the file is damaged.
    """
    rows = read_json(path)
    if not isinstance(rows, list) or not all(isinstance(r, dict) for r in rows):
        raise ValueError(f"{path} is damaged, or no report of a run")
    return [_named_as_now(row) if "lpips_mean" in row else row for row in rows]


def _named_as_now(row):
    found = {"samples": {}, "baseline": {}}
    for earlier, (which, key) in _EARLIER.items():
        if earlier in row:
            found[which][key] = row[earlier]
    return {
        "name": row.get("name"),
        "seed": row.get("seed"),
        "num_samples": row.get("num_samples"),
        "samples": found["samples"],
        "baseline": found["baseline"] or None,
        "baseline_name": row.get("baseline"),
        "faithfulness_name": row.get("faithfulness_name"),
    }


def report_table(rows: list[dict[str, Any]]) -> str:
    """The report as a text table, a line per example.

    Args:
        rows: list of dicts from `examples_report` or `read_report`.

    Returns:
        str; what stands in brackets is the ratio to the baseline.
    """
    lines = [_cells(row) for row in rows]
    header = list(lines[0])
    return markdown_table(
        header, [[line.get(name, "") for name in header] for line in lines]
    )


def _cells(row):
    """A line of the table: dict from a column to its text."""
    samples, baseline = row["samples"], row["baseline"] or {}
    cells = {"LPIPS-alex of": row["name"]}
    plain = baseline.get("lpips_alex_mean")
    if plain is not None:
        cells[row["baseline_name"]] = f"{plain:.3f}"
    for name, key in (
        ("mean", "lpips_alex_mean"),
        ("best", "lpips_alex_best"),
        ("diversity", "pairs_alex_all"),
    ):
        if key in samples:
            cells[name] = f"{samples[key]:.3f}"
            if plain and name != "diversity":
                cells[name] += f" ({samples[key] / plain:.2f})"
    if "faithfulness_mean" in samples:
        name = row["faithfulness_name"]
        if "faithfulness_mean" in baseline:
            cells[f"{name}: {row['baseline_name']}"] = (
                f"{baseline['faithfulness_mean']:.1f}"
            )
        cells[f"{name}: samples"] = f"{samples['faithfulness_mean']:.1f}"
    return cells
