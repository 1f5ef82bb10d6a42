"""SavedModels: what TensorFlow Serving and its like serve."""

import os
import shutil
import uuid
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from keras_tim.checks import integer
from keras_tim.export.card import card_text, model_card
from keras_tim.export.deployed import deployed
from keras_tim.export.limits import Limits
from keras_tim.export.quiet import quiet_exporters
from keras_tim.export.signatures import Signatures
from keras_tim.export.warmup import small_side, warmup_requests, write_warmup
from keras_tim.files import write_json

# Folding alone stays far below this; bfloat16 has 8 bits of precision.
TOLERANCES = {"float32": 1e-5, "bfloat16": 0.1}


def export_saved_model(
    tim: keras.Model,
    path: str | os.PathLike,
    version: int | None = None,
    name: str | None = None,
    dtype: str = "float32",
    frozen: bool = False,
    limits: Limits | dict[str, int] | None = None,
    classes: Any = None,
    training: dict | None = None,
    measures: list[dict] | None = None,
    tile: int | str | None = "auto",
) -> str:
    """Writes a model as a version of a SavedModel, whole or not at all.

    The folder `PATH/VERSION` gets the SavedModel with the signatures of
    `keras_tim.export.signatures.Signatures`, `card.md` and `card.json` that
    describe it, and warm-up requests. It is written under another name,
    loaded, compared with the model and then renamed: a server that watches
    `PATH` never sees half a model.

    Args:
        tim: a `TIM`.
        path: str, the model's folder, made if missing.
        version: int, or None for one more than the highest there.
        name: str or None for the last part of `path`: what the model is called
            where it is served.
        dtype: "float32" or "bfloat16", see `Generator`.
        frozen: bool, see `Generator`.
        limits: a `Limits`, or a dict of its arguments.
        classes: for layouts, see `Signatures`.
        training: dict of what the model was trained with, for the card.
        measures: list of dicts of what was measured, for the card.
        tile: int: pictures whose output is larger than a square with so many
            pixels on a side are made in tiles of that size, so that memory is
            the tile's, see `TIM.sample`. "auto": in tiles that take 2 GB.
            None: pictures are made whole.

    Returns:
        str, the version's folder.

    Raises:
        FileExistsError: if the version exists.
        RuntimeError: if the written model differs from the given one.
    """
    path = os.path.abspath(os.fspath(path))
    name = name or os.path.basename(path)
    limits = Limits(**limits) if isinstance(limits, dict) else limits
    limits = limits or Limits()
    target = os.path.join(path, str(_version(path, version)))
    generator = deployed(tim, dtype, frozen)
    # Servers take folders that are numbers for versions; this is none.
    partial = f"{target}.partial-{uuid.uuid4().hex[:8]}"
    try:
        answers = Signatures(generator, limits, classes, tile)
        functions = answers.functions()
        signatures = write_signatures(partial, generator, functions)
        card = model_card(
            generator,
            name,
            signatures,
            answers.limits,
            training,
            measures,
            answers.classes,
            answers.tile,
        )
        write_json(os.path.join(partial, "card.json"), card)
        with open(
            os.path.join(partial, "card.md"), "w", encoding="utf-8"
        ) as file:
            file.write(card_text(card))
        write_warmup(partial, warmup_requests(generator), name)
        difference = _difference(partial, tim)
        if not difference <= TOLERANCES[dtype]:
            raise RuntimeError(
                f"The exported model differs from the given one by "
                f"{difference}, more than {TOLERANCES[dtype]}. Nothing was "
                "written."
            )
        os.rename(partial, target)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    logging.info(
        "Wrote %s: %s. Its samples differ from the model's by %.1e at most.",
        target,
        ", ".join(signatures),
        difference,
    )
    return target


def _version(path, version):
    """The number of the version to write, which must be free."""
    if version is not None:
        version = integer("version", version, least=0)
    taken = os.listdir(path) if os.path.isdir(path) else []
    if version is None:
        numbers = [int(name) for name in taken if name.isdecimal()]
        return max(numbers, default=0) + 1
    if str(version) in taken:
        raise FileExistsError(
            f"{path} has a version {version} already. Choose another one, or "
            "leave it out for the next free one."
        )
    return version


def write_signatures(
    folder: str, generator: Any, functions: dict[str, tuple]
) -> dict[str, tuple[dict, dict]]:
    """Writes a SavedModel, every signature of it traced once.

    Keras' archive has each traced twice: it asks for a trace before TensorFlow
    writes, which then makes its own.

    Args:
        folder: str, where to.
        generator: the `keras_tim.models.generator.Generator` that the
            functions use.
        functions: dict from signature to `(function, specifications)`, see
            `keras_tim.export.signatures.Signatures.functions`.

    Returns:
        dict from signature to `(inputs, outputs)`, dicts of `tf.TensorSpec`.
    """
    root, signatures, described = tf.Module(), {}, {}
    if not generator.frozen:
        root.weights = [weight.value for weight in generator.tim.weights]
    for name, (function, inputs) in functions.items():
        outputs = {}
        signatures[name] = tf.function(
            _noting(function, outputs), inputs, autograph=False
        )
        # Where loaded, it is an attribute as well.
        setattr(root, name, signatures[name])
        described[name] = ({x.name: x for x in inputs}, outputs)
    with quiet_exporters():
        tf.saved_model.save(root, folder, signatures)
    return described


def _noting(function, outputs):
    """The function; to trace it writes down what it returns."""

    def traced(*tensors):
        returned = function(*tensors)
        for name, tensor in returned.items():
            outputs[name] = tf.TensorSpec(tensor.shape, tensor.dtype)
        return returned

    return traced


def _difference(folder, tim):
    """The largest difference between written and given model's samples."""
    side = small_side(tim)
    picture = np.random.RandomState(0).rand(1, side, side, tim.input_channels)
    picture = picture.astype(np.float32)
    answer = tf.saved_model.load(folder).signatures["sample"](
        picture=tf.constant(picture),
        seed=tf.constant([7], tf.int64),
        index=tf.constant([[0, 1]], tf.int64),
    )
    # Models of mixed precision are exported in full precision.
    exact = tim if tim.compute_dtype == "float32" else deployed(tim).tim
    # As a batch, and so by other code than what was exported.
    expected = exact.sample(picture, num_samples=2, seed=7, batch_size=2)
    return float(np.abs(answer["alternatives"].numpy() - expected).max())
