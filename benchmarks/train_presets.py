"""Trains what ships: presets, on JAX, within a time that is given.

The model, codes, selection and distance are the package's own; the loop over
rounds keeps moving averages and goes by a clock, which `TIM.fit` does not. It
runs where TensorFlow does not reach the card, in bfloat16; crops are cut there.

    KERAS_BACKEND=jax python benchmarks/train_presets.py \
        --job=benchmarks/presets/super_resolution_x4_lite.json \
        --pictures=TILES --output=RUN --seconds=250

TILES is a folder of pictures of one size, or an npz file of them: "lens" and
"bytes", encoded pictures one after another. For layouts --label_maps=MAPS.npz
holds "ids" as well. RUN gets `weights.npz`, the moving averages by their places
in the tower, every minute and at the end, and goes on from them when it is
called again.
"""

import concurrent.futures
import functools
import json
import os
import time

import jax
import keras
import numpy as np
from absl import app, flags
from jax import numpy as jnp
from jax_crops import crop_function
from preset_data import compressed, damaged_variants, decoded

from keras_tim.assets.trunks import read_trunk
from keras_tim.assets.upscalers import read_esrgan
from keras_tim.images.degradation import degraded
from keras_tim.images.pictures import as_uint8
from keras_tim.imle.backend import backend
from keras_tim.imle.distances import SelectionDistance, mean_absolute_error
from keras_tim.imle.learning_rates import (
    learning_rate_multipliers,
    scaled_learning_rates,
)
from keras_tim.imle.training import ConditionalIMLE
from keras_tim.layers.resampling import bicubic_resize
from keras_tim.models.inputs import check_inputs
from keras_tim.models.pretrained import stored_weights
from keras_tim.models.trunk import set_trunk, trunk_arguments
from keras_tim.tasks.colourization import rgb_to_lightness
from keras_tim.tim import TIM

FLAGS = flags.FLAGS
flags.DEFINE_string("job", None, "JSON file of the recipe", required=True)
flags.DEFINE_string("pictures", None, "npz of encoded pictures", required=True)
flags.DEFINE_string("label_maps", None, "npz of class numbers")
flags.DEFINE_string("trunk", None, "ESRGAN file, by default the job's own")
flags.DEFINE_string("output", None, "the run's folder", required=True)
flags.DEFINE_float("seconds", 60.0, "how long to train, compiling left out")
flags.DEFINE_float("deadline", None, "or until when, in the clock's seconds")
flags.DEFINE_integer("rounds", None, "rounds after which it ends early")
flags.DEFINE_integer("variants", 6, "damaged inputs made of every picture")
flags.DEFINE_string("policy", "mixed_bfloat16", "dtype policy")


# -- Data ------------------------------------------------------------------


