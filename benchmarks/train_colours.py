"""Trains the colourization preset by conditional IMLE on colours alone.

LPIPS hardly sees colours: trained by it, samples are faint tints. Here the
distance is that of the two predicted channels, pixel by pixel, and rare colours
count more, as in Zhang et al. (2016), section 2.2: most pixels of photos are
nearly grey. What is measured by LPIPS afterwards was then not trained by it.

    python benchmarks/train_colours.py \
        --job=benchmarks/presets/colourization_photos.json \
        --pictures=PICTURES --output=RUN --minutes=60

PICTURES is a folder of square pictures of one size, or an npz file of them as
`train_presets.py` takes it. VGG16's features of all pictures, at the first
level's size, are computed once and kept in RUN (2.3 MB a picture of 224
pixels). On them the first level is trained, which decides the colours:
Algorithm 1 with that level's codes. The later levels enlarge its colours
(`input_skip`), and change nothing of them. RUN gets `weights.npz`, the moving
averages. More than some 1,000 steps fit the training pictures alone.

Reference:
    - [Zhang et al., 2016](https://arxiv.org/abs/1603.08511)
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
from PIL import Image
from preset_data import decoded

from keras_tim.files import written
from keras_tim.layers.resampling import linear_resize
from keras_tim.models.pretrained import stored_weights
from keras_tim.tasks.colourization import (
    COLOUR_RANGE,
    SMALLEST_LIGHTNESS,
    rgb_to_lab,
    rgb_to_lightness,
)
from keras_tim.tim import TIM

FLAGS = flags.FLAGS
flags.DEFINE_string("job", None, "JSON file of the recipe", required=True)
flags.DEFINE_string("pictures", None, "npz or folder", required=True)
flags.DEFINE_string("output", None, "the run's folder", required=True)
flags.DEFINE_string("start", None, "weights.npz of another run")
flags.DEFINE_float("minutes", 60.0, "how long it is trained")
flags.DEFINE_bool("codes", True, "without them it is a plain regression")
flags.DEFINE_string("policy", "mixed_bfloat16", "dtype policy")
flags.DEFINE_integer("threads", 1, "cores")

# Colours are counted in squares of so many units of a and b.
_BIN, _BINS, _OFFSET = 10.0, 22, 110.0
_HEAVIEST = 8.0


# -- The distance ----------------------------------------------------------


class ColourDistance:
    """Distance of predicted channels, in which rare colours count more.

    Args:
        colours: float array `[n, 2]`, a and b of the training pictures.
        share: float in [0, 1], how much of a uniform distribution is mixed
            into theirs before it is inverted.
        smooth: float, differences of a and b over 127 below which it is
            quadratic.
        darkest: float, lightness in (0, 1] up to which a and b count less.
            Channels are a and b times lightness: without it dark pixels would
            hardly count, and shine in any colour.
    """

    def __init__(self, colours, share, smooth, darkest):
        counts = np.bincount(np.asarray(_bins(colours)), minlength=_BINS**2)
        found = counts.reshape(_BINS, _BINS) / counts.sum()
        kernel = np.exp(-0.5 * (np.arange(-2, 3) / 0.5) ** 2)
        kernel /= kernel.sum()
        blurred = found
        for axis in (0, 1):
            blurred = np.apply_along_axis(
                np.convolve, axis, blurred, kernel, "same"
            )
        uniform = share / np.count_nonzero(found)
        weights = 1.0 / ((1.0 - share) * blurred + uniform)
        weights /= np.sum(weights * found)
        weights = np.minimum(weights, _HEAVIEST).astype("float32")
        self._weights = tf.constant(weights.ravel())
        self._smooth, self._darkest = smooth, darkest

    def weights(self, colours):
        """How much pixels of these colours count, `[...]`."""
        return tf.gather(self._weights, _bins(colours))

    def __call__(self, made, target, weights, lightness):
        """Distances `[batch]` of predicted channels `[batch, h, w, 2]`."""
        difference = tf.cast(made, "float32") - target
        difference /= tf.maximum(lightness, self._darkest)
        square = tf.reduce_sum(difference**2, -1)
        distance = tf.sqrt(square + self._smooth**2) - self._smooth
        return tf.reduce_mean(distance * weights, (1, 2))


def _bins(colours):
    places = tf.cast((colours + _OFFSET) / _BIN, "int32")
    places = tf.clip_by_value(places, 0, _BINS - 1)
    return places[..., 0] * _BINS + places[..., 1]


def predicted(colours, lightness):
    """The channels that the network is to predict of a and b."""
    lightness = tf.maximum(lightness, SMALLEST_LIGHTNESS)
    return colours * lightness / COLOUR_RANGE


# -- Data ------------------------------------------------------------------


def variants(pictures, count, seed):
    """Every picture, and mirrored crops of it at the same size."""
    rng = np.random.default_rng(seed)
    for picture in pictures:
        yield picture
        side = len(picture)
        for _ in range(count - 1):
            part = int(side * rng.uniform(0.7, 0.95))
            top, left = rng.integers(0, side - part + 1, 2)
            crop = picture[top : top + part, left : left + part]
            crop = Image.fromarray(crop).resize(
                (side, side), Image.Resampling.BICUBIC
            )
            yield np.asarray(crop)[:, ::-1]


def write_features(tim, pictures, count, seed, folder):
    """Writes what the first level is trained on, unless it is there."""
    names = ("features", "lightness", "colours")
    paths = [os.path.join(folder, f"{name}.npy") for name in names]
    if all(map(os.path.exists, paths)):
        return [np.load(path, mmap_mode="r") for path in paths]
    factor = 2 ** (tim.num_levels - 1)
    side = pictures.shape[1] // factor

    @tf.function(
        input_signature=[tf.TensorSpec([None, *pictures.shape[1:]], tf.uint8)]
    )
    def compute(pixels):
        rgb = tf.cast(pixels, tf.float32) / 255.0
        given = rgb_to_lightness(rgb)
        task = tim.task_definition
        taps = tim.guide.taps(task.guiding_picture(given))
        taps = [linear_resize(tap, side, side) for tap in taps]
        colours = rgb_to_lab(rgb)[..., 1:]
        return (
            tf.cast(tf.concat(taps, -1), tf.float16),
            task.input_pyramid(given, tim.num_levels)[0],
            tf.nn.avg_pool2d(colours, factor, factor, "VALID"),
        )

    total, group, done = count * len(pictures), [], 0
    files = None
    for number, picture in enumerate(variants(pictures, count, seed)):
        group.append(picture)
        if len(group) < 8 and number + 1 < total:
            continue
        made = [x.numpy() for x in compute(tf.constant(np.stack(group)))]
        if files is None:
            files = [
                np.lib.format.open_memmap(
                    f"{path}.part", "w+", x.dtype, (total, *x.shape[1:])
                )
                for path, x in zip(paths, made, strict=True)
            ]
        for file, x in zip(files, made, strict=True):
            file[done : done + len(x)] = x
        done, group = done + len(made[0]), []
        if done % 400 < 8:
            print(f"features of {done} of {total}", flush=True)
    for file, path in zip(files, paths, strict=True):
        file.flush()
        os.replace(f"{path}.part", path)
    return [np.load(path, mmap_mode="r") for path in paths]


# -- Training --------------------------------------------------------------


def seen_first(tim, features, lightness, drop):
    """What the first level reads, of stored features."""
    features = tf.cast(features, tf.float32)
    if drop:
        shape = [tf.shape(features)[0], 1, 1, features.shape[-1]]
        features = tf.nn.dropout(features, drop, noise_shape=shape)
    kernel = tf.concat([p.value for p in tim.guide.projections(0)], 0)
    guide = tf.matmul(
        tf.cast(features, tim.compute_dtype), tf.cast(kernel, tim.compute_dtype)
    )
    guide = tf.nn.leaky_relu(tf.cast(guide, tf.float32), 0.2)
    return tf.concat([lightness, guide], -1)


class Trainer:
    """Trains the first level on stored features.

    Args:
        tim: the `TIM`.
        job: dict, the recipe.
        distance: a `ColourDistance`.
    """

    def __init__(self, tim, job, distance):
        self.tim, self.job, self.distance = tim, job, distance
        self.trained = [
            *(
                variable
                for variable in tim.tower[0].trainable_variables
                if "/resize" not in variable.path  # what it hands on
            ),
            *tim.guide.projections(0),
        ]
        self.optimizer = keras.optimizers.AdamW(
            job["learning_rate"],
            beta_2=0.99,
            weight_decay=job["weight_decay"],
            clipnorm=1.0,
        )
        self.optimizer.build(self.trained)
        self.averages = [tf.Variable(v.value) for v in self.trained]

    def apply(self, tape, loss):
        """One step of the optimiser and of the averages."""
        gradients = tape.gradient(loss, [v.value for v in self.trained])
        self.optimizer.apply(gradients, self.trained)
        for average, variable in zip(self.averages, self.trained, strict=True):
            average.assign_add(
                (1.0 - self.job["ema"]) * (variable.value - average)
            )

    def set_rate(self, share, steps):
        """A linear start, then half a cosine down to a fiftieth."""
        falling = max(0.02, 0.5 * (1.0 + np.cos(np.pi * share)))
        rising = min(1.0, (steps + 10) / self.job["warmup"])
        self.optimizer.learning_rate = (
            self.job["learning_rate"] * rising * falling
        )

    def codes(self, count, side):
        """Codes of the first level, drawn."""
        if not FLAGS.codes:
            return (
                tf.zeros((count, self.tim.style_dim)),
                tf.zeros((count, side, side, self.tim.noise_channels)),
            )
        return (
            tf.random.normal((count, self.tim.style_dim)),
            tf.random.normal((count, side, side, self.tim.noise_channels)),
        )

    def chosen(self, seen, target, weights, candidates):
        """The first level's nearest candidate codes of every input.

        Args:
            seen: what the level reads, `[batch, side, side, channels]`.
            target: the channels to predict.
            weights: how much pixels count.
            candidates: int.

        Returns:
            style, noise, their distances `[batch]`, and those of all
            candidates on average.
        """
        count, side = tf.shape(seen)[0], seen.shape[1]
        begun = None
        if self.tim.has_plain_blocks:
            begun = self.tim.begin_level(0, seen)
        style, noise = self.codes(count, side)
        if not FLAGS.codes:
            return style, noise, tf.zeros([count]), tf.zeros([count])
        nearest = tf.fill([count], tf.float32.max)
        total = tf.zeros([count])
        for _ in tf.range(candidates):
            code = self.codes(count, side)
            made, _ = self.tim.run_level(0, seen, None, code, begun=begun)
            found = self.distance(made, target, weights, seen[..., :1])
            nearer = found < nearest
            nearest, total = tf.where(nearer, found, nearest), total + found
            style = tf.where(nearer[:, None], code[0], style)
            noise = tf.where(nearer[:, None, None, None], code[1], noise)
        return style, noise, nearest, total / tf.cast(candidates, tf.float32)

    @tf.function
    def select(self, features, lightness, colours):
        """Codes of a group of pictures."""
        return self.chosen(
            seen_first(self.tim, features, lightness, 0.0),
            predicted(colours, lightness),
            self.distance.weights(colours),
            self.job["candidates"],
        )

    @tf.function
    def step(self, features, lightness, colours, style, noise):
        """One gradient step on a mini-batch; its loss."""
        with tf.GradientTape() as tape:
            drop = self.job["dropout"]
            seen = seen_first(self.tim, features, lightness, drop)
            made, _ = self.tim.run_level(0, seen, None, (style, noise))
            loss = tf.reduce_mean(
                self.distance(
                    made,
                    predicted(colours, lightness),
                    self.distance.weights(colours),
                    lightness,
                )
            )
        self.apply(tape, loss)
        return loss

    def train(self, data, minutes, state):
        """Rounds of selection and steps; goes on from what `state` holds."""
        job, rng = self.job, np.random.default_rng(self.job["seed"])
        saved = [*self.trained, *self.optimizer.variables, *self.averages]
        done, steps = 0.0, 0
        if os.path.exists(state):
            with np.load(state) as file:
                done, steps = float(file["seconds"]), int(file["steps"])
                for number, variable in enumerate(saved):
                    variable.assign(file[str(number)])
            rng = np.random.default_rng([job["seed"], steps])
        began = told = time.monotonic()
        total, order, losses = 60.0 * minutes, [], []
        while (elapsed := done + time.monotonic() - began) < total:
            self.set_rate(elapsed / total, steps)
            if len(order) < job["group"]:
                order = list(rng.permutation(len(data[0])))
            rows = np.sort(order[: job["group"]])
            order = order[job["group"] :]
            group = [tf.constant(x[rows]) for x in data]
            style, noise, nearest, mean = self.select(*group)
            for _ in range(job["passes"]):
                places = rng.permutation(len(rows))
                for first in range(0, len(rows), job["mini_batch_size"]):
                    part = places[first : first + job["mini_batch_size"]]
                    batch = [tf.gather(x, part) for x in (*group, style, noise)]
                    losses.append(float(self.step(*batch)))
                    steps += 1
            if time.monotonic() - told > 60.0:
                told = time.monotonic()
                print(
                    f"{elapsed:.0f} s, {steps} steps: loss "
                    f"{np.mean(losses[-200:]):.4f}, nearest "
                    f"{np.mean(nearest):.4f} of {np.mean(mean):.4f}",
                    flush=True,
                )
                arrays = {
                    str(n): keras.ops.convert_to_numpy(v)
                    for n, v in enumerate(saved)
                }
                write(state, seconds=elapsed, steps=steps, **arrays)
        print(f"first level: {steps} steps", flush=True)


def switch_off_later_levels(tim):
    """Makes the later levels enlarge the first one's colours, no more."""
    for level in range(1, tim.num_levels):
        for weight in (
            *tim.guide.projections(level),
            *(v for v in tim.tower[level].weights if "/output/" in v.path),
        ):
            weight.assign(keras.ops.zeros_like(weight))


