"""The table of an evaluation: markdown, JSON and CSV."""

import csv
import io
import math

from keras_tim.tables import markdown_table


def table_row(measure, samples, baseline=None, n=None):
    """One line of the table.

    Args:
        measure: the `keras_tim.metrics.vocabulary.Measure`.
        samples: list of the measure's values, one per picture.
        baseline: the same of the baseline, or None.
        n: int, how many pictures of samples the values are of; by default as
            many as there are values.

    Returns:
        dict of `key`, `measure`, `better`, `digits`, `n`, and `samples` and
        `baseline`: means, with `..._standard_error`; None where there is none.
    """
    row = {
        "key": measure.key,
        "measure": measure.label,
        "better": measure.better,
        "digits": measure.digits,
        "n": len(samples) if n is None else n,
    }
    for name, values in (("samples", samples), ("baseline", baseline)):
        row[name], row[f"{name}_standard_error"] = _mean(values)
    return row


def _mean(values):
    """Mean and standard error over pictures, None where there is none."""
    if not values:
        return None, None
    # Exactly rounded sums do not depend on the order of the pictures.
    mean = math.fsum(values) / len(values)
    if len(values) < 2:
        return mean, None
    square = math.fsum((value - mean) ** 2 for value in values)
    return mean, math.sqrt(square / (len(values) - 1) / len(values))


def markdown(result):
    """The evaluation as a markdown document.

    Args:
        result: dict, see `keras_tim.evaluation.evaluate`.

    Returns:
        str; the table is aligned, to be read as it is.
    """
    facts = "\n".join(f"- {name}: {text}" for name, text in facts_of(result))
    lines = [f"# Evaluation of {result['model']}", "", facts, ""]
    lines += [table_text(result), ""]
    lines += [
        f"{note}\n"
        for note in (
            "± is the standard error over pictures.",
            *result["notes"],
        )
    ]
    return "\n".join(lines).rstrip() + "\n"


def facts_of(result):
    """What else must be known to compare the numbers: pairs of str."""
    settings = result["settings"]
    data = settings["data"]
    described = ", ".join(
        f"{name} {value}"
        for name, value in data.items()
        if value is not None and name != "data"
    )
    lpips = ", ".join(settings["nets"])
    bandwidths = ", ".join(f"{b:g}" for b in settings["bandwidths"])
    pictures = f"{len(result['pictures'])}"
    if settings["crop"]:
        pictures += f" squares of {settings['crop']} pixels"
    return [
        ("weights", f"sha256 {settings['weights']}"),
        ("task", settings["task"]),
        (
            "data",
            data["data"] + (f" ({described})" if described else ""),
        ),
        (
            "pictures",
            f"{pictures}, {settings['num_samples']} samples each, seed "
            f"{settings['seed']}",
        ),
        ("LPIPS v0.1", f"{lpips}; bandwidths {bandwidths}"),
        ("date", result["date"]),
        ("packages", _packages(result)),
    ]


def table_text(result):
    """The table alone, as aligned markdown.

    Args:
        result: dict, see `keras_tim.evaluation.evaluate`.

    Returns:
        str.
    """
    baseline = result["baseline"]
    named = [baseline] if baseline else []
    return markdown_table(
        ["measure", "better", "samples", *named, "n"],
        [
            [
                row["measure"],
                row["better"],
                _cell(row, "samples"),
                *([_cell(row, "baseline")] if baseline else []),
                str(row["n"]),
            ]
            for row in result["table"]
        ],
    )


def _cell(row, which):
    if row[which] is None:
        return ""
    text = f"{row[which]:.{row['digits']}f}"
    error = row[f"{which}_standard_error"]
    return text if error is None else f"{text} ± {error:.{row['digits']}f}"


def csv_text(result):
    """The table as CSV; every line says what it is of.

    Args:
        result: dict, see `keras_tim.evaluation.evaluate`.

    Returns:
        str.
    """
    settings = result["settings"]
    constant = {
        "baseline_name": result["baseline"] or "",
        "num_samples": settings["num_samples"],
        "seed": settings["seed"],
        "nets": " ".join(settings["nets"]),
        "bandwidths": " ".join(f"{b:g}" for b in settings["bandwidths"]),
        "task": settings["task"],
        "model": result["model"],
        "weights": settings["weights"],
        "data": settings["data"]["data"],
        "date": result["date"],
        "packages": _packages(result),
    }
    columns = ["key", "measure", "better", "n", "samples"]
    columns += ["samples_standard_error", "baseline"]
    columns += ["baseline_standard_error", *constant]
    file = io.StringIO(newline="")
    writer = csv.DictWriter(
        file, columns, extrasaction="ignore", lineterminator="\n"
    )
    writer.writeheader()
    for row in result["table"]:
        writer.writerow({**row, **constant})
    return file.getvalue()


def _packages(result):
    packages = result["settings"]["packages"]
    return ", ".join(f"{name} {version}" for name, version in packages.items())
