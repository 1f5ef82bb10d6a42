"""Conditional IMLE (Algorithm 1), inside one compiled step."""

import dataclasses
import itertools
import typing

import keras
import numpy as np
from keras import ops

from keras_tim.checks import integer, is_floating
from keras_tim.imle.backend import backend
from keras_tim.imle.cells import select_hierarchical_by_cell
from keras_tim.imle.distances import SelectionDistance
from keras_tim.imle.learning_rates import (
    learning_rate_multipliers,
    scaled_learning_rates,
)
from keras_tim.imle.selection import (
    Selection,
    select_hierarchical,
    select_vanilla,
)
from keras_tim.layers.resampling import area_resize, bicubic_resize
from keras_tim.models.codes import draw_codes, sample_numbers

SAMPLINGS = ("hierarchical", "vanilla")

# Training draws under even keys, so that it shares no draw with testing.
TEST_KEY = 1


@dataclasses.dataclass(eq=False)
class ConditionalIMLE:
    """What `TIM.compile` was told, and the steps that follow from it.

    Not a layer: the distance's weights are no part of the model.

    Attributes:
        num_levels: int, levels of the model.
        supervised_levels: list of int, levels that the loss sums over.
        distance: see `TIM.compile`, as are all that follow; a
            `SelectionDistance` once it is made.
        num_candidates: int or sequence of int; a list of one per level.
        sampling: str or None; "hierarchical" or "vanilla".
        images_per_selection: int or None.
        steps_per_selection: int.
        mini_batch_size: int or None.
        candidate_chunk: int.
        pixel_weight: float.
        seed: int.
    """

    num_levels: int
    supervised_levels: list
    distance: typing.Any
    num_candidates: typing.Any
    sampling: str | None
    images_per_selection: int | None
    steps_per_selection: int
    mini_batch_size: int | None
    candidate_chunk: int
    pixel_weight: float
    seed: int

    def __post_init__(self):
        every = len(self.supervised_levels) == self.num_levels
        if self.sampling is None:
            self.sampling = "hierarchical" if every else "vanilla"
        if self.sampling not in SAMPLINGS:
            raise ValueError(
                f"`sampling` must be one of {SAMPLINGS} or None. Received: "
                f"sampling={self.sampling!r}"
            )
        if self.sampling == "hierarchical" and not every:
            raise ValueError(
                "`sampling` must be 'vanilla' for a model without intermediate "
                "supervision: the outputs that would choose the lower levels' "
                "codes are not trained. Received: "
                f"sampling={self.sampling!r}"
            )
        self.num_candidates = _per_level(
            self.num_candidates, self.num_levels, self.sampling
        )
        for name in ("steps_per_selection", "candidate_chunk"):
            setattr(self, name, integer(name, getattr(self, name)))
        for name in ("images_per_selection", "mini_batch_size"):
            if getattr(self, name) is not None:
                setattr(self, name, integer(name, getattr(self, name)))
        self.pixel_weight = float(self.pixel_weight)
        self.seed = integer("seed", self.seed, least=-(2**63), most=2**63 - 1)
        self.distance = SelectionDistance(self.distance, self.pixel_weight)
        # The first gradient step, counted from 1, whose loss or gradient was
        # not finite; 0 while there is none.
        self.nonfinite_step = keras.Variable(0, dtype="int", trainable=False)

    @property
    def variables(self):
        """Variables that steps read or set, beside the model's and metrics'."""
        layer = self.distance.distance
        weights = layer.variables if isinstance(layer, keras.Layer) else []
        return [self.nonfinite_step, *weights]

    def get_config(self):
        """Arguments of `TIM.compile`, serialised."""
        config = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.name not in ("num_levels", "supervised_levels")
        }
        distance = keras.saving.serialize_keras_object(self.distance.distance)
        return {**config, "distance": distance}

    # -- The outer loop ----------------------------------------------------

    def train(self, tim, inputs, targets, sample_weight, trackers):
        """Selection and gradient steps for every group of a batch.

        Args:
            tim: the `TIM`.
            inputs: list of tensors `[batch, height, width, channels]`.
            targets: tensor or tuple over levels of `[batch, height, width,
                3]`.
            sample_weight: tensor `[batch]`, by which images count in the
                loss; tensor `[batch, height, width]` of the finest target's
                size (a last axis of 1 may follow), by which pixels count in
                loss and selection; or None.
            trackers: dict of `keras.metrics.Mean`, updated.
        """
        prepared = self._prepare(tim, inputs, targets, sample_weight)

        def train_group(group):
            self._train_group(tim, *group, trackers)

        backend.for_each_group(
            prepared,
            self.images_per_selection,
            train_group,
            tim.jit_compile,
            state_of(tim),
        )

    def test(self, tim, inputs, targets, sample_weight, trackers):
        """Losses at codes selected from a fixed seed.

        Every image has the same seed, and so the same candidates: what is
        measured of it depends neither on the images beside it nor on how many
        devices share the batch.

        Args:
            tim: the `TIM`.
            inputs: as in `train`.
            targets: as in `train`.
            sample_weight: as in `train`.
            trackers: dict of `keras.metrics.Mean`, updated.
        """
        inputs, targets, weights, masks = self._prepare(
            tim, inputs, targets, sample_weight
        )
        length = backend.length_of(inputs)
        seeds = backend.equal_seeds(self.seed, TEST_KEY, length)
        selection, features = self.select(tim, inputs, targets, seeds, masks)
        losses = self._losses(tim, inputs, selection.codes, features, weights)
        self._track_losses(losses, trackers, ops.sum(weights))
        self._track_selection(selection, weights, trackers)

    def _prepare(self, tim, inputs, targets, sample_weight):
        """Checked inputs, targets, weights of images, masks over levels."""
        targets = self._target_pyramid(tim, inputs, targets)
        weights, masks = _split_weights(sample_weight, targets)
        inputs, targets, masks = backend.checked(inputs, targets, masks)
        return inputs, targets, weights, masks

    def _train_group(self, tim, inputs, targets, weights, masks, trackers):
        length = backend.length_of(inputs)
        key = 2 * tim.optimizer.iterations
        seeds = backend.image_seeds(self.seed, key, length)
        selection, features = self.select(tim, inputs, targets, seeds, masks)
        self._track_selection(selection, weights, trackers)
        # What no step changes is made once for all of them.
        begun = (
            tim.begin_level(0, tim.level_input(0, inputs, None))
            if tim.freeze_plain
            else ()
        )
        group = (inputs, selection.codes, features, weights, begun)

        steps = self.steps_per_selection
        # Rounded up.
        size = self.mini_batch_size or -(-length // steps)
        if steps == 1 and self.mini_batch_size is None:
            self._gradient_step(tim, *group, trackers)
            return

        def step(number):
            rows = backend.mini_batch_rows(seeds[0], number, length, size)
            part = backend.take(group, rows)
            self._gradient_step(tim, *part, trackers)

        backend.repeat(steps, step, state_of(tim))

    # -- Selection ---------------------------------------------------------

    def select(self, tim, inputs, targets, seeds, masks=()):
        """Chooses the codes nearest to the targets.

        Args:
            tim: the `TIM`.
            inputs: list of tensors `[batch, height, width, channels]`.
            targets: list over levels of `[batch, height, width, 3]`.
            seeds: tensor `[batch, ...]` of one seed per image, as `draw_codes`
                takes them: candidate j of an image is sample j of its seed.
            masks: list over levels of `[batch, height, width]`, by which the
                targets' pixels count, or empty.

        Returns:
            Tuple `(selection, features)`: a `Selection`, and the targets'
            features, masks among them, over the supervised levels.
        """
        most = max(self.num_candidates)
        chunk = min(self.candidate_chunk, most)
        images = max(1, self.candidate_chunk // most)

        def select_some(group):
            inputs, targets, seeds, masks = group
            features = [
                self.distance.features(x, mask)
                for x, mask in itertools.zip_longest(targets, masks)
            ]
            selection = self.select_together(
                tim, inputs, features, seeds, chunk
            )
            supervised = [features[i] for i in self.supervised_levels]
            return tuple(selection), supervised

        selection, features = backend.map_in_groups(
            select_some, (inputs, targets, seeds, list(masks)), images
        )
        return Selection(*selection), features

    def select_together(self, tim, inputs, features, seeds, chunk):
        """Selection for images that are all looked at together.

        Args:
            tim: the `TIM`.
            inputs: list of tensors `[batch, height, width, channels]`.
            features: list over levels of the targets' features.
            seeds: as in `select`.
            chunk: int, candidates of each image made at a time.

        Returns:
            A `Selection`.
        """
        sizes = tim.noise_sizes(inputs)

        def draw(level, first, count):
            drawn = draw_codes(
                seeds,
                sample_numbers(first, count, backend.length_of(inputs)),
                sizes,
                tim.style_dim,
                tim.noise_channels,
                levels=[level],
                style_sizes=tim.style_map_sizes(sizes),
            )
            return drawn[0]

        if self.sampling == "hierarchical":
            by_level = (
                select_hierarchical_by_cell
                if tim.style_cell
                else select_hierarchical
            )
            return by_level(
                tim,
                inputs,
                features,
                self.distance,
                draw,
                self.num_candidates,
                chunk,
            )
        return select_vanilla(
            tim,
            inputs,
            [features[i] for i in self.supervised_levels],
            self.distance,
            draw,
            self.num_candidates[0],
            chunk,
        )

    # -- The inner loop ----------------------------------------------------

    def _gradient_step(
        self, tim, inputs, codes, features, weights, begun, trackers
    ):
        losses, gradients = self.gradients(
            tim, inputs, codes, features, weights, begun
        )
        scale = tim.optimizer.scale_loss(ops.convert_to_tensor(1.0, "float32"))
        norm = backend.global_norm(gradients) / scale
        with scaled_learning_rates(
            tim.optimizer,
            learning_rate_multipliers(tim),
            fused=tim.trainable_variables,
        ):
            self._apply(tim, gradients, sum(losses), norm)
        self._track_losses(losses, trackers, ops.sum(weights))
        trackers["gradient_norm"].update_state(norm)

    def gradients(self, tim, inputs, codes, features, weights, begun=()):
        """Losses of all supervised levels, and the gradient of their sum.

        Args:
            tim: the `TIM`.
            inputs: list of tensors `[batch, height, width, channels]`.
            codes: list over levels of `(style, noise)`.
            features: list over supervised levels of the targets' features.
            weights: float32 tensor `[batch]`, by which images count.
            begun: what `TIM.begin_level` returned for level 0, or empty.

        Returns:
            Tuple of a list of scalar losses and a list of gradients over
            `tim.trainable_variables`, scaled as the optimizer scales losses.
        """
        return backend.gradients(
            lambda: self._losses(tim, inputs, codes, features, weights, begun),
            tim.optimizer,
            tim.trainable_variables,
            state_of(tim),
        )

    def _apply(self, tim, gradients, loss, norm):
        """Takes a gradient step, unless it would spoil the weights."""
        optimizer, variables = tim.optimizer, tim.trainable_variables
        if backend.in_replicas():
            # Replicas cannot meet inside a branch to add up gradients.
            optimizer.apply(gradients, variables)
            return
        finite = ops.isfinite(loss)
        if not isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
            # That one leaves out such gradients itself and lowers its scale.
            finite &= ops.isfinite(norm)
        known = ops.convert_to_tensor(self.nonfinite_step)
        step = ops.cast(optimizer.iterations, known.dtype) + 1
        self.nonfinite_step.assign(ops.where(finite | (known > 0), known, step))
        backend.call_if(
            finite,
            lambda: optimizer.apply(gradients, variables),
            [*variables, *optimizer.variables],
        )

    def _losses(self, tim, inputs, codes, features, weights, begun=()):
        """Weighted mean distance of every supervised level."""
        pictures = tim.decode(inputs, codes, begun=begun or None)
        losses = []
        for level, target in zip(self.supervised_levels, features, strict=True):
            made = self.distance.features(pictures[level])
            distances = self.distance.compare(made, target)
            losses.append(
                ops.divide_no_nan(
                    ops.sum(weights * distances), ops.sum(weights)
                )
            )
        return losses

    def _track_losses(self, losses, trackers, weight):
        trackers["loss"].update_state(sum(losses), sample_weight=weight)
        if len(losses) > 1:
            for level, loss in zip(self.supervised_levels, losses, strict=True):
                trackers[f"loss_level{level}"].update_state(
                    loss, sample_weight=weight
                )

    def _track_selection(self, selection, weights, trackers):
        counted = ops.cast(weights > 0.0, "float32")
        for level, distances in zip(
            self.supervised_levels, selection.distances, strict=True
        ):
            tracker = trackers[f"selected_distance_level{level}"]
            tracker.update_state(distances, sample_weight=counted)

    # -- Targets -----------------------------------------------------------

    def _target_pyramid(self, tim, inputs, targets):
        """Targets of every level, from all of them or the finest alone."""
        given = (
            list(targets) if isinstance(targets, list | tuple) else [targets]
        )
        # Eager steps may be handed NumPy arrays.
        given = [ops.convert_to_tensor(target) for target in given]
        if len(given) not in (1, self.num_levels):
            raise ValueError(
                "`targets` must be one tensor or one per level, "
                f"{self.num_levels}. Received: {len(given)}"
            )
        for target in given:
            if len(target.shape) != 4 or target.shape[-1] not in (3, None):
                raise ValueError(
                    "`targets` must have shape [batch, height, width, 3]. "
                    f"Received: shape {target.shape}"
                )
            if not is_floating(target):
                dtype = keras.backend.standardize_dtype(target.dtype)
                raise ValueError(
                    "`targets` must be float in [0, 1]; divide 8-bit pictures "
                    f"by 255. Received: dtype={dtype}"
                )
        given = [ops.cast(target, "float32") for target in given]
        sizes = self._output_sizes(tim, inputs)
        if len(given) < self.num_levels:
            finest = given[0]
            coarser = [
                ops.clip(bicubic_resize(finest, *size), 0.0, 1.0)
                for size in sizes[:-1]
            ]
            given = [*coarser, finest]
        for level, (target, size) in enumerate(zip(given, sizes, strict=True)):
            for got, wanted in zip(target.shape[1:3], size, strict=True):
                if got and isinstance(wanted, int) and got != wanted:
                    raise ValueError(
                        f"The target of level {level} must be "
                        f"{size[0]} x {size[1]} pixels, the size of the "
                        f"level's output. Received: shape {target.shape}"
                    )
        return given

    def _output_sizes(self, tim, inputs):
        shapes = (
            tim.output_shapes(level, 1, size)[0]
            for level, size in enumerate(tim.noise_sizes(inputs))
        )
        return [shape[1:3] for shape in shapes]


def state_of(tim):
    """All variables that a step reads or sets, on JAX."""
    return [
        *tim.trainable_variables,
        *tim.non_trainable_variables,
        *tim.optimizer.variables,
        *tim.metrics_variables,
    ]


def _per_level(num_candidates, num_levels, sampling):
    # Arrays of one number are numbers, too.
    given = (
        list(num_candidates)
        if np.ndim(num_candidates)
        else [num_candidates] * num_levels
    )
    if len(given) != num_levels:
        raise ValueError(
            "`num_candidates` must be one integer, or one for each of the "
            f"{num_levels} levels. Received: num_candidates={num_candidates}"
        )
    given = [integer("num_candidates", value) for value in given]
    if sampling == "vanilla" and len(set(given)) > 1:
        raise ValueError(
            "`num_candidates` must be a single integer for vanilla sampling, "
            "which draws whole codes. Received: "
            f"num_candidates={num_candidates}"
        )
    return given


def _split_weights(sample_weight, targets):
    """Weights of images and masks over levels, empty where there are none."""
    if sample_weight is None:
        return ops.ones((backend.length_of(targets),), "float32"), []
    if isinstance(sample_weight, list | tuple):
        raise ValueError(
            "`sample_weight` must be one tensor, whose pixels are those of "
            f"the finest target. Received: {len(sample_weight)} tensors"
        )
    weights = ops.cast(ops.convert_to_tensor(sample_weight), "float32")
    shape, size = weights.shape, targets[-1].shape[1:3]
    if len(shape) == 1:
        return weights, []
    spatial = len(shape) == 3 or (len(shape) == 4 and shape[-1] == 1)
    if not spatial or any(
        None not in sides and sides[0] != sides[1]
        for sides in zip(shape[1:3], size, strict=True)
    ):
        raise ValueError(
            "`sample_weight` must have shape [batch], or [batch, height, "
            f"width] of the finest target, {size[0]} x {size[1]}. "
            f"Received: shape {shape}"
        )
    finest = ops.reshape(weights, ops.shape(targets[-1])[:3])
    masks = [
        area_resize(finest[..., None], *ops.shape(x)[1:3])[..., 0]
        for x in targets[:-1]
    ]
    # An image none of whose pixels counts must not lower the mean.
    counted = ops.any(finest > 0.0, axis=(1, 2))
    return ops.cast(counted, "float32"), [*masks, finest]
