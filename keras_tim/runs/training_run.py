"""A run: a folder that holds a model, how it came about and how it looks."""

import dataclasses
import glob
import importlib.metadata
import importlib.util
import os
from collections.abc import Sequence

import keras
import tensorflow as tf
from absl import logging

from keras_tim.conversion.esrgan import load_esrgan
from keras_tim.data.sources import is_tfds
from keras_tim.evaluation.measures import picture_sentence
from keras_tim.files import save_model, write_json
from keras_tim.images.alternatives import (
    alternative_name,
    alternatives_sheet,
)
from keras_tim.images.pictures import write_picture
from keras_tim.models.presets import preset_arguments
from keras_tim.models.pretrained import (
    MODEL_FILE,
    find_model,
)
from keras_tim.recipes import get_recipe
from keras_tim.recipes.beside import complete
from keras_tim.runs.callbacks import (
    BudgetedCosineDecay,
    Checkpoints,
    DivergenceGuard,
    RestoredMetrics,
    SampleSheets,
    Scalars,
    sample_sheet,
    trim_history,
)
from keras_tim.runs.checkpoints import (
    Progress,
    has_checkpoint,
    load_checkpoint,
)
from keras_tim.runs.lock import locked
from keras_tim.runs.precision import fastest_dtype
from keras_tim.runs.report import (
    averaged,
    examples_report,
    report_table,
    warn_of_equal_samples,
)
from keras_tim.runs.settings import (
    CONFIG_FILE,
    RunSettings,
    load_settings,
    record_held_out,
    recorded_held_out,
)
from keras_tim.runs.stopping import StopSignals
from keras_tim.tim import TIM

REPORT_FILE = "report.json"
EPOCHS = 10
# What a run leaves in its folder, as patterns: what `overwrite` removes.
# Classes and components are replaced in any case.
OUTPUTS = (
    MODEL_FILE,
    REPORT_FILE,
    "checkpoints/*.keras",
    "checkpoints/state.json",
    "contact_sheet.png",
    "history.csv",
    "logs/events.out.tfevents.*",
    "pictures/step_*.png",
    "training_samples.png",
)


def train(
    folder: str | os.PathLike,
    settings: RunSettings,
    overwrite: bool = False,
    verbose: int | str = 1,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    checkpoint_every: float = 5.0,
) -> TIM:
    """Trains a model into a run folder, or goes on where it was stopped.

    The folder gets `config.json`, `checkpoints/`, `logs/` (TensorBoard),
    `history.csv`, `pictures/` (samples as training goes), and at the end
    `model.keras`, `contact_sheet.png`, `training_samples.png` and
    `report.json`.

    A run that was stopped, however that came about, goes on when it is
    trained again with the same settings. On the same machine it ends with the
    same weights, to the last bit, as one that was not stopped; but where
    `settings.minutes` cut it short, since they are of the clock. Ctrl-C and
    SIGTERM let the round end and save it first.

    Args:
        folder: str or path.
        settings: a `RunSettings`.
        overwrite: bool, whether to begin anew where a run is in the folder.
        verbose: as in `keras.Model.fit`.
        callbacks: Keras callbacks beside those of the run. They see the end
            of a round and of an epoch before its checkpoint is written: what
            they write then is never behind a run that goes on.
        checkpoint_every: float, minutes after which a checkpoint is made at
            the end of a round. There is one at the end of every epoch, a
            tenth of the run, in any case.

    Returns:
        The trained `TIM`.

    Raises:
        FileExistsError: if the folder holds a finished run, or one with other
            settings, and `overwrite` is False.
        KeyboardInterrupt: if a signal stopped the run.
        RuntimeError: if training diverges, or another process trains in the
            folder.
        ValueError: if a setting is out of range or no picture is usable.
    """
    folder = os.fspath(folder)
    recipe = get_recipe(settings.task)(settings, folder)
    recipe.check_settings()
    with StopSignals() as stop, locked(folder):
        if _is_trained(folder, settings, overwrite):
            tim = load_run(folder)
            recipe.prepare()
            _hold_out_as_before(folder, recipe)
            held_out, _ = recipe.held_out(tim)
        else:
            tim, held_out = _trained(
                folder,
                recipe,
                overwrite,
                verbose,
                callbacks,
                checkpoint_every,
                stop,
            )
        _finish(folder, tim, recipe, held_out)
    return tim