def pair_function(tim, job):
    """What a model is given, of the pictures that it is to make."""
    side = tuple(job["crop"])
    settings = {
        "enlarged": job.get("enlarged", 0.0),
        "turns": job.get("turns", True),
    }
    pictures = decoded(FLAGS.pictures)
    inputs, factor, multiple = None, 1, 1
    if tim.task == "decompression":
        # Crops start where a block of the compressed picture starts.
        multiple = 16
        inputs = damaged_variants(
            pictures,
            FLAGS.variants,
            job.get("seed", 0),
            lambda x, rng: compressed(x, rng, job["qualities"]),
        )
    elif job.get("degraded"):
        factor = tim.scale
        inputs = damaged_variants(
            pictures,
            FLAGS.variants,
            job.get("seed", 0),
            lambda x, rng: as_uint8(degraded(x, tim.scale, rng), "small"),
        )
    elif tim.task == "layout_synthesis":
        factor = 2
        with np.load(FLAGS.label_maps) as file:
            inputs = file["ids"][None, :, ::2, ::2, None]
    crops = crop_function(pictures, inputs, factor, multiple, side, settings)

    def pairs(key, count):
        targets, small = crops(key, count)
        if tim.task == "super_resolution" and small is None:
            low = bicubic_resize(targets, *[n // tim.scale for n in side])
            # As a file would hold it.
            return jnp.round(jnp.clip(low, 0.0, 1.0) * 255.0) / 255.0, targets
        if tim.task == "colourization":
            return rgb_to_lightness(targets), targets
        if tim.task == "layout_synthesis":
            numbers = jnp.minimum(small[..., 0], tim.input_channels - 1)
            return jax.nn.one_hot(numbers, tim.input_channels), targets
        return small.astype("float32") / 255.0, targets

    return jax.jit(pairs, static_argnums=1)


# -- Algorithm 1 -----------------------------------------------------------


class Trainer:
    """One model in training.

    Args:
        tim: the `TIM`.
        job: dict, the recipe.
    """

    def __init__(self, tim, job):
        self.tim, self.job = tim, job
        self.trained = tim.trainable_variables
        self.distance = SelectionDistance(
            job["distance"], job["pixel_weight"], dtype=FLAGS.policy
        )
        self.distance.build(channels=3)
        self.imle = ConditionalIMLE(
            tim.num_levels,
            tim.supervised_levels,
            distance=self.distance.distance,
            num_candidates=job["num_candidates"],
            sampling="hierarchical",
            images_per_selection=None,
            steps_per_selection=1,
            mini_batch_size=None,
            candidate_chunk=job["candidate_chunk"],
            pixel_weight=job["pixel_weight"],
            seed=job.get("seed", 0),
        )
        self.absolute = SelectionDistance(mean_absolute_error)
        self.fixed = [
            *tim.non_trainable_variables,
            *self.distance.distance.variables,
        ]
        self.optimizer = keras.optimizers.Adam(
            job["learning_rate"], beta_2=0.99
        )
        self.optimizer.build(self.trained)
        (self.rate_place,) = (
            place
            for place, variable in enumerate(self.optimizer.variables)
            if variable.path.endswith("learning_rate")
        )
        self.state = (
            [jnp.copy(v.value) for v in self.trained],
            [jnp.copy(v.value) for v in self.optimizer.variables],
            [jnp.copy(v.value) for v in self.trained],
        )
        self.constants = [v.value for v in self.fixed]

    def _with(self, values, constants, function, *arguments):
        mapping = list(
            zip(
                [*self.trained, *self.fixed],
                [*values, *constants],
                strict=True,
            )
        )
        with keras.StatelessScope(state_mapping=mapping):
            return function(*arguments)

    def _targets(self, inputs, pictures):
        shapes = [
            self.tim.output_shapes(level, 1, size)[0][1:3]
            for level, size in enumerate(self.tim.noise_sizes(inputs))
        ]
        return [
            pictures
            if tuple(shape) == pictures.shape[1:3]
            else jnp.clip(bicubic_resize(pictures, *shape), 0.0, 1.0)
            for shape in shapes
        ]

    def _begun(self, inputs):
        if not (self.tim.freeze_plain and self.tim.has_plain_blocks):
            return None
        return self.tim.begin_level(0, self.tim.level_input(0, inputs, None))

    def _selected(self, inputs, targets, key):
        """Codes of a group of images, and what stays as it is of them."""

        def some(group):
            inputs, targets, seeds = group
            found = self.imle.select_together(
                self.tim,
                inputs,
                [self.distance.features(x) for x in targets],
                seeds,
                self.job["candidate_chunk"],
            )
            return found.codes, found.distances, self._begun(inputs)

        seeds = jax.random.bits(key, (len(inputs[0]), 2), "uint32")
        return backend.map_in_groups(
            some, (inputs, targets, seeds), self.job["selected_together"]
        )

    def _loss(self, values, constants, inputs, codes, targets, begun):
        def loss():
            pictures = self.tim.decode(inputs, codes, begun=begun)
            distance = self.absolute if codes_off else self.distance
            return sum(
                jnp.mean(
                    distance.compare(
                        distance.features(made), distance.features(target)
                    )
                )
                for made, target in zip(pictures, targets, strict=True)
            )

        codes_off = codes is None
        if codes_off:
            codes = self._zero_codes(inputs)
        return self._with(values, constants, loss)

    def _zero_codes(self, inputs):
        sizes = self.tim.noise_sizes(inputs)
        maps = self.tim.style_map_sizes(sizes)
        count = len(inputs[0])
        return [
            (
                jnp.zeros((count, *cells, self.tim.style_dim)),
                jnp.zeros((count, *size, self.tim.noise_channels)),
            )
            for cells, size in zip(maps, sizes, strict=True)
        ]

    def _step(self, state, constants, decay, part):
        values, optimizer_values, averages = state
        loss, gradients = jax.value_and_grad(self._loss)(
            values, constants, *part
        )
        finite = jnp.isfinite(loss)
        for gradient in gradients:
            finite &= jnp.isfinite(jnp.sum(gradient.astype("float32")))
        with scaled_learning_rates(
            self.optimizer, learning_rate_multipliers(self.tim)
        ):
            new = self.optimizer.stateless_apply(
                optimizer_values, gradients, values
            )
        new = jax.tree.map(
            lambda a, b: jnp.where(finite, a, b),
            (list(new[0]), list(new[1])),
            (values, optimizer_values),
        )
        averages = jax.tree.map(
            lambda a, v: a + (1.0 - decay) * (v - a), averages, new[0]
        )
        return (*new, averages), loss

    def compiled(self, pool, arguments, codes_off):
        """Traces `round` and has it compiled beside what else is done.

        Args:
            pool: an executor.
            arguments: the round's arguments, as far as their shapes go.
            codes_off: bool, whether it goes without codes.

        Returns:
            A future of a function that takes these arguments.
        """
        return pool.submit(
            type(self).round.lower(self, *arguments, codes_off).compile
        )

    @functools.partial(jax.jit, static_argnums=(0, 7), donate_argnums=1)
    def round(self, state, constants, rate, key, inputs, pictures, codes_off):
        """One selection and the steps that follow it."""
        job = self.job
        inputs = check_inputs(self.tim, inputs)
        targets = self._targets(inputs, pictures)
        state[1][self.rate_place] = rate
        code_key, order_key = jax.random.split(key)
        if codes_off:
            codes, begun, distances = None, None, []
        else:
            codes, distances, begun = jax.lax.stop_gradient(
                self._with(
                    state[0],
                    constants,
                    self._selected,
                    inputs,
                    targets,
                    code_key,
                )
            )
        count, size = len(pictures), job["mini_batch_size"]
        passes = job["passes"]
        rows = jnp.concatenate(
            [
                jax.random.permutation(k, count)
                for k in jax.random.split(order_key, passes)
            ]
        ).reshape(-1, size)

        def step(state, rows):
            part = jax.tree.map(
                lambda x: x[rows], (inputs, codes, targets, begun)
            )
            return self._step(state, constants, job["ema"], part)

        state, losses = jax.lax.scan(step, state, rows)
        found = [jnp.mean(x) for x in distances]
        return state, jnp.stack([jnp.mean(losses), *found])

    def save(self, folder, report):
        """Writes the averages, by their places in the tower."""
        jax.tree.map(
            lambda variable, value: variable.assign(value),
            self.trained,
            self.state[2],
        )
        stored = {
            place: np.asarray(weight)
            for place, weight in stored_weights(self.tim).items()
        }
        if sum(x.nbytes for x in stored.values()) > 15e6:
            stored = {k: x.astype("float16") for k, x in stored.items()}
        path = os.path.join(folder, "weights.npz")
        np.savez(f"{path}.part.npz", **stored)
        os.replace(f"{path}.part.npz", path)
        with open(os.path.join(folder, "report.json"), "w") as file:
            json.dump(report, file)


def built(job, folder):
    """The model as it is to go on."""
    keras.utils.set_random_seed(job.get("seed", 0))
    arguments = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in job["model"].items()
    }
    if job.get("modulated_blocks"):
        arguments = {
            **trunk_arguments(64, 32, 23, job["modulated_blocks"]),
            **arguments,
        }
    tim = TIM(**arguments)
    if FLAGS.trunk:
        set_trunk(tim, read_esrgan(FLAGS.trunk))
    elif tim.trunk is not None:
        set_trunk(tim, read_trunk(tim.trunk))
    for path in (os.path.join(folder, "weights.npz"), job.get("start")):
        if path and os.path.exists(path):
            with np.load(path) as file:
                own = stored_weights(tim)
                taken = [n for n in file.files if n in own]
                for name in taken:
                    own[name].assign(file[name].astype("float32"))
            print("goes on from", path, len(taken), "of", len(own), flush=True)
            return tim, True
    return tim, False


def main(_):
    """Trains until the time is over."""
    started = time.monotonic()
    with open(FLAGS.job) as file:
        job = json.load(file)
    os.makedirs(FLAGS.output, exist_ok=True)
    keras.config.set_dtype_policy(FLAGS.policy)
    tim, goes_on = built(job, FLAGS.output)
    print(
        tim.count_params(),
        "weights,",
        sum(int(np.prod(v.shape)) for v in tim.trainable_variables),
        "trained",
        flush=True,
    )
    pairs = pair_function(tim, job)
    trainer = Trainer(tim, job)
    print(f"ready after {time.monotonic() - started:.1f} s", flush=True)
    without = 0.0 if goes_on else job.get("share_without_codes", 0.0)
    phases = [(True, without), (False, 1.0)] if without else [(False, 1.0)]
    key = jax.random.key(job.get("seed", 0))
    pool = concurrent.futures.ThreadPoolExecutor()
    count = job["images_per_selection"]
    some = (
        trainer.state,
        trainer.constants,
        jnp.float32(0.0),
        key,
        *pairs(key, count),
    )
    # The second phase's round is compiled while the first phase trains.
    phases = [
        (trainer.compiled(pool, some, codes_off), until)
        for codes_off, until in phases
    ]
    print(f"traced after {time.monotonic() - started:.1f} s", flush=True)
    del some
    rounds, steps, history, elapsed, saved = 0, 0, [], 0.0, 0.0
    last_round, total = None, None
    for number, (compiled, until) in enumerate(phases):
        train_round, done = compiled.result(), 0
        print(f"compiled after {time.monotonic() - started:.1f} s", flush=True)
        if total is None:
            total = FLAGS.seconds
            if FLAGS.deadline:
                total = FLAGS.deadline - time.time()
        later = phases[number + 1 :]
        while elapsed < total:
            # A phase also lasts until the next one's round is compiled.
            if elapsed >= until * total and all(f.done() for f, _ in later):
                break
            if FLAGS.rounds and done >= FLAGS.rounds:
                break
            start = time.monotonic()
            progress = elapsed / total
            rate = job["learning_rate"] * max(
                0.02, 0.5 * (1.0 + np.cos(np.pi * progress))
            )
            rate *= min(1.0, (steps + 10) / job.get("warmup", 100))
            key, data_key, round_key = jax.random.split(key, 3)
            trainer.state, found = train_round(
                trainer.state,
                trainer.constants,
                jnp.float32(rate),
                round_key,
                *pairs(data_key, count),
            )
            if last_round is not None:
                # One round runs while the next one is made ready.
                history.append(np.asarray(last_round).tolist())
            last_round = found
            elapsed += time.monotonic() - start
            rounds, done = rounds + 1, done + 1
            steps += job["passes"] * count // job["mini_batch_size"]
            if rounds % job.get("report", 10) == 0 and history:
                recent = np.array(
                    [h for h in history[-10:] if len(h) == len(history[-1])]
                ).mean(axis=0)
                print(
                    f"{elapsed:.1f} s, {rounds} rounds, {steps} steps:",
                    recent.round(4).tolist(),
                    flush=True,
                )
            if elapsed - saved > 45.0:
                saved = elapsed
                trainer.save(FLAGS.output, {"steps": steps, "seconds": elapsed})
    trainer.save(
        FLAGS.output,
        {
            "steps": steps,
            "rounds": rounds,
            "seconds": elapsed,
            "images": rounds * count,
            "history": history,
        },
    )
    print(f"{FLAGS.output}: {steps} steps in {elapsed:.1f} s", flush=True)


if __name__ == "__main__":
    app.run(main)
