"""4x super-resolution with `model.fit`: from photos to eight alternatives.

    python examples/super_resolution.py                  # bundled photos
    python examples/super_resolution.py --data=PHOTOS    # a folder of yours

For the paper-sized 16x model on a GPU: preset "super_resolution_x16_paper",
compiled with `TIM.training_settings("super_resolution_x16_paper")`, on crops as
`TIM.data_settings` has them, and days instead of minutes.
"""

import keras
from absl import app, flags

import keras_tim
from keras_tim.images import alternatives_sheet, bicubic_picture, write_picture

FLAGS = flags.FLAGS
flags.DEFINE_string("data", None, "folder of photos; bundled ones if not given")
flags.DEFINE_string("output", "super_resolution.png", "the contact sheet")
flags.DEFINE_string("model", "super_resolution.keras", "the trained model")
flags.DEFINE_integer("rounds", 60, "selections, of 12 gradient steps each")


def main(_):
    """Trains, samples, and writes a contact sheet."""
    keras.utils.set_random_seed(0)
    photos = keras_tim.data.super_resolution_dataset(
        FLAGS.data,
        scale=4,
        crop_size=96,
        batch_size=32,
        enlarged=0.4,
        exclude=() if FLAGS.data else ("chelsea",),
        repeat=True,
    )
    tim = keras_tim.TIM.from_preset("super_resolution_x4_nano")
    tim.compile(
        optimizer=keras.optimizers.Adam(1e-3, beta_2=0.99),
        distance="lpips_alex",
        num_candidates=4,
        steps_per_selection=12,
        mini_batch_size=8,
        candidate_chunk=32,
        pixel_weight=0.5,
    )
    tim.fit(photos, steps_per_epoch=FLAGS.rounds)
    tim.save(FLAGS.model)

    photo = keras_tim.data.sample_photos()["chelsea"]
    given, observed = keras_tim.data.super_resolution_pair(photo, scale=4)
    samples = tim.sample(given[None], num_samples=8, seed=0)[0]
    bicubic = bicubic_picture(given, observed.shape[:2])
    sheet = alternatives_sheet(
        "chelsea",
        given,
        samples,
        target=observed,
        baseline=("bicubic", bicubic),
    )
    write_picture(FLAGS.output, sheet)


if __name__ == "__main__":
    app.run(main)
