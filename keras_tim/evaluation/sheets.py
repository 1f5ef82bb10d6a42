"""Pictures of an evaluation: best and worst cases, maps of diversity."""

import os
import re

import numpy as np

from keras_tim.evaluation.measures import picture_sentence
from keras_tim.images.alternatives import alternatives_sheet
from keras_tim.images.pictures import write_picture
from keras_tim.images.sheets import (
    colour_map,
    contact_sheet,
    difference_map,
)
from keras_tim.metrics.diversity import BestMaps
from keras_tim.metrics.fidelity import batch_of_one

# Cases of either kind, and samples on their sheets.
CASES = 2
SHOWN_SAMPLES = 8
MAPS_FILE = "diversity_maps.png"
# Cases are called as `keras_tim.evaluation.evaluation.file_name` has it.
_SHEET = re.compile(
    rf"(best|worst)_[0-9]_.*-[0-9a-f]{{8}}\.png|{re.escape(MAPS_FILE)}"
)


def write_sheets(folder, tim, pictures, drawn, settings, distances, file_name):
    """Writes sheets of the best and the worst cases, and their maps.

    What is there already is kept.

    Args:
        folder: str.
        tim: the `TIM`.
        pictures: list of dicts, see `keras_tim.evaluation.evaluate`.
        drawn: function from a picture's name to its input, observed output
            and samples.
        settings: `EvaluationSettings`.
        distances: dict from a network's name to its `keras_tim.LPIPS`.
        file_name: function from a picture's name to what files call it.
    """
    net = settings.nets[0]
    cases = _cases(pictures, f"lpips_{net}_mean")
    wanted = {
        label: os.path.join(
            folder,
            f"{label.replace(' ', '_')}_{file_name(picture['name'])}.png",
        )
        for label, picture in cases.items()
    }
    maps_path = os.path.join(folder, MAPS_FILE)
    several = settings.num_samples > 1
    remove_sheets(folder, kept=[*wanted.values(), maps_path])
    if all(map(os.path.exists, wanted.values())) and (
        os.path.exists(maps_path) or not several
    ):
        return
    # Written last: where it is, the sheets are those of these cases.
    if os.path.exists(maps_path):
        os.remove(maps_path)
    rows, titles = [], []
    for label, picture in cases.items():
        given, target, samples = drawn(picture["name"])
        shown = samples[:SHOWN_SAMPLES]
        sheet = alternatives_sheet(
            f"{label.capitalize()}: {picture['name']}",
            tim.shown(given),
            shown,
            titles=[f"sample {k}" for k in range(len(shown))],
            target=target,
            footer=picture_sentence(picture, net),
            baseline=tim.baseline(given, target.shape[:2]),
        )
        write_picture(wanted[label], sheet, {"made": "case"})
        if several:
            row, title = _maps(samples, target, distances[net])
            rows.append(row)
            titles.append(f"{label}: {picture['name']}\n{title}")
    if several:
        sheet = contact_sheet(
            rows,
            column_titles=[
                "observed",
                "mean of the samples",
                "where samples differ",
                f"LPIPS-{net} of the best sample",
                "of every pixel's best sample",
            ],
            row_titles=titles,
            footer="Where samples differ: standard deviation over the samples. "
            "The two LPIPS maps of a picture share their colours. What the "
            "last gains over the one before is the NTIRE 2021 score.",
        )
        write_picture(maps_path, sheet, {"made": "maps"})


def remove_sheets(folder, kept=()):
    """Removes sheets and maps of other cases than those to keep.

    Args:
        folder: str.
        kept: paths.
    """
    for name in os.listdir(folder):
        path = os.path.join(folder, name)
        if _SHEET.fullmatch(name) and path not in kept:
            os.remove(path)


def _cases(pictures, key):
    """Pictures by what they are cases of, the best first."""
    # Names settle ties, so that the order of the pictures does not.
    ranked = sorted(pictures, key=lambda p: (p["samples"][key], p["name"]))
    number = min(CASES, -(-len(ranked) // 2))
    cases = {f"best {k + 1}": ranked[k] for k in range(number)}
    number = min(CASES, len(ranked) // 2)
    for k in reversed(range(number)):
        cases[f"worst {k + 1}"] = ranked[-1 - k]
    return cases


def _maps(samples, target, distance):
    """A row of the sheet of maps, and what it says beside it."""
    differences, peak = difference_map(samples)
    found = BestMaps()
    features = distance.features(batch_of_one(target))
    for sample in samples:
        found.add(
            distance.compare_spatially(
                distance.features(batch_of_one(sample)),
                features,
                target.shape[:2],
            )[0]
        )
    top = max(found.best_map.max(), np.finfo(np.float32).tiny)
    row = [
        target,
        samples.mean(axis=0),
        differences,
        colour_map(found.best_map / top),
        colour_map(found.smallest / top),
    ]
    return row, (
        f"deviation up to {peak:.3f}\nLPIPS up to {top:.3f}\n"
        f"score {found.score:.1f}%"
    )
