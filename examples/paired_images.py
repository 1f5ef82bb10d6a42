"""Paired images with `model.fit`: from prints to eight photos of one.

    python examples/paired_images.py

The photos are those bundled with scikit-image. Any two folders will do whose
pictures have the same names and sizes, such as drawings and photos, or day and
night: `paired_images_dataset("PHOTOS", "DRAWINGS")`. Where the inputs are
nearly right already, as with noise, `TIM.from_preset("paired_images_nano",
input_skip="own")` learns what to change in them.
"""

import keras
import numpy as np
from absl import app, flags
from PIL import Image

import keras_tim
from keras_tim.images import alternatives_sheet, write_picture

FLAGS = flags.FLAGS
flags.DEFINE_string("output", "paired_images.png", "the contact sheet")
flags.DEFINE_string("model", "paired_images.keras", "the trained model")
flags.DEFINE_integer("rounds", 30, "selections, of 12 gradient steps each")


def printed(photo):
    """Dots of eight colours, as a printer without half-tones leaves them."""
    colours = Image.fromarray(photo).split()
    dots = [colour.convert("1").convert("L") for colour in colours]
    return np.array(Image.merge("RGB", dots))


def main(_):
    """Trains, samples, and writes a contact sheet."""
    keras.utils.set_random_seed(0)
    photos = keras_tim.data.sample_photos()
    prints = {name: printed(photo) for name, photo in photos.items()}
    tim = keras_tim.TIM.from_preset("paired_images_nano")
    pairs = keras_tim.data.paired_images_dataset(
        photos,
        prints,
        num_levels=tim.num_levels,
        crop_size=64,
        batch_size=32,
        exclude=("chelsea",),
        repeat=True,
    )
    tim.compile(
        optimizer=keras.optimizers.Adam(1e-3, beta_2=0.99),
        distance="lpips_alex",
        num_candidates=4,
        steps_per_selection=12,
        mini_batch_size=8,
        candidate_chunk=32,
        pixel_weight=1.0,
    )
    tim.fit(pairs, steps_per_epoch=FLAGS.rounds)
    tim.save(FLAGS.model)

    given, observed = keras_tim.data.paired_images_pair(
        photos["chelsea"], prints["chelsea"], tim.input_multiple
    )
    samples = tim.sample(given[None], num_samples=8, seed=0)[0]
    sheet = alternatives_sheet("chelsea", given, samples, target=observed)
    write_picture(FLAGS.output, sheet)


if __name__ == "__main__":
    app.run(main)
