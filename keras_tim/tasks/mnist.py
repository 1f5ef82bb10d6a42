"""MNIST: what ten principal components leave of a digit in, the digit out."""

from keras import ops

from keras_tim.layers.clipping import clip_straight_through
from keras_tim.tasks.pyramid import picture_pyramid
from keras_tim.tasks.wiring import LevelWiring

# A digit rebuilt from its first ten principal components leaves [0, 1]: over
# MNIST it runs from -0.65 to 1.67. This range becomes the input's [0, 1].
LOWEST = -0.75
HIGHEST = 1.75

SIDE = 28
# How many principal components the input keeps.
NUM_GIVEN = 10


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
    supports_consistency = True
    # The given components, one per column.
    known_shape = (SIDE**2, NUM_GIVEN)
    known_size = (SIDE, SIDE)
    supports_guidance = False
    output_range = (0.0, 1.0)

    def wiring(self, num_levels, architecture):
        """Wiring of every level: that of decompression in CAM-Net."""
        return [
            *[LevelWiring("up", output_before_resize=True)] * (num_levels - 1),
            LevelWiring("none"),
        ]

    def agrees_at(self, level, num_levels):
        """Whether a level's output can agree with what is given.

        The components are those of whole digits: the last level's alone.
        """
        return level == num_levels - 1

    def agreeing(self, output, observed, factor, rounds, known=None):
        """An output whose first ten coordinates are the given ones.

        With P the projection on the given components, every round replaces
        the part of the output that is known: `y <- x + (I - P) y`. Clipping
        takes a little of it away again, so that there are several rounds.

        Args:
            output: float tensor `[batch, 28, 28, 1]`.
            observed: the input `[batch, 28, 28, 1]`, see `to_input`.
            factor: int, 1.
            rounds: int.
            known: the components `[784, 10]`, orthonormal columns. Of zeros
                nothing is known, and the output stays as it is.

        Returns:
            float32 tensor of the output's shape; it may leave [0, 1].
        """
        del factor
        for number in range(rounds):
            if number:
                output = clip_straight_through(output, self.output_range)
            lacking = ops.reshape(from_input(observed) - output, (-1, SIDE**2))
            known_part = ops.matmul(
                ops.matmul(lacking, known), ops.transpose(known)
            )
            output = output + ops.reshape(known_part, (-1, SIDE, SIDE, 1))
        return output

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
