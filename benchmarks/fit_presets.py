"""Trains presets that ship by `TIM.fit`, on a processor.

`train_presets.py` does the same on JAX, for cards that TensorFlow does not
reach. Processors with AMX or AVX512-BF16 are several times faster in bfloat16.

    python benchmarks/fit_presets.py \
        --job=benchmarks/presets/decompression_photos.json \
        --pictures=PHOTOS --output=RUN --minutes=120

A recipe without perceptual distance and codes comes first, and what it gives
is where the other one starts:

    python benchmarks/fit_presets.py \
        --job=benchmarks/presets/decompression_regression.json \
        --pictures=PHOTOS --output=BEFORE --minutes=20
    python benchmarks/fit_presets.py ... --start=BEFORE/weights.npz

PHOTOS is a folder, RUN gets `weights.npz`, the moving averages by their places
in the tower, after every round of `report` steps, and `state.npz`, from which
it goes on when it is called again.
"""

import json
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags

from keras_tim.assets.trunks import read_trunk
from keras_tim.data import (
    colourization_dataset,
    decompression_dataset,
    super_resolution_dataset,
)
from keras_tim.files import write_json, written
from keras_tim.models.pretrained import stored_weights
from keras_tim.models.trunk import set_trunk, trunk_arguments
from keras_tim.perceptual.mixed import MixedLPIPS
from keras_tim.tim import TIM

FLAGS = flags.FLAGS
flags.DEFINE_string("job", None, "JSON file of the recipe", required=True)
flags.DEFINE_string("pictures", None, "folder of photos", required=True)
flags.DEFINE_string("output", None, "the run's folder", required=True)
flags.DEFINE_string("start", None, "weights.npz of another run")
flags.DEFINE_float("minutes", 60.0, "how long this call trains")
flags.DEFINE_string("policy", "mixed_bfloat16", "dtype policy")
flags.DEFINE_integer("threads", 1, "cores")


@keras.saving.register_keras_serializable(package="keras_tim_benchmarks")
class WarmCosine(keras.optimizers.schedules.LearningRateSchedule):
    """A linear start, then half a cosine down to a fiftieth."""

    def __init__(self, rate, warmup, steps):
        self.rate, self.warmup, self.steps = rate, warmup, steps

    def __call__(self, step):
        step = keras.ops.cast(step, "float32")
        share = keras.ops.minimum(step / self.steps, 1.0)
        falling = 0.5 * (1.0 + keras.ops.cos(np.pi * share))
        rising = keras.ops.minimum(1.0, (step + 10.0) / self.warmup)
        return self.rate * rising * keras.ops.maximum(0.02, falling)

    def get_config(self):
        return {
            "rate": self.rate,
            "warmup": self.warmup,
            "steps": self.steps,
        }


def distance_of(job):
    """The recipe's distance, its networks in the recipe's precision."""
    if isinstance(job["distance"], str):
        return job["distance"]
    # In bfloat16 the gradient of LPIPS points elsewhere: its cosine to that of
    # float32 is 0.83 (VGG16) and 0.92 (AlexNet).
    return MixedLPIPS(job["distance"], dtype=job.get("lpips", "float32"))


def pairs(tim, job, start):
    """Endless batches of inputs and targets."""
    options = {
        "crop_size": job["crop"][0],
        "batch_size": job["images_per_selection"],
        "seed": job["seed"],
        "repeat": True,
        "start": start,
        "downsample": job.get("downsample", 1),
        "num_levels": tim.num_levels,
    }
    if tim.task == "decompression":
        return decompression_dataset(
            FLAGS.pictures, quality=tuple(job["qualities"]), **options
        )
    if tim.task == "super_resolution":
        return super_resolution_dataset(
            FLAGS.pictures,
            scale=tim.scale,
            degraded=job.get("degraded", False),
            enlarged=job.get("enlarged", 0.0),
            **options,
        )
    return colourization_dataset(FLAGS.pictures, **options)


def built(job):
    """The recipe's model, on its trunk where it has one."""
    arguments = {
        k: tuple(v) if isinstance(v, list) else v
        for k, v in job["model"].items()
    }
    if job.get("modulated_blocks"):
        arguments = {
            **trunk_arguments(64, 32, 23, job["modulated_blocks"]),
            **arguments,
        }
    tim = TIM(**arguments, dtype=FLAGS.policy)
    if tim.trunk is not None:
        set_trunk(tim, read_trunk(tim.trunk))
    return tim


def main(_):
    """Trains until the time or the steps are over."""
    tf.config.threading.set_intra_op_parallelism_threads(FLAGS.threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    began = time.monotonic()
    with open(FLAGS.job) as file:
        job = json.load(file)
    os.makedirs(FLAGS.output, exist_ok=True)
    keras.utils.set_random_seed(job["seed"])
    tim = built(job)
    if FLAGS.start:
        with np.load(FLAGS.start) as file:
            for name, weight in stored_weights(tim).items():
                weight.assign(file[name])
    per_round = (
        job["passes"] * job["images_per_selection"] // job["mini_batch_size"]
    )
    tim.compile(
        keras.optimizers.Adam(
            WarmCosine(job["learning_rate"], job["warmup"], job["steps"]),
            beta_2=0.99,
            use_ema=True,
            ema_momentum=job["ema"],
            # The averages are copied out below, never into the model.
            ema_overwrite_frequency=None,
        ),
        distance=distance_of(job),
        num_candidates=job["num_candidates"],
        steps_per_selection=per_round,
        mini_batch_size=job["mini_batch_size"],
        candidate_chunk=job["candidate_chunk"],
        pixel_weight=job["pixel_weight"],
        seed=job["seed"],
    )
    saved = [*tim.variables, *tim.optimizer.variables]
    state = os.path.join(FLAGS.output, "state.npz")
    if os.path.exists(state):
        with np.load(state) as file:
            for number, variable in enumerate(saved):
                variable.assign(file[str(number)])
    done = int(tim.optimizer.iterations) // per_round
    print(
        f"{tim.count_params()} weights, from round {done} on of "
        f"{job['steps'] // per_round}",
        flush=True,
    )
    history = os.path.join(FLAGS.output, "history.jsonl")
    data = iter(pairs(tim, job, done))

    def save():
        state = {str(i): np.array(v) for i, v in enumerate(saved)}
        trained = [np.array(v) for v in tim.trainable_variables]
        tim.optimizer.finalize_variable_values(tim.trainable_variables)
        averages = {k: np.array(v) for k, v in stored_weights(tim).items()}
        for variable, value in zip(
            tim.trainable_variables, trained, strict=True
        ):
            variable.assign(value)
        for name, arrays in (
            ("weights.npz", averages),
            ("state.npz", state),
        ):
            path = os.path.join(FLAGS.output, name)
            with written(path) as partial, open(partial, "wb") as file:
                np.savez(file, **arrays)

    while (
        int(tim.optimizer.iterations) < job["steps"]
        and time.monotonic() - began < 60.0 * FLAGS.minutes
    ):
        for _ in range(job["report"]):
            logs = tim.train_on_batch(*next(data), return_dict=True)
        line = {k: round(float(v), 5) for k, v in logs.items()}
        line |= {
            "steps": int(tim.optimizer.iterations),
            "seconds": round(time.monotonic() - began),
        }
        with open(history, "a") as file:
            file.write(json.dumps(line) + "\n")
        tim.reset_metrics()
        save()
    write_json(os.path.join(FLAGS.output, "job.json"), job)


if __name__ == "__main__":
    app.run(main)
