r"""Layout synthesis with `model.fit`: from a label map to eight pictures.

    python examples/layout_synthesis.py --data=PICTURES --labels=MAPS \
        --classes=camvid --held_out='val/*' --shown=val/0016E5_07959.png

Without --data it learns from a stand-in made of bundled photos: of their tones
and textures alone, so that many colours are right.

For the paper-sized model on a GPU, with 10,000 pictures of GTA5: --classes=
cityscapes, preset "layout_synthesis_paper", num_levels=5, size=(256, 512),
compiled with `TIM.training_settings("layout_synthesis_paper")`, in batches of
400, with --rarity of what `keras-tim rarity` wrote, and days instead of
minutes.
"""

import keras
from absl import app, flags

import keras_tim
from keras_tim.images import alternatives_sheet, write_picture

FLAGS = flags.FLAGS
flags.DEFINE_string("data", None, "folder of pictures; stand-in if not given")
flags.DEFINE_string("labels", None, "folder of their label maps")
flags.DEFINE_string("classes", None, "class file, or camvid, cityscapes, ...")
flags.DEFINE_list("held_out", ["chelsea *"], "names or patterns to leave out")
flags.DEFINE_string("shown", "chelsea 1:2 0,0", "the one to make a sheet of")
flags.DEFINE_integer("downsample", 1, "factor by which pictures are reduced")
flags.DEFINE_string("rarity", None, "what `keras-tim rarity` wrote")
flags.DEFINE_string("output", "layout_synthesis.png", "the contact sheet")
flags.DEFINE_string("model", "layout_synthesis.keras", "the trained model")
flags.DEFINE_integer("rounds", 40, "selections, of 12 gradient steps each")


def main(_):
    """Trains, samples, and writes a contact sheet."""
    keras.utils.set_random_seed(0)
    source = FLAGS.data, FLAGS.labels, FLAGS.classes
    size = {"num_levels": 3, "downsample": FLAGS.downsample}
    layouts = keras_tim.data.layout_dataset(
        *source,
        **size,
        rarity=FLAGS.rarity,
        batch_size=32,
        exclude=FLAGS.held_out,
        repeat=True,
    )
    ((name, layout, observed),) = keras_tim.data.held_out_layouts(
        *source, **size, only=FLAGS.shown
    )
    # The model keeps them: its file says what label maps mean to it.
    _, classes = keras_tim.data.list_layouts(*source)
    tim = keras_tim.TIM.from_preset("layout_synthesis_nano", classes=classes)
    tim.compile(
        optimizer=keras.optimizers.Adam(1e-3, beta_2=0.99),
        distance="lpips_alex",
        num_candidates=[32, 8, 4],
        steps_per_selection=12,
        mini_batch_size=8,
        candidate_chunk=32,
        pixel_weight=1.0,
    )
    tim.fit(layouts, steps_per_epoch=FLAGS.rounds)
    tim.save(FLAGS.model)

    samples = tim.sample(layout[None], num_samples=8, seed=0)[0]
    given = classes.picture(layout.argmax(axis=-1))
    sheet = alternatives_sheet(name, given, samples, target=observed)
    write_picture(FLAGS.output, sheet)


if __name__ == "__main__":
    app.run(main)
