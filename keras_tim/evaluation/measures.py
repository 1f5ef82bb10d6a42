"""The measures of one picture's samples, and what they are called."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keras_tim.metrics.diversity import (
    BestMaps,
    PairDistances,
    weighted_variance,
)
from keras_tim.metrics.fidelity import batch_of_one, psnr, ssim

# Stands for equality, whose PSNR is infinite, so that means stay finite.
HIGHEST_PSNR = 100.0


@dataclasses.dataclass(frozen=True)
class Measure:
    """What a number is.

    Attributes:
        key: what it is called in files.
        label: what it is called in tables.
        better: "higher", "lower", or "" where neither is.
        digits: decimals that are shown.
    """

    key: str
    label: str
    better: str
    digits: int


def measures_of_pictures(task, nets, bandwidths, num_samples):
    """What `picture_measures` gives, in the order of the table.

    Args:
        task: its `keras_tim.tasks.Task`.
        nets: names of LPIPS networks.
        bandwidths: floats, of the faithfulness-weighted variance.
        num_samples: int, samples per picture.

    Returns:
        List of `Measure`.
    """
    several = num_samples > 1
    fidelity = [(f"lpips_{net}", f"LPIPS-{net}", "lower", 4) for net in nets]
    fidelity += [
        ("psnr", "PSNR [dB]", "higher", 2),
        ("ssim", "SSIM", "higher", 4),
    ]
    measures = []
    for key, name, better, digits in fidelity:
        measures.append(
            Measure(f"{key}_mean", f"{name}, mean of samples", better, digits)
        )
        if several:
            measures += [
                Measure(f"{key}_{which}", f"{name}, {text}", better, digits)
                for which, text in (
                    ("best", "best sample"),
                    ("mean_image", "of the mean image"),
                )
            ]
    if task.faithfulness_name:
        name = f"Faithfulness: {task.faithfulness_name}"
        better = "lower" if task.lower_is_more_faithful else "higher"
        measures += [
            Measure("faithfulness_mean", f"{name}, mean", better, 2),
            Measure("faithfulness_worst", f"{name}, worst sample", better, 2),
        ]
    for net in nets if several else ():
        name = f"Diversity: LPIPS-{net}"
        measures += [
            Measure(f"pairs_{net}_all", f"{name}, all pairs", "higher", 4),
            Measure(
                f"pairs_{net}_consecutive",
                f"{name}, consecutive pairs",
                "higher",
                4,
            ),
        ]
        measures += [
            Measure(
                variance_key(net, bandwidth),
                "Diversity: faithfulness-weighted variance, "
                f"{net}, bandwidth {bandwidth:g}",
                "higher",
                5,
            )
            for bandwidth in bandwidths
        ]
        measures.append(
            Measure(
                f"ntire_{net}",
                f"Diversity: NTIRE 2021 score [%], {net}",
                "higher",
                2,
            )
        )
    return measures


def variance_key(net, bandwidth):
    """The key of a faithfulness-weighted variance."""
    return f"variance_{net}_{bandwidth:g}"


def picture_measures(
    samples: np.ndarray,
    target: np.ndarray,
    given: np.ndarray,
    tim: Any,
    distances: Mapping[str, Any],
    bandwidths: Sequence[float],
    quality: int | None = None,
) -> dict[str, Any]:
    """Measures samples of one picture, and the task's plain answer.

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
        dict of `samples` (measures by key, see `measures_of_pictures`),
        `each` (lists over the samples), `baseline` (measures of the plain
        answer, or None) and `baseline_name`.
    """
    mean_image = np.mean(samples, axis=0, dtype=np.float64)
    found, each = {}, {}
    for net, distance in distances.items():
        perceptual = _perceptual(
            samples, mean_image, target, distance, net, bandwidths
        )
        found |= perceptual["measures"]
        each[f"lpips_{net}"] = perceptual["to_target"]
    for key, measure in (("psnr", finite_psnr), ("ssim", ssim)):
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
            measures[variance_key(net, bandwidth)] = float(variance)
        measures[f"ntire_{net}"] = float(maps.score)
    return {"measures": measures, "to_target": to_target}


def _summary(key, values, best, mean_image):
    return {
        f"{key}_mean": float(np.mean(values)),
        f"{key}_best": best,
        f"{key}_mean_image": mean_image,
    }


def _baseline(picture, target, given, tim, distances, quality):
    """What can be said of a single picture."""
    found = {
        f"lpips_{net}_mean": float(
            distance(batch_of_one(picture), batch_of_one(target))[0]
        )
        for net, distance in distances.items()
    }
    found["psnr_mean"] = float(finite_psnr(picture, target))
    found["ssim_mean"] = float(ssim(picture, target))
    faithfulness = tim.faithfulness(picture[None], given, quality)
    if faithfulness is not None:
        found["faithfulness_mean"] = float(finite(faithfulness)[0])
    return found


def finite_psnr(pictures, target):
    """PSNR, see `keras_tim.metrics.psnr`, of at most `HIGHEST_PSNR`."""
    return finite(psnr(pictures, target))


def finite(decibels):
    """PSNR of at most `HIGHEST_PSNR`."""
    return np.minimum(decibels, HIGHEST_PSNR)
