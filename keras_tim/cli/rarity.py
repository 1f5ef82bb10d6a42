"""keras-tim rarity."""

import os

from absl import flags, logging

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
    from keras_tim.data.layouts import list_layouts
    from keras_tim.data.rarity import compute_rarity, fingerprint, load_rarity

    layouts, classes = list_layouts(values.data, values.labels, values.classes)
    if os.path.exists(values.output):
        # Another file of that name is not written over.
        rarity = load_rarity(values.output)
        if rarity.fingerprint == fingerprint(layouts, classes):
            logging.info("%s is up to date.", values.output)
            return
    rarity = compute_rarity(layouts, classes, verbose=1)
    rarity.save(values.output)
    logging.info("%s", _table(rarity))
    logging.info("Wrote %s", values.output)


def _table(rarity):
    """A line per class: in how many pictures it counts, and where most."""
    import numpy as np

    width = max(map(len, rarity.class_names))
    lines = []
    for number, name in enumerate(rarity.class_names):
        counted = np.isfinite(rarity.colours[:, number, 0])
        line = f"{name:<{width}}  {counted.sum():>6} pictures"
        if counted.any():
            weights = rarity.weights[:, number]
            rarest = int(np.argmax(np.where(counted, weights, 0.0)))
            line += (
                f", weights from {weights[counted].min():.2f} to "
                f"{weights[rarest]:.2f} ({rarity.names[rarest]})"
            )
        lines.append(line)
    return "\n".join(lines)
