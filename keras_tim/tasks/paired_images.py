"""Paired images: what pairs of pictures show is learned, whatever it is."""

from keras_tim.tasks.task import DEPTH, EXIF, PROFILE, SUFFIX, Task
from keras_tim.tasks.wiring import same_size_wiring


class PairedImages(Task):
    """RGB [0, 1] at every level's size -> RGB [0, 1], same size.

    Noise to photo, edges to photo, day to night: what an output has to keep of
    its input is told by the pairs alone. There is no measure of it.
    """

    name = "paired_images"
    title = "paired images"
    input_meaning = "RGB picture, of the kind that was trained on"
    # Transparency is laid over white, as in training. A grey input may have
    # outputs in colours.
    keeps = (DEPTH, PROFILE, EXIF, SUFFIX)
    # A residual reaches half of the range at most: enough for what repairs a
    # picture, not for what makes another one of it.
    supports_input_skip = True

    def wiring(self, num_levels, architecture):
        """Wiring of every level: that of decompression in CAM-Net."""
        return same_size_wiring(num_levels)

    def baseline(self, given, size):
        return "input", given
