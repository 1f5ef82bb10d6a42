"""Trained presets: a folder of a configuration, weights and a model card.

`config.json` says which model it is and holds the card; `weights.npz` holds the
weights under names of our own, the places within the tower, such as
`level0/rrdb1/dense_block1/conv1/kernel`. What is published elsewhere is not
stored again: a trunk's frozen part, and the network that guides.
"""

import hashlib
import importlib.resources
import io
import json
import os

import numpy as np

from keras_tim.assets.npz import NpzError, read_npz
from keras_tim.files import write_bytes, write_json
from keras_tim.task_names import spelled_here, task_name

FORMAT = 1
CONFIG_FILE, WEIGHTS_FILE = "config.json", "weights.npz"
# What a run leaves, the latter two by the task.
MODEL_FILE = "model.keras"
CLASSES_FILE, COMPONENTS_FILE = "classes.csv", "pca.npz"
# What a task's pictures are made with where no model is named.
DEFAULT_PRESETS = {
    "super_resolution": "super_resolution_x4_realsr",
    "colourization": "colourization_photos",
    "layout_synthesis": "layout_synthesis_camvid",
    "mnist": "mnist_digits",
}
# What does a task's work on files without having learned it: JPEG files are
# repaired by what enlarges them, reduced first.
_STAND_INS = {"decompression": "super_resolution_x4_photos"}
_LARGEST_CONFIG = 2**20


class PresetError(ValueError):
    """A trained preset is missing, damaged, or of another kind."""


def shipped_presets():
    """Names of the trained presets that come with the package.

    Returns:
        dict from name to folder.
    """
    root = importlib.resources.files("keras_tim") / "pretrained"
    if not root.is_dir():
        return {}
    return {
        entry.name: os.fspath(entry)
        for entry in sorted(root.iterdir(), key=lambda entry: entry.name)
        if entry.is_dir()
    }


def shipped_name(name):
    """The name of the trained preset that is meant, or None."""
    name = spelled_here(os.fspath(name))
    return name if name in shipped_presets() else None


def preset_folder(name):
    """The folder of a trained preset.

    Args:
        name: str or path: the name of a shipped preset, or a preset's folder.

    Returns:
        str, or None where it is neither.
    """
    name = os.fspath(name)
    folder = shipped_presets().get(spelled_here(name))
    if folder is None and os.path.isfile(os.path.join(name, WEIGHTS_FILE)):
        folder = name
    return folder


def find_model(path):
    """What a trained model is read from.

    Args:
        path: str or path: the name of a shipped preset, a preset's folder, a
            run folder that has finished training, or a `.keras` file.

    Returns:
        str, the preset's folder, or the `.keras` file.

    Raises:
        FileNotFoundError: if there is no model.
    """
    path = os.fspath(path)
    folder = preset_folder(path)
    if folder is not None:
        return folder
    if os.path.isdir(path):
        path = os.path.join(path, MODEL_FILE)
    if not os.path.isfile(path):
        raise FileNotFoundError(
            f"There is no model at {path}. Give a run folder that has finished "
            "training, a .keras file, or one of the trained presets "
            f"{sorted(shipped_presets())}."
        )
    return path


def default_preset(task, of_files=False):
    """The shipped preset that a task's pictures are made with.

    Args:
        task: str.
        of_files: bool, whether one that can do it with files alone will do.

    Returns:
        str, its name.

    Raises:
        ValueError: if there is no such task, or none is shipped for it.
    """
    task = task_name(task)
    known = DEFAULT_PRESETS | (_STAND_INS if of_files else {})
    if task not in known:
        instead = ""
        if task in _STAND_INS:
            instead = (
                f"Files are repaired by `keras-tim sample --task={task}`, with "
                f"{_STAND_INS[task]}. "
            )
        raise ValueError(
            f"No trained preset for {task} comes with the package yet, only "
            f"for {', '.join(DEFAULT_PRESETS)}. {instead}Train "
            f"one with `keras-tim train --task={task}` and name its folder."
        )
    return known[task]


