"""Colourization with `model.fit`: from photos to eight colourings of one.

    python examples/colourization.py                  # bundled photos
    python examples/colourization.py --data=PHOTOS    # a folder of yours

For the paper-sized model on a GPU: preset "colourization_paper", compiled with
`TIM.training_settings("colourization_paper")`, on crops as
`TIM.data_settings` has them, and days instead of minutes.
"""

import keras
from absl import app, flags

import keras_tim
from keras_tim.images import alternatives_sheet, write_picture

FLAGS = flags.FLAGS
flags.DEFINE_string("data", None, "folder of photos; bundled ones if not given")
flags.DEFINE_string("output", "colourization.png", "the contact sheet")
flags.DEFINE_string("model", "colourization.keras", "the trained model")
flags.DEFINE_integer("rounds", 30, "selections, of 12 gradient steps each")


def main(_):
    """Trains, samples, and writes a contact sheet."""
    keras.utils.set_random_seed(0)
    tim = keras_tim.TIM.from_preset("colourization_nano")
    photos = keras_tim.data.colourization_dataset(
        FLAGS.data,
        num_levels=tim.num_levels,
        crop_size=64,
        batch_size=32,
        downsample=2,
        exclude=() if FLAGS.data else ("chelsea",),
        repeat=True,
    )
    tim.compile(
        optimizer=keras.optimizers.Adam(1e-3, beta_2=0.99),
        distance="lpips_alex",
        num_candidates=8,
        steps_per_selection=12,
        mini_batch_size=8,
        candidate_chunk=64,
        pixel_weight=0.2,
    )
    tim.fit(photos, steps_per_epoch=FLAGS.rounds)
    tim.save(FLAGS.model)

    ((_, photo),) = keras_tim.data.whole_photos(only=["chelsea"], downsample=2)
    lightness, observed = keras_tim.data.colourization_pair(
        photo, tim.input_multiple
    )
    samples = tim.sample(lightness[None], num_samples=8, seed=0)[0]
    grey = keras_tim.data.grey_picture(lightness)
    sheet = alternatives_sheet("chelsea", grey, samples, target=observed)
    write_picture(FLAGS.output, sheet)


if __name__ == "__main__":
    app.run(main)
