"""Pictures from semantic layouts."""

import numpy as np

from keras_tim.tasks.pyramid import nearest_pyramid
from keras_tim.tasks.task import Task
from keras_tim.tasks.wiring import LevelWiring


class LayoutSynthesis(Task):
    """One-hot layout at every level's size -> RGB [0, 1], twice the size."""

    name = "layout_synthesis"
    title = "layout synthesis"
    input_meaning = "one-hot layout, the last class being 'other'"
    encoded_meaning = (
        "grey PNG file of 8 bits as large as the output, its grey levels the "
        "ids of classes; ids that are no class are 'other'"
    )
    reads_labels = True
    input_channels = None  # the number of classes, and one for "other"
    feature_scale = 1.0
    noise_channels = 10

    def wiring(self, num_levels, architecture):
        """Wiring of every level: an enlargement, then the output."""
        return [LevelWiring("up")] * num_levels

    def input_pyramid(self, finest, num_levels):
        """Every level's input, coarsest first, from the finest level's."""
        return nearest_pyramid(finest, num_levels)

    def condition(self, picture, tim):
        return one_hot_layout(picture, tim.label_classes)

    def shown(self, given, tim):
        labels = given.argmax(axis=-1)
        picture = tim.label_classes.picture(labels)
        return picture.repeat(2, axis=0).repeat(2, axis=1)


def one_hot_layout(labels, classes):
    """What the model is given of a label map of its output's size.

    Args:
        labels: integer array `[height, width]`.
        classes: the `Classes` of the labels.

    Returns:
        float32 array `[height // 2, width // 2, classes + 1]`.
    """
    height, width = (side // 2 * 2 for side in labels.shape)
    nearest = labels[:height:2, :width:2]
    return np.eye(classes.num_channels, dtype=np.float32)[nearest]