def save_preset(tim, folder, card=None, dtype="float16", training=None):
    """Writes a model as a preset.

    Args:
        tim: a `TIM`.
        folder: str or path, made if missing.
        card: dict of what a user should know: data, licence, recipe, measures,
            and what it must not be used for.
        dtype: "float16" or "float32", in which weights are stored.
        training: dict of what it is meant to be trained on with, see
            `keras_tim.models.presets.preset_training`, or None.

    Raises:
        ValueError: if the weights are not finite or do not fit the dtype.
        OSError: if a file cannot be written.
    """
    if dtype not in ("float16", "float32"):
        raise ValueError(
            f'`dtype` must be "float16" or "float32". Received: dtype={dtype!r}'
        )
    folder = os.fspath(folder)
    os.makedirs(folder, exist_ok=True)
    arrays = {}
    for name, weight in stored_weights(tim).items():
        # What is known, such as components, is few numbers, and exact.
        stored = "float32" if weight is tim.known else dtype
        with np.errstate(over="ignore"):  # looked for below
            value = np.asarray(weight, "float32").astype(stored)
        if not np.isfinite(value).all():
            raise ValueError(
                f"the weights {name} are not finite, or too large for {dtype}"
            )
        arrays[name] = value
    stream = io.BytesIO()
    # The same weights give the same bytes: NumPy writes no dates.
    np.savez(stream, **arrays)
    content = stream.getvalue()
    arguments = tim.get_config()
    for name in ("name", "dtype", "trainable"):
        arguments.pop(name, None)
    write_bytes(os.path.join(folder, WEIGHTS_FILE), content)
    write_json(
        os.path.join(folder, CONFIG_FILE),
        {
            "format": FORMAT,
            "model": arguments,
            "weights": {
                "file": WEIGHTS_FILE,
                "bytes": len(content),
                "sha256": hashlib.sha256(content).hexdigest(),
            },
            "card": card or {},
            "training": training or {},
        },
    )


def read_preset(folder):
    """Reads and checks a preset's configuration.

    Args:
        folder: str, of the preset.

    Returns:
        dict: "model", "weights", "card" and "training".

    Raises:
        PresetError: if it is missing, damaged or of a newer format.
    """
    path = os.path.join(folder, CONFIG_FILE)
    try:
        if os.path.getsize(path) > _LARGEST_CONFIG:
            raise ValueError("it is too large")
        with open(path, encoding="utf-8") as file:
            config = json.load(file)
        if not isinstance(config, dict):
            raise ValueError("it describes no preset")
        config.setdefault("training", {})
        fits = config.get("format") == FORMAT
        for part in ("model", "weights", "card", "training"):
            fits = fits and isinstance(config.get(part), dict)
        if not fits:
            raise ValueError(f"it is not of format {FORMAT}")
    except (OSError, ValueError) as error:
        raise PresetError(
            f"{path} is missing, damaged or of another version: {error}"
        ) from error
    return config


def load_weights(tim, folder, config):
    """Gives a model the weights that a preset stores.

    Args:
        tim: a `TIM` of the preset's architecture; assigned.
        folder: str, of the preset.
        config: what `read_preset` returned.

    Raises:
        PresetError: if the weights are missing, damaged, or those of another
            model.
    """
    path = os.path.join(folder, WEIGHTS_FILE)
    stated = config["weights"]
    try:
        if os.path.getsize(path) != stated.get("bytes"):
            raise ValueError("it has another size than stated")
        with open(path, "rb") as file:
            content = file.read()
        if hashlib.sha256(content).hexdigest() != stated.get("sha256"):
            raise ValueError("its SHA-256 sum is not the stated one")
        arrays = read_npz(io.BytesIO(content), path)
    except (OSError, ValueError, NpzError) as error:
        raise PresetError(
            f"{path} is missing or damaged: {error}. Install the package "
            "again, or get the preset's folder anew."
        ) from error
    weights = stored_weights(tim)
    if arrays.keys() != weights.keys():
        odd = sorted(arrays.keys() ^ weights.keys())
        raise PresetError(
            f"{path} belongs to another model: {len(odd)} weights differ, such "
            f"as {odd[0]}. Give `load_weights=False` to change the "
            "architecture."
        )
    for name, weight in weights.items():
        if arrays[name].shape != tuple(weight.shape):
            raise PresetError(
                f"{path} belongs to another model: {name} has shape "
                f"{arrays[name].shape}, not {tuple(weight.shape)}. Give "
                "`load_weights=False` to change the architecture."
            )
    for name, weight in weights.items():
        weight.assign(arrays[name].astype("float32"))


def stored_weights(tim):
    """The weights that a preset stores.

    Args:
        tim: a `TIM`.

    Returns:
        dict from place to variable.
    """
    elsewhere = set()
    if tim.trunk is not None:
        for module in tim.tower:
            for layer in module.plain_layers():
                elsewhere |= {id(weight) for weight in layer.weights}
    if tim.guide is not None:
        elsewhere |= {id(w) for w in tim.guide.non_trainable_weights}
    return {
        place(weight): weight
        for weight in tim.weights
        if id(weight) not in elsewhere
    }


def place(weight):
    """A weight's place within the tower, such as "level0/head/v"."""
    return weight.path[weight.path.rindex("level") :]
