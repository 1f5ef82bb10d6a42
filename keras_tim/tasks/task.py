"""`Task`, the base of all tasks: wiring, and what pictures mean."""

import numpy as np
from keras import ops

from keras_tim.tasks.pyramid import doubled, picture_pyramid

# What results may keep of a user's picture file beside its colours.
GREY, GAMUT, DEPTH, ALPHA, PROFILE, EXIF, SUFFIX = (
    *("grey", "gamut", "depth", "alpha", "profile", "exif", "suffix"),
)

# Pictures are not reduced to a working side below so many pixels across.
NARROWEST = 64


class Task:
    """How a task wires the tower, and what its pictures mean; arrays alone.

    `tim` is the `Tower` whose task it is, which keeps what differs between
    models: its classes or components.

    Attributes:
        name: str.
        title: str, what stands behind a picture's name on its sheet.
        input_channels: int, or None where a model has as many as it has
            classes.
        output_channels: int, of what the levels give.
        chained: bool, whether each level reads the previous output alone.
        feature_scale: float, the default of `Tower`.
        noise_channels: int, the same.
        supports_input_skip: bool.
        supports_own_skip: bool, whether it may start from a level's own input.
        supports_consistency: bool.
        supports_consistency_blur: bool.
        consistent_blocks: int, pixels along a side of the blocks in which
            outputs are made to agree with what is given; 1 where it is done
            anywhere alike.
        supports_guidance: bool.
        output_range: tuple of two floats, of the levels' outputs.
        known_shape: shape of the weight that `agreeing` needs, or None.
        known_size: height and width that inputs must then have, or None.
        reads_labels: bool, whether users' files are label maps.
        compresses: bool, whether inputs can be made by JPEG compression.
        input_meaning: str, what the input is, for those who deploy a model.
        encoded_meaning: str, what encoded inputs are.
        working_side: int, the longer side in pixels that users' pictures are
            reduced to at most where what matters is seen better from afar, and
            what is made is laid onto the picture as it was; or None.
        keeps: tuple of what results take over from a user's file.
        faithfulness_name: str, what `faithfulness` measures, with its unit,
            or None.
        lower_is_more_faithful: bool, whether that is an error.
    """

    name = None
    title = None
    input_channels = 3
    output_channels = 3
    chained = False
    feature_scale = 0.1
    noise_channels = 5
    supports_input_skip = False
    supports_own_skip = True
    supports_consistency = False
    supports_consistency_blur = False
    consistent_blocks = 1
    supports_guidance = False
    output_range = (0.0, 1.0)
    known_shape = None
    known_size = None
    reads_labels = False
    compresses = False
    input_meaning = None
    encoded_meaning = (
        "PNG or JPEG file; it is turned upright as its EXIF orientation says, "
        "and its colours are taken for sRGB, whatever profile it has"
    )
    working_side = None
    keeps = ()
    faithfulness_name = None
    lower_is_more_faithful = False

    # -- The network -------------------------------------------------------

    def wiring(self, num_levels, architecture):
        """The `LevelWiring` of every level, coarsest first."""
        raise NotImplementedError

    def to_output(self, raw):
        """From tanh's [-1, 1] to the network's own space, RGB in [0, 1]."""
        return (raw + 1.0) / 2.0

    def to_picture(self, output, level_input):
        """From the network's own space to RGB in [0, 1]."""
        return ops.clip(output, 0.0, 1.0)

    def input_pyramid(self, finest, num_levels):
        """Every level's input, coarsest first, from the finest level's."""
        return picture_pyramid(finest, num_levels)

    def enlarged(self, previous_output, previous_input, own_input):
        """The previous level's output at the size of the next one.

        Args:
            previous_output: tensor `[batch, height, width, channels]`.
            previous_input: what that level was given, of the same size.
            own_input: what the next level is given, twice as large.

        Returns:
            Tensor `[batch, 2 * height, 2 * width, channels]`.
        """
        return doubled(previous_output)

    def skip(self, level_input, own=False, level=0):
        """What a level with a skip starts from, in [0, 1].

        The first level starts from its input, the later ones from the
        previous output, which they read behind their own input. With `own`
        all start from their own input.
        """
        if own:
            return level_input[..., : self.output_channels]
        return level_input[..., -self.output_channels :]

    def beside_previous(self, own_input, level):
        """What a level with a skip reads beside the previous output.

        Args:
            own_input: tensor `[batch, height, width, channels]` in [0, 1].
            level: int, 1 or more.

        Returns:
            Tensor of the same shape.
        """
        return own_input

    # -- Pictures ----------------------------------------------------------

    def of_rgb(self, rgb):
        """What a model is given of RGB, also within a graph.

        Args:
            rgb: float tensor or array `[..., 3]` in [0, 1].

        Returns:
            float tensor or array `[..., channels]` in [0, 1].
        """
        return rgb

    def condition(self, picture, tim):
        """What a model is given of a user's picture.

        Args:
            picture: float32 array `[height, width, 3]` in [0, 1]; where the
                task reads labels, uint8 array `[height, width]` of them.
            tim: the `Tower`.

        Returns:
            float32 array `[height', width', channels]` in [0, 1].
        """
        return np.asarray(self.of_rgb(picture))

    def shown(self, given, tim):
        """What a model is given, as a picture.

        Args:
            given: array `[height, width, channels]`.
            tim: the `Tower`.

        Returns:
            float array `[height, width, 3]` in [0, 1].
        """
        return given

    def baseline(self, given, size):
        """The baseline that samples are held against.

        Args:
            given: array `[height, width, channels]`.
            size: `(height, width)` of the outputs.

        Returns:
            Tuple `(name, picture [height, width, 3])`, or None.
        """
        return None

    def reduction(self, height, width):
        """How many times a user's picture is reduced before it is given.

        Args:
            height: int or scalar int tensor.
            width: the same.

        Returns:
            Scalar int tensor: 1 without a `working_side`, and for long narrow
            pictures less than that asks for.
        """
        if self.working_side is None:
            return ops.ones((), "int32")
        longer, shorter = ops.maximum(height, width), ops.minimum(height, width)
        wanted = -(-longer // self.working_side)
        return ops.minimum(wanted, ops.maximum(shorter // NARROWEST, 1))

    def layer_of(self, made):
        """What of a result is laid onto the picture at its full size.

        For tasks with a `working_side`, also within a graph.

        Args:
            made: float tensor `[height, width, 3]` in [0, 1].

        Returns:
            float32 tensor `[height, width, channels]` in [0, 1], which can be
            enlarged.
        """
        raise NotImplementedError

    def laid_onto(self, layer, given):
        """A result at the picture's full size, see `layer_of`.

        Args:
            layer: float tensor `[height, width, channels]` in [0, 1],
                enlarged.
            given: tensor `[height, width, input channels]`, what a model would
                be given of the picture as it was.

        Returns:
            float32 tensor `[height, width, 3]` in [0, 1].
        """
        raise NotImplementedError

    def faithfulness(self, samples, given, tim, quality=None):
        """How well samples agree with what was given.

        Args:
            samples: array `[n, height, width, 3]`.
            given: array `[height', width', channels]`.
            tim: the `Tower`.
            quality: int, JPEG quality that inputs were compressed at, or None
                where that is not known.

        Returns:
            float array `[n]`, or None where there is no such measure.
        """
        return None
