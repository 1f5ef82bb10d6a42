"""Colourization: lightness in, colours out."""

from keras import ops

from keras_tim.tasks.pyramid import picture_pyramid
from keras_tim.tasks.wiring import LevelWiring

# The network predicts a * L and b * L with L in [0, 1] and colours over 127.
SMALLEST_LIGHTNESS = 0.01
COLOUR_RANGE = 127.0

# CIE Lab (D65, 2 degrees) and sRGB, IEC 61966-2-1.
WHITE_POINT = (0.95047, 1.0, 1.08883)
XYZ_TO_LINEAR_RGB = (
    (3.24048134, -1.53715152, -0.49853633),
    (-0.96925495, 1.87599, 0.04155593),
    (0.05564664, -0.20404134, 1.05731107),
)


class Colourization:
    """Lightness L / 100 in [0, 1] at every level's size -> (a L, b L).

    The two predicted channels lie in [-1, 1]. Divided by `max(L, 0.01)` and
    times 127 they are the Lab colours.
    """

    name = "colourization"
    input_channels = 1
    output_channels = 2
    chained = False
    feature_scale = 0.1
    noise_channels = 5
    supports_input_skip = False

    def wiring(self, num_levels, architecture):
        """Wiring of every level.

        Outputs are taken before the enlargement. The last level has two
        same-size convolutions in its place, and they come before the output.
        """
        return [
            *[LevelWiring("up", output_before_resize=True)] * (num_levels - 1),
            LevelWiring("same"),
        ]

    def input_pyramid(self, finest, num_levels):
        """Every level's input, coarsest first, from the finest level's."""
        return picture_pyramid(finest, num_levels)

    def to_output(self, raw):
        """The network's own space is tanh's [-1, 1]."""
        return raw

    def to_picture(self, output, level_input):
        """From predicted channels and given lightness to RGB in [0, 1]."""
        lightness = ops.cast(level_input, "float32")
        colours = output / ops.maximum(lightness, SMALLEST_LIGHTNESS)
        return lab_to_rgb(
            ops.concatenate(
                [100.0 * lightness, COLOUR_RANGE * colours], axis=-1
            )
        )


def lab_to_rgb(lab):
    """CIE Lab (D65) to sRGB, clipped to [0, 1], with finite gradients.

    Args:
        lab: float tensor `[..., 3]`: L in [0, 100], a and b in about
            [-128, 127].

    Returns:
        Tensor `[..., 3]`, RGB in [0, 1].
    """
    lightness, a, b = ops.split(lab, 3, axis=-1)
    fy = (lightness + 16.0) / 116.0
    fx = fy + a / 500.0
    fz = ops.maximum(fy - b / 200.0, 0.0)
    f = ops.concatenate([fx, fy, fz], axis=-1)
    # Both branches of a `where` are differentiated: each gets harmless
    # arguments where the other one is taken.
    threshold = 6.0 / 29.0
    cube = ops.maximum(f, threshold) ** 3
    line = (f - 16.0 / 116.0) / 7.787
    xyz = ops.where(f > threshold, cube, line) * ops.array(WHITE_POINT)
    linear = ops.matmul(xyz, ops.transpose(ops.array(XYZ_TO_LINEAR_RGB)))
    gamma = 1.055 * ops.maximum(linear, 0.0031308) ** (1.0 / 2.4) - 0.055
    rgb = ops.where(linear > 0.0031308, gamma, 12.92 * linear)
    return ops.clip(rgb, 0.0, 1.0)
