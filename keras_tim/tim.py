"""The Tower Implicit Model: a tower that is trained, sampled and saved."""

import contextlib
import functools
import inspect
import os
import types
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_tim.assets.trunks import read_trunk
from keras_tim.checks import check_tensorflow, check_unit_range, integer
from keras_tim.imle.backend import backend
from keras_tim.imle.inversion import invert
from keras_tim.imle.training import ConditionalIMLE
from keras_tim.layers.tracing import layers_alike_traced_once
from keras_tim.layers.weight_norm import weights_follow
from keras_tim.models.inputs import check_inputs
from keras_tim.models.model_file import load_tim
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
from keras_tim.models.sampling import Sampler
from keras_tim.models.tower import Tower
from keras_tim.models.trunk import set_trunk

_FIT = inspect.signature(keras.Model.fit)


@keras.saving.register_keras_serializable(package="keras_tim")
class TIM(Tower):
    """Tower Implicit Model (CAM-Net): one input, many plausible outputs.

    A tower of generators, each of which turns its input and a latent code into
    a picture. Different codes give different pictures; conditional IMLE (see
    `compile`) trains the model so that they cover what the observed output
    might have been.

    Pictures are float32, channels last, RGB in [0, 1]. Batch, height and
    width may be unknown.

    Args:
        *args: those of `keras_tim.models.tower.Tower`, by name: `task`,
            `residual_channels`, `growth_channels`, `num_blocks`, ...
        **kwargs: the others of them. `TIM.from_preset` knows sizes that are
            worth training.

    Example:
    >>> tim = TIM.from_preset("super_resolution_x4_nano")
    >>> small = keras.random.uniform((2, 16, 24, 3), seed=0)
    >>> tim.sample(small, num_samples=8, seed=0).shape
    (2, 8, 64, 96, 3)

    Reference:
        - [Peng et al., 2021](https://arxiv.org/abs/2106.09015) (CAM-Net)
        - [Li* et al., 2020](https://arxiv.org/abs/2004.03590) (HyperRIM)
    """

    # What `compile` and `sample` set.
    _imle = None
    _has_metrics = False
    _trackers = types.MappingProxyType({})
    _sampler_made = None

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
        if load_weights is False:
            return cls._of_preset(config["model"], overrides)
        with weights_follow():
            tim = cls._of_preset(config["model"], overrides)
        load_weights_of_preset(tim, folder, config)
        return tim

    @classmethod
    def _of_file(cls, path, load_weights, overrides):
        """The model of a `.keras` file, or one like it."""
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
                "num_candidates",
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
            `crop_size`, `enlarged` and `degraded`.

        Raises:
            ValueError: if there is no such preset.

        Example:
        >>> data = TIM.data_settings("colourization_nano")
        >>> photos = keras_tim.data.colourization_dataset("PHOTOS", **data)
        """
        training = preset_training(name)
        of_photos = ("downsample", "crop_size", "enlarged", "degraded")
        return {
            "batch_size": training["images_per_selection"],
            **{key: training[key] for key in of_photos if key in training},
        }

    # -- Sampling ----------------------------------------------------------

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
        return self._sampler().sample(
            inputs,
            num_samples,
            seed,
            batch_size,
            temperature,
            verbose,
            first,
            tile,
        )

    def tiled_sampler(self):
        """What makes pictures of any size, with the weights as they are now.

        Returns:
            A `keras_tim.models.tiles.TiledSampler`.
        """
        return self._sampler().tiled

    def _sampler(self):
        if self._sampler_made is None:
            self._sampler_made = Sampler(self)
        return self._sampler_made

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
            A `keras_tim.imle.inversion.Inversion`: `codes`, `distances`,
            `losses`, `pictures`, `path` and `path_steps`.

        Raises:
            ValueError: if an argument has a wrong rank, size, type or range.
        """
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
                drawn without it. On JAX it always compiles, unless run eagerly.
            auto_scale_loss: as in `keras.Model.compile`.
            loss: another name of `distance`.
            loss_weights: must be None: the levels count alike.
            num_samples: an earlier name of `num_candidates`.

        Raises:
            ValueError: if an argument is out of range, or hierarchical
                sampling is asked of a model without intermediate supervision.
        """
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
        if keras.backend.backend() == "jax":
            self.jit_compile = not run_eagerly
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
    def metrics_variables(self):
        """The metrics' variables; on JAX all that steps need beside the model.

        Keras hands their values to every step there. What a step read otherwise
        would be written into its code, which is much for LPIPS.
        """
        of_metrics = super().metrics_variables
        if self._imle is None or keras.backend.backend() != "jax":
            return of_metrics
        return [*of_metrics, *self._imle.variables]

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
        given = _FIT.bind(self, *args, **kwargs).arguments
        if "shuffle" not in given and not _is_shuffled(given.get("x")):
            # Keras would warn that it is ignored.
            kwargs["shuffle"] = False
        backend.check_arrays(given.get("x"), given.get("y"))
        with backend.without_remapping():
            return super().fit(*args, **kwargs)

    @functools.wraps(keras.Model.evaluate)
    def evaluate(self, x=None, y=None, *args, **kwargs):
        backend.check_arrays(x, y)
        return super().evaluate(x, y, *args, **kwargs)

    @functools.wraps(keras.Model.predict)
    def predict(self, x, *args, **kwargs):
        given = x if isinstance(x, list | tuple) else [x]
        arrays = [array for array in given if hasattr(array, "shape")]
        # Before the step, which under XLA cannot.
        for array in arrays:
            check_unit_range("x", array)
        if arrays and arrays[0].shape and arrays[0].shape[0] == 0:
            size = self.output_size(check_inputs(self, x))
            return np.zeros((0, *size, 3), "float32")
        try:
            return super().predict(x, *args, **kwargs)
        except UnboundLocalError as error:  # Keras, where there is no batch
            raise ValueError(
                f"`x` must give at least one batch. Received: x={x}"
            ) from error

    # On JAX Keras hands steps the variables' values before the data, and wants
    # new ones with the results.

    def train_step(self, *data):
        """One round of Algorithm 1 on one batch."""
        return backend.stateless_step(self, self._train_on, *data)

    def test_step(self, *data):
        """Losses at the selected codes, from the same seed for every image."""
        return backend.stateless_step(self, self._test_on, *data)

    def predict_step(self, *data):
        """Sample 0 of seed 0 of every input, `[batch, height, width, 3]`."""
        return backend.stateless_step(self, self._predict_on, *data)

    def _train_on(self, data):
        return self._step(data, self._imle.train)

    def _test_on(self, data):
        results = self._step(data, self._imle.test)
        del results["gradient_norm"]
        return results

    def _step(self, data, step):
        """Runs a step of training or testing, and updates the metrics."""
        inputs, targets, sample_weight = self._unpack(data)

        def update():
            # Before the weights change.
            pictures = self._predicted_in_groups(inputs)
            batch = backend.one_at_least(inputs, targets, sample_weight)
            step(self, *batch, self._trackers)
            if pictures is not None:
                several = isinstance(targets, list | tuple)
                finest = targets[-1] if several else targets
                self.compute_metrics(inputs, finest, pictures, sample_weight)

        # XLA and replicas take graphs as they are.
        alike = not (self.jit_compile or backend.in_replicas())
        scope = layers_alike_traced_once if alike else contextlib.nullcontext
        with scope():
            backend.unless_empty(inputs, update)
        return super().get_metrics_result()

    def get_metrics_result(self):
        """Values of the metrics; of training's own where there was some.

        Keras tells these where they have the names of what a step returned,
        and else that. Replicas that had different numbers of images count
        alike in a step's, images do in these.
        """
        results = super().get_metrics_result()
        norm = self._trackers.get("gradient_norm")
        known = norm is not None and backend.at_hand(norm.count)
        if known and not norm.count.numpy():
            del results[norm.name]
        return results

    def _predicted_in_groups(self, inputs):
        """What metrics are given, in the memory of selection."""
        if not self._has_metrics:
            return None
        pictures = backend.map_in_groups(
            self._predicted,
            backend.one_at_least(inputs)[0],
            self._imle.candidate_chunk,
        )
        return pictures[: ops.shape(inputs[0])[0]]

    def _predicted(self, inputs):
        codes = self.draw_codes(inputs, num_samples=1, seed=0)
        return self.decode(inputs, codes)[-1]

    def _predict_on(self, data):
        inputs, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        inputs = check_inputs(self, inputs)
        inputs, _, _ = backend.checked(inputs, [], [])

        def nothing():
            return ops.zeros((0, *self.output_size(inputs), 3), "float32")

        # TensorFlow's convolutions may fail on empty batches.
        batch = inputs[0].shape[0]
        if batch is None:
            return ops.cond(
                ops.shape(inputs[0])[0] > 0,
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
        config = dict(config)
        distance = config.pop("distance")
        if isinstance(distance, dict):
            distance = keras.saving.deserialize_keras_object(distance)
        self.compile(
            distance=distance, **keras.saving.deserialize_keras_object(config)
        )

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
        check_tensorflow("`TIM.export`")
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
