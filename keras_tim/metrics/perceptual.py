"""Perceptual fidelity and diversity of several samples per input."""

import numpy as np

from keras_tim.perceptual import LPIPS


def lpips_to_target(samples, target, distance=None):
    """LPIPS of every sample of one input to the observed output.

    Args:
        samples: array `[m, height, width, 3]`, float in [0, 1].
        target: array `[height, width, 3]`, float in [0, 1].
        distance: a `keras_tim.LPIPS`; AlexNet's by default.

    Returns:
        float32 array `[m]`.
    """
    distance = distance or LPIPS("alex")
    target = [f[0] for f in distance.features(_batch_of_one(target))]
    return np.array(
        [
            float(
                distance.compare(
                    [f[0] for f in distance.features(_batch_of_one(sample))],
                    target,
                )
            )
            for sample in samples
        ],
        dtype="float32",
    )


def lpips_diversity(samples, distance=None):
    """Mean LPIPS over all pairs of samples of one input, over inputs.

    Args:
        samples: array `[n, m, height, width, 3]`, float in [0, 1], m >= 2.
        distance: a `keras_tim.LPIPS`; AlexNet's by default.

    Returns:
        float; 0 where all samples of an input are the same.

    Raises:
        ValueError: if the samples have another shape.
    """
    samples = np.asarray(samples)
    if samples.ndim != 5 or samples.shape[-1] != 3 or samples.shape[1] < 2:
        raise ValueError(
            "`samples` must have shape [n, m, height, width, 3] with m >= 2. "
            f"Received: shape {samples.shape}"
        )
    distance = distance or LPIPS("alex")
    return float(np.mean([_all_pairs(group, distance) for group in samples]))


def _all_pairs(samples, distance):
    features = [distance.features(_batch_of_one(sample)) for sample in samples]
    distances = [
        float(distance.compare(features[i], features[j])[0])
        for i in range(len(features))
        for j in range(i)
    ]
    return np.mean(distances)


def _batch_of_one(picture):
    return np.asarray(picture, dtype="float32")[None]
