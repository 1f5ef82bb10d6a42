"""`RunSettings`: data, model and training of a run."""

import dataclasses
import os
from typing import Any

from keras_tim.checks import integer
from keras_tim.files import read_json, write_json
from keras_tim.models.presets import (
    PARTS,
    PRESET_OF_TASK,
    SHORT_TRAINING,
    named_as_now,
    preset_arguments,
    preset_names,
    preset_training,
)
from keras_tim.models.pretrained import DEFAULT_PRESETS, shipped_presets
from keras_tim.options import check_options, option
from keras_tim.runs.precision import DTYPES
from keras_tim.task_names import TASK_NAMES, spelled_here, task_name

CONFIG_FILE = "config.json"
# Arguments of `TIM` that take the place of the preset's.
MODEL_SETTINGS = (
    "mapping_network",
    "residual_channels",
    "growth_channels",
    "consistency",
)
INPUT_SKIPS = {"none": False, "previous": True, "own": "own"}
_WIDTHS = (
    "width of each level, coarsest first, such as 64,48; by default the "
    "preset's"
)


@dataclasses.dataclass(frozen=True)
class RunSettings:
    """What a run is told; written to `config.json`.

    `RunSettings.of_task` gives what a task's preset is meant to be trained
    with; these defaults are `SHORT_TRAINING`.

    Attributes:
        task: name of the task, one of `keras_tim.task_names.TASK_NAMES`.
        preset: name of the preset, see `TIM.presets`. Where it comes with
            trained weights, training starts from them, unless parts of the
            model are changed.
        start: a trained model to start from, as `load_run` takes it, in place
            of the preset's; or None. The optimizer begins anew.
        trunk: an ESRGAN-type 4x upscaler to stand on, a file as
            `keras_tim.conversion.load_esrgan` takes it, or None. Styles and
            noise are as in the preset that stands on RealSR.
        data: a folder of pictures, "tfds:NAME", "tfds:NAME:SPLIT", or None
            for what the task comes with.
        data_dir: folder of prepared TensorFlow data sets, or None.
        inputs: folder of input pictures for paired images, beside those of
            `data`, which have the same names.
        labels: folder of label maps for layout synthesis, as are the next
            three.
        classes: their classes, see `keras_tim.data.read_classes`.
        size: height and width to resize pictures to, such as "256x512".
        rarity: what `keras-tim rarity` wrote, to train with rebalancing.
        held_out: names of pictures kept from training and shown and measured
            instead; empty means one is chosen. Of a TensorFlow data set
            also splits, such as "train[95%:]".
        downsample: the photos are first reduced by this factor.
        crop_size: side of the training crops in pixels.
        quality: JPEG quality, 1 to 100, at which the photos are compressed
            for repair; other tasks do without it.
        enlarged: share of the crops whose middle is enlarged twice, see
            `keras_tim.data.crop_dataset`.
        degraded: whether super-resolution is given inputs that are blurred,
            noisy and compressed, see `keras_tim.images.degradation`; other
            tasks do without it.
        steps: gradient steps in all.
        minutes: wall-clock limit, or None.
        learning_rate: initial rate of Adam.
        last_rate: share of it that is left at the end of a cosine; 1 keeps
            it constant, as published.
        beta_2: Adam's decay of squared gradients; 0.99 forgets the large ones
            of the start within a short run, 0.999 is as published.
        epsilon: Adam's, 1e-8 as published.
        distance: see `TIM.compile`, as are the next six.
        num_candidates: candidates per image and level, or a tuple of one number
            per level, coarsest first.
        images_per_selection: |S|.
        steps_per_selection: M.
        mini_batch_size: images per gradient step.
        candidate_chunk: candidates generated at a time.
        pixel_weight: factor of the pixel term.
        without: parts that are left out, keys of `PARTS`, to see what they
            are worth. Without "codes" it is a plain regression; without all
            the others it is vanilla cIMLE.
        input_skip: "none", "previous" or "own", for the values of `TIM`, or
            None for what the preset has.
        mapping_network: bool, whether styles pass through a mapping network
            first, or None for what the preset has.
        residual_channels: width of each level, coarsest first, or None for
            the preset's.
        growth_channels: what each convolution of its dense blocks adds, or
            None for the preset's.
        consistency: rounds by which outputs are made to agree with the input,
            see `keras_tim.TIM`, or None for the preset's. Of JPEG repair it
            needs that all inputs are of one quality.
        dtype: dtype policy that is trained in, one of
            `keras_tim.runs.precision.DTYPES`, or "auto" for mixed_bfloat16
            where this machine is faster in it, else float32. The finished
            model is float32 whatever it was trained in.
        seed: from which weights, crops, codes and samples are drawn.
    """

    task: str = option(
        "super_resolution", "what to learn", names=lambda: sorted(TASK_NAMES)
    )
    preset: str = option(
        "super_resolution_x4_nano", "model", names=preset_names
    )
    start: str | None = option(
        None,
        "what to start from in place of fresh weights: a run folder, a .keras "
        "file or a trained preset; also given as --from. A finished run goes "
        "on so, in a folder of its own",
    )
    trunk: str | None = option(
        None,
        "for super-resolution: an ESRGAN-type 4x upscaler (.pth, .safetensors, "
        "ncnn's .param or .bin) that becomes a model of alternatives",
    )
    data: str | None = option(
        None,
        "folder of photos (recursive), or tfds:NAME or tfds:NAME:SPLIT; by "
        "default what the task comes with",
    )
    data_dir: str | None = option(None, "folder of TFDS data sets")
    inputs: str | None = option(
        None,
        "for paired images: folder of inputs, whose names are those of --data",
    )
    labels: str | None = option(None, "for layouts: folder of label maps")
    classes: str | None = option(
        None,
        "for layouts: class file, or camvid, cityscapes (GTA5, too), bdd100k; "
        "by default every id in the maps is a class",
    )
    size: str | None = option(
        None, "for layouts: height and width to resize to, such as 256x512"
    )
    rarity: str | None = option(
        None, "for layouts: what `keras-tim rarity` wrote"
    )
    held_out: tuple[str, ...] = option(
        (),
        "pictures to keep from training and show instead; by default the first "
        "of a folder, chelsea of the bundled photos, and the test split of a "
        "TFDS data set, else validation, else the last tenth. Of such a data "
        "set also splits, such as train[95%:]",
    )
    downsample: int = option(
        SHORT_TRAINING["downsample"],
        "reduce the photos by this factor first",
        least=1,
    )
    crop_size: int = option(
        SHORT_TRAINING["crop_size"],
        "side of the training crops in pixels",
        least=1,
    )
    enlarged: float = option(
        SHORT_TRAINING["enlarged"],
        "share of the crops whose middle is enlarged twice",
    )
    quality: int = option(1, "JPEG quality to learn to repair", 1, 100)
    degraded: bool = option(
        False,
        "for super-resolution: inputs blurred, noisy and compressed, as photos "
        "are that people have",
    )
    steps: int = option(SHORT_TRAINING["steps"], "gradient steps in all", 1)
    minutes: float | None = option(None, "wall-clock limit")
    learning_rate: float = option(
        SHORT_TRAINING["learning_rate"], "Adam's first rate"
    )
    last_rate: float = option(
        SHORT_TRAINING["last_rate"],
        "share of it that is left at the end; 1 keeps it constant",
    )
    beta_2: float = option(SHORT_TRAINING["beta_2"], "Adam's beta_2")
    epsilon: float = option(SHORT_TRAINING["epsilon"], "Adam's epsilon")
    distance: str = option(
        SHORT_TRAINING["distance"],
        "lpips_alex, lpips_vgg, several of these with weights such as "
        "lpips_vgg+0.5*lpips_alex, mean_absolute_error or mean_squared_error",
    )
    num_candidates: int | tuple[int, ...] = option(
        SHORT_TRAINING["num_candidates"],
        "candidate codes per image and level (m), or one number per level, "
        "coarsest first, such as 32,16,8",
        least=1,
    )
    images_per_selection: int = option(
        SHORT_TRAINING["images_per_selection"],
        "images that codes are selected for at once",
        least=1,
    )
    steps_per_selection: int = option(
        SHORT_TRAINING["steps_per_selection"],
        "gradient steps between selections (M)",
        least=1,
    )
    mini_batch_size: int = option(
        SHORT_TRAINING["mini_batch_size"], "images per gradient step", least=1
    )
    candidate_chunk: int = option(
        SHORT_TRAINING["candidate_chunk"],
        "candidates made at a time; bounds the memory",
        least=1,
    )
    pixel_weight: float = option(
        SHORT_TRAINING["pixel_weight"], "factor of the L1 term"
    )
    without: tuple[str, ...] = option(
        (),
        "part to leave out, to see what it is worth; may be repeated",
        choices=tuple(sorted(PARTS)),
    )
    input_skip: str | None = option(
        None,
        "whether levels predict what to add to a picture, where the input is "
        "one: to the previous level's, to their own input, which suits inputs "
        "that are nearly right, or none; by default as the preset has it",
        choices=tuple(INPUT_SKIPS),
    )
    mapping_network: bool | None = option(
        None,
        "pass styles through a mapping network first; by default as the preset "
        "has it",
    )
    residual_channels: tuple[int, ...] | None = option(None, _WIDTHS, least=1)
    growth_channels: tuple[int, ...] | None = option(None, _WIDTHS, least=1)
    consistency: int | None = option(
        None,
        "rounds by which outputs are made to agree with the input, for super-"
        "resolution, JPEG repair and digits; by default as the preset has it",
        least=0,
    )
    dtype: str = option(
        "float32",
        "precision of training; auto is mixed_bfloat16 where this machine is "
        "faster in it. The finished model is float32 in any case",
        choices=(*DTYPES, "auto"),
    )
    seed: int = option(0, "seed of everything")

    def __post_init__(self):
        check_options(self)
        integer("seed", self.seed, least=0)
        for name, spelled in (
            ("task", task_name(self.task)),
            ("preset", spelled_here(self.preset)),
        ):
            object.__setattr__(self, name, spelled)
        preset_task = preset_arguments(self.preset)["task"]
        if preset_task != self.task:
            raise ValueError(
                f"`preset` must be one of the task {self.task!r}. Received: "
                f"preset={self.preset!r}, which is of {preset_task!r}"
            )
        for name in ("start", "trunk"):
            if getattr(self, name) is not None and self.model_switches:
                raise ValueError(
                    f"`{name}` must be None where parts of the model are "
                    f"changed. Received: {name}={getattr(self, name)!r} and "
                    f"{self.model_switches}"
                )
        if self.trunk is not None and (
            self.start is not None
            or preset_arguments(self.preset).get("trunk") is None
        ):
            raise ValueError(
                "`trunk` must be None where `start` is given, or a preset that "
                f"stands on no trunk. Received: trunk={self.trunk!r}, "
                f"start={self.start!r}, preset={self.preset!r}"
            )

    @property
    def model_switches(self):
        """Constructor arguments of `TIM` that differ from the preset's."""
        switches = {}
        for name in MODEL_SETTINGS:
            if getattr(self, name) is not None:
                switches[name] = getattr(self, name)
        if self.input_skip is not None:
            switches["input_skip"] = INPUT_SKIPS[self.input_skip]
        for name in self.without:
            switches |= PARTS[name]
        return switches

    @property
    def sampling(self):
        """How codes are selected, as `TIM.compile` takes it."""
        left_out = {"hierarchical_sampling", "intermediate_supervision"}
        return "vanilla" if left_out & set(self.without) else None

    @property
    def candidates(self):
        """Candidates per image, as `TIM.compile` takes them.

        One where all would be the same. Whole codes, which vanilla sampling
        draws, are as many as those of the level that has the most.
        """
        if "codes" in self.without:
            return 1
        counts = self.num_candidates
        vanilla = self.sampling == "vanilla" and isinstance(counts, tuple)
        return max(counts) if vanilla else counts

    @classmethod
    def of_task(cls, task: str, **chosen: Any) -> "RunSettings":
        """What a task's preset is meant to be trained with, but for the chosen.

        Args:
            task: str, one of `keras_tim.task_names.TASK_NAMES`.
            **chosen: settings; None stands for the preset's own, and for the
                preset that the task has of its own.

        Returns:
            A `RunSettings`.

        Raises:
            ValueError: if the task or the preset is unknown, or they do not
                fit together.
        """
        given = named_as_now({k: v for k, v in chosen.items() if v is not None})
        preset = PRESET_OF_TASK[task_name(task)]
        if "trunk" in given:
            preset = DEFAULT_PRESETS["super_resolution"]
        elif "start" in given:
            preset = _preset_of(given["start"]) or preset
        given.setdefault("preset", preset)
        return cls(task=task, **{**preset_training(given["preset"]), **given})

    def changes(self):
        """Where a run differs from what its preset is and is meant for.

        Returns:
            dict from setting to the preset's value, None where it leaves it
            open, and this one.
        """
        training = preset_training(self.preset)
        preset = {**preset_arguments(self.preset), **training}
        chosen = {name: getattr(self, name) for name in training}
        return {
            name: (preset.get(name), value)
            for name, value in {**chosen, **self.model_switches}.items()
            if preset.get(name) != value
        }

    def description(self):
        """What the preset is trained with, and what differs, as text."""
        changes = self.changes()
        own = {**preset_training(self.preset), **self.model_switches}
        kept = [f"{k}={v}" for k, v in own.items() if k not in changes]
        lines = [f"{self.preset} comes with {', '.join(kept)}."]
        for name, (before, now) in changes.items():
            instead = "" if before is None else f" in place of {before}"
            lines.append(f"Changed: {name}={now}{instead}.")
        return "\n".join(lines)

    def jsonable(self):
        """The settings as JSON gives them back."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in dataclasses.asdict(self).items()
        }


def _preset_of(start):
    """The preset whose training goes with a model to start from, or None."""
    if start in shipped_presets():
        return start
    earlier = load_settings(start)
    return None if earlier is None else earlier.preset


def load_settings(path: str | os.PathLike) -> RunSettings | None:
    """The settings of a run.

    Args:
        path: a run folder.

    Returns:
        A `RunSettings`, or None if the path is no run folder, but a preset,
        say.

    Raises:
        ValueError: if `config.json` is damaged.
    """
    path = os.path.join(os.fspath(path), CONFIG_FILE)
    if not os.path.isfile(path):
        return None
    stored = read_json(path)
    if "weights" in stored:
        return None
    try:
        settings = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in stored["settings"].items()
        }
        return RunSettings(**named_as_now(settings))
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"{path} is damaged, or of another version of this package: {error}"
        ) from error


def record_held_out(folder, names):
    """Writes down what a run holds out, whatever becomes of its data.

    Args:
        folder: a run folder that holds `config.json`.
        names: names of pictures.

    Raises:
        OSError: if the file cannot be written; what was there stays.
    """
    path = os.path.join(folder, CONFIG_FILE)
    write_json(path, {**read_json(path), "held_out": list(names)})


def recorded_held_out(folder):
    """What `record_held_out` wrote.

    Args:
        folder: a run folder.

    Returns:
        Tuple of names, empty if there is no record.

    Raises:
        ValueError: if `config.json` is damaged.
    """
    path = os.path.join(os.fspath(folder), CONFIG_FILE)
    if not os.path.isfile(path):
        return ()
    return tuple(read_json(path).get("held_out", ()))
