"""Evaluates a model picture by picture, into a folder, to be resumed."""

import datetime
import functools
import hashlib
import importlib.metadata
import os
import re
from collections.abc import Callable, Sequence
from typing import Any

import keras
from absl import logging

from keras_tim.evaluation.inversion import inversion_rows, invert_pictures
from keras_tim.evaluation.measures import HIGHEST_PSNR, picture_measures
from keras_tim.evaluation.sets import SetFeatures, are_features, set_rows
from keras_tim.evaluation.settings import EvaluationSettings
from keras_tim.evaluation.sheets import MAPS_FILE, remove_sheets, write_sheets
from keras_tim.evaluation.table import csv_text, markdown, table_row
from keras_tim.files import read_json, write_json, write_text
from keras_tim.images.alternatives import spread
from keras_tim.images.pictures import PictureError
from keras_tim.metrics.vocabulary import measures_of
from keras_tim.models.fingerprint import fingerprint
from keras_tim.perceptual import LPIPS

# Pixels that are made at a time: each takes about a kilobyte.
_PIXELS_AT_A_TIME = 2**18
# Worth a word before it begins.
_MANY = 500
# What an evaluation writes beside its settings.
_RESULTS = (
    "pictures",
    "inversions",
    "inversions.png",
    "evaluation.json",
    "evaluation.csv",
    "evaluation.md",
    MAPS_FILE,
)
# See `file_name`.
_RESULT_OF_A_PICTURE = re.compile(r".*-[0-9a-f]{8}\.(json|npz|png|webp)")
_PACKAGES = ("keras-tim", "keras", "tensorflow", "numpy", "pillow")