def _is_trained(folder, settings, overwrite):
    """Whether only the report is missing from a folder.

    Raises:
        FileExistsError: if the folder must not be written to.
    """
    if overwrite:
        return False
    if not os.path.exists(os.path.join(folder, CONFIG_FILE)):
        found = _outputs(folder)
        if found:
            raise FileExistsError(
                f"{found[0]} is there already, but no {CONFIG_FILE} that says "
                "of what run. Choose another folder, or begin anew with "
                "--overwrite, which removes it."
            )
        return False
    trained = os.path.exists(os.path.join(folder, MODEL_FILE))
    if not trained and not has_checkpoint(_checkpoints(folder)):
        return False  # nothing is lost, whatever else is there
    if trained and os.path.exists(os.path.join(folder, REPORT_FILE)):
        raise FileExistsError(
            f"{folder} holds a finished run. Choose another folder, where "
            f"--start={folder} goes on from it, or begin anew with "
            "--overwrite."
        )
    earlier = load_settings(folder)
    earlier, today = earlier.jsonable(), settings.jsonable()
    changed = sorted(k for k in today if earlier[k] != today[k])
    if changed:
        raise FileExistsError(
            f"{folder} holds a run with other settings "
            f"({', '.join(changed)}). Choose another folder, repeat the "
            "earlier settings to resume it, or begin anew with --overwrite."
        )
    return trained


