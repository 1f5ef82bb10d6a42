"""A run: a folder that holds a model, how it came about and how it looks."""

import dataclasses
import importlib.metadata
import importlib.util
import os

import keras
from absl import logging

from keras_tim.data import held_out_pictures, super_resolution_dataset
from keras_tim.inference.alternatives import alternatives_sheet
from keras_tim.inference.pictures import write_picture
from keras_tim.models.tim import TIM
from keras_tim.runs.callbacks import (
    BudgetedCosineDecay,
    Checkpoints,
    SampleSheets,
    Scalars,
    sample_sheet,
)
from keras_tim.runs.files import read_json, save_model, write_json
from keras_tim.runs.report import (
    averaged,
    crops_of,
    report_table,
    super_resolution_report,
)

MODEL_FILE = "model.keras"
DEFAULT_HELD_OUT = "chelsea"
EPOCHS = 10
REPORT_CROP = 64


@dataclasses.dataclass(frozen=True)
class RunSettings:
    """What a run is told; written to `config.json`.

    Attributes:
        task: name of the task; "super_resolution".
        preset: name of the preset, see `TIM.presets`.
        data: a folder of pictures, "tfds:NAME", or None for the photos bundled
            with scikit-image.
        data_dir: folder of prepared TensorFlow data sets, or None.
        held_out: names of pictures kept from training and shown and measured
            instead; empty means one is chosen.
        downsample: the photos are first reduced by this factor.
        crop_size: side of the training crops in pixels.
        steps: gradient steps in all.
        minutes: wall-clock limit, or None.
        learning_rate: initial rate of Adam.
        beta_2: Adam's decay of squared gradients; 0.99 forgets the large ones
            of the start within a short run, 0.999 is as published.
        distance: see `TIM.compile`, as are the next six.
        num_samples: candidates per image and level.
        images_per_selection: |S|.
        steps_per_selection: M.
        mini_batch_size: images per gradient step.
        candidate_chunk: candidates generated at a time.
        pixel_weight: factor of the pixel term.
        seed: from which weights, crops, codes and samples are drawn.
    """

    task: str = "super_resolution"
    preset: str = "super_resolution_x4_nano"
    data: str | None = None
    data_dir: str | None = None
    held_out: tuple = ()
    downsample: int = 1
    crop_size: int = 96
    steps: int = 1000
    minutes: float | None = None
    learning_rate: float = 1e-3
    beta_2: float = 0.99
    distance: str = "lpips_alex"
    num_samples: int = 4
    images_per_selection: int = 32
    steps_per_selection: int = 12
    mini_batch_size: int = 8
    candidate_chunk: int = 32
    pixel_weight: float = 0.5
    seed: int = 0

    def __post_init__(self):
        if self.task != "super_resolution":
            raise ValueError(
                "`task` must be 'super_resolution', the task whose training "
                f"data are made from plain photos. Received: {self.task!r}"
            )
        if not self.preset.startswith(f"{self.task}_"):
            raise ValueError(
                f"`preset` must be one of the task {self.task!r}. Received: "
                f"{self.preset!r}"
            )


