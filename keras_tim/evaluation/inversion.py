"""Recall and precision by inversion, with the pictures on the way."""

import os

import numpy as np
from absl import logging

from keras_tim.evaluation.measures import finite, finite_psnr
from keras_tim.evaluation.table import table_row
from keras_tim.files import read_json, write_json
from keras_tim.images.films import write_film
from keras_tim.images.pictures import (
    PictureError,
    read_picture,
    write_picture,
)
from keras_tim.images.sheets import contact_sheet, stacked
from keras_tim.metrics import lpips_to_target
from keras_tim.metrics.vocabulary import measures_of

FRAMES = 25
# Of those, how many stand on the strip.
STRIP = 7
# Strips on the sheet of all.
MOST_STRIPS = 8
# Pixels of outputs inverted at a time: what the gradient needs of each takes
# tens of kilobytes.
PIXELS_AT_A_TIME = 2**15


def invert_pictures(tim, quality, folder, cases, distances, settings, verbose):
    """Looks for codes that come nearest to observed outputs.

    The folder gets, for every picture, its numbers (`.json`), a strip of
    pictures on the way (`.png`) and a film (`.webp`), and what is there is not
    repeated; beside the folder goes `inversions.png` with the strips.

    Args:
        tim: a `TIM`.
        quality: int or None, see `Task.faithfulness`.
        folder: str; made if missing.
        cases: list of tuples of a picture's dict, see
            `keras_tim.evaluation.evaluate`, a function that gives its input,
            observed output and samples, and what its files are called.
        distances: dict from a network's name to its `keras_tim.LPIPS`. The
            first one is descended under; others say how much of what is
            gained only that network sees.
        settings: `EvaluationSettings`.
        verbose: 1 shows progress bars.

    Returns:
        List of dicts, one per picture: `name`; `nets`, a dict by network of
        dicts of `distance` (of the nearest picture met), `random_mean` and
        `random_best` (of the samples) and `ratio` (of the first two); `psnr`
        (of the nearest picture) and `psnr_random` (mean of the samples);
        `path_steps`, `path_distances` and `path_faithfulness`
        (None where the task has no such measure).
    """
    if not cases:
        return []
    os.makedirs(folder, exist_ok=True)
    waiting = []
    for picture, drawn, name in cases:
        base = os.path.join(folder, name)
        if not _is_finished(base):
            waiting.append((picture, drawn, base))
    if waiting:
        logging.info("Inverting %d of %d pictures.", len(waiting), len(cases))
    for group in _groups(waiting):
        _invert_group(tim, quality, group, distances, settings, verbose)
    strips = [
        read_picture(os.path.join(folder, f"{name}.png"))
        for _, _, name in cases[:MOST_STRIPS]
    ]
    write_picture(f"{folder}.png", stacked(strips), {"made": "inversions"})
    return [
        read_json(os.path.join(folder, f"{name}.json")) for _, _, name in cases
    ]


def _is_finished(base):
    """Whether the numbers and the strip of a picture are there and whole."""
    if not os.path.exists(f"{base}.json"):
        return False
    try:
        read_picture(f"{base}.png")
        if {"name", "nets", "psnr"} <= set(read_json(f"{base}.json")):
            return True
    except (ValueError, TypeError, PictureError):
        pass
    logging.warning("%s is damaged: inverting the picture again.", base)
    return False


def inversion_rows(inversions, task):
    """Lines of the table.

    Args:
        inversions: list of dicts from `invert_pictures`.
        task: the model's `keras_tim.tasks.Task`.

    Returns:
        Tuple of a list of dicts, see `table_row`, and a list of notes.
    """
    if not inversions:
        return [], []
    nets = list(inversions[0]["nets"])
    values = {
        f"inversion_{net}_{key}": [
            each["nets"][net][key] for each in inversions
        ]
        for net in nets
        for key in ("distance", "random_mean", "ratio")
    }
    for key in ("psnr", "psnr_random"):
        values[f"inversion_{key}"] = [each[key] for each in inversions]
    paths = [inversion["path_faithfulness"] for inversion in inversions]
    if paths[0] is not None:
        worst = max if task.lower_is_more_faithful else min
        values["path_mean"] = [float(np.mean(path)) for path in paths]
        values["path_worst"] = [worst(path) for path in paths]
    rows = [
        table_row(measure, values[measure.key])
        for measure in measures_of(values, task)
    ]
    return rows, [
        f"Inversion descends under LPIPS-{nets[0]}, and part of what it gains "
        "only that network sees: measure with the other one, too, to see how "
        "much is left."
    ]


