"""Super-resolution: a small picture in, a 2x larger one from every level."""

from keras import ops

from keras_tim.tasks.pyramid import doubled
from keras_tim.tasks.wiring import LevelWiring


class SuperResolution:
    """Low-resolution RGB [0, 1] -> RGB [0, 1], twice the size at each level.

    Level 0 reads the low-resolution picture; each later level reads the
    output of the one before.
    """

    name = "super_resolution"
    input_channels = 3
    output_channels = 3
    chained = True
    feature_scale = 0.1
    noise_channels = 5
    supports_input_skip = True

    def wiring(self, num_levels, architecture):
        """Wiring of every level; CAM-Net and HyperRIM agree."""
        return [LevelWiring("up")] * num_levels

    def skip(self, level_input):
        """The level's input at its output's size, in [0, 1]."""
        return doubled(level_input)

    def to_output(self, raw):
        """From tanh's [-1, 1] to the network's own space, RGB in [0, 1]."""
        return (raw + 1.0) / 2.0

    def to_picture(self, output, level_input):
        """From the network's own space to RGB in [0, 1]."""
        return ops.clip(output, 0.0, 1.0)
