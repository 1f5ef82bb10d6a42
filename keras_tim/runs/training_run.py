"""A run: a folder that holds a model, how it came about and how it looks."""

import importlib.metadata
import importlib.util
import os

import keras
from absl import logging

from keras_tim.inference.alternatives import alternatives_sheet
from keras_tim.inference.pictures import write_picture
from keras_tim.models.tim import TIM
from keras_tim.recipes import get_recipe
from keras_tim.runs.callbacks import (
    BudgetedCosineDecay,
    Checkpoints,
    SampleSheets,
    Scalars,
    sample_sheet,
)
from keras_tim.runs.files import read_json, save_model, write_json
from keras_tim.runs.model_file import load_tim
from keras_tim.runs.precision import fastest_dtype
from keras_tim.runs.report import (
    averaged,
    examples_report,
    report_sentence,
    report_table,
)
from keras_tim.runs.settings import CONFIG_FILE, load_settings

MODEL_FILE = "model.keras"
EPOCHS = 10


def train(folder, settings, overwrite=False, verbose=1, callbacks=()):
    """Trains a model into a run folder, or goes on where it was stopped.

    The folder gets `config.json`, `checkpoints/`, `logs/` (TensorBoard),
    `history.csv`, `pictures/` (samples as training goes), and at the end
    `model.keras`, `contact_sheet.png`, `training_samples.png` and
    `report.json`.

    Args:
        folder: str or path.
        settings: a `RunSettings`.
        overwrite: bool, whether to begin anew where a run is in the folder.
        verbose: as in `keras.Model.fit`.
        callbacks: Keras callbacks beside those of the run. They see the end
            of an epoch before its checkpoint is written: what they write then
            is never behind a run that goes on.

    Returns:
        The trained `TIM`.

    Raises:
        FileExistsError: if the folder holds a finished run, or one with other
            settings, and `overwrite` is False.
        ValueError: if a setting is out of range or no picture is usable.
    """
    folder = os.fspath(folder)
    recipe = get_recipe(settings.task)(settings, folder)
    tim, state = _begin(folder, recipe, overwrite)
    recipe.prepare()
    held_out, excluded = recipe.held_out(tim)
    # A resumed run sees other crops than those it has already seen.
    dataset = recipe.dataset(tim, excluded, settings.seed + state["epochs"])
    rounds = -(-settings.steps // settings.steps_per_selection)
    rounds_per_epoch = max(1, round(rounds / EPOCHS))
    budget = BudgetedCosineDecay(
        settings.steps, settings.minutes, state["seconds"]
    )
    writer = _summary_writer(folder)
    callbacks = [
        *callbacks,
        budget,
        SampleSheets(
            _made(folder, "pictures"),
            recipe,
            centres(held_out[:4]),
            writer=writer,
        ),
        keras.callbacks.CSVLogger(
            os.path.join(folder, "history.csv"), append=state["epochs"] > 0
        ),
        Checkpoints(
            _made(folder, "checkpoints"), budget, epochs_done=state["epochs"]
        ),
    ]
    if writer is not None:
        callbacks.append(Scalars(writer))
    logging.info(
        "Training %s (%s parameters, %s) on %s, holding out %s. The first "
        "step takes longer: TensorFlow traces it.",
        settings.preset,
        f"{tim.count_params():,}",
        tim.dtype_policy.name,
        settings.data or recipe.bundled,
        ", ".join(name for name, _, _ in held_out),
    )
    tim.fit(
        dataset,
        steps_per_epoch=rounds_per_epoch,
        initial_epoch=state["epochs"],
        # The budget ends the run; time may be shorter than the steps.
        epochs=max(EPOCHS, -(-rounds // rounds_per_epoch)),
        callbacks=callbacks,
        shuffle=False,
        verbose=verbose,
    )
    # To be used anywhere, also where half precision is slow.
    tim = tim.full_precision()
    save_model(tim, os.path.join(folder, MODEL_FILE))
    _finish(folder, tim, recipe, held_out)
    return tim


def load_run(path):
    """Loads the model of a run.

    Args:
        path: a run folder or a `.keras` file.

    Returns:
        A `TIM`, not compiled.

    Raises:
        FileNotFoundError: if there is no model at the path.
        ValueError: if the file is damaged or holds something else.
    """
    path = os.fspath(path)
    if os.path.isdir(path):
        path = os.path.join(path, MODEL_FILE)
    if not os.path.isfile(path):
        raise FileNotFoundError(
            f"There is no model at {path}. Give a run folder that has finished "
            "training, or a .keras file."
        )
    return load_tim(path)


def _begin(folder, recipe, overwrite):
    """The model to train, and how far it has come."""
    settings = recipe.settings
    config = os.path.join(folder, CONFIG_FILE)
    latest = os.path.join(folder, "checkpoints", "latest.keras")
    if os.path.exists(config) and not overwrite:
        if os.path.exists(os.path.join(folder, MODEL_FILE)):
            raise FileExistsError(
                f"{folder} holds a finished run. Choose another folder, or "
                "begin anew with --overwrite."
            )
        earlier = load_settings(folder).jsonable()
        today = settings.jsonable()
        changed = sorted(k for k in today if earlier[k] != today[k])
        if changed:
            raise FileExistsError(
                f"{folder} holds a run with other settings "
                f"({', '.join(changed)}). Choose another folder, repeat the "
                "earlier settings to resume it, or begin anew with --overwrite."
            )
        if os.path.exists(latest):
            state = read_json(os.path.join(folder, "checkpoints/state.json"))
            logging.info(
                "Resuming %s after %d gradient steps.", folder, state["steps"]
            )
            return load_tim(latest, compile=True), state
    elif overwrite and os.path.exists(os.path.join(folder, MODEL_FILE)):
        # Gone first: a stopped second run must not pass for the first one.
        os.remove(os.path.join(folder, MODEL_FILE))

    keras.utils.set_random_seed(settings.seed)
    dtype = fastest_dtype() if settings.dtype == "auto" else settings.dtype
    tim = TIM.from_preset(
        settings.preset,
        **recipe.model_arguments(),
        **settings.model_switches,
        dtype=dtype,
    )
    tim.compile(
        optimizer=keras.optimizers.Adam(
            settings.learning_rate, beta_2=settings.beta_2
        ),
        distance=settings.distance,
        num_samples=settings.candidates,
        sampling=settings.sampling,
        images_per_selection=settings.images_per_selection,
        steps_per_selection=settings.steps_per_selection,
        mini_batch_size=settings.mini_batch_size,
        candidate_chunk=settings.candidate_chunk,
        pixel_weight=settings.pixel_weight,
        seed=settings.seed,
    )
    os.makedirs(folder, exist_ok=True)
    packages = ("keras-tim", "keras", "tensorflow", "keras-cv", "numpy")
    write_json(
        config,
        {
            "settings": settings.jsonable(),
            "packages": {p: importlib.metadata.version(p) for p in packages},
        },
    )
    return tim, {"epochs": 0, "steps": 0, "seconds": 0.0}


def centres(examples, side=96):
    """Centres of large examples, so that sheets and measures stay quick.

    Args:
        examples: list of examples, see `Recipe`.
        side: int, of the part of the target that is kept, in pixels.

    Returns:
        List of examples.
    """
    return [
        (name, *_centre(given, target, side))
        for name, given, target in examples
    ]


def _centre(given, target, side):
    factor = target.shape[0] // given.shape[0]
    height, width = (min(n, side // factor) for n in given.shape[:2])
    # JPEG works on blocks of 16 pixels: a part begins where a block does.
    top, left = (
        (whole - part) // 2 // 16 * 16
        for whole, part in zip(given.shape[:2], (height, width), strict=True)
    )
    low = given[top : top + height, left : left + width]
    top, left, height, width = (factor * n for n in (top, left, height, width))
    return low, target[top : top + height, left : left + width]


def _finish(folder, tim, recipe, held_out):
    """Contact sheet and report of the finished model."""
    seed = recipe.settings.seed
    rows = held_out_report(tim, recipe, held_out)
    write_json(os.path.join(folder, "report.json"), rows)
    name, given, target = held_out[0]
    size = target.shape[:2]
    sheet = alternatives_sheet(
        f"{name}, {recipe.title}",
        recipe.shown(given),
        tim.sample(given[None], num_samples=8, seed=seed)[0],
        target=target,
        footer=report_sentence(rows[0]),
        baseline=recipe.baseline(given, size),
    )
    write_picture(os.path.join(folder, "contact_sheet.png"), sheet)
    write_picture(
        os.path.join(folder, "training_samples.png"),
        sample_sheet(tim, recipe, centres(held_out[:4]), 4, seed),
    )
    logging.info("Held-out pictures:\n%s", report_table(rows))


def held_out_report(tim, recipe, held_out):
    """Measures of whole held-out pictures, and of the first one's crops.

    Over a whole picture the best of a few samples is little better than the
    mean, since each is better in some places and worse in others: crops show
    what there is to choose from.

    Args:
        tim: a `TIM`.
        recipe: the `Recipe` of its task.
        held_out: list of examples, see `Recipe`.

    Returns:
        List of dicts, see `examples_report`.
    """
    seed = recipe.settings.seed
    rows = examples_report(tim, recipe, held_out, seed=seed)
    title, crops = recipe.crops(tim, held_out[0])
    if crops:
        parts = examples_report(tim, recipe, crops, seed=seed)
        rows.append(averaged(parts, title))
    return rows


def _summary_writer(folder):
    """A TensorBoard writer, or None where TensorBoard is not installed."""
    if importlib.util.find_spec("tensorboard") is None:
        logging.warning(
            "TensorBoard is not installed: %s gets history.csv and pictures, "
            "but no logs. `pip install tensorboard` adds them.",
            folder,
        )
        return None
    import tensorflow as tf

    return tf.summary.create_file_writer(os.path.join(folder, "logs"))


def _made(folder, name):
    path = os.path.join(folder, name)
    os.makedirs(path, exist_ok=True)
    return path
