"""The convolution stacks under LPIPS: torchvision's AlexNet and VGG16.

A backbone is plain data, and `tapped_features` is the one function that runs
it. Keras Applications' VGG16 is another network (Caffe's: BGR, other weights)
and gives other distances.
"""

import dataclasses

from keras import ops


@dataclasses.dataclass(frozen=True)
class Convolution:
    """A convolution followed by a ReLU.

    Args:
        filters: number of output channels.
        size: height and width of the kernel.
        stride: step in pixels.
        padding: zeros added on each of the four sides.
    """

    filters: int
    size: int = 3
    stride: int = 1
    padding: int = 1


@dataclasses.dataclass(frozen=True)
class Stage:
    """What lies between two taps; the stage's last ReLU is tapped.

    Args:
        convolutions: the stage's convolutions, in order.
        pool: width of the max pooling (stride 2, no padding) before them;
            0 for none.
    """

    convolutions: tuple[Convolution, ...]
    pool: int = 0


@dataclasses.dataclass(frozen=True)
class Backbone:
    """A feature network up to its last tapped layer.

    Args:
        stages: the stages, in order.
        minimum_side: the smallest picture side that leaves the last tap at
            least one pixel wide.
    """

    stages: tuple[Stage, ...]
    minimum_side: int

    @property
    def convolutions(self):
        """All convolutions, in order."""
        return [c for stage in self.stages for c in stage.convolutions]

    @property
    def kernel_shapes(self):
        """Shape `(height, width, in, out)` of every kernel, in order."""
        channels = [3] + [c.filters for c in self.convolutions]
        return [
            (c.size, c.size, before, c.filters)
            for before, c in zip(channels, self.convolutions, strict=False)
        ]

    @property
    def tap_channels(self):
        """Channels of every tapped layer, in order."""
        return [stage.convolutions[-1].filters for stage in self.stages]


BACKBONES = {
    "alex": Backbone(
        stages=(
            Stage((Convolution(64, size=11, stride=4, padding=2),)),
            Stage((Convolution(192, size=5, padding=2),), pool=3),
            Stage((Convolution(384),), pool=3),
            Stage((Convolution(256),)),
            Stage((Convolution(256),)),
        ),
        minimum_side=31,
    ),
    "vgg": Backbone(
        stages=(
            Stage((Convolution(64),) * 2),
            Stage((Convolution(128),) * 2, pool=2),
            Stage((Convolution(256),) * 3, pool=2),
            Stage((Convolution(512),) * 3, pool=2),
            Stage((Convolution(512),) * 3, pool=2),
        ),
        minimum_side=16,
    ),
}


def tapped_features(backbone, images, kernels, biases):
    """Runs a backbone and returns its tapped layers.

    Args:
        backbone: a `Backbone`.
        images: `[batch, height, width, 3]`, scaled as the network was
            trained, both sides at least `backbone.minimum_side`.
        kernels: one `[height, width, in, out]` tensor per convolution, in the
            dtype of `images`.
        biases: one `[out]` tensor per convolution, in the dtype of `images`.

    Returns:
        One `[batch, h, w, channels]` tensor per stage, in the dtype of
        `images`.
    """
    parameters = iter(zip(kernels, biases, strict=True))
    x = images
    taps = []
    for stage in backbone.stages:
        if stage.pool:
            x = ops.max_pool(
                x,
                stage.pool,
                strides=2,
                padding="valid",
                data_format="channels_last",
            )
        for convolution in stage.convolutions:
            kernel, bias = next(parameters)
            x = ops.relu(_convolve(x, kernel, convolution) + bias)
        taps.append(x)
    return taps


def _convolve(x, kernel, convolution):
    # "same" is the given padding exactly when the stride is 1; with a stride
    # TensorFlow's "same" pads the far sides more, so pad by hand there.
    same = (
        convolution.stride == 1 and convolution.padding == convolution.size // 2
    )
    if not same:
        side = (convolution.padding, convolution.padding)
        x = ops.pad(x, ((0, 0), side, side, (0, 0)))
    return ops.conv(
        x,
        kernel,
        strides=convolution.stride,
        padding="same" if same else "valid",
        data_format="channels_last",
    )


def enlarge_small(images, minimum_side):
    """Repeats the pixels of pictures that are too small for a backbone.

    Pictures whose shorter side is at least `minimum_side` pass untouched;
    others grow by the smallest whole factor that reaches it.

    Args:
        images: `[batch, height, width, channels]`; height and width may be
            unknown while a graph is traced.
        minimum_side: the shortest side allowed, in pixels.

    Returns:
        `[batch, height * factor, width * factor, channels]`.
    """
    height, width = images.shape[1], images.shape[2]
    if height is not None and width is not None:
        factor = -(-minimum_side // max(1, min(height, width)))
        if factor > 1:
            images = ops.repeat(images, factor, axis=1)
            images = ops.repeat(images, factor, axis=2)
        return images
    # The factor is only known when the graph runs, so the repetition is
    # written as an index gather (identity when the factor is 1).
    _, height, width, _ = ops.shape(images)
    shorter = ops.maximum(1, ops.minimum(height, width))
    factor = -(-minimum_side // shorter)
    rows = ops.arange(height * factor, dtype="int32") // factor
    columns = ops.arange(width * factor, dtype="int32") // factor
    return ops.take(ops.take(images, rows, axis=1), columns, axis=2)