def _trained(
    folder, recipe, overwrite, verbose, callbacks, checkpoint_every, stop
):
    """Trains to the end; gives the model and the held-out examples."""
    settings = recipe.settings
    rounds = -(-settings.steps // settings.steps_per_selection)
    rounds_per_epoch = max(1, round(rounds / EPOCHS))
    # The budget ends the run; time may be shorter than the steps.
    epochs = max(EPOCHS, -(-rounds // rounds_per_epoch))

    recipe.prepare()
    resumed = not overwrite and has_checkpoint(_checkpoints(folder))
    if resumed:
        tim, progress = load_checkpoint(
            _checkpoints(folder),
            settings.steps_per_selection,
            rounds_per_epoch,
        )
        logging.info(
            "Resuming %s after %d gradient steps.",
            folder,
            int(tim.optimizer.iterations.numpy()),
        )
        _hold_out_as_before(folder, recipe)
    else:
        tim, progress = _new_model(recipe), Progress()
    held_out, excluded = recipe.held_out(tim)
    # What is captured by data pipelines must lie where they run.
    with tf.device("CPU"):
        start = tf.Variable(progress.rounds, dtype=tf.int64)
    dataset = recipe.dataset(tim, excluded, settings.seed, start)

    # Not before all of the settings have proved usable: what is refused
    # leaves nothing behind, and takes nothing away.
    if not resumed:
        _begin_anew(folder, settings)
    if settings.data is not None:
        record_held_out(folder, excluded)
    recipe.save()
    path = os.path.join(folder, "history.csv")
    trim_history(path, progress.epochs)
    history = keras.callbacks.CSVLogger(path, append=True)
    budget = BudgetedCosineDecay(
        settings.steps,
        settings.minutes,
        progress.seconds,
        floor=settings.last_rate,
    )
    checkpoints = Checkpoints(
        _made(_checkpoints(folder)),
        budget,
        progress,
        rounds_per_epoch,
        checkpoint_every,
        stop,
    )
    writer = _summary_writer(folder)
    callbacks = [
        RestoredMetrics(progress.metrics),
        DivergenceGuard(_checkpoints(folder)),
        *callbacks,
        budget,
        SampleSheets(
            _made(os.path.join(folder, "pictures")),
            centres(held_out[:4]),
            writer=writer,
        ),
        history,
        *([] if writer is None else [Scalars(writer)]),
        checkpoints,
    ]
    logging.info(
        "Training %s (%s parameters, %s) on %s, holding out %s. The first "
        "step takes longer: TensorFlow traces it.",
        settings.start or settings.trunk or settings.preset,
        f"{tim.count_params():,}",
        tim.dtype_policy.name,
        settings.data or recipe.bundled,
        ", ".join(name for name, _, _ in held_out),
    )
    # An epoch that was interrupted is brought to its end first.
    begun = max(0, progress.rounds - progress.epochs * rounds_per_epoch)
    spans = [(progress.epochs + bool(begun), epochs, rounds_per_epoch)]
    if begun:
        first = progress.epochs, progress.epochs + 1, rounds_per_epoch - begun
        spans.insert(0, first)
    budget.set_model(tim)
    try:
        for first_epoch, end, steps in spans:
            if first_epoch >= end or budget.progress >= 1.0:
                continue
            start.assign(checkpoints.progress.rounds)
            tim.fit(
                dataset,
                steps_per_epoch=steps,
                initial_epoch=first_epoch,
                epochs=end,
                callbacks=callbacks,
                shuffle=False,
                verbose=verbose,
            )
    finally:
        history.on_train_end()  # closes its file where `fit` has failed
    stop.check()
    # To be used anywhere, also where half precision is slow.
    tim = tim.full_precision()
    save_model(tim, os.path.join(folder, MODEL_FILE))
    return tim, held_out


def _hold_out_as_before(folder, recipe):
    """Chosen once: a folder of pictures may change while a run lasts."""
    names, data = recorded_held_out(folder), recipe.settings.data
    if names and data is not None and not is_tfds(data):
        recipe.settings = dataclasses.replace(recipe.settings, held_out=names)


def _new_model(recipe):
    """A model to train: a new one, or a copy of what it starts from."""
    settings = recipe.settings
    keras.utils.set_random_seed(settings.seed)
    dtype = fastest_dtype() if settings.dtype == "auto" else settings.dtype
    if settings.start is not None:
        tim = _started_from(settings, recipe.model_arguments(), dtype)
    elif settings.trunk is not None:
        tim = _on_trunk(settings, dtype)
    else:
        tim = TIM.from_preset(
            settings.preset,
            **recipe.model_arguments(),
            **settings.model_switches,
            # Other parts have other weights.
            load_weights=False if settings.model_switches else None,
            dtype=dtype,
        )
    recipe.equip(tim)
    tim.compile(
        optimizer=keras.optimizers.Adam(
            settings.learning_rate,
            beta_2=settings.beta_2,
            epsilon=settings.epsilon,
        ),
        distance=settings.distance,
        num_candidates=settings.candidates,
        sampling=settings.sampling,
        images_per_selection=settings.images_per_selection,
        steps_per_selection=settings.steps_per_selection,
        mini_batch_size=settings.mini_batch_size,
        candidate_chunk=settings.candidate_chunk,
        pixel_weight=settings.pixel_weight,
        seed=settings.seed,
    )
    return tim


def _on_trunk(settings, dtype):
    """The preset's model on another trunk."""
    preset = preset_arguments(settings.preset)
    names = (
        "style_dim",
        "mapping_width",
        "mapping_depth",
        "mapping_learning_rate_multiplier",
        "noise_channels",
        "consistency",
        "consistency_blur",
        "style_cell",
        "trunk_learning_rate_multiplier",
    )
    return load_esrgan(
        settings.trunk,
        preset["num_blocks"][0] - preset["plain_blocks"][0],
        **{name: preset[name] for name in names if name in preset},
        dtype=dtype,
    )


def _started_from(settings, arguments, dtype):
    """A copy of a trained model, in the precision that it goes on in."""
    trained = load_run(settings.start)
    if trained.task != settings.task:
        raise ValueError(
            f"`start` must be a model that has learned {settings.task}. "
            f"Received: start={settings.start!r}, which has learned "
            f"{trained.task}"
        )
    tim = TIM(**{**trained.get_config(), **arguments, "dtype": dtype})
    try:
        tim.set_weights(trained.get_weights())
    except ValueError as error:
        raise ValueError(
            f"`start` must be a model for the data's classes. {settings.start} "
            f"has learned {trained.input_channels - 1} classes, the data have "
            f"{tim.input_channels - 1}"
        ) from error
    return tim


def _begin_anew(folder, settings):
    """Removes what an earlier run left, and writes down the settings."""
    # The settings come last: a second run that is stopped in between must not
    # pass for the first one.
    for path in _outputs(folder):
        os.remove(path)
    packages = ("keras-tim", "keras", "tensorflow", "keras-cv", "numpy")
    write_json(
        os.path.join(folder, CONFIG_FILE),
        {
            "settings": settings.jsonable(),
            "packages": {p: importlib.metadata.version(p) for p in packages},
        },
    )


def load_run(path: str | os.PathLike) -> TIM:
    """Loads the model of a run, or a trained preset.

    Args:
        path: a run folder, a `.keras` file, the name of a preset that comes
            with the package, or a preset's folder.

    Returns:
        A `TIM`, not compiled.

    Raises:
        FileNotFoundError: if there is no model at the path.
        ValueError: if the file is damaged or holds something else.
    """
    tim = TIM.from_preset(find_model(path))
    complete(tim, path)
    return tim


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
    warn_of_equal_samples(tim, rows)
    name, given, target = held_out[0]
    size = target.shape[:2]
    sheet = alternatives_sheet(
        f"{name}, {tim.task_definition.title}",
        tim.shown(given),
        tim.sample(given[None], num_samples=8, seed=seed)[0],
        titles=[alternative_name(seed, k) for k in range(8)],
        target=target,
        footer=picture_sentence(rows[0], "alex"),
        baseline=tim.baseline(given, size),
    )
    write_picture(
        os.path.join(folder, "contact_sheet.png"), sheet, {"made": "sheet"}
    )
    write_picture(
        os.path.join(folder, "training_samples.png"),
        sample_sheet(tim, centres(held_out[:4]), 4, seed),
        {"made": "sheet"},
    )
    # Last: it is what tells a finished run.
    write_json(os.path.join(folder, REPORT_FILE), rows)
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
    options = {"seed": recipe.settings.seed, "quality": recipe.quality}
    rows = examples_report(tim, held_out, **options)
    title, crops = recipe.crops(tim, held_out[0])
    if crops:
        parts = examples_report(tim, crops, **options)
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
    return tf.summary.create_file_writer(os.path.join(folder, "logs"))


def _outputs(folder):
    """Paths of what a run has left in a folder."""
    return [
        path
        for pattern in OUTPUTS
        for path in glob.glob(os.path.join(glob.escape(folder), pattern))
    ]


def _checkpoints(folder):
    return os.path.join(folder, "checkpoints")


def _made(path):
    os.makedirs(path, exist_ok=True)
    return path
