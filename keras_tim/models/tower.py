"""The tower of generators: the network of the Tower Implicit Model."""

import inspect
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_tim.checks import integer, integer_or_several, integers, one_of
from keras_tim.layers.clipping import clip_straight_through
from keras_tim.layers.tower import TowerModule
from keras_tim.models import choosing, codes
from keras_tim.models.folding import folded
from keras_tim.models.inputs import (
    check_codes,
    check_inputs,
    check_seeds,
    check_temperature,
)
from keras_tim.perceptual.hypercolumns import Hypercolumns
from keras_tim.tasks import get_task
from keras_tim.tasks.classes import Classes

ARCHITECTURES = ("camnet", "hyperrim")
# Keys of codes have 64 bits, of which 5 are the level's and the kind's.
LARGEST_INDEX = 2**58 - 1


@keras.saving.register_keras_serializable(package="keras_tim")
class Tower(keras.Model):
    """The network of the Tower Implicit Model (CAM-Net, section 3.2).

    A tower of generators, one per level, coarsest first. Each level takes its
    input, a latent code of its own (a style vector and spatial noise) and the
    feature of the level below, and gives an output of its own. Different codes
    give different outputs. `keras_tim.TIM` is a tower that is trained,
    sampled and exported.

    Pictures are float32, channels last, RGB in [0, 1]. Batch, height and
    width may be unknown.

    Args:
        task: str, one of `keras_tim.task_names.TASK_NAMES`. Decides what the
            levels read and where their outputs are taken.
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
            own inputs. In colourization the first level predicts its colours,
            and the later ones what is to be changed of them. Off in the
            published models.
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
            the last level, once `set_components` was called; for JPEG repair
            that of the last level, with `jpeg_quality`. Published: 0.
        consistency_blur: float from 0 on, for super-resolution: standard
            deviation, in pixels of the input, by which what an output lacks is
            blurred first. 0 trusts every pixel of the input; 4 trusts light
            and colour of larger areas alone, for noisy or compressed inputs.
        jpeg_quality: int from 1 to 100 or None, for JPEG repair with
            `consistency`: the quality, on libjpeg's scale, of all inputs, with
            colours at half the resolution (4:2:0).
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
            these are ("realsr_df2k", "realesrgan_x4plus"): presets do not store
            them again.
        freeze_plain: bool, whether the plain blocks and the head before them
            stay as they are in training, which then runs them only once per
            image and selection.
        classes: for layouts: the `keras_tim.data.Classes` of the label maps
            that the layouts are made of, or its rows; the model keeps the
            rows. What reads label maps for it, such as an export, goes by
            them. None where there are no label maps: the layouts' channels
            then have no other meaning than their numbers.
        **kwargs: passed to `keras.Model` (`name`, `dtype`).

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
        consistency_blur: float = 0.0,
        jpeg_quality: int | None = None,
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
        one_of("architecture", architecture, ARCHITECTURES)
        if input_skip and not self._task.supports_input_skip:
            raise ValueError(
                "`input_skip` needs a task whose inputs are pictures like its "
                f"outputs. Received: input_skip={input_skip}, task={task!r}"
            )
        if input_skip == "own" and not self._task.supports_own_skip:
            raise ValueError(
                '`input_skip` must not be "own" where inputs are no pictures '
                f"like the outputs. Received: task={task!r}"
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
        if consistency_blur < 0 or (
            consistency_blur and not self._task.supports_consistency_blur
        ):
            raise ValueError(
                "`consistency_blur` must be at least 0, and 0 for tasks but "
                f"super-resolution. Received: task={task!r}, "
                f"consistency_blur={consistency_blur}"
            )
        agrees_as_jpeg = bool(consistency) and self._task.compresses
        if agrees_as_jpeg == (jpeg_quality is None):
            raise ValueError(
                "`jpeg_quality` is for task 'decompression' with `consistency` "
                "alone, and needed there: outputs agree with inputs of one "
                f"quality. Received: task={task!r}, consistency={consistency}, "
                f"jpeg_quality={jpeg_quality}"
            )
        if classes is not None:
            classes, input_channels = self._known_classes(
                classes, self._task, input_channels
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
        self.consistency_blur = float(consistency_blur)
        self.jpeg_quality = (
            None
            if jpeg_quality is None
            else integer("jpeg_quality", jpeg_quality, most=100)
        )
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
        self._components = None
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

    @staticmethod
    def _known_classes(classes, task, input_channels):
        """Rows of the classes, and the input channels that follow."""
        if not task.reads_labels:
            raise ValueError(
                "`classes` must be None but for layout synthesis. Received: "
                f"task={task.name!r} and classes"
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

    @property
    def num_normalised(self):
        """How many of its layers go by statistics of the picture."""
        if self.normalization != "instance":
            return 0
        return sum(len(module.modulations) for module in self.tower)

    def set_classes(self, classes):
        """Tells a model of layouts what the classes of its channels are.

        Args:
            classes: a `keras_tim.data.Classes`, as many as it has channels but
                one.

        Raises:
            ValueError: if they are not.
        """
        self.classes, _ = self._known_classes(
            classes, self._task, self.input_channels
        )

    def set_components(self, components):
        """Tells a model of MNIST which components its inputs keep.

        From then on every output has the coordinates that were given, but for
        what clipping takes (see `consistency`).

        Args:
            components: a `keras_tim.data.PrincipalComponents` of at least ten.

        Raises:
            ValueError: if the task has none, or they are not as described.
        """
        if self._task.known_shape is None:
            raise ValueError(
                'Only models for task "mnist" use components. Received: '
                f"task={self.task!r}"
            )
        known = self._task.known_of(components)
        given = known[:, :-1]
        shape = self._task.known_shape
        if known.shape != shape or not np.allclose(
            given.T @ given, np.eye(shape[1] - 1), atol=1e-4
        ):
            raise ValueError(
                "`components` must be orthonormal rows, at least "
                f"{shape[1] - 1} of {shape[0]} entries. Received: a basis of "
                f"shape {components.basis.shape}"
            )
        self._components = components
        if self.known is not None:
            self.known.assign(known)

    @property
    def components(self):
        """The `keras_tim.data.PrincipalComponents` of a model of MNIST.

        None where the model does not know them.
        """
        if self.known is None:
            return self._components
        return self._task.components_of(self.known)

    # -- What its pictures mean --------------------------------------------

    @property
    def task_definition(self):
        """The `keras_tim.tasks.Task` that says what the pictures mean."""
        return self._task

    @property
    def label_classes(self):
        """The `keras_tim.data.Classes` by which label maps are read.

        Where the model does not say what its classes are, label maps hold the
        numbers of its channels.
        """
        if self.classes is not None:
            return Classes(self.classes)
        return Classes.of_ids(range(self.input_channels - 1))

    def condition(self, picture):
        """What the model is given of a user's picture.

        Args:
            picture: float32 array `[height, width, 3]` in [0, 1]; for layouts
                integer labels `[height, width]`, numbers of channels.

        Returns:
            float32 array `[height', width', channels]` in [0, 1].
        """
        return self._task.condition(picture, self)

    def shown(self, given):
        """What the model is given, as a picture.

        Args:
            given: array `[height, width, channels]`.

        Returns:
            float array `[height, width, 3]` in [0, 1].
        """
        return self._task.shown(given, self)

    def baseline(self, given, size):
        """The baseline that samples are held against.

        Args:
            given: array `[height, width, channels]`.
            size: `(height, width)` of the outputs.

        Returns:
            Tuple `(name, picture [height, width, 3])`, or None.
        """
        return self._task.baseline(given, size)

    def faithfulness(self, samples, given, quality=None):
        """How well samples agree with what was given.

        Args:
            samples: array `[n, height, width, 3]`.
            given: array `[height', width', channels]`.
            quality: int or None, JPEG quality that inputs were compressed at.

        Returns:
            float array `[n]`, or None where the task has no such measure.
        """
        return self._task.faithfulness(samples, given, self, quality)

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
        sizes = self.noise_sizes(inputs)
        if not all(isinstance(side, int) for size in sizes for side in size):
            # Keras takes what is all known, or all tensors.
            sizes = [
                tuple(ops.convert_to_tensor(side, "int32") for side in size)
                for size in sizes
            ]
        return self.guide(picture, sizes=sizes)

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
            seen.append(
                self._task.enlarged(
                    previous_output, inputs[level - 1], inputs[level]
                )
            )
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
            output = self._task.skip(level_input, own, level) + raw / 2.0
        if self.consistency and self._task.agrees_at(level, self.num_levels):
            factor = 2 ** (level + 1) if self._task.chained else 1
            output = self._task.agreeing(
                output,
                observed,
                factor,
                self.consistency,
                known=self.known,
                blur=self.consistency_blur,
                quality=self.jpeg_quality,
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

    def output_size(self, inputs):
        """Height and width of the last level's output.

        Args:
            inputs: as in `call`.

        Returns:
            Tuple of ints where they are known, else of scalar tensors.
        """
        noise_size = self.noise_sizes(inputs)[-1]
        return self.output_shapes(self.num_levels - 1, 0, noise_size)[0][1:3]

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
        inputs = check_inputs(self, inputs)
        num_samples = integer("num_samples", num_samples)
        check_temperature(temperature)
        first = integer("first", first, least=0, most=LARGEST_INDEX)
        batch = ops.shape(inputs[0])[0]
        drawn = codes.draw_codes(
            check_seeds(seed, batch),
            codes.sample_numbers(first, num_samples, batch),
            self.noise_sizes(inputs),
            self.style_dim,
            self.noise_channels,
            style_sizes=self.style_sizes(inputs),
        )
        return [
            (temperature * style, temperature * noise) for style, noise in drawn
        ]

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

    # -- Saving ------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        arguments = inspect.signature(Tower.__init__).parameters.values()
        own = {
            argument.name: getattr(self, argument.name)
            for argument in arguments
            if argument.default is not argument.empty
        }
        return {**super().get_config(), **own}

    def folded(self) -> "Tower":
        """This model with plain kernels in place of weight normalisation.

        Returns:
            A new model with `weight_norm=False` and the same outputs, or the
            model itself where it has none: what to export and deploy. Its
            samples are to the last bit those of the exports.
        """
        return folded(self)


def _repeat_for(inputs, codes):
    """Repeats each input for its codes where there are several for one."""
    batch, num_codes = inputs[0].shape[0], codes[0][0].shape[0]
    if batch is None or num_codes is None or batch == num_codes:
        return inputs
    return [ops.repeat(x, num_codes // batch, axis=0) for x in inputs]
