"""Repair of JPEGs with `model.fit`: from photos to eight repairs of one.

    python examples/decompression.py                  # bundled photos
    python examples/decompression.py --data=PHOTOS    # a folder of yours

For the paper-sized model on a GPU: preset "decompression_paper" (or that of
the first paper, "decompression_hyperrim", which has a single level), compiled
with `TIM.training_settings` of that preset, on crops as `TIM.data_settings` has
them, and days instead of minutes.
"""

import keras
from absl import app, flags

import keras_tim
from keras_tim.images import alternatives_sheet, write_picture

FLAGS = flags.FLAGS
flags.DEFINE_string("data", None, "folder of photos; bundled ones if not given")
flags.DEFINE_integer("quality", 1, "JPEG quality to repair, 1 to 100")
flags.DEFINE_string("output", "decompression.png", "the contact sheet")
flags.DEFINE_string("model", "decompression.keras", "the trained model")
flags.DEFINE_integer("rounds", 30, "selections, of 12 gradient steps each")


def main(_):
    """Trains, samples, and writes a contact sheet."""
    keras.utils.set_random_seed(0)
    tim = keras_tim.TIM.from_preset("decompression_nano")
    photos = keras_tim.data.decompression_dataset(
        FLAGS.data,
        num_levels=tim.num_levels,
        crop_size=64,
        quality=FLAGS.quality,
        batch_size=32,
        enlarged=0.4,
        exclude=() if FLAGS.data else ("chelsea",),
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
    tim.fit(photos, steps_per_epoch=FLAGS.rounds)
    tim.save(FLAGS.model)

    photo = keras_tim.data.sample_photos()["chelsea"]
    compressed, observed = keras_tim.data.decompression_pair(
        photo, tim.input_multiple, FLAGS.quality
    )
    samples = tim.sample(compressed[None], num_samples=8, seed=0)[0]
    sheet = alternatives_sheet(
        "chelsea",
        compressed,
        samples,
        target=observed,
        baseline=("JPEG", compressed),
    )
    write_picture(FLAGS.output, sheet)


if __name__ == "__main__":
    app.run(main)
