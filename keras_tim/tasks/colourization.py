"""Colourization: lightness in, colours out."""

import numpy as np
from keras import ops

from keras_tim.layers.resampling import linear_resize
from keras_tim.metrics.consistency import lightness_error
from keras_tim.tasks.task import ALPHA, DEPTH, EXIF, PROFILE, SUFFIX, Task
from keras_tim.tasks.wiring import same_size_wiring

# The network predicts a * L and b * L with L in [0, 1] and colours over 127.
SMALLEST_LIGHTNESS = 0.01
COLOUR_RANGE = 127.0
# Of a and b a prediction of a * L says the less the darker a pixel is: below
# this lightness the next level starts from so much less colour.
DARK = 0.2

# CIE Lab (D65, 2 degrees) and sRGB, IEC 61966-2-1.
WHITE_POINT = (0.95047, 1.0, 1.08883)
XYZ_TO_LINEAR_RGB = (
    (3.24048134, -1.53715152, -0.49853633),
    (-0.96925495, 1.87599, 0.04155593),
    (0.05564664, -0.20404134, 1.05731107),
)
LINEAR_RGB_TO_XYZ = (
    (0.412453, 0.357580, 0.180423),
    (0.212671, 0.715160, 0.072169),
    (0.019334, 0.119193, 0.950227),
)


class Colourization(Task):
    """Lightness L / 100 in [0, 1] at every level's size -> (a L, b L).

    The two predicted channels lie in [-1, 1]. Divided by `max(L, 0.01)` and
    times 127 they are the Lab colours.
    """

    name = "colourization"
    title = "colourization"
    input_meaning = "lightness L / 100 of CIE Lab (D65)"
    encoded_meaning = (
        f"{Task.encoded_meaning}; the lightness of the colours is used. Large "
        "pictures are coloured as they look from afar, and keep every pixel's "
        "lightness"
    )
    keeps = (DEPTH, ALPHA, PROFILE, EXIF, SUFFIX)
    faithfulness_name = "error in L"
    lower_is_more_faithful = True
    input_channels = 1
    output_channels = 2
    supports_input_skip = True
    supports_own_skip = False
    supports_guidance = True
    output_range = (-1.0, 1.0)
    # What a thing is is told from all of it, and colours vary slowly.
    working_side = 448

    def wiring(self, num_levels, architecture):
        """Wiring of every level.

        Outputs are taken before the enlargement. The last level has two
        same-size convolutions in its place, and they come before the output.
        """
        return same_size_wiring(num_levels, "same")

    def guiding_picture(self, level_input):
        """The grey picture that a recognition network is shown.

        Args:
            level_input: float tensor `[batch, height, width, 1]`, L / 100.

        Returns:
            float32 tensor `[batch, height, width, 3]`, RGB in [0, 1].
        """
        lightness = 100.0 * ops.cast(level_input, "float32")
        no_colour = ops.zeros_like(lightness)
        return lab_to_rgb(
            ops.concatenate([lightness, no_colour, no_colour], axis=-1)
        )

    def enlarged(self, previous_output, previous_input, own_input):
        """The same colours, with the lightness of every pixel."""
        lightness = ops.maximum(ops.cast(previous_input, "float32"), DARK)
        _, height, width, _ = ops.shape(own_input)
        colours = linear_resize(previous_output / lightness, height, width)
        lightness = ops.cast(own_input, "float32")
        return colours * ops.maximum(lightness, SMALLEST_LIGHTNESS)

    def skip(self, level_input, own=False, level=0):
        """Colours of the previous level; none at the first one.

        They stand behind the lightness, and before what guides the level.
        """
        if level == 0:
            return ops.zeros_like(level_input[..., :2])
        return level_input[..., 1:3]

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

    def of_rgb(self, rgb):
        return rgb_to_lightness(rgb)

    def shown(self, given, tim):
        return grey_picture(given)

    def baseline(self, given, size):
        return "grey", grey_picture(given)

    def layer_of(self, made):
        """Colours of Lab, from [-128, 128] to [0, 1]."""
        return ops.clip(rgb_to_lab(made)[..., 1:] / 256.0 + 0.5, 0.0, 1.0)

    def laid_onto(self, layer, given):
        """Colours with the lightness of every pixel."""
        layer, given = (ops.cast(x, "float32") for x in (layer, given))
        colours = 256.0 * (layer - 0.5)
        return lab_to_rgb(ops.concatenate([100.0 * given, colours], axis=-1))

    def faithfulness(self, samples, given, tim, quality=None):
        return lightness_error(samples, given)


def rgb_to_lightness(rgb):
    """Lightness of sRGB: what the model is given.

    Args:
        rgb: float tensor `[..., 3]` in [0, 1].

    Returns:
        float32 tensor `[..., 1]`, L / 100 in [0, 1].
    """
    lightness = rgb_to_lab(rgb)[..., :1] / 100.0
    # Rounding takes white a little beyond 1.
    return ops.clip(lightness, 0.0, 1.0)


def rgb_to_lab(rgb):
    """CIE Lab (D65, 2 degrees) of sRGB, with finite gradients.

    Args:
        rgb: float tensor `[..., 3]` in [0, 1].

    Returns:
        float32 tensor `[..., 3]`: L in [0, 100], a and b in about
        [-128, 127].
    """
    rgb = ops.cast(rgb, "float32")
    # As in `lab_to_rgb`, the branch not taken gets a harmless argument.
    threshold = 0.04045
    power = ((ops.maximum(rgb, threshold) + 0.055) / 1.055) ** 2.4
    linear = ops.where(rgb > threshold, power, rgb / 12.92)
    xyz = ops.matmul(
        linear, ops.transpose(ops.array(LINEAR_RGB_TO_XYZ, "float32"))
    ) / ops.array(WHITE_POINT, "float32")
    threshold = (6.0 / 29.0) ** 3
    root = ops.maximum(xyz, threshold) ** (1.0 / 3.0)
    f = ops.where(xyz > threshold, root, 7.787 * xyz + 16.0 / 116.0)
    fx, fy, fz = ops.split(f, 3, axis=-1)
    return ops.concatenate(
        [116.0 * fy - 16.0, 500.0 * (fx - fy), 200.0 * (fy - fz)], axis=-1
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


def grey_picture(lightness):
    """The picture without colours that a lightness stands for.

    Args:
        lightness: array `[height, width, 1]`, float in [0, 1]: CIE lightness
            over 100.

    Returns:
        float32 array `[height, width, 3]` in [0, 1].
    """
    lab = np.pad(100.0 * lightness, ((0, 0), (0, 0), (0, 2)))
    return np.asarray(lab_to_rgb(lab))
