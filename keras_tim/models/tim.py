"""The Tower Implicit Model."""

import functools
import inspect
import os
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_tim.assets.trunks import read_trunk
from keras_tim.checks import (
    check_unit_range,
    integer,
    integer_or_several,
    integers,
    unit_range_assertion,
)
from keras_tim.layers.clipping import clip_straight_through
from keras_tim.layers.tower import TowerModule
from keras_tim.models import choosing
from keras_tim.models.folding import copy_folded
from keras_tim.models.inputs import (
    check_codes,
    check_divides,
    check_inputs,
    check_pictures,
    check_seeds,
    check_temperature,
)
from keras_tim.models.presets import (
    preset_arguments,
    preset_names,
    preset_training,
)
from keras_tim.models.pretrained import (
    MODEL_FILE,
    preset_folder,
    read_preset,
    save_preset,
    shipped_presets,
)
from keras_tim.models.pretrained import (
    load_weights as load_weights_of_preset,
)
from keras_tim.models.trunk import set_trunk
from keras_tim.perceptual.hypercolumns import Hypercolumns
from keras_tim.tasks import get_task
from keras_tim.tasks.pyramid import doubled

ARCHITECTURES = ("camnet", "hyperrim")
# Keys of codes have 64 bits, of which 5 are the level's and the kind's.
LARGEST_INDEX = 2**58 - 1
_FIT = inspect.signature(keras.Model.fit)

# TensorFlow is imported where codes are drawn and where training happens: the
# layers and the forward pass run on every Keras backend.