def train(folder, settings, overwrite=False, verbose=1):
    """Trains a model into a run folder, or goes on where it was stopped.

    The folder gets `config.json`, `checkpoints/`, `logs/` (TensorBoard),
    `history.csv`, `pictures/` (samples as training goes), and at the end
    `model.keras`, `contact_sheet.png`, `difference_map.png` and `report.json`.

    Args:
        folder: str or path.
        settings: a `RunSettings`.
        overwrite: bool, whether to begin anew where a run is in the folder.
        verbose: as in `keras.Model.fit`.

    Returns:
        The trained `TIM`.

    Raises:
        FileExistsError: if the folder holds a finished run, or one with other
            settings, and `overwrite` is False.
        ValueError: if a setting is out of range or no picture is usable.
    """
    folder = os.fspath(folder)
    tim, state = _begin(folder, settings, overwrite)
    held_out, excluded = _held_out(settings, tim.scale)
    dataset = super_resolution_dataset(
        settings.data,
        scale=tim.scale,
        crop_size=settings.crop_size,
        batch_size=settings.images_per_selection,
        # A resumed run sees other crops than those it has already seen.
        seed=settings.seed + state["epochs"],
        repeat=True,
        exclude=excluded,
        data_dir=settings.data_dir,
        downsample=settings.downsample,
        num_levels=tim.num_levels,
    )
    rounds = -(-settings.steps // settings.steps_per_selection)
    rounds_per_epoch = max(1, round(rounds / EPOCHS))
    budget = BudgetedCosineDecay(
        settings.steps, settings.minutes, state["seconds"]
    )
    writer = _summary_writer(folder)
    callbacks = [
        budget,
        SampleSheets(
            _made(folder, "pictures"), _centres(held_out[:4]), writer=writer
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
        "Training %s (%s parameters) on %s, holding out %s. The first step "
        "takes longer: TensorFlow traces it.",
        settings.preset,
        f"{tim.count_params():,}",
        settings.data or "the photos bundled with scikit-image",
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
    save_model(tim, os.path.join(folder, MODEL_FILE))
    _finish(folder, tim, held_out, settings)
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
    return _load(path, compile=False)


def _load(path, compile):
    try:
        model = keras.models.load_model(path, compile=compile)
    except (ValueError, OSError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} is damaged or not a model of this package: {error}"
        ) from error
    if not isinstance(model, TIM):
        raise ValueError(f"{path} holds a {type(model).__name__}, not a TIM.")
    return model


def _begin(folder, settings, overwrite):
    """The model to train, and how far it has come."""
    config = os.path.join(folder, "config.json")
    latest = os.path.join(folder, "checkpoints", "latest.keras")
    if os.path.exists(config) and not overwrite:
        if os.path.exists(os.path.join(folder, MODEL_FILE)):
            raise FileExistsError(
                f"{folder} holds a finished run. Choose another folder, or "
                "begin anew with --overwrite."
            )
        earlier = read_json(config)["settings"]
        today = _jsonable(settings)
        changed = sorted(k for k in today if earlier.get(k) != today[k])
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
            return _load(latest, compile=True), state
    elif overwrite and os.path.exists(os.path.join(folder, MODEL_FILE)):
        # Gone first: a stopped second run must not pass for the first one.
        os.remove(os.path.join(folder, MODEL_FILE))

    keras.utils.set_random_seed(settings.seed)
    tim = TIM.from_preset(settings.preset)
    tim.compile(
        optimizer=keras.optimizers.Adam(
            settings.learning_rate, beta_2=settings.beta_2
        ),
        distance=settings.distance,
        num_samples=settings.num_samples,
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
            "settings": _jsonable(settings),
            "packages": {p: importlib.metadata.version(p) for p in packages},
        },
    )
    return tim, {"epochs": 0, "steps": 0, "seconds": 0.0}


def _held_out(settings, scale):
    """Held-out pictures, and the names that training leaves out."""
    arguments = {
        "scale": scale,
        "data_dir": settings.data_dir,
        "downsample": settings.downsample,
    }
    names = settings.held_out
    if not names and settings.data is None:
        names = (DEFAULT_HELD_OUT,)
    if names:
        pictures = held_out_pictures(settings.data, only=names, **arguments)
        return pictures, names
    # TFDS has a test split of its own; of a folder the first one is taken.
    pictures = held_out_pictures(settings.data, **arguments)[:1]
    if settings.data.startswith("tfds:"):
        return pictures, ()
    return pictures, (pictures[0][0],)


def _centres(pictures, side=96):
    """Centres of large pictures, so that sheets stay quick to make."""
    return [
        (name, *_centre(given, target, side))
        for name, given, target in pictures
    ]


def _centre(given, target, side):
    factor = target.shape[0] // given.shape[0]
    height, width = (min(n, side // factor) for n in given.shape[:2])
    top = (given.shape[0] - height) // 2
    left = (given.shape[1] - width) // 2
    low = given[top : top + height, left : left + width]
    top, left, height, width = (factor * n for n in (top, left, height, width))
    return low, target[top : top + height, left : left + width]


def _finish(folder, tim, held_out, settings):
    """Contact sheet, difference map and report of the finished model."""
    rows = held_out_report(tim, held_out, settings)
    write_json(os.path.join(folder, "report.json"), rows)
    name, given, target = held_out[0]
    row = rows[0]
    sheet = alternatives_sheet(
        f"{name}, {tim.scale}x super-resolution",
        given,
        tim.sample(given[None], num_samples=8, seed=settings.seed)[0],
        target=target,
        footer=(
            "LPIPS-alex to the observed picture: bicubic "
            f"{row['lpips_bicubic']:.3f}, alternatives "
            f"{row['lpips_mean']:.3f} on average, best "
            f"{row['lpips_best']:.3f}; between alternatives "
            f"{row['lpips_diversity']:.3f}. Downsampled again they agree with "
            f"the input to {row['lr_psnr']:.1f} dB."
        ),
    )
    write_picture(os.path.join(folder, "contact_sheet.png"), sheet)
    write_picture(
        os.path.join(folder, "training_samples.png"),
        sample_sheet(tim, _centres(held_out[:4]), 4, settings.seed),
    )
    logging.info("Held-out pictures:\n%s", report_table(rows))


def held_out_report(tim, held_out, settings):
    """Measures of whole held-out pictures, and of the first one's crops.

    Over a whole picture the best of a few samples is little better than the
    mean, since each is better in some places and worse in others: crops show
    what there is to choose from.

    Args:
        tim: a `TIM`.
        held_out: list of `(name, input [h, w, 3], target [H, W, 3])`.
        settings: the run's `RunSettings`.

    Returns:
        List of dicts, see `super_resolution_report`.
    """
    rows = super_resolution_report(tim, held_out, seed=settings.seed)
    name, _, target = held_out[0]
    size = REPORT_CROP - REPORT_CROP % tim.scale
    crops = crops_of(target, tim.scale, size)
    if crops:
        parts = super_resolution_report(tim, crops, seed=settings.seed)
        title = f"{name}, {len(crops)} crops of {size} px"
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


def _jsonable(settings):
    """The settings as JSON gives them back."""
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in dataclasses.asdict(settings).items()
    }
