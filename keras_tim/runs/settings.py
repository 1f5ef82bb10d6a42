"""What a run is told."""

import dataclasses
import os

import numpy as np

from keras_tim.checks import integer, integers
from keras_tim.data.decompression import check_quality
from keras_tim.models.presets import PARTS, preset_arguments
from keras_tim.recipes import get_recipe
from keras_tim.runs.files import read_json
from keras_tim.runs.precision import DTYPES

CONFIG_FILE = "config.json"
# Arguments of `TIM` that take the place of the preset's.
MODEL_SETTINGS = ("mapping_network", "residual_channels", "growth_channels")
# Integers, some of them one per level.
INTEGERS = (
    "downsample",
    "crop_size",
    "quality",
    "steps",
    "num_samples",
    "images_per_selection",
    "steps_per_selection",
    "mini_batch_size",
    "candidate_chunk",
    "residual_channels",
    "growth_channels",
    "seed",
)


@dataclasses.dataclass(frozen=True)
class RunSettings:
    """What a run is told; written to `config.json`.

    `RunSettings.of_task` gives what suits a task; these defaults suit
    super-resolution.

    Attributes:
        task: name of the task, a key of `keras_tim.recipes.RECIPES`.
        preset: name of the preset, see `TIM.presets`.
        data: a folder of pictures, "tfds:NAME", or None for what the task
            comes with.
        data_dir: folder of prepared TensorFlow data sets, or None.
        labels: folder of label maps for layout synthesis, as are the next
            three.
        classes: their classes, see `keras_tim.data.read_classes`.
        size: height and width to resize pictures to, such as "256x512".
        rarity: what `keras-tim rarity` wrote, to train with rebalancing.
        held_out: names of pictures kept from training and shown and measured
            instead; empty means one is chosen.
        downsample: the photos are first reduced by this factor.
        crop_size: side of the training crops in pixels.
        quality: JPEG quality, 1 to 100, at which the photos are compressed
            for repair; other tasks do without it.
        enlarged: share of the crops whose middle is enlarged twice, see
            `keras_tim.data.crop_dataset`.
        steps: gradient steps in all.
        minutes: wall-clock limit, or None.
        learning_rate: initial rate of Adam.
        beta_2: Adam's decay of squared gradients; 0.99 forgets the large ones
            of the start within a short run, 0.999 is as published.
        distance: see `TIM.compile`, as are the next six.
        num_samples: candidates per image and level, or a tuple of one number
            per level, coarsest first.
        images_per_selection: |S|.
        steps_per_selection: M.
        mini_batch_size: images per gradient step.
        candidate_chunk: candidates generated at a time.
        pixel_weight: factor of the pixel term.
        without: parts that are left out, keys of `PARTS`, to see what they
            are worth. Without "codes" it is a plain regression; without all
            the others it is vanilla cIMLE.
        mapping_network: bool, whether styles pass through a mapping network
            first, or None for what the preset has.
        residual_channels: width of each level, coarsest first, or None for
            the preset's.
        growth_channels: what each convolution of its dense blocks adds, or
            None for the preset's.
        dtype: dtype policy that is trained in, one of
            `keras_tim.runs.precision.DTYPES`, or "auto" for mixed_bfloat16
            where this machine is faster in it, else float32. The finished
            model is float32 whatever it was trained in.
        seed: from which weights, crops, codes and samples are drawn.
    """

    task: str = "super_resolution"
    preset: str = "super_resolution_x4_nano"
    data: str | None = None
    data_dir: str | None = None
    labels: str | None = None
    classes: str | None = None
    size: str | None = None
    rarity: str | None = None
    held_out: tuple = ()
    downsample: int = 1
    crop_size: int = 96
    enlarged: float = 0.0
    quality: int = 1
    steps: int = 1000
    minutes: float | None = None
    learning_rate: float = 1e-3
    beta_2: float = 0.99
    distance: str = "lpips_alex"
    num_samples: int | tuple = 4
    images_per_selection: int = 32
    steps_per_selection: int = 12
    mini_batch_size: int = 8
    candidate_chunk: int = 32
    pixel_weight: float = 0.5
    without: tuple = ()
    mapping_network: bool | None = None
    residual_channels: tuple | None = None
    growth_channels: tuple | None = None
    dtype: str = "float32"
    seed: int = 0

    def __post_init__(self):
        # They are written to JSON, which takes Python's integers alone.
        for name in INTEGERS:
            value = getattr(self, name)
            if np.ndim(value):
                value = integers(name, value)
            elif value is not None:
                value = integer(name, value, least=0 if name == "seed" else 1)
            object.__setattr__(self, name, value)  # it is frozen
        get_recipe(self.task)
        preset_task = preset_arguments(self.preset)["task"]
        if preset_task != self.task:
            raise ValueError(
                f"`preset` must be one of the task {self.task!r}. Received: "
                f"preset={self.preset!r}, which is of {preset_task!r}"
            )
        check_quality(self.quality)
        if self.dtype not in (*DTYPES, "auto"):
            raise ValueError(
                f"`dtype` must be one of {(*DTYPES, 'auto')}. Received: "
                f"dtype={self.dtype!r}"
            )

        unknown = sorted(set(self.without) - set(PARTS))
        if unknown:
            raise ValueError(
                f"`without` must name parts among {sorted(PARTS)}. Received: "
                f"without={self.without!r}, of which {unknown} are unknown"
            )

    @property
    def model_switches(self):
        """Constructor arguments of `TIM` that differ from the preset's."""
        switches = {}
        for name in MODEL_SETTINGS:
            if getattr(self, name) is not None:
                switches[name] = getattr(self, name)
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
        if self.sampling == "vanilla" and isinstance(self.num_samples, tuple):
            return max(self.num_samples)
        return self.num_samples

    @classmethod
    def of_task(cls, task, **chosen):
        """What suits a task, but for what is chosen.

        Args:
            task: str, a key of `keras_tim.recipes.RECIPES`.
            **chosen: settings; None stands for the task's own.

        Returns:
            A `RunSettings`.

        Raises:
            ValueError: if the task or the preset is unknown, or they do not
                fit together.
        """
        given = {k: v for k, v in chosen.items() if v is not None}
        settings = cls(task=task, **{**get_recipe(task).defaults, **given})
        counts = settings.num_samples
        if "num_samples" in given or not isinstance(counts, tuple):
            return settings
        # Another preset than the task's own may have other levels.
        arguments = preset_arguments(settings.preset)
        levels = len(arguments["residual_channels"])
        counts = (*counts, *[counts[-1]] * levels)[:levels]
        return dataclasses.replace(settings, num_samples=counts)

    def jsonable(self):
        """The settings as JSON gives them back."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in dataclasses.asdict(self).items()
        }


def load_settings(path):
    """The settings of a run.

    Args:
        path: a run folder.

    Returns:
        A `RunSettings`, or None if the path is no run folder.

    Raises:
        ValueError: if `config.json` is damaged.
    """
    path = os.path.join(os.fspath(path), CONFIG_FILE)
    if not os.path.isfile(path):
        return None
    stored = read_json(path)
    try:
        settings = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in stored["settings"].items()
        }
        return RunSettings(**settings)
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"{path} is damaged, or of another version of this package: {error}"
        ) from error
