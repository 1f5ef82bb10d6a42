"""Checkpoints: a model in training, and how far its run has come."""

import dataclasses
import json
import os
import zipfile
import zlib

from absl import logging

from keras_tim.files import read_json, write_json, written
from keras_tim.models.model_file import load_tim

LATEST, PREVIOUS = "latest.keras", "previous.keras"
# For whoever watches a run, and of checkpoints of earlier versions of this
# package; otherwise nothing depends on it.
STATE_FILE = "state.json"


@dataclasses.dataclass(frozen=True)
class Progress:
    """How far a run has come.

    Attributes:
        rounds: int, rounds of selection and gradient steps.
        epochs: int, epochs that have ended.
        seconds: float, the time that it took.
        metrics: dict from a metric's name to the values of its variables,
            where an epoch has begun.
    """

    rounds: int = 0
    epochs: int = 0
    seconds: float = 0.0
    metrics: dict = dataclasses.field(default_factory=dict)


def save_checkpoint(folder, model, progress):
    """Saves a checkpoint; the one before it is kept.

    Whenever the process dies, one whole checkpoint remains.

    Args:
        folder: str.
        model: the compiled `TIM`.
        progress: a `Progress`.

    Raises:
        OSError: if the file cannot be written; what was there stays.
    """
    path = os.path.join(folder, LATEST)
    with written(path) as temporary:
        model.save(temporary)
        with zipfile.ZipFile(temporary, "a") as archive:
            archive.comment = _as_comment(progress)
        if os.path.exists(path):
            os.replace(path, os.path.join(folder, PREVIOUS))
    write_json(
        os.path.join(folder, STATE_FILE),
        {
            "epochs": progress.epochs,
            "steps": int(model.optimizer.iterations.numpy()),
            "seconds": progress.seconds,
        },
    )


def has_checkpoint(folder):
    """Whether a folder holds a checkpoint, be it damaged."""
    return any(map(os.path.exists, _paths(folder)))


def load_checkpoint(folder, steps_per_selection, rounds_per_epoch):
    """Loads the newest checkpoint that is whole.

    Checkpoints of earlier versions of this package do not say themselves how
    far the run has come: it follows from their gradient steps.

    Args:
        folder: str.
        steps_per_selection: int, gradient steps of a round.
        rounds_per_epoch: int.

    Returns:
        Tuple of the compiled `TIM` and its `Progress`.

    Raises:
        ValueError: if all checkpoints are damaged.
    """
    errors = []
    for path in filter(os.path.exists, _paths(folder)):
        try:
            progress = _progress(path)
            tim = load_tim(path, compile=True)
        except ValueError as error:
            errors.append(str(error))
            continue
        if errors:
            logging.warning(
                "%s Going on from the checkpoint before it.", errors[0]
            )
        if progress is None:
            rounds = int(tim.optimizer.iterations.numpy())
            rounds = -(-rounds // steps_per_selection)
            progress = Progress(
                rounds, rounds // rounds_per_epoch, _earlier_seconds(folder)
            )
        return tim, progress
    raise ValueError(
        "No checkpoint can be used: "
        + " ".join(errors)
        + " Begin anew with --overwrite."
    )


def _paths(folder):
    return [os.path.join(folder, name) for name in (LATEST, PREVIOUS)]


def _as_comment(progress):
    """The progress as the comment of a zip file.

    Keras reads no comments. Given further files it would unpack all of them.
    """
    text = json.dumps(dataclasses.asdict(progress)).encode()
    return b"%08x " % zlib.crc32(text) + text


def _progress(path):
    """The progress that a checkpoint tells of, None of earlier versions.

    Raises:
        ValueError: if any part of the file is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            # Keras reads the weights without looking at their checksum.
            member = archive.testzip()
            if member is not None:
                raise ValueError(f"the checksum of {member} is wrong")
            if not archive.comment:
                return None
            checksum, _, text = archive.comment.partition(b" ")
        if int(checksum, 16) != zlib.crc32(text):
            raise ValueError("the checksum of its comment is wrong")
        return Progress(**json.loads(text))
    # A damaged archive may raise nearly anything.
    except Exception as error:
        raise ValueError(f"{path} is damaged: {error}.") from error


def _earlier_seconds(folder):
    """The time that an earlier version of this package says was taken."""
    try:
        state = read_json(os.path.join(folder, STATE_FILE))
        return float(state["seconds"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0.0
