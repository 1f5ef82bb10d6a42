"""Super-resolution: a small picture in, a 2x larger one from every level."""

from keras_tim.layers.resampling import (
    bicubic_downsample,
    bicubic_picture,
    bicubic_upsample,
    gaussian_blur,
)
from keras_tim.layers.tracing import traced_once
from keras_tim.metrics.consistency import low_resolution_psnr
from keras_tim.tasks.pyramid import doubled
from keras_tim.tasks.task import (
    ALPHA,
    DEPTH,
    EXIF,
    GAMUT,
    GREY,
    PROFILE,
    SUFFIX,
    Task,
)
from keras_tim.tasks.wiring import LevelWiring


class SuperResolution(Task):
    """Low-resolution RGB [0, 1] -> RGB [0, 1], twice the size at each level.

    Level 0 reads the low-resolution picture; each later level reads the
    output of the one before.
    """

    name = "super_resolution"
    title = "super-resolution"
    input_meaning = "RGB picture"
    keeps = (GREY, GAMUT, DEPTH, ALPHA, PROFILE, EXIF, SUFFIX)
    faithfulness_name = "LR-PSNR [dB]"
    chained = True
    supports_input_skip = True
    supports_consistency = True
    supports_consistency_blur = True

    def wiring(self, num_levels, architecture):
        """Wiring of every level; CAM-Net and HyperRIM agree."""
        return [LevelWiring("up")] * num_levels

    def skip(self, level_input, own=False, level=0):
        """The level's input at its output's size, in [0, 1]."""
        del own  # a level has no other input
        return doubled(level_input)

    def agrees_at(self, level, num_levels):
        """Whether a level's output can agree with what is given: every one."""
        return True

    def agreeing(self, output, observed, factor, rounds, *, blur=0.0, **_):
        """Back-projection: an output that is the input again when reduced.

        Every round adds what the reduced output lacks, enlarged:
        `y <- y + up(x - down(y))`. With a blur it adds the blur of that: light
        and colour of larger areas come to agree, and what is noise or
        compression in the input's pixels is left out.

        Args:
            output: float tensor `[batch, factor * height, factor * width, 3]`.
            observed: the low-resolution picture `[batch, height, width, 3]`.
            factor: int, the output's size relative to the input.
            rounds: int.
            blur: float, a standard deviation in pixels of the input; 0 for
                none.

        Returns:
            float32 tensor of the output's shape; it may leave [0, 1].
        """

        @traced_once
        def agree(output, observed):
            lacking = observed - bicubic_downsample(output, factor)
            if blur:
                lacking = gaussian_blur(lacking, blur)
            return output + bicubic_upsample(lacking, factor)

        for _ in range(rounds):
            output = agree(output, observed)
        return output

    def baseline(self, given, size):
        return "bicubic", bicubic_picture(given, size)

    def faithfulness(self, samples, given, tim, quality=None):
        return low_resolution_psnr(samples, given)
