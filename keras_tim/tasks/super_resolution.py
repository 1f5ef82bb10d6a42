"""Super-resolution: a small picture in, a 2x larger one from every level."""

from keras import ops

from keras_tim.layers.resampling import (
    bicubic_downsample,
    bicubic_upsample,
)
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
    supports_consistency = True
    known_shape = None
    supports_guidance = False
    output_range = (0.0, 1.0)

    def wiring(self, num_levels, architecture):
        """Wiring of every level; CAM-Net and HyperRIM agree."""
        return [LevelWiring("up")] * num_levels

    def skip(self, level_input, own=False):
        """The level's input at its output's size, in [0, 1]."""
        del own  # a level has no other input
        return doubled(level_input)

    def agrees_at(self, level, num_levels):
        """Whether a level's output can agree with what is given: every one."""
        return True

    def agreeing(self, output, observed, factor, rounds, known=None):
        """Back-projection: an output that is the input again when reduced.

        Every round adds what the reduced output lacks, enlarged:
        `y <- y + up(x - down(y))`.

        Args:
            output: float tensor `[batch, factor * height, factor * width, 3]`.
            observed: the low-resolution picture `[batch, height, width, 3]`.
            factor: int, the output's size relative to the input.
            rounds: int.
            known: None.

        Returns:
            float32 tensor of the output's shape; it may leave [0, 1].
        """
        for _ in range(rounds):
            lacking = observed - bicubic_downsample(output, factor)
            output = output + bicubic_upsample(lacking, factor)
        return output

    def to_output(self, raw):
        """From tanh's [-1, 1] to the network's own space, RGB in [0, 1]."""
        return (raw + 1.0) / 2.0

    def to_picture(self, output, level_input):
        """From the network's own space to RGB in [0, 1]."""
        return ops.clip(output, 0.0, 1.0)