@keras.saving.register_keras_serializable(package="keras_tim")
class TIM(keras.Model):
    """Tower Implicit Model (CAM-Net): one input, many plausible outputs.

    A tower of generators, one per level, coarsest first. Each level takes its
    input, a latent code of its own (a style vector and spatial noise) and the
    feature of the level below, and gives an output of its own. Different codes
    give different outputs; conditional IMLE (see `compile`) trains the model
    so that they cover what the observed output might have been.

    Pictures are float32, channels last, RGB in [0, 1]. Batch, height and
    width may be unknown.

    Args:
        task: str, "super_resolution", "colourization", "decompression",
            "layout_synthesis" or "mnist". Decides what the levels read and
            where their outputs are taken.
        residual_channels: sequence of int, one per level; its length is the
            number of levels.
        growth_channels: sequence of int, growth of the dense blocks per
            level.
        num_blocks: int, RRDBs per level, or a sequence of one int per level.
        input_channels: int or None for the task's own (needed for layouts:
            the number of classes, and one for "other"; `classes` tell it).
        style_dim: int, size of each level's style vector.
        noise_channels: int or None for the task's own (5; layouts 10).
        mapping_width: int, units of the mapping networks.
        mapping_depth: int, layers of the mapping networks.
        mapping_learning_rate_multiplier: float, see
            `keras_tim.layers.MappingNetwork`.
        mapping_gain: float, its `gain`; 0.1 as published.
        feature_scale: float or None for the task's own (0.1; layouts 1.0),
            factor on the feature handed to the next level.
        residual_scale: float, factor on the residual branches.
        weight_norm: bool, whether convolutions are weight-normalised.
        mapping_network: bool, whether styles pass through one.
        intermediate_supervision: bool, whether every level's output is held
            against the target; otherwise the last one alone.
        input_skip: bool or "own", whether every level predicts a residual in
            [-1, 1]: the first over its input, the later ones over the previous
            output, enlarged to the level's size; with "own" all over their
            own inputs. Off in the published models.
        stochastic: bool, whether the codes are used. Without them the model
            is a plain regression, all of whose samples are the same: what
            cIMLE is measured against.
        architecture: "camnet" or "hyperrim". They differ in decompression,
            where HyperRIM has two more convolutions at the last level.
        plain_blocks: int or sequence of one int per level: how many of the
            first RRDBs neither style nor noise reaches. They run once per
            picture, however many candidates are made of it. Published: 0.
        normalization: "instance" or "none": whether features are normalised
            before they are modulated, see `keras_tim.layers.Modulation`.
            Published: "instance".
        style_cell: int or None. None, as published: one style vector for the
            whole picture. An int: a map of them, one per square cell of so
            many pixels of the first level's input, smoothly interpolated; in
            training every cell gets its own nearest candidate.
        output_activation: "tanh", as published, or "linear".
        consistency: int, rounds by which every level's output is made to agree
            with the input, as its last step (see the task); for MNIST that of
            the last level, once `set_components` was called. Published: 0.
        num_resize_convolutions: int or sequence of one int per level:
            convolutions behind the enlargement. Published: 2.
        modulated_head: bool or sequence of one bool per level: whether a level
            without blocks has its head modulated. Published: False.
        guidance: None or "vgg": whether every level also reads VGG16's
            features of the given picture, see
            `keras_tim.perceptual.Hypercolumns`. For colourization, where what
            a thing is decides. Published: None.
        guidance_channels: int, channels of these features.
        trunk_learning_rate_multiplier: float in (0, 1], factor on the
            learning rate of what a trunk brought along, see
            `keras_tim.conversion.load_esrgan`. Published: 1.
        trunk: None, or the name of the published upscaler whose plain blocks
            these are ("realsr_df2k"): presets do not store them again.
        freeze_plain: bool, whether the plain blocks and the head before them
            stay as they are in training, which then runs them only once per
            image and selection.
        classes: for layouts: the `keras_tim.data.Classes` of the label maps
            that the layouts are made of, or its rows; the model keeps the
            rows. What reads label maps for it, such as an export, goes by
            them. None where there are no label maps: the layouts' channels
            then have no other meaning than their numbers.
        **kwargs: passed to `keras.Model` (`name`, `dtype`).

    Example:
    >>> tim = TIM.from_preset("super_resolution_x4_nano")
    >>> small = keras.random.uniform((2, 16, 24, 3), seed=0)
    >>> tim.sample(small, num_samples=8, seed=0).shape
    (2, 8, 64, 96, 3)

    Reference:
        - [Peng et al., 2021](https://arxiv.org/abs/2106.09015) (CAM-Net)
        - [Li* et al., 2020](https://arxiv.org/abs/2004.03590) (HyperRIM)
    """

    def __init__(
        self,
        task: str = "super_resolution",
        residual_channels: Sequence[int] = (128, 64, 64, 64),
        growth_channels: Sequence[int] = (256, 192, 128, 64),
        num_blocks: int | Sequence[int] = 6,
        input_channels: int | None = None,
        style_dim: int = 128,
        noise_channels: int | None = None,
        mapping_width: int = 512,
        mapping_depth: int = 8,
        mapping_learning_rate_multiplier: float = 0.01,
        mapping_gain: float = 1.0,
        feature_scale: float | None = None,
        residual_scale: float = 0.2,
        weight_norm: bool = True,
        mapping_network: bool = True,
        intermediate_supervision: bool = True,
        input_skip: bool | str = False,
        stochastic: bool = True,
        architecture: str = "camnet",
        plain_blocks: int | Sequence[int] = 0,
        normalization: str = "instance",
        style_cell: int | None = None,
        output_activation: str = "tanh",
        consistency: int = 0,
        num_resize_convolutions: int | Sequence[int] = 2,
        modulated_head: bool | Sequence[bool] = False,
        guidance: str | None = None,
        guidance_channels: int = 32,
        trunk_learning_rate_multiplier: float = 1.0,
        trunk: str | None = None,
        freeze_plain: bool = False,
        classes: Any = None,
        **kwargs: Any,
    ) -> None:
        # Inputs stay float32 under mixed precision: the sub-layers cast for
        # themselves, and the skip keeps every grey level.
        super().__init__(autocast=False, **kwargs)
        self._task = get_task(task)
        task = self._task.name
        residual_channels = integers("residual_channels", residual_channels)
        growth_channels = integers("growth_channels", growth_channels)
        if len(residual_channels) != len(growth_channels):
            raise ValueError(
                "`residual_channels` and `growth_channels` must have one "
                "entry per level each. Received: "
                f"residual_channels={residual_channels}, "
                f"growth_channels={growth_channels}"
            )
        if not residual_channels:
            raise ValueError(
                "`residual_channels` must name at least one level. Received: "
                f"residual_channels={residual_channels}"
            )
        if architecture not in ARCHITECTURES:
            raise ValueError(
                f"`architecture` must be one of {ARCHITECTURES}. Received: "
                f"architecture={architecture!r}"
            )
        if input_skip and not self._task.supports_input_skip:
            raise ValueError(
                "`input_skip` needs a task whose inputs are pictures like its "
                f"outputs. Received: input_skip={input_skip}, task={task!r}"
            )
        if guidance not in (None, "vgg"):
            raise ValueError(
                '`guidance` must be None or "vgg". Received: '
                f"guidance={guidance!r}"
            )
        if guidance and not self._task.supports_guidance:
            raise ValueError(
                f"`guidance` must be None for task {task!r}. Received: "
                f"guidance={guidance!r}"
            )
        if not 0 < trunk_learning_rate_multiplier <= 1:
            raise ValueError(
                "`trunk_learning_rate_multiplier` must lie in (0, 1]. "
                "Received: trunk_learning_rate_multiplier="
                f"{trunk_learning_rate_multiplier}"
            )
        if consistency and not self._task.supports_consistency:
            raise ValueError(
                f"`consistency` must be 0 for task {task!r}, which has no such "
                f"step. Received: consistency={consistency}"
            )
        if classes is not None:
            classes, input_channels = self._known_classes(
                classes, task, input_channels
            )
        if input_channels is None and self._task.input_channels is None:
            raise ValueError(
                f"`input_channels` or `classes` must be given for task "
                f"{task!r}: the number of classes, and one for 'other'. "
                f"Received: input_channels={input_channels}"
            )
        self.task = task
        self.residual_channels = residual_channels
        self.growth_channels = growth_channels
        self.num_blocks = integer_or_several("num_blocks", num_blocks, least=0)
        self.plain_blocks = integer_or_several(
            "plain_blocks", plain_blocks, least=0
        )
        self.normalization = normalization
        self.style_cell = (
            None if style_cell is None else integer("style_cell", style_cell)
        )
        self.output_activation = output_activation
        self.consistency = integer("consistency", consistency, least=0)
        self.num_resize_convolutions = integer_or_several(
            "num_resize_convolutions", num_resize_convolutions, least=0
        )
        self.modulated_head = modulated_head
        self.guidance = guidance
        self.guidance_channels = integer("guidance_channels", guidance_channels)
        self.trunk_learning_rate_multiplier = trunk_learning_rate_multiplier
        self.trunk = trunk
        self.freeze_plain = freeze_plain
        self.input_channels = (
            self._task.input_channels
            if input_channels is None
            else integer("input_channels", input_channels)
        )
        self.style_dim = integer("style_dim", style_dim)
        self.noise_channels = (
            self._task.noise_channels
            if noise_channels is None
            else integer("noise_channels", noise_channels)
        )
        self.mapping_width = integer("mapping_width", mapping_width)
        self.mapping_depth = integer("mapping_depth", mapping_depth, least=0)
        self.mapping_learning_rate_multiplier = mapping_learning_rate_multiplier
        self.mapping_gain = mapping_gain
        self.feature_scale = (
            self._task.feature_scale if feature_scale is None else feature_scale
        )
        self.residual_scale = residual_scale
        self.weight_norm = weight_norm
        self.mapping_network = mapping_network
        self.intermediate_supervision = intermediate_supervision
        self.input_skip = input_skip
        self.stochastic = stochastic
        self.architecture = architecture
        self.classes = classes

        self._wiring = self._task.wiring(self.num_levels, architecture)
        self.guide = None
        if guidance:
            self.guide = Hypercolumns(
                guidance_channels,
                self.num_levels,
                name="level_guide",
                dtype=self.dtype_policy,
            )
            self.guide.build()
            self.guide.built = True
        self.known = None
        if consistency and self._task.known_shape:
            self.known = self.add_weight(
                shape=self._task.known_shape,
                initializer="zeros",
                trainable=False,
                name="level_known",
            )
        self.tower = [self._module(level) for level in range(self.num_levels)]
        if freeze_plain:
            for module in self.tower:
                for layer in module.plain_layers():
                    layer.trainable = False
        self.built = True
        # Without `compile` Keras would choose XLA for `predict` where there is
        # a GPU, and XLA draws other codes than `sample` does.
        self.jit_compile = False
        self._imle = None
        self._has_metrics = False
        self._trackers = {}
        self._sample_function = None
        self._generator = self._begin_function = self._one_function = None
        self._tiled_sampler = None

    @staticmethod
    def _known_classes(classes, task, input_channels):
        """Rows of the classes, and the input channels that follow."""
        # The rest comes up without TensorFlow.
        from keras_tim.data.classes import Classes

        if task != "layout_synthesis":
            raise ValueError(
                "`classes` must be None but for layout synthesis. Received: "
                f"task={task!r} and classes"
            )
        if not isinstance(classes, Classes):
            classes = Classes(classes)
        if input_channels not in (None, classes.num_channels):
            raise ValueError(
                "`input_channels` must be the number of `classes`, and one for "
                f"'other': {classes.num_channels}. Received: "
                f"input_channels={input_channels}"
            )
        return tuple(classes.rows), classes.num_channels

    def _module(self, level):
        wiring = self._wiring[level]
        module = TowerModule(
            self.residual_channels[level],
            self.growth_channels[level],
            num_blocks=self._of_level("num_blocks", level),
            plain_blocks=self._of_level("plain_blocks", level),
            num_resize_convolutions=self._of_level(
                "num_resize_convolutions", level
            ),
            modulated_head=self._of_level("modulated_head", level),
            normalization=self.normalization,
            # The pixels of a level are half as large as those of the one
            # below: every level has the same cells.
            style_cell=self.style_cell and self.style_cell * 2**level,
            output_activation=self.output_activation,
            output_channels=self._task.output_channels,
            resize=wiring.resize,
            output_before_resize=wiring.output_before_resize,
            mapping_width=self.mapping_width,
            mapping_depth=self.mapping_depth,
            mapping_learning_rate_multiplier=(
                self.mapping_learning_rate_multiplier
            ),
            mapping_gain=self.mapping_gain,
            mapping_network=self.mapping_network,
            residual_scale=self.residual_scale,
            weight_norm=self.weight_norm,
            # A residual starts near zero, so that training starts from the
            # input itself.
            output_gain=0.1 if self.input_skip else 1.0,
            name=f"level{level}",
            dtype=self.dtype_policy,
        )
        channels = self.input_channels
        if self._task.chained and level > 0:
            channels = self._task.output_channels
        elif self.input_skip and level > 0:
            channels += self._task.output_channels
        if self.guidance:
            channels += self.guidance_channels
        module.build(
            (None, None, None, channels),
            (None, None, None, self.style_dim)
            if self.style_cell
            else (None, self.style_dim),
            (None, None, None, self.noise_channels),
            (None, None, None, self.residual_channels[level - 1])
            if level > 0
            else None,
        )
        return module

    def _of_level(self, name, level):
        """An argument that is one value, or one per level."""
        value = getattr(self, name)
        if not isinstance(value, list | tuple):
            return value
        if len(value) != self.num_levels:
            raise ValueError(
                f"`{name}` must be one value, or one for each of the "
                f"{self.num_levels} levels. Received: {name}={value}"
            )
        return value[level]

    @classmethod
    def from_preset(
        cls,
        name: str | os.PathLike,
        load_weights: bool | None = None,
        **overrides: Any,
    ) -> "TIM":
        """Builds a model of a named size.

        Args:
            name: str, one of `TIM.presets()`; or the path of a preset's
                folder, as `save_to_preset` writes it, of a run folder that
                has finished training, or of a `.keras` file.
            load_weights: bool or None. True: trained weights, or an error
                where the preset has none. False: fresh ones. None: trained
                ones where the preset has them.
            **overrides: constructor arguments that replace the preset's.

        Returns:
            A `TIM`.

        Raises:
            ValueError: if there is no such preset, or it has no trained
                weights.
            keras_tim.models.pretrained.PresetError: if its files are missing
                or damaged, or its weights do not fit the overrides.
            keras_tim.models.model_file.ModelFileError: if a `.keras` file is
                damaged or holds something else.
            keras_tim.perceptual.WeightsError: if what it stands on can be had
                neither from the cache nor from the package index.
        """
        name = os.fspath(name)
        folder = preset_folder(name)
        if folder is None and os.path.exists(name):
            in_folder = os.path.join(name, MODEL_FILE)
            path = in_folder if os.path.isfile(in_folder) else name
            if os.path.isfile(path):
                return cls._of_file(path, load_weights, overrides)
            folder = name  # and its files will be missed
        if folder is None:
            arguments = preset_arguments(name)
            if load_weights:
                raise ValueError(
                    "`load_weights` must not be True for a preset without "
                    "trained weights; those of "
                    f"{sorted(shipped_presets())} are trained. "
                    f"Received: name={name!r}"
                )
            return cls._of_preset(arguments, overrides)
        config = read_preset(folder)
        tim = cls._of_preset(config["model"], overrides)
        if load_weights or load_weights is None:
            load_weights_of_preset(tim, folder, config)
        return tim

    @classmethod
    def _of_file(cls, path, load_weights, overrides):
        """The model of a `.keras` file, or one like it."""
        from keras_tim.models.model_file import load_tim

        saved = load_tim(path)
        if load_weights is not False and not overrides:
            return saved
        tim = cls(**{**saved.get_config(), **overrides})
        if load_weights is False:
            return tim
        shapes = [[w.shape for w in model.weights] for model in (saved, tim)]
        if shapes[0] != shapes[1]:
            raise ValueError(
                f"the weights of {path} belong to another model than the "
                "overrides make. Give `load_weights=False` to change the "
                f"architecture. Received: {overrides}"
            )
        tim.set_weights(saved.get_weights())
        return tim

    @classmethod
    def _of_preset(cls, arguments, overrides):
        """A new model that computes its trunk's pictures, if it has one."""
        arguments = {**arguments, **overrides}
        if overrides.get("classes") is not None:
            # These tell it, not the preset.
            arguments["input_channels"] = overrides.get("input_channels")
        tim = cls(**arguments)
        if tim.trunk is not None:
            set_trunk(tim, read_trunk(tim.trunk))
        return tim

    def save_to_preset(
        self,
        folder: str | os.PathLike,
        card: dict | None = None,
        dtype: str = "float16",
        training: dict | None = None,
    ) -> None:
        """Writes this model as a preset, which `from_preset` reads.

        Args:
            folder: str or path, made if missing.
            card: dict of what its users should know: data and licences,
                recipe, measures, what it must not be used for.
            dtype: "float16" or "float32", in which weights are stored.
            training: dict of what it is meant to be trained on with, the
                settings of `keras_tim.runs.RunSettings`, or None.

        Raises:
            ValueError: if the weights are not finite.
            OSError: if a file cannot be written.
        """
        save_preset(self, folder, card, dtype, training)

    @staticmethod
    def presets() -> list[str]:
        """Names that `from_preset` takes."""
        return preset_names()

    @staticmethod
    def training_settings(name: str) -> dict[str, Any]:
        """Arguments of `compile` that a preset is meant to be trained with.

        For "paper" and "hyperrim" they are the published ones: LPIPS with
        VGG16, 120 candidates per level, groups of 320 or 400 images, 10,000
        steps of Adam on single images between selections.

        Args:
            name: str, one of `TIM.presets()`.

        Returns:
            dict. Its optimizer is new; `keras-tim train` also lets the rate
            of the small presets fall along a cosine.

        Raises:
            ValueError: if there is no such preset.

        Example:
        >>> tim = TIM.from_preset("colourization_nano")
        >>> tim.compile(**TIM.training_settings("colourization_nano"))
        """
        training = preset_training(name)
        arguments = {
            argument: training[argument]
            for argument in (
                "distance",
                "num_samples",
                "images_per_selection",
                "steps_per_selection",
                "mini_batch_size",
                "candidate_chunk",
                "pixel_weight",
            )
        }
        arguments["optimizer"] = keras.optimizers.Adam(
            training["learning_rate"],
            beta_2=training["beta_2"],
            epsilon=training["epsilon"],
        )
        return arguments

    @staticmethod
    def data_settings(name: str) -> dict[str, Any]:
        """Arguments of `keras_tim.data` that go with `training_settings`.

        Args:
            name: str, one of `TIM.presets()`.

        Returns:
            dict: `batch_size`, which is the group that codes are selected for
            at once; and what the task's data set takes of `downsample`,
            `crop_size` and `enlarged`.

        Raises:
            ValueError: if there is no such preset.

        Example:
        >>> data = TIM.data_settings("colourization_nano")
        >>> photos = keras_tim.data.colourization_dataset("PHOTOS", **data)
        """
        training = preset_training(name)
        of_photos = ("downsample", "crop_size", "enlarged")
        return {
            "batch_size": training["images_per_selection"],
            **{key: training[key] for key in of_photos if key in training},
        }

    @property
    def num_levels(self) -> int:
        """Number of levels of the tower."""
        return len(self.residual_channels)

    @property
    def has_plain_blocks(self) -> bool:
        """Whether the samples of an input share more than the input."""
        return self._of_level("plain_blocks", 0) > 0

    @property
    def scale(self) -> int:
        """Size of the last output relative to the first level's input."""
        factor = 2 ** (self.num_levels - 1)
        return factor * self._wiring[-1].output_factor

    @property
    def output_factor(self) -> int:
        """Size of the last output relative to the one picture given."""
        return (
            self.scale if self._task.chained else self._wiring[-1].output_factor
        )

    @property
    def input_multiple(self) -> int:
        """What the sides of the finest level's input must be multiples of."""
        return 1 if self._task.chained else 2 ** (self.num_levels - 1)

    @property
    def supervised_levels(self) -> list[int]:
        """Levels whose output is held against the target, coarsest first."""
        if self.intermediate_supervision:
            return list(range(self.num_levels))
        return [self.num_levels - 1]

    # -- Forward pass ------------------------------------------------------

    def call(self, inputs, codes=None, begun=None):
        """Every level's output in the network's own space.

        Args:
            inputs: float tensor `[batch, height, width, channels]`. For tasks
                whose every level reads an input of its own: the finest
                level's, from which the coarser ones are made, or a list of
                them over levels, coarsest first.
            codes: list over levels of `(style [n, style_dim],
                noise [n, height, width, noise_channels])`. Where n is a
                multiple of the batch, input i is used for the n / batch codes
                from i * n / batch on, as `draw_codes` lays them out.
                With `style_cell` a style is a map `[n, rows, columns,
                style_dim]`.
            begun: what `begin_level` returned for level 0 and these inputs,
                or None to make it.

        Returns:
            List over levels of float32 tensors `[n, height, width, channels]`:
            RGB in [0, 1]; for colourization the two predicted channels in
            [-1, 1].
        """
        inputs = check_inputs(self, inputs)
        if codes is None:
            raise ValueError(
                "`codes` must be given: a model has as many outputs for an "
                "input as there are codes. `tim.sample(inputs, num_samples=8, "
                "seed=0)` draws pictures; `tim.draw_codes(inputs, "
                "num_samples=8, seed=0)` draws codes for `tim(inputs, codes)`. "
                "Received: codes=None"
            )
        check_codes(self, inputs, codes)
        guides = self.guides(inputs)
        if begun is None and self.has_plain_blocks:
            begun = self.begin_level(
                0, self.level_input(0, inputs, None, guides[0])
            )
        inputs = _repeat_for(inputs, codes)
        if self.guide is not None:
            guides = _repeat_for(guides, codes)
        if begun is not None:
            begun = _repeat_for(begun, codes)
        outputs = []
        output, feature = None, None
        for level, code in enumerate(codes):
            output, feature = self.run_level(
                level,
                self.level_input(level, inputs, output, guides[level]),
                feature,
                code,
                observed=self.observed(level, inputs),
                begun=begun if level == 0 else None,
            )
            outputs.append(output)
        return outputs

    def begin_level(self, level, level_input, previous_feature=None):
        """What all candidates of a level have in common, made once for them.

        Args:
            level: int.
            level_input: tensor, see `level_input`.
            previous_feature: the feature that the level below returned, or
                None at level 0.

        Returns:
            Tuple of tensors `[batch, ...]` that `run_level` takes as `begun`.
        """
        arguments = [self._seen(level, level_input)]
        if previous_feature is not None:
            arguments.append(self.feature_scale * previous_feature)
        return self.tower[level].begin(*arguments)

    def _seen(self, level, level_input):
        if self._task.chained and level > 0:
            # Level 0 reads pictures in [0, 1], the later ones the previous
            # level's tanh.
            return 2.0 * level_input - 1.0
        return level_input

    def observed(self, level, inputs):
        """The one of the given pictures that a level's output agrees with.

        Args:
            level: int.
            inputs: list of tensors.

        Returns:
            Tensor `[batch, height, width, channels]`.
        """
        return inputs[0 if self._task.chained else level]

    @property
    def fixed_size(self):
        """Height and width that inputs must have, None where any will do."""
        return None if self.known is None else self._task.known_size

    def set_components(self, components):
        """Tells a model of MNIST which components its inputs keep.

        From then on every output has the coordinates that were given, but for
        what clipping takes (see `consistency`).

        Args:
            components: array `[10, 784]`, the first rows of
                `keras_tim.data.PrincipalComponents.basis`, orthonormal.

        Raises:
            ValueError: if the model does not use them, or they are not as
                described.
        """
        if self.known is None:
            raise ValueError(
                'Only models for task "mnist" whose `consistency` is not 0 use '
                f"components. Received: task={self.task!r}, "
                f"consistency={self.consistency}"
            )
        components = np.asarray(components, np.float32)
        shape = tuple(self.known.shape)
        if components.shape != shape[::-1] or not np.allclose(
            components @ components.T, np.eye(shape[1]), atol=1e-4
        ):
            raise ValueError(
                f"`components` must be {shape[1]} orthonormal rows of "
                f"{shape[0]} entries. Received: an array of shape "
                f"{components.shape}"
            )
        self.known.assign(components.T)

    def guides(self, inputs):
        """What guides the levels, see `guidance`.

        Args:
            inputs: list of tensors `[batch, height, width, channels]`.

        Returns:
            List over levels of tensors `[batch, height, width,
            guidance_channels]`, or of None where there is no guidance.
        """
        if self.guide is None:
            return [None] * self.num_levels
        picture = self._task.guiding_picture(inputs[-1])
        return self.guide(picture, sizes=self.noise_sizes(inputs))

    def level_input(self, level, inputs, previous_output, guide=None):
        """What a level reads: its own input, or the previous level's output.

        With `input_skip`, a level that has an input of its own reads both, the
        previous output enlarged and behind its own input, which the task may
        smooth.

        Args:
            level: int.
            inputs: list of tensors `[batch, height, width, channels]`.
            previous_output: the previous level's output in the network's own
                space, or None at level 0.
            guide: the level's of `guides`, or None to make it.

        Returns:
            Tensor `[batch, height, width, channels]`: pictures in [0, 1], and
            behind them what guides the level.
        """
        if self._task.chained and level > 0:
            return previous_output
        seen = [inputs[level]]
        if self.input_skip and level > 0:
            if self.input_skip != "own":
                seen = [self._task.beside_previous(inputs[level], level)]
            seen.append(doubled(previous_output))
        if self.guide is not None:
            guide = self.guides(inputs)[level] if guide is None else guide
            seen.append(ops.cast(guide, "float32"))
        return ops.concatenate(seen, axis=-1) if len(seen) > 1 else seen[0]

    def run_level(
        self,
        level,
        level_input,
        previous_feature,
        code,
        observed=None,
        begun=None,
    ):
        """Runs one level of the tower.

        Args:
            level: int.
            level_input: tensor `[batch, height, width, channels]`, see
                `level_input`.
            previous_feature: the feature that the level below returned, or
                None at level 0.
            code: tuple `(style, noise)`.
            observed: what the output has to agree with, see `observed`; only
                needed with `consistency`.
            begun: what `begin_level` returned, or None to make it.

        Returns:
            Tuple `(output, feature)`: the output in the network's own space
            and the feature for the next level.
        """
        style, noise = code
        if not self.stochastic:
            style, noise = ops.zeros_like(style), ops.zeros_like(noise)
        arguments = [self._seen(level, level_input), style, noise]
        if previous_feature is not None:
            arguments.append(self.feature_scale * previous_feature)
        raw, feature = self.tower[level](*arguments, begun=begun)
        linear = self.output_activation == "linear"
        output = raw if linear else self._task.to_output(raw)
        if self.input_skip:
            # to_output maps [-1, 1] to [0, 1]: its slope applied to the
            # residual is raw / 2.
            own = self.input_skip == "own"
            output = self._task.skip(level_input, own) + raw / 2.0
        if self.consistency and self._task.agrees_at(level, self.num_levels):
            factor = 2 ** (level + 1) if self._task.chained else 1
            output = self._task.agreeing(
                output, observed, factor, self.consistency, self.known
            )
        if self.input_skip or linear or self.consistency:
            output = clip_straight_through(output, self._task.output_range)
        return output, feature

    def output_shapes(self, level, batch, noise_size):
        """Shapes of `run_level`'s output and feature.

        Args:
            level: int.
            batch: int or scalar tensor.
            noise_size: `(height, width)` of the level's input.

        Returns:
            Tuple of two shape tuples.
        """
        return self.tower[level].compute_output_shape(
            None, None, (batch, *noise_size, self.noise_channels)
        )

    def noise_sizes(self, inputs):
        """Height and width of every level's input and so of its noise.

        Args:
            inputs: as in `call`.

        Returns:
            List over levels of `(height, width)`: ints where they are known,
            else scalar tensors.
        """
        if not isinstance(inputs, list | tuple):
            inputs = check_inputs(self, inputs)
        sizes = []
        for level in range(self.num_levels):
            source = 0 if self._task.chained else level
            _, height, width, _ = ops.shape(inputs[source])
            factor = 2**level if self._task.chained else 1
            sizes.append((height * factor, width * factor))
        return sizes

    def style_sizes(self, inputs):
        """Rows and columns of every level's map of styles.

        Args:
            inputs: as in `call`.

        Returns:
            List over levels of `(rows, columns)`; empty tuples without
            `style_cell`.
        """
        return self.style_map_sizes(self.noise_sizes(inputs))

    def style_map_sizes(self, noise_sizes):
        """`style_sizes` from what `noise_sizes` returned."""
        if not self.style_cell:
            return [()] * self.num_levels
        return [
            tuple(-(-n // (self.style_cell * 2**level)) for n in size)
            for level, size in enumerate(noise_sizes)
        ]

    def decode(self, inputs, codes, begun=None):
        """Every level's output as RGB pictures.

        Args:
            inputs: as in `call`.
            codes: as in `call`.
            begun: as in `call`.

        Returns:
            List over levels of float32 tensors `[n, height, width, 3]` in
            [0, 1].
        """
        inputs = check_inputs(self, inputs)
        outputs = self(inputs, codes, begun=begun)
        inputs = _repeat_for(inputs, codes)
        return [
            self.to_picture(output, self.observed(level, inputs))
            for level, output in enumerate(outputs)
        ]

    def to_picture(self, output, level_input):
        """One level's output as RGB pictures.

        Args:
            output: tensor `[n, height, width, channels]` in the network's own
                space.
            level_input: what the level read, `[n, height, width, channels]`.

        Returns:
            float32 tensor `[n, height, width, 3]` in [0, 1].
        """
        return self._task.to_picture(output, level_input)

    # -- Sampling ----------------------------------------------------------

    def draw_codes(
        self,
        inputs: Any,
        num_samples: int,
        seed: int | Sequence[int] | np.ndarray,
        temperature: float = 1.0,
        first: int = 0,
    ) -> list[tuple[Any, Any]]:
        """Draws latent codes from N(0, I).

        Sample k of input i depends on `(seed_i, k)` and the picture's size
        alone: not on the batch, nor on how many samples are asked for.

        Args:
            inputs: as in `call`; only the sizes matter.
            num_samples: int, codes per input.
            seed: int, the same for every input, or ints `[batch]`.
            temperature: float, factor on the codes, see `sample`.
            first: int, the first sample's number k; the others follow it.

        Returns:
            List over levels of `(style [batch * num_samples, style_dim],
            noise [batch * num_samples, height, width, noise_channels])`,
            float32; the samples of one input stand together.
        """
        from keras_tim.imle import codes

        inputs = check_inputs(self, inputs)
        num_samples = integer("num_samples", num_samples)
        check_temperature(temperature)
        first = integer("first", first, least=0, most=LARGEST_INDEX)
        batch = ops.shape(inputs[0])[0]
        numbers = first + ops.arange(num_samples, dtype="int64")
        drawn = codes.draw_codes(
            check_seeds(seed, batch),
            ops.tile(numbers[None, :], (batch, 1)),
            self.noise_sizes(inputs),
            self.style_dim,
            self.noise_channels,
            style_sizes=self.style_sizes(inputs),
        )
        return [
            (temperature * style, temperature * noise) for style, noise in drawn
        ]

    def sample(
        self,
        inputs: Any,
        num_samples: int = 8,
        seed: int | Sequence[int] | np.ndarray = 0,
        batch_size: int = 1,
        temperature: float = 1.0,
        verbose: int = 0,
        first: int = 0,
        tile: int | str | None = None,
    ) -> np.ndarray:
        """Draws alternatives.

        Sample k of input i depends on `(seed_i, k)` alone: not on the batch,
        nor on how many are asked for, nor on `batch_size`.

        Args:
            inputs: pictures `[batch, height, width, channels]`, float in
                [0, 1], or a list of them over levels, coarsest first.
            num_samples: int, alternatives per input.
            seed: int, the same for every input, or ints `[batch]`.
            batch_size: int, how many alternatives are made at a time; bounds
                the memory. At 1 a sample is the same to the last bit in any
                batch, and from any export, which differs by rounding where
                there are `plain_blocks`; more are faster, and may differ from
                that by rounding.
            temperature: float from 0 on, factor on the codes: below 1 the
                alternatives differ less, and 0 gives the best guess, whatever
                the seed.
            verbose: 1 shows a progress bar.
            first: int, the first sample's number k; the others follow it.
            tile: None: pictures are made whole, in memory that grows with
                them. An int: in overlapping tiles of so many pixels of the
                output on a side, codes and statistics being those of the whole
                picture, so that it is the same picture but for rounding and a
                trace of the tiles' borders, see `keras_tim.models.tiles`.
                "auto": in tiles where a picture needs more than 2 GB.

        Returns:
            float32 NumPy array `[batch, num_samples, height, width, 3]` in
            [0, 1].

        Raises:
            ValueError: if an argument has a wrong rank, number of channels,
                type or range.
        """
        import tensorflow as tf

        first = integer("first", first, least=0, most=LARGEST_INDEX)
        listed = isinstance(inputs, list | tuple)
        if tile is not None:
            tiled = self._sampled_in_tiles(
                inputs, num_samples, seed, temperature, verbose, first, tile
            )
            if tiled is not None:
                return tiled
        inputs = check_inputs(self, inputs)
        num_samples = integer("num_samples", num_samples)
        batch_size = integer("batch_size", batch_size)
        # What exports do not take is made as in a batch: coarser levels'
        # inputs that are given, and other precisions.
        exact = (
            batch_size == 1
            and self.compute_dtype == "float32"
            and (len(inputs) == 1 or not listed)
        )
        check_temperature(temperature)
        make = self._one_sampled() if exact else self._batch_sampled()
        temperature = tf.constant(temperature, tf.float32)
        batch = int(inputs[0].shape[0])
        seeds = np.asarray(check_seeds(seed, batch))
        if not batch:
            return np.zeros((0, num_samples, *self._size(inputs), 3), "float32")
        rows = np.repeat(np.arange(batch), num_samples)
        numbers = first + np.arange(num_samples, dtype="int64")
        indices = np.tile(numbers, batch)
        bar = keras.utils.Progbar(len(rows)) if verbose else None
        samples = None
        for start in range(0, len(rows), batch_size):
            stop = min(start + batch_size, len(rows))
            chunk = rows[start:stop]
            pictures = make(
                inputs,
                chunk,
                tf.constant(seeds[chunk]),
                tf.constant(indices[start:stop]),
                temperature,
            ).numpy()
            if samples is None:
                samples = np.empty(
                    (len(rows), *pictures.shape[1:]), dtype="float32"
                )
            samples[start:stop] = pictures
            if bar:
                bar.update(stop)
        return samples.reshape(batch, num_samples, *samples.shape[1:])

    def _sampled_in_tiles(
        self, inputs, num_samples, seed, temperature, verbose, first, tile
    ):
        """What `sample` returns; None where pictures are to be made whole."""
        if isinstance(inputs, list | tuple):
            if len(inputs) != 1:
                raise ValueError(
                    "`tile` must be None where coarser levels' inputs are "
                    f"given: tiles take the finest one. Received: tile={tile}"
                )
            (inputs,) = inputs
        finest = np.asarray(
            check_pictures(inputs, self.input_channels, "inputs")
        )
        check_divides(finest, self.input_multiple)
        num_samples = integer("num_samples", num_samples)
        check_temperature(temperature)
        seeds = np.asarray(check_seeds(seed, len(finest)))
        sampler = self.tiled_sampler()
        tile = sampler.tile_of(tile, *finest.shape[1:3])
        if tile is None or not len(finest):
            return None
        size = [self.output_factor * n for n in finest.shape[1:3]]
        samples = np.empty((len(finest), num_samples, *size, 3), "float32")
        bar = (
            keras.utils.Progbar(len(finest) * num_samples) if verbose else None
        )
        for row, (given, seed) in enumerate(zip(finest, seeds, strict=True)):
            for number in range(num_samples):
                index = first + number
                top = 0
                for rows in sampler.rows(given, seed, index, tile, temperature):
                    samples[row, number, top : top + len(rows)] = rows
                    top += len(rows)
                if bar:
                    bar.add(1)
        return samples

    def tiled_sampler(self):
        """What makes pictures of any size, with the weights as they are now.

        Returns:
            A `keras_tim.models.tiles.TiledSampler`.
        """
        from keras_tim.models.tiles import TiledSampler

        self._one_sampled()
        if self._tiled_sampler is None:
            self._tiled_sampler = TiledSampler(self, self._generator)
        return self._tiled_sampler

    def _size(self, inputs):
        """Height and width of the last level's output."""
        noise_size = self.noise_sizes(inputs)[-1]
        return self.output_shapes(self.num_levels - 1, 0, noise_size)[0][1:3]

    def _one_sampled(self):
        """A function like `_sample_pictures` for one, as exports make it."""
        import tensorflow as tf

        from keras_tim.export.generator import Generator

        if self._generator is None:
            self._generator = Generator(self)
            one = tf.TensorSpec([None, None, self.input_channels])
            self._begin_function = tf.function(
                self._generator.begin, input_signature=[one], autograph=False
            )
            self._one_function = tf.function(
                self._generator.sample_begun,
                reduce_retracing=True,
                autograph=False,
            )
        self._generator.update(self)
        # Of the input whose turn it is, for all of its samples.
        kept = {}

        def make(inputs, rows, seeds, indices, temperature):
            (row,) = rows
            given = inputs[-1][row]
            if row not in kept:
                kept.clear()
                kept[row] = self._begin_function(given)
            made = self._one_function(
                given, kept[row], seeds[0], indices[0], temperature
            )
            return made[None]

        return make

    def _batch_sampled(self):
        """`_sample_pictures`, compiled."""
        import tensorflow as tf

        if self._sample_function is None:
            self._sample_function = tf.function(
                self._sample_pictures, reduce_retracing=True, autograph=False
            )

        def make(inputs, rows, seeds, indices, temperature):
            return self._sample_function(
                [tf.gather(x, rows) for x in inputs],
                seeds,
                indices,
                temperature,
            )

        return make

    def _sample_pictures(self, inputs, seeds, indices, temperature):
        """One picture `[n, height, width, 3]` per (input, seed, index)."""
        from keras_tim.imle import codes

        drawn = codes.draw_codes(
            seeds,
            indices[:, None],
            self.noise_sizes(inputs),
            self.style_dim,
            self.noise_channels,
            style_sizes=self.style_sizes(inputs),
        )
        scaled = [
            (temperature * style, temperature * noise) for style, noise in drawn
        ]
        return self.decode(inputs, scaled)[-1]

    # -- Choosing ----------------------------------------------------------

    def vary(self, codes, amount, seed, levels=None, temperature=1.0):
        """Codes near given ones: more like this.

        `sqrt(1 - amount^2) * code + amount * draw`, with a new draw from
        N(0, I): what comes out is distributed as draws are. Whatever the
        seed, the draw is none that `draw_codes` gives. Of what was varied
        already, vary with another seed: the same would mix in the same again.

        Args:
            codes: as `draw_codes` lays them out, list over levels of `(style
                [n, style_dim], noise [n, height, width, noise_channels])`,
                with `style_cell` the styles `[n, rows, columns, style_dim]`.
            amount: float in [0, 1]. 0 gives the same codes, 1 others that are
                independent of them.
            seed: int: code k is mixed with what depends on it and on k alone.
                Or ints `[n]`, one for every code, as if that were the only
                one. Or for a single code ints `[m]`, to get m variations.
            levels: ints, the levels to vary, 0 the coarsest, -1 the finest;
                the others' codes stay the same to the last bit. All by
                default.
            temperature: float, that of the codes, see `sample`.

        Returns:
            Codes laid out like `codes`, float32, for `decode`; n of them, or
            m.

        Raises:
            ValueError: if an argument is not as described.

        Example:
        >>> tim = TIM.from_preset("super_resolution_x4_nano")
        >>> small = keras.random.uniform((1, 16, 24, 3), seed=0)
        >>> chosen = tim.draw_codes(small, num_samples=1, seed=3)
        >>> codes = tim.vary(chosen, 0.3, seed=range(8), levels=[-1])
        >>> tim.decode(small, codes)[-1].shape
        TensorShape([8, 64, 96, 3])
        """
        return choosing.vary(self, codes, amount, seed, levels, temperature)

    def interpolate(self, a, b, t):
        """Codes between two: the way from one alternative to another.

        Every style and noise goes along the arc between its ends, at a
        constant speed. On the straight line between them, which passes nearer
        to zero, the variance would fall to half. Where the ends are equal
        nothing changes.

        Args:
            a: codes, as `draw_codes` lays them out.
            b: as many codes, for pictures of the same size.
            t: float in [0, 1]. 0 gives `a`, 1 gives `b`, both to the last bit.

        Returns:
            Codes laid out alike, float32, for `decode`.

        Raises:
            ValueError: if an argument is not as described.
        """
        return choosing.interpolate(self, a, b, t)

    def combine(self, codes, masks):
        """Chooses by region: codes of one picture from several alternatives'.

        Noise, and the map of styles where there is one (`style_cell`), are
        those of each alternative where its mask is 1. In between they are
        mixed and divided by the standard deviation of the mixture, so that it
        has the variance of a draw. `decode` then makes the picture in one
        pass, in which what lies side by side is fitted together.

        Without `style_cell` a picture has one style for every level. It is
        mixed too, each alternative counting by the area of its mask: the
        regions differ in noise alone, and none looks quite as it did.

        Args:
            codes: as `draw_codes` lays them out, those of an input's n
                alternatives together. `keras_tim.models.choosing.take` and
                `join` select and collect them.
            masks: array `[n, height, width]`, the same for all inputs, or
                `[batch, n, height, width]`, of the input's or the output's
                size, or of another in the same proportion. Bools or numbers
                from 0 on: what they are relative to their sum counts, which
                must not be 0 anywhere.

        Returns:
            Codes of one picture per input, `[batch, ...]`, float32, for
            `decode`. With a mask of ones, and zeros for the others, the
            alternative's own to the last bit.

        Raises:
            ValueError: if an argument is not as described.

        Example:
        >>> tim = TIM.from_preset("super_resolution_x4_lite")
        >>> small = keras.random.uniform((1, 16, 24, 3), seed=0)
        >>> codes = tim.draw_codes(small, num_samples=2, seed=0)
        >>> left = np.linspace(1, 0, 24)[None, :].repeat(16, axis=0)
        >>> mixed = tim.combine(codes, [left, 1 - left])
        >>> tim.decode(small, mixed)[-1].shape
        TensorShape([1, 64, 96, 3])
        """
        return choosing.combine(self, codes, masks)

    def invert(
        self,
        inputs,
        targets,
        steps=100,
        learning_rate=0.1,
        seed=0,
        distance="lpips_vgg",
        num_starts=4,
        frames=8,
        shell_width=2.0,
        verbose=1,
    ):
        """Looks for codes whose outputs come nearest to given ones.

        Gradient descent over all levels' codes, from the nearest of a few
        that `seed` draws. How near it comes is the recall of the targets; how
        well the pictures on the way agree with the input is the precision of
        what lies between (appendix A of the paper). Codes are held near the
        shell where draws from N(0, I) lie: farther out anything could be
        reached.

        Args:
            inputs: as in `call`.
            targets: pictures `[batch, height, width, 3]`, float in [0, 1], of
                the size of the last level's output.
            steps: int, steps of Adam.
            learning_rate: float, its first rate; it falls to zero along a
                cosine.
            seed: int, the same for every input, or ints `[batch]`.
            distance: as in `compile`. Part of what is gained only the
                network descended under sees; with AlexNet most of it.
            num_starts: int, draws of which the nearest is where it starts:
                `sample`'s first ones.
            frames: int, how many pictures of the way to keep.
            shell_width: float, how far from the shell the style and the noise
                of every level may each lie, in standard deviations of a
                draw's distance from the centre.
            verbose: 1 shows a progress bar.

        Returns:
            A `keras_tim.models.inversion.Inversion`: `codes`, `distances`,
            `losses`, `pictures`, `path` and `path_steps`.

        Raises:
            ValueError: if an argument has a wrong rank, size, type or range.
        """
        from keras_tim.models.inversion import invert

        return invert(
            self,
            inputs,
            targets,
            steps,
            learning_rate,
            seed,
            distance,
            num_starts,
            frames,
            shell_width,
            verbose,
        )

    # -- Training ----------------------------------------------------------

    def compile(
        self,
        optimizer: Any = "adam",
        distance: Any = "lpips_vgg",
        num_candidates: int | Sequence[int] = 120,
        sampling: str | None = None,
        images_per_selection: int | None = None,
        steps_per_selection: int = 1,
        mini_batch_size: int | None = None,
        candidate_chunk: int = 16,
        pixel_weight: float = 0.0,
        seed: int = 0,
        metrics: list | None = None,
        weighted_metrics: list | None = None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: bool | str = False,
        auto_scale_loss: bool = True,
        loss: Any = None,
        loss_weights: None = None,
        num_samples: int | Sequence[int] | None = None,
    ) -> None:
        """Prepares training by conditional IMLE (Algorithm 1).

        Every batch that `fit` delivers is treated thus: for each group of
        `images_per_selection` images, draw codes, keep for each image the ones
        whose output comes nearest to the target, and take
        `steps_per_selection` gradient steps on mini-batches of the group with
        the codes held fixed.

        `fit` takes inputs and targets. The targets are one tensor, the finest
        level's, or a tuple over levels, coarsest first; from a single one the
        coarser ones are made by antialiased bicubic downsampling. Its
        `sample_weight` is one of two: `[batch]`, by which images count in the
        loss; or `[batch, height, width]` of the finest target's size, by which
        pixels count, within their image, in the loss and in selection.

        Args:
            optimizer: name or `keras.optimizers.Optimizer`.
            distance: "lpips_vgg", "lpips_alex", a `keras_tim.LPIPS`, a
                `keras.losses.Loss`, whose reduction does not count, or a
                callable `(pictures, targets) -> [batch]` of RGB in [0, 1].
                Values per pixel are averaged over every picture.
            num_candidates: int, or a sequence of one int per level: the
                candidates m drawn per image at each level.
            sampling: "hierarchical" (level by level, each by its own
                distance) or "vanilla" (whole codes, by the sum of the
                supervised levels' distances). None means hierarchical where
                every level is supervised, else vanilla.
            images_per_selection: int or None for the whole batch: |S|.
            steps_per_selection: int, M.
            mini_batch_size: int or None for |S| / M rounded up, which passes
                once through the group.
            candidate_chunk: int, candidates (of any image) generated at a
                time; bounds the memory of selection.
            pixel_weight: float, factor of the mean absolute difference added
                to the distance in loss and selection. 0 as published.
            seed: int, from which all of training's codes are drawn.
            metrics: list of names, functions `(targets, pictures)` or
                `keras.metrics.Metric`, as in `keras.Model.compile`. They hold
                the picture that `predict` makes of every input, which knows
                nothing of the target, against the finest target; during `fit`
                the one that it would make before the batch's steps.
            weighted_metrics: the same, weighted by `sample_weight`.
            run_eagerly: as in `keras.Model.compile`.
            steps_per_execution: as in `keras.Model.compile`.
            jit_compile: as in `keras.Model.compile`. XLA leaves out the check
                that pictures lie in [0, 1], and draws other codes than are
                drawn without it.
            auto_scale_loss: as in `keras.Model.compile`.
            loss: another name of `distance`.
            loss_weights: must be None: the levels count alike.
            num_samples: an earlier name of `num_candidates`.

        Raises:
            ValueError: if an argument is out of range, or hierarchical
                sampling is asked of a model without intermediate supervision.
        """
        from keras_tim.imle.training import ConditionalIMLE

        if loss_weights is not None:
            raise ValueError(
                "`loss_weights` must be None: TIM is trained by the sum of "
                "`distance` over its levels. Received: "
                f"loss_weights={loss_weights!r}"
            )
        distance = _one_of("distance", distance, "loss", loss, "lpips_vgg")
        num_candidates = _one_of(
            "num_candidates", num_candidates, "num_samples", num_samples, 120
        )
        imle = ConditionalIMLE(
            self.num_levels,
            self.supervised_levels,
            distance=distance,
            num_candidates=num_candidates,
            sampling=sampling,
            images_per_selection=images_per_selection,
            steps_per_selection=steps_per_selection,
            mini_batch_size=mini_batch_size,
            candidate_chunk=candidate_chunk,
            pixel_weight=pixel_weight,
            seed=seed,
        )
        super().compile(
            optimizer=optimizer,
            # Keras would keep those of an earlier call in place of None.
            metrics=metrics or [],
            weighted_metrics=weighted_metrics or [],
            run_eagerly=run_eagerly,
            steps_per_execution=integer(
                "steps_per_execution", steps_per_execution
            ),
            jit_compile=jit_compile,
            auto_scale_loss=auto_scale_loss,
        )
        # The model is built, so optimizer and metrics can be: variables made
        # while the step is traced would have it traced twice.
        self.optimizer.build(self.trainable_variables)
        picture = keras.KerasTensor((None, None, None, 3))
        for metric in self._given_metrics():
            metric.build(picture, picture)
        self._has_metrics = bool(metrics or weighted_metrics)
        self._auto_scale_loss = auto_scale_loss
        self._imle = imle
        names = ["loss", "gradient_norm"]
        if len(self.supervised_levels) > 1:
            names += [f"loss_level{i}" for i in self.supervised_levels]
        names += [f"selected_distance_level{i}" for i in self.supervised_levels]
        self._trackers = {name: keras.metrics.Mean(name=name) for name in names}

    @property
    def metrics(self):
        """Trackers and metrics, reset by Keras before every epoch."""
        given = self._given_metrics() if self._has_metrics else []
        return [*self._trackers.values(), *given]

    def _given_metrics(self):
        """What `compile` was given, which Keras holds together in one."""
        # Its own trackers are not used, and ours stand among the rest.
        return [
            metric
            for metric in super().metrics
            if not isinstance(metric, keras.metrics.Mean)
        ]

    @property
    def nonfinite_step(self) -> int | None:
        """The gradient step at which training diverged, None if it did not.

        The first step of the last `fit`, counted from 1, whose loss or
        gradient was not finite. Such steps change no weights. Not told under
        a `tf.distribute` strategy.
        """
        return int(self._imle.nonfinite_step.numpy()) or None

    def make_train_function(self, force=False):
        # Its weights are read outside of the graph that is traced next.
        self._imle.distance.build(channels=3)
        self._imle.nonfinite_step.assign(0)
        return super().make_train_function(force=force)

    def make_test_function(self, force=False):
        self._imle.distance.build(channels=3)
        return super().make_test_function(force=force)

    @functools.wraps(keras.Model.fit)
    def fit(self, *args, **kwargs):
        from keras_tim.imle.remapping import without_remapping

        given = _FIT.bind(self, *args, **kwargs).arguments
        if "shuffle" not in given and not _is_shuffled(given.get("x")):
            # Keras would warn that it is ignored.
            kwargs["shuffle"] = False
        with without_remapping():
            return super().fit(*args, **kwargs)

    @functools.wraps(keras.Model.predict)
    def predict(self, x, *args, **kwargs):
        given = x if isinstance(x, list | tuple) else [x]
        arrays = [array for array in given if hasattr(array, "shape")]
        # Before the step, which under XLA cannot.
        for array in arrays:
            check_unit_range("x", array)
        if arrays and arrays[0].shape and arrays[0].shape[0] == 0:
            size = self._size(check_inputs(self, x))
            return np.zeros((0, *size, 3), "float32")
        try:
            return super().predict(x, *args, **kwargs)
        except UnboundLocalError as error:  # Keras, where there is no batch
            raise ValueError(
                f"`x` must give at least one batch. Received: x={x}"
            ) from error

    def train_step(self, data):
        """One round of Algorithm 1 on one batch."""
        return self._step(data, self._imle.train)

    def test_step(self, data):
        """Losses at the selected codes, from the same seed for every image."""
        results = self._step(data, self._imle.test)
        del results["gradient_norm"]
        return results

    def _step(self, data, step):
        """Runs a step of training or testing, and updates the metrics."""
        from keras_tim.imle.loops import one_at_least, unless_empty

        inputs, targets, sample_weight = self._unpack(data)

        def update():
            # Before the weights change.
            pictures = self._predicted_in_groups(inputs)
            batch = one_at_least(inputs, targets, sample_weight)
            step(self, *batch, self._trackers)
            if pictures is not None:
                several = isinstance(targets, list | tuple)
                finest = targets[-1] if several else targets
                self.compute_metrics(inputs, finest, pictures, sample_weight)

        unless_empty(inputs, update)
        return super().get_metrics_result()

    def get_metrics_result(self):
        """Values of the metrics; of training's own where there was some.

        Keras tells these where they have the names of what a step returned,
        and else that. Replicas that had different numbers of images count
        alike in a step's, images do in these.
        """
        import tensorflow as tf

        results = super().get_metrics_result()
        norm = self._trackers.get("gradient_norm")
        known = norm is not None and tf.executing_eagerly()
        if known and not ops.convert_to_numpy(norm.count):
            del results[norm.name]
        return results

    def _predicted_in_groups(self, inputs):
        """What metrics are given, in the memory of selection."""
        if not self._has_metrics:
            return None
        from keras_tim.imle.loops import map_in_groups, one_at_least

        pictures = map_in_groups(
            self._predicted,
            one_at_least(inputs)[0],
            self._imle.candidate_chunk,
        )
        return pictures[: ops.shape(inputs[0])[0]]

    def _predicted(self, inputs):
        codes = self.draw_codes(inputs, num_samples=1, seed=0)
        return self.decode(inputs, codes)[-1]

    def predict_step(self, data):
        """Sample 0 of seed 0 of every input, `[batch, height, width, 3]`."""
        import tensorflow as tf

        inputs, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        inputs = check_inputs(self, inputs)
        checks = [unit_range_assertion("inputs", x) for x in inputs]
        with tf.control_dependencies([c for c in checks if c is not None]):
            inputs = [tf.identity(x) for x in inputs]

        def nothing():
            return tf.zeros((0, *self._size(inputs), 3))

        # TensorFlow's convolutions may fail on empty batches.
        batch = inputs[0].shape[0]
        if batch is None:
            return tf.cond(
                tf.shape(inputs[0])[0] > 0,
                lambda: self._predicted(inputs),
                nothing,
            )
        return self._predicted(inputs) if batch else nothing()

    def _unpack(self, data):
        inputs, targets, sample_weight = keras.utils.unpack_x_y_sample_weight(
            data
        )
        if targets is None:
            raise ValueError(
                "TIM is trained on pairs: `fit` and `evaluate` need inputs "
                "and targets. Received only inputs."
            )
        return check_inputs(self, inputs), targets, sample_weight

    # -- Saving ------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "task": self.task,
            "residual_channels": self.residual_channels,
            "growth_channels": self.growth_channels,
            "num_blocks": self.num_blocks,
            "input_channels": self.input_channels,
            "style_dim": self.style_dim,
            "noise_channels": self.noise_channels,
            "mapping_width": self.mapping_width,
            "mapping_depth": self.mapping_depth,
            "mapping_learning_rate_multiplier": (
                self.mapping_learning_rate_multiplier
            ),
            "mapping_gain": self.mapping_gain,
            "feature_scale": self.feature_scale,
            "residual_scale": self.residual_scale,
            "weight_norm": self.weight_norm,
            "mapping_network": self.mapping_network,
            "intermediate_supervision": self.intermediate_supervision,
            "input_skip": self.input_skip,
            "stochastic": self.stochastic,
            "architecture": self.architecture,
            "plain_blocks": self.plain_blocks,
            "normalization": self.normalization,
            "style_cell": self.style_cell,
            "output_activation": self.output_activation,
            "consistency": self.consistency,
            "num_resize_convolutions": self.num_resize_convolutions,
            "modulated_head": self.modulated_head,
            "guidance": self.guidance,
            "guidance_channels": self.guidance_channels,
            "trunk_learning_rate_multiplier": (
                self.trunk_learning_rate_multiplier
            ),
            "trunk": self.trunk,
            "freeze_plain": self.freeze_plain,
            "classes": self.classes,
        }

    def get_compile_config(self):
        """What `compile` was given, for the `.keras` file."""
        if self._imle is None:
            return None
        config = super().get_compile_config()
        del config["loss"], config["loss_weights"]
        return {
            **config,
            "auto_scale_loss": self._auto_scale_loss,
            **self._imle.get_config(),
        }

    def compile_from_config(self, config):
        """Compiles as the saved model was, and readies the optimizer."""
        # Registers the distances that files name.
        import keras_tim.imle.distances  # noqa: F401

        config = dict(config)
        distance = config.pop("distance")
        if isinstance(distance, dict):
            distance = keras.saving.deserialize_keras_object(distance)
        self.compile(
            distance=distance, **keras.saving.deserialize_keras_object(config)
        )

    def folded(self) -> "TIM":
        """This model with plain kernels in place of weight normalisation.

        Returns:
            A new `TIM` with `weight_norm=False` and the same outputs: what
            to export and deploy.
        """
        if not self.weight_norm:
            return self
        plain = TIM(**{**self.get_config(), "weight_norm": False})
        copy_folded(self, plain)
        return plain

    def full_precision(self) -> "TIM":
        """This model with all of its computation in float32.

        Returns:
            The model itself where it is float32 already, else a new `TIM`
            with the same weights, compiled alike if this one is; its
            optimizer begins anew.
        """
        if self.dtype_policy.name == "float32":
            return self
        full = TIM(**{**self.get_config(), "dtype": "float32"})
        full.set_weights(self.get_weights())
        if self.compiled:
            # A copy of the distance would have to find its weights again.
            distance = self._imle.distance.distance
            full.compile_from_config(
                {**self.get_compile_config(), "distance": distance}
            )
        return full

    def export(
        self,
        filepath: str | os.PathLike,
        format: str = "tf_saved_model",
        verbose: bool = True,
        **options: Any,
    ) -> str | dict:
        """Exports the model for servers, devices or other stacks.

        Args:
            filepath: str or path. A SavedModel becomes a numbered version
                within this folder; files end in `.tflite` or `.onnx`.
            format: "tf_saved_model", "tflite" (also known as "litert") or
                "onnx".
            verbose: bool, whether to print where it was saved.
            **options: those of `keras_tim.export.export_saved_model`,
                `export_tflite` or `export_onnx`. TFLite needs `size`, the
                height and width of the inputs.

        Returns:
            What these return: the version's folder, or a report.
        """
        from keras_tim.export import export_model

        return export_model(
            self, filepath, format=format, verbose=verbose, **options
        )


def _is_shuffled(data):
    """Whether `fit` can shuffle data that it is given: not what flows by."""
    if isinstance(data, keras.utils.PyDataset):
        return data.num_batches is not None
    return hasattr(data, "shape") or isinstance(data, list | tuple | dict)


def _one_of(name, value, other_name, other, default):
    """The value of an argument that has two names."""
    if other is None:
        return value
    if not (value is None or value is other) and np.any(value != default):
        raise ValueError(
            f"`{name}` and `{other_name}` are one argument; give one of them. "
            f"Received: {name}={value!r}, {other_name}={other!r}"
        )
    return other


def _repeat_for(inputs, codes):
    """Repeats each input for its codes where there are several for one."""
    batch, num_codes = inputs[0].shape[0], codes[0][0].shape[0]
    if batch is None or num_codes is None or batch == num_codes:
        return inputs
    return [ops.repeat(x, num_codes // batch, axis=0) for x in inputs]