def evaluate(
    tim: keras.Model,
    recipe: Any,
    folder: str | os.PathLike,
    settings: EvaluationSettings | None = None,
    names: Sequence[str] | None = None,
    model: str = "TIM",
    overwrite: bool = False,
    extractor: Callable | None = None,
    verbose: int = 1,
) -> dict[str, Any]:
    """Measures samples of pictures that a model has not been trained on.

    The folder gets `evaluation.md`, `.json` and `.csv`, sheets of the best and
    the worst cases, maps of where samples differ, and under `pictures/` the
    numbers of every picture as soon as it is finished: the same call, after an
    interruption, does the rest. More pictures may be asked for later.

    Args:
        tim: a `TIM`.
        recipe: the `keras_tim.recipes.Recipe` of its task; its settings tell
            what to evaluate on.
        folder: str or path, where results go; made if missing.
        settings: `EvaluationSettings`; their defaults by default.
        names: names of the pictures to take, as the recipe's `listed` takes
            them, such as its `held_out_names`; None for all.
        model: str, what the tables call the model.
        overwrite: bool, whether to begin anew where the folder holds an
            evaluation.
        extractor: Keras layer or model from pictures to features, for FID and
            KID; Inception's by default.
        verbose: 1 shows progress bars.

    Returns:
        dict, the content of `evaluation.json`: `model`, `settings` (with
        package versions and a hash of the weights), `date`, `baseline` (what
        the baseline is called, or None), `table` (a list of dicts: `key`,
        `measure`, `better`, `n`, `samples`, `samples_standard_error`,
        `baseline`, `baseline_standard_error`), `pictures` (a list of dicts
        with the numbers of every picture), `inversions` (the same), `skipped`
        (names of pictures that could not be used) and `notes`.

    Raises:
        FileExistsError: if the folder holds an evaluation with other settings
            and `overwrite` is False, or something else by names of results.
        ValueError: if a setting is out of range, or no picture is usable.
    """
    settings = settings or EvaluationSettings()
    folder = os.fspath(folder)
    listed = spread(recipe.listed(tim, names, settings.crop), settings.count)
    if settings.fid and len(listed) < 3:
        raise ValueError(
            "`fid` needs 3 pictures or more, and means little below some "
            f"thousands. Received: {len(listed)} pictures"
        )
    depends_on = _depends_on(tim, recipe, settings, extractor)
    _begin(folder, depends_on, overwrite)
    distances = {net: LPIPS(net) for net in settings.nets}
    pictures, skipped = _measure_all(
        tim, recipe, folder, settings, listed, distances, extractor, verbose
    )
    skipped = [*recipe.unusable, *skipped]
    readers = dict(listed)

    def drawn(name):
        given, target = readers[name]()
        seed = picture_seed(settings.seed, name)
        samples = draw_samples(tim, given, settings.num_samples, seed)
        return given, target, samples

    # The one to descend under comes first.
    nets = dict.fromkeys((settings.inversion_net, *settings.nets))
    inversions = invert_pictures(
        tim,
        recipe.quality,
        os.path.join(folder, "inversions"),
        [
            (
                picture,
                functools.partial(drawn, picture["name"]),
                file_name(picture["name"]),
            )
            for picture in spread(pictures, settings.invert)
        ],
        {net: distances.get(net) or LPIPS(net) for net in nets},
        settings,
        verbose,
    )
    rows = picture_rows(pictures, tim.task_definition)
    notes = []
    if any(
        HIGHEST_PSNR in picture["each"]["psnr"]
        or HIGHEST_PSNR in picture["each"].get("faithfulness", ())
        for picture in pictures
    ):
        notes.append(
            f"PSNR of equal pictures is infinite and counts as {HIGHEST_PSNR:g}"
            " dB."
        )
    if settings.fid:
        more, said = set_rows(
            [
                os.path.join(
                    folder, "pictures", f"{file_name(picture['name'])}.npz"
                )
                for picture in pictures
            ],
            settings.seed,
        )
        rows += more
        notes += said
    more, said = inversion_rows(inversions, tim.task_definition)
    rows += more
    notes += said
    result = {
        "model": model,
        "settings": depends_on,
        "date": datetime.date.today().isoformat(),
        "baseline": pictures[0]["baseline_name"],
        "table": rows,
        "pictures": pictures,
        "inversions": inversions,
        "skipped": skipped,
        "notes": notes,
    }

    write_sheets(folder, tim, pictures, drawn, settings, distances, file_name)
    write_json(os.path.join(folder, "evaluation.json"), result)
    write_text(os.path.join(folder, "evaluation.csv"), csv_text(result))
    write_text(os.path.join(folder, "evaluation.md"), markdown(result))
    return result


def picture_seed(seed, name):
    """The seed of one picture's samples.

    With one seed for all of them the same few codes would be tried on every
    picture, and means over pictures would not even out how they fall.

    Args:
        seed: int, of the evaluation.
        name: str, the picture's.

    Returns:
        int from 0 to 2**31 - 1.
    """
    digest = hashlib.sha256(os.fsencode(f"{seed} {name}")).digest()
    return int.from_bytes(digest[:4], "big") >> 1


