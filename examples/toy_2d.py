"""IMLE beside a GAN on points of the plane: which modes does each cover?

Two copies of one generator learn a mixture of Gaussians, 25 on a grid or 8 on
a ring. One learns by Implicit Maximum Likelihood Estimation (IMLE; Li & Malik
2018, arXiv:1809.09087), where every data point pulls the sample that lies
nearest to it; the other against a discriminator (the non-saturating GAN of
Goodfellow et al. 2014, arXiv:1406.2661). Both start from the same weights, see
the same data, generate the same number of samples and take the same number of
gradient steps.

    python examples/toy_2d.py                         # 25 modes on a grid
    python examples/toy_2d.py --mixture=ring --seed=1

leaves in the folder `--output` the densities as training goes, as a picture
(`density.png`) and in motion (`density.gif`), and the measures that it prints
(`coverage.json`).
"""

import dataclasses
import os

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags
from keras import ops

from keras_tim.files import write_json
from keras_tim.images import contact_sheet, write_film, write_picture
from keras_tim.images.sheets import colour_map
from keras_tim.imle.tensorflow_backend import repeat

# What random numbers are for: each purpose has a stream of its own.
TRAINING_DATA, HELD_OUT_DATA, DATA_ROWS, CODES, MORE_CODES = range(5)
EVALUATION, GENERATOR, DISCRIMINATOR = range(5, 8)

SAMPLES = 20_000  # samples that are measured and drawn
HELD_OUT = 2_000  # data points that are not trained on
PIXELS = 96  # side of a density picture
COLUMNS = 5  # moments on the sheet, apart from the start
FRAMES = 25  # moments in the film, apart from the start


@dataclasses.dataclass(frozen=True)
class Mixture:
    """Equally likely round Gaussians in the plane.

    Args:
        centres: float array `[modes, 2]`.
        deviation: float, the standard deviation of every mode along each axis.
    """

    centres: np.ndarray
    deviation: float

    def draw(self, count, seed):
        """Draws points.

        Args:
            count: int.
            seed: int or sequence of int.

        Returns:
            float32 array `[count, 2]`.
        """
        random = np.random.default_rng(seed)
        modes = random.integers(len(self.centres), size=count)
        noise = random.standard_normal((count, 2))
        points = self.centres[modes] + self.deviation * noise
        return points.astype(np.float32)

    @property
    def extent(self):
        """Half the side of the square around the origin that is drawn."""
        return float(np.abs(self.centres).max() + 10.0 * self.deviation)


def make_mixture(name):
    """Makes one of the mixtures on which mode collapse is usually shown.

    Args:
        name: "grid", 25 modes in five rows, or "ring", 8 modes.

    Returns:
        A `Mixture`.

    Raises:
        ValueError: if there is no such mixture.
    """
    if name == "grid":
        line = np.arange(-2.0, 3.0)
        centres = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
        return Mixture(centres, deviation=0.05)
    if name == "ring":
        angles = 2.0 * np.pi * np.arange(8) / 8.0
        centres = 2.0 * np.stack([np.cos(angles), np.sin(angles)], axis=-1)
        return Mixture(centres, deviation=0.1)
    raise ValueError(
        f'`name` must be "grid" or "ring". Received: name={name!r}'
    )


@dataclasses.dataclass(frozen=True)
class Settings:
    """What both trainings share, and the learning rates of each.

    Args:
        steps: int, gradient steps of either generator.
        batch_size: int, data points of a step. IMLE looks for the nearest
            among as many samples (m of its Algorithm 1), and generates the
            chosen ones again for their gradient; the GAN generates as many for
            the discriminator's step, and as many for the generator's.
        latent_dim: int, size of a code.
        width: int, units of a hidden layer.
        depth: int, hidden layers of the generator and of the discriminator.
        imle_rate: float, first learning rate of IMLE's Adam.
        gan_rate: float, first learning rate of both of the GAN's Adams.
        gan_beta_1: float, their first beta.
        data_points: int, size of the training set.
        seed: int, seed of everything; not negative.

    Raises:
        ValueError: if `steps` or `seed` is out of range.
    """

    steps: int = 12_000
    batch_size: int = 256
    latent_dim: int = 2
    width: int = 128
    depth: int = 3
    imle_rate: float = 1e-3
    gan_rate: float = 1e-3
    gan_beta_1: float = 0.5
    data_points: int = 20_000
    seed: int = 0

    def __post_init__(self):
        if self.steps < 1:
            raise ValueError(
                f"`steps` must be 1 or more. Received: steps={self.steps}"
            )
        if self.seed < 0:
            raise ValueError(
                f"`seed` must not be negative. Received: seed={self.seed}"
            )