def _groups(waiting):
    """Pictures of one size together, as many as the memory allows."""
    group, size = [], None
    for picture, drawn, base in waiting:
        height, width = picture["size"]
        full = (len(group) + 1) * height * width > PIXELS_AT_A_TIME
        if group and (size != (height, width) or full):
            yield group
            group = []
        size = (height, width)
        group.append((picture, drawn, base))
    if group:
        yield group


def _invert_group(tim, quality, group, distances, settings, verbose):
    given, targets, samples = (
        np.stack(part)
        for part in zip(*(drawn() for _, drawn, _ in group), strict=True)
    )
    own = next(iter(distances))
    found = tim.invert(
        given,
        targets,
        steps=settings.inversion_steps,
        learning_rate=settings.inversion_learning_rate,
        seed=[picture["seed"] for picture, _, _ in group],
        distance=distances[own],
        frames=FRAMES,
        verbose=verbose,
    )
    for number, (picture, _, base) in enumerate(group):
        path = found.path[:, number]
        nearest, target = found.pictures[number], targets[number]
        nets = {}
        for net, distance in distances.items():
            reached = float(lpips_to_target(nearest[None], target, distance)[0])
            random = lpips_to_target(samples[number], target, distance)
            nets[net] = {
                "distance": reached,
                "random_mean": float(random.mean()),
                "random_best": float(random.min()),
                "ratio": reached / float(random.mean()),
            }
        faithfulness = tim.faithfulness(path, given[number], quality)
        inversion = {
            "name": picture["name"],
            "nets": nets,
            "psnr": float(finite_psnr(nearest, target)),
            "psnr_random": float(np.mean(picture["each"]["psnr"])),
            "path_steps": found.path_steps.tolist(),
            "path_distances": found.losses[found.path_steps, number].tolist(),
            "path_faithfulness": None
            if faithfulness is None
            else finite(faithfulness).tolist(),
        }
        _write_pictures(
            base,
            inversion,
            own,
            tim,
            given[number],
            path,
            target,
        )
        # Last: this file says that the picture is finished.
        write_json(f"{base}.json", inversion)


def _write_pictures(base, inversion, net, tim, given, path, target):
    """The strip and the film of one picture."""
    captions = [
        f"step {step}\nLPIPS {distance:.3f}"
        for step, distance in zip(
            inversion["path_steps"], inversion["path_distances"], strict=True
        )
    ]
    places = np.unique(
        np.linspace(0, len(path) - 1, min(STRIP, len(path))).round().astype(int)
    )
    found = inversion["nets"][net]
    sentence = (
        f"LPIPS-{net}: nearest {found['distance']:.3f}; random samples "
        f"{found['random_mean']:.3f} on average, best "
        f"{found['random_best']:.3f}."
    )
    if inversion["path_faithfulness"] is not None:
        on_path = inversion["path_faithfulness"]
        sentence += (
            f" {tim.task_definition.faithfulness_name} on the path: "
            f"{min(on_path):.1f} to {max(on_path):.1f}."
        )
    write_picture(
        f"{base}.png",
        contact_sheet(
            [[*path[places], target]],
            column_titles=[*[captions[place] for place in places], "observed"],
            title=f"Inversion of {inversion['name']}",
            footer=sentence,
        ),
        {"made": "inversion"},
    )
    shown = tim.shown(given)
    write_film(
        f"{base}.webp",
        [
            contact_sheet(
                [[shown, picture, target]],
                column_titles=["input", caption, "observed"],
            )
            for picture, caption in zip(path, captions, strict=True)
        ],
        record={"made": "film"},
    )
