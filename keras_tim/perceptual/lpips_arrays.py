"""The published values of the LPIPS networks, out of their checkpoints."""

import dataclasses

import numpy as np

from keras_tim.assets.damage import damage_explained
from keras_tim.assets.downloads import WeightsError, read_weights
from keras_tim.assets.pickles import read_pickled_arrays
from keras_tim.checks import one_of
from keras_tim.perceptual.backbones import BACKBONES


@dataclasses.dataclass(frozen=True)
class LPIPSArrays:
    """The published values of one LPIPS network, as float32 NumPy arrays.

    Args:
        kernels: `[height, width, in, out]` of every convolution, in order.
        biases: `[out]` of every convolution, in order.
        heads: `[channels]` of every tapped layer, none below 0.
    """

    kernels: list[np.ndarray]
    biases: list[np.ndarray]
    heads: list[np.ndarray]


def load_lpips_arrays(net, weights="default", *, fetch=True):
    """Reads the published values of an LPIPS network.

    Args:
        net: `"alex"` or `"vgg"`.
        weights: `"default"` (the cache folder), or a path to the `.ckpt`
            file, to the source archive or to a folder holding one of them.
        fetch: whether `"default"` may download what the cache lacks.

    Returns:
        `LPIPSArrays`.

    Raises:
        ValueError: for an unknown `net`.
        WeightsError: if the values cannot be had or are not what they should
            be.
    """
    one_of("net", net, BACKBONES)
    content, origin = read_weights(f"lpips_{net}", weights, fetch=fetch)
    with damage_explained(
        origin, WeightsError, "not a pickle of plain NumPy arrays, or damaged"
    ):
        arrays = read_pickled_arrays(content)
    return _lpips_arrays(net, arrays, origin)


def _lpips_arrays(net, found, origin):
    """Checks a checkpoint's structure and puts its arrays in order."""
    backbone = BACKBONES[net]
    top = {"alex": "AlexNet_0", "vgg": "VGG16_0"}[net]

    def array(shape, *keys):
        where = "/".join(keys)
        if where not in found:
            raise WeightsError(f"{origin} has no array {where}: not {net}'s")
        node = found[where]
        if node.shape != shape or node.dtype != np.float32:
            raise WeightsError(
                f"{origin}: {where} must be float32 of shape {shape}. "
                f"Received: {node.dtype} of shape {node.shape}"
            )
        if not np.isfinite(node).all():
            raise WeightsError(f"{origin}: {where} has values not finite")
        return node

    shapes = backbone.kernel_shapes
    convolutions = [f"Conv_{i}" for i in range(len(shapes))]
    return LPIPSArrays(
        kernels=[
            array(shape, top, key, "kernel")
            for shape, key in zip(shapes, convolutions, strict=True)
        ],
        biases=[
            array(shape[-1:], top, key, "bias")
            for shape, key in zip(shapes, convolutions, strict=True)
        ],
        # The published heads are trained to stay non-negative; clip, so that
        # their square root exists whatever file is read.
        heads=[
            np.maximum(
                array((1, 1, c, 1), f"NetLinLayer_{i}", "Conv_0", "kernel"), 0
            ).reshape(c)
            for i, c in enumerate(backbone.tap_channels)
        ],
    )
