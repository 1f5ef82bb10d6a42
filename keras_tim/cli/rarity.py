"""keras-tim rarity."""

import os

from absl import flags, logging

from keras_tim import data
from keras_tim.cli.main import reject_arguments

DESCRIPTION = """weigh rare appearances of classes, for layout synthesis.

  keras-tim rarity --data=PICTURES --labels=MAPS --output=rarity.npz
  keras-tim train --task=layout_synthesis --rarity=rarity.npz ...

For every class a density over its mean colours in all pictures says how common
its look in a picture is. One over that density weighs its pixels in training,
and pictures are drawn so that rare looks come up more often. What is there
already is kept as long as neither files nor classes change."""


def define_flags(values):
    """Defines the command's flags."""
    text = {"flag_values": values}
    flags.DEFINE_string("data", None, "folder of pictures", **text)
    flags.DEFINE_string("labels", None, "folder of their label maps", **text)
    flags.DEFINE_string(
        "classes",
        None,
        "class file, or camvid, cityscapes (GTA5, too), bdd100k; by default "
        "every id in the maps is a class",
        **text,
    )
    flags.DEFINE_string("output", "rarity.npz", "where to write", **text)
    flags.mark_flags_as_required(("data", "labels"), **text)


def check(values, arguments):
    """Raises where the flags make no sense."""
    reject_arguments(arguments)
    if not values.output.endswith(".npz"):
        raise ValueError(
            f"--output must end in .npz. Received: {values.output!r}"
        )


def run(values, arguments):
    """Computes rarity, or finds it computed."""
    layouts, classes = data.list_layouts(
        values.data, values.labels, values.classes
    )
    if os.path.exists(values.output):
        # Another file of that name is not written over.
        rarity = data.load_rarity(values.output)
        if rarity.is_of(layouts, classes):
            logging.info("%s is up to date.", values.output)
            return
    rarity = data.compute_rarity(layouts, classes, verbose=1)
    rarity.save(values.output)
    logging.info("%s", rarity.table())
    logging.info("Wrote %s", values.output)