class _Training:
    """A generator, its data and their random numbers.

    Args:
        data: float32 array `[points, 2]`.
        settings: `Settings`.
    """

    def __init__(self, data, settings):
        self.settings = settings
        self.generator = _network(GENERATOR, settings.latent_dim, 2, settings)
        self._data = tf.constant(data)

    @tf.function(autograph=False)
    def train(self, first, count):
        """Takes gradient steps.

        Args:
            first: int32 scalar tensor, steps taken before.
            count: int32 scalar tensor, steps to take.
        """
        repeat(count, lambda number: self._step(first + number))

    def sample(self, count):
        """Draws samples, of the same codes whenever it is called.

        Args:
            count: int.

        Returns:
            float32 array `[count, 2]`.
        """
        codes = self._codes(EVALUATION, 0, count)
        return ops.convert_to_numpy(self.generator(codes))

    def _points(self, number):
        """The data of a step, the same ones for either training."""
        rows = tf.random.stateless_uniform(
            [self.settings.batch_size],
            seed=tf.stack([self.settings.seed, 8 * number + DATA_ROWS]),
            maxval=len(self._data),
            dtype=tf.int32,
        )
        return tf.gather(self._data, rows)

    def _codes(self, purpose, number, count=None):
        return tf.random.stateless_normal(
            [count or self.settings.batch_size, self.settings.latent_dim],
            seed=tf.stack([self.settings.seed, 8 * number + purpose]),
        )

    def _adam(self, network, rate, beta_1):
        decay = keras.optimizers.schedules.CosineDecay(
            rate, self.settings.steps
        )
        optimizer = keras.optimizers.Adam(decay, beta_1=beta_1)
        # Variables cannot be made inside a compiled step.
        optimizer.build(network.trainable_variables)
        return optimizer


class ImleTraining(_Training):
    """Trains a generator by IMLE, Algorithm 1 of Li & Malik (2018).

    Its inner loop is a single step: each draws samples of its own.

    Args:
        data: float32 array `[points, 2]`.
        settings: `Settings`.
    """

    def __init__(self, data, settings):
        super().__init__(data, settings)
        self._optimizer = self._adam(self.generator, settings.imle_rate, 0.9)

    def _step(self, number):
        points = self._points(number)
        codes = self._codes(CODES, number)
        chosen = tf.gather(codes, nearest(points, self.generator(codes)))
        with tf.GradientTape() as tape:
            offsets = self.generator(chosen) - points
            loss = ops.mean(ops.sum(ops.square(offsets), axis=-1))
        _descend(self._optimizer, self.generator, tape, loss)


class GanTraining(_Training):
    """Trains a generator and a discriminator in turns, a step each.

    Args:
        data: float32 array `[points, 2]`.
        settings: `Settings`.
    """

    def __init__(self, data, settings):
        super().__init__(data, settings)
        self.discriminator = _network(DISCRIMINATOR, 2, 1, settings)
        rate, beta_1 = settings.gan_rate, settings.gan_beta_1
        self._generator_optimizer = self._adam(self.generator, rate, beta_1)
        self._discriminator_optimizer = self._adam(
            self.discriminator, rate, beta_1
        )

    def _step(self, number):
        points = self._points(number)
        samples = self.generator(self._codes(CODES, number))
        with tf.GradientTape() as tape:
            # Cross entropy of logits: data are 1, samples 0.
            loss = ops.mean(ops.softplus(-self.discriminator(points)))
            loss += ops.mean(ops.softplus(self.discriminator(samples)))
        _descend(self._discriminator_optimizer, self.discriminator, tape, loss)

        codes = self._codes(MORE_CODES, number)
        with tf.GradientTape() as tape:
            logits = self.discriminator(self.generator(codes))
            loss = ops.mean(ops.softplus(-logits))
        _descend(self._generator_optimizer, self.generator, tape, loss)


def nearest(points, samples):
    """Finds the sample nearest to each point.

    Args:
        points: float tensor `[n, 2]`.
        samples: float tensor `[m, 2]`.

    Returns:
        int tensor `[n]`, rows of `samples`.
    """
    # |p - s|^2 less |p|^2, which is the same for every sample.
    squares = ops.sum(ops.square(samples), axis=-1)
    products = ops.matmul(points, ops.transpose(samples))
    return ops.argmin(squares[None, :] - 2.0 * products, axis=-1)


