"""The table of `tasks.py`, and what may be said of it."""

import numpy as np
from study import CONFIDENCE, half_width_of_means

NETS = ("alex", "vgg")
NUM_SAMPLES = 10
# Of fewer nothing is claimed.
FEWEST_SEEDS = 3

COLUMNS = (
    *(f"lpips_{net}_{which}" for net in NETS for which in ("mean", "best")),
    "pairs_alex_all",
    "kid",
    "faithfulness_mean",
)
_TITLES = (
    *(f"LPIPS-{net} {which}" for net in NETS for which in ("mean", "best")),
    "diversity (alex)",
    "KID x 1000",
    "faithfulness",
)
HEAD = (
    f"| task | method | rate times | {' | '.join(_TITLES)} |",
    "|---|---|---" + "|---" * len(_TITLES) + "|",
)


def column_values(rows, column):
    """A column's values, one per seed; empty where there are none."""
    values = [np.mean(row[column]) for row in rows if row.get(column, []) != []]
    return 1000.0 * np.array(values) if column == "kid" else np.array(values)


def table_lines(task, methods, factors):
    """The task's lines of the Markdown table.

    Args:
        task: str.
        methods: dict from method to its measures, one per seed.
        factors: dict from method to the chosen factor of its rate.

    Returns:
        List of str.
    """

    def line(name, factor, cells):
        return f"| {task} | {name} | {factor} | {' | '.join(cells)} |"

    half_widths = {}
    for column in COLUMNS:
        values = [column_values(rows, column) for rows in methods.values()]
        half_widths[column] = (
            half_width_of_means(np.stack(values)) if values[0].size else None
        )
    lines = []
    plain = next(iter(methods.values()))[0].get("baseline")
    if plain is not None:
        cells = [
            _cell(column, column_values([plain], column)) for column in COLUMNS
        ]
        lines.append(line(plain["name"], "", cells))
    for method, rows in methods.items():
        cells = [
            _cell(column, column_values(rows, column), half_widths[column])
            for column in COLUMNS
        ]
        lines.append(line(method, f"{factors[method]:g}", cells))
    return lines


def _cell(column, values, half_width=None):
    if not values.size:
        return "n/a"
    digits = 2 if column in ("kid", "faithfulness_mean") else 3
    text = f"{values.mean():.{digits}f}"
    return text if half_width is None else f"{text} ± {half_width:.{digits}f}"


def comparisons(methods):
    """Whose best sample is nearer, TIM's or another method's.

    Args:
        methods: dict from method to its measures, one per seed.

    Returns:
        List of sentences: by each network, how much nearer TIM's is on
        average over pictures, with the interval over seeds. Nothing is
        claimed of fewer than `FEWEST_SEEDS` seeds.
    """
    sentences = []
    for other in methods:
        if other == "tim" or "tim" not in methods:
            continue
        for net in NETS:
            best = [
                np.array(
                    [np.mean(row[f"lpips_{net}_best"]) for row in methods[name]]
                )
                for name in (other, "tim")
            ]
            lead = best[0] - best[1]
            half = half_width_of_means(lead[None])
            about = (
                f"best of {NUM_SAMPLES} by LPIPS-{net}, {other} less tim: "
                f"{lead.mean():.3f}"
            )
            if half is None or len(lead) < FEWEST_SEEDS:
                sentences.append(f"{about}, {len(lead)} seeds: no claim")
                continue
            verdict = "no difference is shown"
            if abs(lead.mean()) > half:
                verdict = f"{'tim' if lead.mean() > 0 else other} is nearer"
            sentences.append(
                f"{about} ± {half:.3f} ({CONFIDENCE:.0%}, {len(lead)} "
                f"seeds): {verdict}"
            )
    return sentences
