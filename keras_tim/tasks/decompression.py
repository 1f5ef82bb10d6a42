"""Repair of heavily compressed JPEGs."""

from keras import ops

from keras_tim.tasks.pyramid import picture_pyramid
from keras_tim.tasks.wiring import LevelWiring


class Decompression:
    """Compressed RGB [0, 1] at every level's size -> RGB [0, 1], same size."""

    name = "decompression"
    input_channels = 3
    output_channels = 3
    chained = False
    feature_scale = 0.1
    noise_channels = 5
    supports_input_skip = True

    def wiring(self, num_levels, architecture):
        """Wiring of every level.

        CAM-Net takes each output before the enlargement, which the last level
        does without. HyperRIM has a single level with two same-size
        convolutions where the enlargement would be.
        """
        last = "same" if architecture == "hyperrim" else "none"
        return [
            *[LevelWiring("up", output_before_resize=True)] * (num_levels - 1),
            LevelWiring(last),
        ]

    def skip(self, level_input):
        """What a level starts from, in [0, 1].

        The first level starts from its input. The later ones, which read the
        previous output behind their own input, start from that: it has lost
        the edges of the blocks.
        """
        return level_input[..., -self.output_channels :]

    def input_pyramid(self, finest, num_levels):
        """Every level's input, coarsest first, from the finest level's."""
        return picture_pyramid(finest, num_levels)

    def to_output(self, raw):
        """From tanh's [-1, 1] to the network's own space, RGB in [0, 1]."""
        return (raw + 1.0) / 2.0

    def to_picture(self, output, level_input):
        """From the network's own space to RGB in [0, 1]."""
        return ops.clip(output, 0.0, 1.0)
