"""The measures of one picture's samples."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keras_tim.metrics.diversity import (
    BestMaps,
    PairDistances,
    weighted_variance,
)
from keras_tim.metrics.fidelity import (
    SMALLEST_FOR_SSIM,
    batch_of_one,
    psnr,
    ssim,
)

# Stands for equality, whose PSNR is infinite, so that means stay finite.
HIGHEST_PSNR = 100.0


def picture_measures(
    samples: np.ndarray,
    target: np.ndarray,
    given: np.ndarray,
    tim: Any,
    distances: Mapping[str, Any],
    bandwidths: Sequence[float],
    quality: int | None = None,
) -> dict[str, Any]:
    """Measures samples of one picture, and the task's baseline.

    A sample's LPIPS features are computed once for all that needs them, and
    those of one sample are kept at a time.

    Args:
        samples: array `[m, height, width, 3]`, float in [0, 1].
        target: array `[height, width, 3]`, the observed output.
        given: array `[h, w, channels]`, what the model was given.
        tim: the `TIM`.
        distances: dict from a network's name to its `keras_tim.LPIPS`.
        bandwidths: floats, of the faithfulness-weighted variance.
        quality: int or None, see `Task.faithfulness`.

    Returns:
        dict of `samples` (measures by key, see
        `keras_tim.metrics.vocabulary`), `each` (lists over the samples),
        `baseline` (measures of the baseline, or None), `baseline_name`
        and `faithfulness_name`. Of a single sample there are means alone;
        SSIM is of pictures of 11 pixels or more on a side.
    """
    mean_image = np.mean(samples, axis=0, dtype=np.float64)
    found, each = {}, {}
    for net, distance in distances.items():
        perceptual = _perceptual(
            samples, mean_image, target, distance, net, bandwidths
        )
        found |= perceptual["measures"]
        each[f"lpips_{net}"] = perceptual["to_target"]
    for key, measure in _fidelity(target).items():
        each[key] = measure(samples, target).tolist()
        found |= _summary(
            key,
            each[key],
            best=max(each[key]),
            mean_image=float(measure(mean_image[None], target)[0]),
        )
    worst = max if tim.task_definition.lower_is_more_faithful else min
    faithfulness = tim.faithfulness(samples, given, quality)
    if faithfulness is not None:
        each["faithfulness"] = finite(faithfulness).tolist()
        found["faithfulness_mean"] = float(np.mean(each["faithfulness"]))
        found["faithfulness_worst"] = worst(each["faithfulness"])
    plain = tim.baseline(given, target.shape[:2])
    return {
        "samples": found,
        "each": each,
        "faithfulness_name": tim.task_definition.faithfulness_name,
        "baseline_name": None if plain is None else plain[0],
        "baseline": None
        if plain is None
        else _baseline(plain[1], target, given, tim, distances, quality),
    }


def _perceptual(samples, mean_image, target, distance, net, bandwidths):
    """LPIPS measures of samples in one pass over them."""
    target_features = distance.features(batch_of_one(target))
    mean_features = distance.features(batch_of_one(mean_image))
    pairs, maps = PairDistances(distance), BestMaps()
    to_target, to_mean = [], []
    for sample in samples:
        features = distance.features(batch_of_one(sample))
        to_target.append(float(distance.compare(features, target_features)[0]))
        to_mean.append(float(distance.compare(features, mean_features)[0]))
        pairs.add(features)
        maps.add(
            distance.compare_spatially(
                features, target_features, target.shape[:2]
            )[0]
        )
    measures = _summary(
        f"lpips_{net}",
        to_target,
        best=min(to_target),
        mean_image=float(distance.compare(mean_features, target_features)[0]),
    )
    if len(samples) > 1:
        measures[f"pairs_{net}_all"] = pairs.all
        measures[f"pairs_{net}_consecutive"] = pairs.consecutive
        variances = weighted_variance(to_target, to_mean, bandwidths)
        for bandwidth, variance in zip(bandwidths, variances, strict=True):
            measures[f"variance_{net}_{bandwidth:g}"] = float(variance)
        measures[f"ntire_{net}"] = float(maps.score)
    return {"measures": measures, "to_target": to_target}


def _fidelity(target):
    """Measures against the observed output by key, but for LPIPS."""
    if min(target.shape[:2]) < SMALLEST_FOR_SSIM:
        return {"psnr": finite_psnr}
    return {"psnr": finite_psnr, "ssim": ssim}


def _summary(key, values, best, mean_image):
    found = {f"{key}_mean": float(np.mean(values))}
    if len(values) > 1:
        found |= {f"{key}_best": best, f"{key}_mean_image": mean_image}
    return found


def _baseline(picture, target, given, tim, distances, quality):
    """What can be said of a single picture."""
    found = {
        f"lpips_{net}_mean": float(
            distance(batch_of_one(picture), batch_of_one(target))[0]
        )
        for net, distance in distances.items()
    }
    for key, measure in _fidelity(target).items():
        found[f"{key}_mean"] = float(measure(picture, target))
    faithfulness = tim.faithfulness(picture[None], given, quality)
    if faithfulness is not None:
        found["faithfulness_mean"] = float(finite(faithfulness)[0])
    return found


def picture_sentence(picture, net):
    """The numbers of one picture in words.

    Args:
        picture: dict from `picture_measures`.
        net: name of an LPIPS network.

    Returns:
        str.
    """
    samples, baseline = picture["samples"], picture["baseline"] or {}
    parts = []
    if f"lpips_{net}_mean" in baseline:
        plain = baseline[f"lpips_{net}_mean"]
        parts.append(f"{picture['baseline_name']} {plain:.3f}")
    parts.append(f"samples {samples[f'lpips_{net}_mean']:.3f} on average")
    if f"lpips_{net}_best" in samples:
        parts.append(f"best {samples[f'lpips_{net}_best']:.3f}")
    text = f"LPIPS-{net} to the observed picture: {', '.join(parts)}"
    if f"pairs_{net}_all" in samples:
        text += f"; between samples {samples[f'pairs_{net}_all']:.3f}"
    text += "."
    if "ssim_mean" in samples:
        text += f" SSIM {samples['ssim_mean']:.3f}."
    if "faithfulness_mean" in samples:
        name = picture["faithfulness_name"]
        text += f" {name}: {samples['faithfulness_mean']:.1f}."
    return text


def finite_psnr(pictures, target):
    """PSNR, see `keras_tim.metrics.psnr`, of at most `HIGHEST_PSNR`."""
    return finite(psnr(pictures, target))


def finite(decibels):
    """PSNR of at most `HIGHEST_PSNR`."""
    return np.minimum(decibels, HIGHEST_PSNR)
