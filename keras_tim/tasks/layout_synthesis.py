"""Pictures from semantic layouts."""

from keras import ops

from keras_tim.tasks.pyramid import nearest_pyramid
from keras_tim.tasks.wiring import LevelWiring


class LayoutSynthesis:
    """One-hot layout at every level's size -> RGB [0, 1], twice the size."""

    name = "layout_synthesis"
    input_channels = None  # the number of classes, and one for "other"
    output_channels = 3
    chained = False
    feature_scale = 1.0
    noise_channels = 10
    supports_input_skip = False
    supports_consistency = False
    supports_guidance = False
    output_range = (0.0, 1.0)

    def wiring(self, num_levels, architecture):
        """Wiring of every level: an enlargement, then the output."""
        return [LevelWiring("up")] * num_levels

    def input_pyramid(self, finest, num_levels):
        """Every level's input, coarsest first, from the finest level's."""
        return nearest_pyramid(finest, num_levels)

    def to_output(self, raw):
        """From tanh's [-1, 1] to the network's own space, RGB in [0, 1]."""
        return (raw + 1.0) / 2.0

    def to_picture(self, output, level_input):
        """From the network's own space to RGB in [0, 1]."""
        return ops.clip(output, 0.0, 1.0)