def draw_samples(tim, given, num_samples, seed):
    """Samples of one picture, few enough at a time for the memory.

    Args:
        tim: a `TIM`.
        given: array `[h, w, channels]`.
        num_samples: int.
        seed: int.

    Returns:
        float32 array `[num_samples, height, width, 3]`.
    """
    pixels = given.shape[0] * given.shape[1] * tim.output_factor**2
    batch_size = max(1, min(num_samples, _PIXELS_AT_A_TIME // pixels))
    return tim.sample(
        given[None],
        num_samples=num_samples,
        seed=seed,
        batch_size=batch_size,
    )[0]


def measured_picture(
    tim,
    name,
    given,
    target,
    samples,
    seed,
    distances,
    bandwidths,
    quality=None,
):
    """What is kept of a picture, in evaluations and in reports of runs.

    Args:
        tim: the `TIM`.
        name: str, the picture's.
        given: see `picture_measures`, as are the others.
        target: the observed output.
        samples: its samples.
        seed: int, from which they were drawn.
        distances: LPIPS by the network's name.
        bandwidths: of the faithfulness-weighted variance.
        quality: int or None.

    Returns:
        dict of `name`, `seed`, `num_samples`, `size` and what
        `picture_measures` gives.
    """
    return {
        "name": name,
        "seed": seed,
        "num_samples": len(samples),
        "size": list(target.shape[:2]),
        **picture_measures(
            samples, target, given, tim, distances, bandwidths, quality
        ),
    }


def file_name(name):
    """A name for the files of a picture: readable, and no other's."""
    readable = re.sub(r"[^A-Za-z0-9._-]+", "_", name)[-60:]
    return f"{readable}-{hashlib.sha1(os.fsencode(name)).hexdigest()[:8]}"


def _depends_on(tim, recipe, settings, extractor):
    """All that the numbers of a picture depend on, as JSON gives it back."""
    run = recipe.settings
    data = {"data": _absolute(run.data) or recipe.bundled}
    for name in ("labels", "classes", "data_dir"):
        data[name] = _absolute(getattr(run, name))
    if recipe.beside is not None:
        data[recipe.beside] = _absolute(getattr(run, recipe.beside))
    data["size"] = run.size
    data["downsample"] = run.downsample if run.downsample > 1 else None
    data["quality"] = recipe.quality
    features = None
    if settings.fid:
        features = "inception" if extractor is None else extractor.name
    return {
        "task": tim.task,
        "weights": fingerprint(tim),
        "data": data,
        "crop": settings.crop,
        "num_samples": settings.num_samples,
        "seed": settings.seed,
        "nets": list(settings.nets),
        "bandwidths": [float(b) for b in settings.bandwidths],
        "fid": features,
        "inversion": {
            "steps": settings.inversion_steps,
            "learning_rate": settings.inversion_learning_rate,
            "net": settings.inversion_net,
        }
        if settings.invert
        else None,
        "packages": {p: importlib.metadata.version(p) for p in _PACKAGES},
    }


def _absolute(path):
    """A path wherever one is; names such as tfds:... stay as they are."""
    if path is None or not os.path.exists(path):
        return path
    return os.path.abspath(path)


def _begin(folder, depends_on, overwrite):
    """Readies the folder, or refuses what is in it."""
    path = os.path.join(folder, "settings.json")
    if not os.path.exists(path):
        taken = [
            name
            for name in _RESULTS
            if os.path.lexists(os.path.join(folder, name))
        ]
        if taken:
            raise FileExistsError(
                f"{folder} has {', '.join(taken)}, but no settings.json: it "
                "holds something else than an evaluation. Choose another "
                "folder."
            )
    elif overwrite:
        # The settings stay until others take their place: without them the
        # rest would not be known for what it is.
        _read_settings(path)
        for name in ("pictures", "inversions"):
            _remove_results(os.path.join(folder, name))
        remove_sheets(folder)
    else:
        earlier = _read_settings(path)
        # Inversions may be asked for later, or no longer.
        for ours, theirs in ((depends_on, earlier), (earlier, depends_on)):
            if ours["inversion"] is None:
                ours["inversion"] = theirs["inversion"]
        changed = sorted(
            key
            for key in earlier | depends_on
            if earlier.get(key) != depends_on.get(key)
        )
        if changed:
            raise FileExistsError(
                f"{folder} holds an evaluation with other settings "
                f"({', '.join(changed)}). Choose another folder, repeat the "
                "earlier settings to resume it, or begin anew with "
                "--overwrite."
            )
    os.makedirs(folder, exist_ok=True)
    write_json(path, depends_on)
    os.makedirs(os.path.join(folder, "pictures"), exist_ok=True)


def _read_settings(path):
    """What an earlier evaluation depends on; raises if it is none."""
    reason = ""
    try:
        settings = read_json(path)
    except ValueError as error:
        settings, reason = None, f" ({error})"
    ours = {"task", "weights", "data", "num_samples", "packages", "inversion"}
    if not isinstance(settings, dict) or not ours <= settings.keys():
        raise FileExistsError(
            f"{path} is damaged, or of something else than an evaluation"
            f"{reason}. Choose another folder, or move away what is in this "
            "one."
        )
    return settings


def _remove_results(folder):
    """Removes the files of single pictures; what else is there stays."""
    if not os.path.isdir(folder):
        return
    for name in os.listdir(folder):
        if _RESULT_OF_A_PICTURE.fullmatch(name):
            os.remove(os.path.join(folder, name))
    if not os.listdir(folder):
        os.rmdir(folder)


def _finished(path, name, settings):
    """The numbers of a picture that is finished, or None."""
    if not os.path.exists(path):
        return None
    try:
        picture = read_json(path)
        usable = (
            isinstance(picture, dict)
            and picture.get("name") == name
            and {"samples", "baseline", "each", "size"} <= picture.keys()
        )
    except ValueError:
        usable = False
    if usable and settings.fid:
        usable = are_features(f"{path.removesuffix('.json')}.npz")
    if not usable:
        logging.warning("%s is damaged: measuring the picture again.", path)
        return None
    return picture


def _measure_all(
    tim, recipe, folder, settings, listed, distances, extractor, verbose
):
    """Numbers of all pictures, in the order listed, and skipped names."""
    features = SetFeatures(extractor) if settings.fid else None
    paths = {
        name: os.path.join(folder, "pictures", f"{file_name(name)}.json")
        for name, _ in listed
    }
    done = sum(os.path.exists(path) for path in paths.values())
    if done:
        logging.info(
            "%d of %d pictures in %s are finished.", done, len(listed), folder
        )
    elif len(listed) > _MANY:
        logging.info(
            "Measuring %d pictures, %d samples each: `count` limits them.",
            len(listed),
            settings.num_samples,
        )
    bar = None
    if verbose and done < len(listed):
        bar = keras.utils.Progbar(len(listed), unit_name="picture")
    pictures, skipped = [], []
    key = f"lpips_{settings.nets[0]}_mean"
    for number, (name, read) in enumerate(listed):
        path = paths[name]
        picture = _finished(path, name, settings)
        if picture is None:
            try:
                given, target = read()
            except PictureError as error:
                logging.warning("Skipped a picture. %s", error)
                skipped.append(name)
                continue
            seed = picture_seed(settings.seed, name)
            samples = draw_samples(tim, given, settings.num_samples, seed)
            picture = measured_picture(
                tim,
                name,
                given,
                target,
                samples,
                seed,
                distances,
                settings.bandwidths,
                recipe.quality,
            )
            if features is not None:
                plain = tim.baseline(given, target.shape[:2])
                features.write(
                    f"{path.removesuffix('.json')}.npz",
                    samples,
                    target,
                    None if plain is None else plain[1],
                )
            # Last: this file says that the picture is finished.
            write_json(path, picture)
        pictures.append(picture)
        if bar:
            bar.update(number + 1, [(key, picture["samples"][key])])
    if not pictures:
        raise ValueError(
            f"None of the {len(listed)} pictures could be used; see the "
            "warnings above."
        )
    return pictures, skipped


def picture_rows(pictures, task):
    """Lines of the table: means over pictures.

    Args:
        pictures: list of dicts from `picture_measures`.
        task: the model's `keras_tim.tasks.Task`.

    Returns:
        List of dicts, see `table_row`.
    """
    keys = [key for picture in pictures for key in picture["samples"]]
    rows = []
    for measure in measures_of(keys, task):
        samples, baseline = (
            [
                picture[which][measure.key]
                for picture in pictures
                if picture[which] and measure.key in picture[which]
            ]
            for which in ("samples", "baseline")
        )
        rows.append(table_row(measure, samples, baseline))
    return rows