def take_averages(trainer):
    """The averages in place of the weights."""
    for variable, average in zip(
        trainer.trained, trainer.averages, strict=True
    ):
        variable.assign(average)


def write(path, **arrays):
    """An npz file, whole or not at all."""
    with written(path) as partial, open(partial, "wb") as file:
        np.savez(file, **arrays)


def read_weights(tim, path):
    """What `write_weights` wrote."""
    with np.load(path) as file:
        for name, weight in stored_weights(tim).items():
            weight.assign(file[name])


def write_weights(tim, path):
    """The weights by their places in the tower."""
    write(
        path,
        **{
            name: keras.ops.convert_to_numpy(weight)
            for name, weight in stored_weights(tim).items()
        },
    )


def main(_):
    """Trains, or goes on training."""
    tf.config.threading.set_intra_op_parallelism_threads(FLAGS.threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    with open(FLAGS.job) as file:
        job = json.load(file)
    os.makedirs(FLAGS.output, exist_ok=True)
    keras.utils.set_random_seed(job["seed"])
    tim = TIM(
        **{
            name: tuple(value) if isinstance(value, list) else value
            for name, value in job["model"].items()
        },
        stochastic=FLAGS.codes,
        dtype=FLAGS.policy,
    )
    pictures = decoded(FLAGS.pictures)
    data = write_features(
        tim, pictures, job["variants"], job["seed"], FLAGS.output
    )
    distance = ColourDistance(
        data[2].reshape(-1, 2),
        job["uniform_share"],
        job["smooth"],
        job["darkest"],
    )
    if FLAGS.start:
        read_weights(tim, FLAGS.start)
    trainer = Trainer(tim, job, distance)
    trainer.train(data, FLAGS.minutes, os.path.join(FLAGS.output, "state.npz"))
    take_averages(trainer)
    switch_off_later_levels(tim)
    write_weights(tim, os.path.join(FLAGS.output, "weights.npz"))


if __name__ == "__main__":
    app.run(main)