def coverage(samples, mixture, held_out, least_share=0.1):
    """Measures which modes samples cover, and how well.

    Args:
        samples: float array `[n, 2]`.
        mixture: the `Mixture` that they should come from.
        held_out: float array `[k, 2]`, points of the mixture.
        least_share: float, the share of its due number of samples,
            `n / modes`, from which on a mode counts as covered.

    Returns:
        Dict of
        `modes`: int, modes that are covered;
        `rarest_mode`: float, the share of its due number that the mode with
        the fewest samples has;
        `near_a_mode`: float in [0, 1], share of the samples that lie within
        three standard deviations of a mode's centre, as 0.989 of the
        mixture's own points do;
        `nearest_sample`: float, mean distance of the held-out points to the
        nearest sample. It falls as `n` grows.
    """
    offsets = samples[:, None] - mixture.centres[None]
    near = np.linalg.norm(offsets, axis=-1) <= 3.0 * mixture.deviation
    due = len(samples) / len(mixture.centres)
    counts = near.sum(axis=0)
    chunks = np.array_split(held_out, -(-len(held_out) // 256))
    rows = np.concatenate([nearest(chunk, samples) for chunk in chunks])
    distances = np.linalg.norm(held_out - samples[rows], axis=-1)
    return {
        "modes": int((counts >= least_share * due).sum()),
        "rarest_mode": float(counts.min() / due),
        "near_a_mode": float(near.any(axis=1).mean()),
        "nearest_sample": float(distances.mean()),
    }


def compare(mixture, settings, verbose=1):
    """Trains both generators and measures them.

    Args:
        mixture: `Mixture`.
        settings: `Settings`.
        verbose: 1 for a progress bar, 0 for none.

    Returns:
        Tuple `(samples, measures)`. `samples`: dict from "data" to an array
        `[SAMPLES, 2]`, and from "IMLE" and "GAN" to dicts from the moment, in
        gradient steps, to such arrays. `measures`: dict from the same names to
        what `coverage` says of the last ones.
    """
    data = mixture.draw(settings.data_points, [settings.seed, TRAINING_DATA])
    held_out = mixture.draw(HELD_OUT, [settings.seed, HELD_OUT_DATA])
    samples = {
        "data": mixture.draw(SAMPLES, [settings.seed, EVALUATION]),
    }
    measures = {"data": coverage(samples["data"], mixture, held_out)}
    moments = sorted(
        {
            *_moments(settings.steps, COLUMNS),
            *_moments(settings.steps, FRAMES),
        }
    )
    bar = keras.utils.Progbar(2 * settings.steps) if verbose else None
    for name, kind in (("IMLE", ImleTraining), ("GAN", GanTraining)):
        training = kind(data, settings)
        samples[name] = {}
        done = 0
        for moment in moments:
            training.train(tf.constant(done), tf.constant(moment - done))
            samples[name][moment] = training.sample(SAMPLES)
            done = moment
            if bar is not None:
                bar.update(done + (settings.steps if name == "GAN" else 0))
        measures[name] = coverage(samples[name][done], mixture, held_out)
    return samples, measures


def table(measures, mixture):
    """Sets measures as a Markdown table.

    Args:
        measures: dict of dicts, from `compare`.
        mixture: the `Mixture`.

    Returns:
        str.
    """
    lines = [
        "| | modes covered | rarest mode's share of its due "
        "| samples near a mode | distance to nearest sample |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {name} | {row['modes']} of {len(mixture.centres)} "
        f"| {row['rarest_mode']:.2f} | {row['near_a_mode']:.3f} "
        f"| {row['nearest_sample']:.4f} |"
        for name, row in measures.items()
    ]
    return "\n".join(lines)


def density_sheet(samples, mixture, settings):
    """Draws the densities as training goes.

    Args:
        samples: dict from `compare`.
        mixture: the `Mixture`.
        settings: `Settings`.

    Returns:
        A picture, float32 `[height, width, 3]` in `[0, 1]`: columns are
        moments; rows are the data, IMLE and the GAN.
    """
    moments = _moments(settings.steps, COLUMNS)
    pictures = _density_pictures(samples, mixture, moments)
    return contact_sheet(
        pictures,
        column_titles=[f"step {moment:,}" for moment in moments],
        row_titles=["data", "IMLE", "GAN"],
        scale=2,
        footer="Brightness is the square root of the density, from 0 to the "
        "greatest density of the data.",
    )


def density_film(samples, mixture):
    """Draws the densities in motion.

    Args:
        samples: dict from `compare`.
        mixture: the `Mixture`.

    Returns:
        List of pictures, float32 `[height, width, 3]` in `[0, 1]`.
    """
    moments = sorted(samples["IMLE"])
    rows = zip(*_density_pictures(samples, mixture, moments), strict=True)
    last = f"{moments[-1]:,}"
    return [
        contact_sheet(
            [row],
            column_titles=["data", "IMLE", "GAN"],
            scale=2,
            footer=f"step {moment:,} of {last}",
        )
        for row, moment in zip(rows, moments, strict=True)
    ]


def density(samples, extent):
    """Estimates a density on a grid, slightly smoothed.

    Args:
        samples: float array `[n, 2]`.
        extent: float, half the side of the square around the origin; samples
            outside are not shown.

    Returns:
        float array `[PIXELS, PIXELS]`, the share of the samples in each pixel;
        the first row is the top, where the second coordinate is greatest.
    """
    edges = np.linspace(-extent, extent, PIXELS + 1)
    x, y = samples.T
    # Rows of a picture run downwards.
    counts, _, _ = np.histogram2d(-y, x, bins=(edges, edges))
    for axis in (0, 1):
        counts = np.apply_along_axis(
            np.convolve, axis, counts, [0.25, 0.5, 0.25], "same"
        )
    return counts / len(samples)


def _density_pictures(samples, mixture, moments):
    """Rows (data, IMLE, GAN) of one picture per moment."""
    data = density(samples["data"], mixture.extent)
    rows = [[data] * len(moments)]
    for name in ("IMLE", "GAN"):
        rows.append(
            [density(samples[name][m], mixture.extent) for m in moments]
        )
    peak = data.max()
    # The root shows what is thin beside the modes.
    return [
        [colour_map(np.sqrt(np.minimum(cell / peak, 1.0))) for cell in row]
        for row in rows
    ]


def _network(purpose, inputs, outputs, settings):
    """Dense layers with ReLU between them, initialised from the seed."""
    random = np.random.default_rng([settings.seed, purpose])
    network = keras.Sequential([keras.Input((inputs,))])
    for number in range(settings.depth + 1):
        hidden = number < settings.depth
        kernel_seed, bias_seed = random.integers(2**31, size=2).tolist()
        network.add(
            keras.layers.Dense(
                settings.width if hidden else outputs,
                activation="relu" if hidden else None,
                kernel_initializer=keras.initializers.HeUniform(kernel_seed),
                # With biases of zero all kinks would meet at the origin, and
                # both generators would learn much more slowly.
                bias_initializer=keras.initializers.RandomUniform(
                    -1.0, 1.0, seed=bias_seed
                ),
            )
        )
    return network


def _descend(optimizer, network, tape, loss):
    variables = network.trainable_variables
    optimizer.apply(tape.gradient(loss, variables), variables)


def _moments(steps, count):
    """Steps to look at: the start and, ever further apart, up to the end."""
    times = np.geomspace(max(1.0, steps / 256.0), steps, count)
    return sorted({0, *np.rint(times).astype(int).tolist()})


def main(_):
    """Trains, prints the measures, writes the pictures."""
    values = flags.FLAGS
    mixture = make_mixture(values.mixture)
    settings = Settings(steps=values.steps, seed=values.seed)
    os.makedirs(values.output, exist_ok=True)
    samples, measures = compare(mixture, settings)
    print(table(measures, mixture))

    def path(name):
        return os.path.join(values.output, name)

    write_json(
        path("coverage.json"),
        {
            "mixture": values.mixture,
            "settings": dataclasses.asdict(settings),
            "measures": measures,
        },
    )
    write_picture(
        path("density.png"), density_sheet(samples, mixture, settings)
    )
    write_film(path("density.gif"), density_film(samples, mixture))


if __name__ == "__main__":
    flags.DEFINE_string("output", "toy_2d", "folder of the results")
    flags.DEFINE_enum("mixture", "grid", ["grid", "ring"], "what to learn")
    flags.DEFINE_integer("steps", Settings.steps, "gradient steps of each")
    flags.DEFINE_integer("seed", Settings.seed, "seed of everything")
    app.run(main)
