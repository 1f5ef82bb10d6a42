"""MNIST: what ten principal components leave of a digit in, the digit out."""

from keras import ops

from keras_tim.tasks.pyramid import picture_pyramid
from keras_tim.tasks.wiring import LevelWiring

# A digit rebuilt from its first ten principal components leaves [0, 1]: over
# MNIST it runs from -0.65 to 1.67. This range becomes the input's [0, 1].
LOWEST = -0.75
HIGHEST = 1.75


class Mnist:
    """Rebuilt digit at every level's size -> grey digit [0, 1], same size.

    The input is `to_input` of the digit rebuilt from its first ten principal
    components, the output the digit itself (section 2 of the paper).
    """

    name = "mnist"
    input_channels = 1
    output_channels = 1
    chained = False
    feature_scale = 0.1
    noise_channels = 5
    # A residual reaches half of the range at most. Most strokes of a digit
    # go all the way from black to white.
    supports_input_skip = False
    supports_consistency = False
    supports_guidance = False
    output_range = (0.0, 1.0)

    def wiring(self, num_levels, architecture):
        """Wiring of every level: that of decompression in CAM-Net."""
        return [
            *[LevelWiring("up", output_before_resize=True)] * (num_levels - 1),
            LevelWiring("none"),
        ]

    def input_pyramid(self, finest, num_levels):
        """Every level's input, coarsest first, from the finest level's."""
        return picture_pyramid(finest, num_levels)

    def to_output(self, raw):
        """From tanh's [-1, 1] to the network's own space, grey in [0, 1]."""
        return (raw + 1.0) / 2.0

    def to_picture(self, output, level_input):
        """From the network's own space to RGB in [0, 1]."""
        return ops.repeat(ops.clip(output, 0.0, 1.0), 3, axis=-1)


def to_input(rebuilt):
    """From a rebuilt digit, about -0.65 to 1.67, to an input in [0, 1].

    Args:
        rebuilt: array or tensor of any shape, with black at 0 and white at 1.

    Returns:
        `(rebuilt + 0.75) / 2.5`, not clipped.
    """
    return (rebuilt - LOWEST) / (HIGHEST - LOWEST)


def from_input(given):
    """The inverse of `to_input`.

    Args:
        given: array or tensor of any shape.

    Returns:
        `2.5 * given - 0.75`.
    """
    return given * (HIGHEST - LOWEST) + LOWEST
