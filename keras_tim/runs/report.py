"""How a super-resolution model does on held-out pictures."""

import numpy as np

from keras_tim.data import super_resolution_pair
from keras_tim.inference.alternatives import bicubic_picture
from keras_tim.metrics import (
    low_resolution_psnr,
    lpips_diversity,
    lpips_to_target,
)
from keras_tim.perceptual import LPIPS


def super_resolution_report(tim, pictures, num_samples=8, seed=0):
    """Measures samples of held-out pictures beside bicubic interpolation.

    Args:
        tim: a `TIM` for super-resolution.
        pictures: list of `(name, input [h, w, 3], target [H, W, 3])`.
        num_samples: int, samples per picture.
        seed: int.

    Returns:
        List of dicts, one per picture: `name`; `lpips_bicubic`, `lpips_mean`,
        `lpips_best` (AlexNet) and the last two over bicubic's;
        `lpips_diversity` over all pairs; `lr_psnr` and `lr_psnr_bicubic` in
        dB; `num_samples` and `seed`.
    """
    distance = LPIPS("alex")
    rows = []
    for name, given, target in pictures:
        samples = tim.sample(given[None], num_samples=num_samples, seed=seed)[0]
        bicubic = bicubic_picture(given, target.shape[:2])
        plain = float(lpips_to_target(bicubic[None], target, distance)[0])
        distances = lpips_to_target(samples, target, distance)
        mean, best = float(distances.mean()), float(distances.min())
        rows.append(
            {
                "name": name,
                "lpips_bicubic": plain,
                "lpips_mean": mean,
                "lpips_best": best,
                "lpips_mean_ratio": mean / plain,
                "lpips_best_ratio": best / plain,
                "lpips_diversity": lpips_diversity(samples[None], distance)
                if num_samples > 1
                else 0.0,
                "lr_psnr": float(low_resolution_psnr(samples, given).mean()),
                "lr_psnr_bicubic": float(
                    low_resolution_psnr(bicubic[None], given)[0]
                ),
                "num_samples": num_samples,
                "seed": seed,
            }
        )
    return rows


def crops_of(target, scale, size):
    """A picture's crops as pairs, the way training sees pictures.

    Args:
        target: array `[height, width, 3]`, float in [0, 1].
        scale: int, the model's scale.
        size: int, side of the square crops, a multiple of `scale`.

    Returns:
        List of `(name, input [size / scale, size / scale, 3], target [size,
        size, 3])`, side by side from the top left; what is left over at the
        edges is not used.
    """
    rows, columns = (n // size for n in target.shape[:2])
    corners = [
        (size * row, size * column)
        for row in range(rows)
        for column in range(columns)
    ]
    return [
        (
            f"{top},{left}",
            *super_resolution_pair(
                target[top : top + size, left : left + size], scale
            ),
        )
        for top, left in corners
    ]


def averaged(rows, name):
    """One row for many: means, the ratios being ratios of means.

    Args:
        rows: list of dicts from `super_resolution_report`.
        name: str, what to call the row.

    Returns:
        dict like the rows.
    """
    mean = {
        key: float(np.mean([row[key] for row in rows]))
        if isinstance(value, float)
        else value
        for key, value in rows[0].items()
    }
    for which in ("mean", "best"):
        mean[f"lpips_{which}_ratio"] = (
            mean[f"lpips_{which}"] / mean["lpips_bicubic"]
        )
    return {**mean, "name": name}


def report_table(rows):
    """The report as a text table, a line per picture."""
    name_width = max(12, *(len(row["name"]) for row in rows))
    lines = [
        f"{'picture':<{name_width}}  LPIPS-alex: bicubic   mean (ratio)   "
        "best (ratio)  diversity  LR-PSNR: bicubic  samples"
    ]
    for row in rows:
        lines.append(
            f"{row['name']:<{name_width}}  "
            f"{row['lpips_bicubic']:>19.3f}  "
            f"{row['lpips_mean']:.3f} ({row['lpips_mean_ratio']:.2f})   "
            f"{row['lpips_best']:.3f} ({row['lpips_best_ratio']:.2f})  "
            f"{row['lpips_diversity']:>9.3f}  "
            f"{row['lr_psnr_bicubic']:>13.1f} dB  {row['lr_psnr']:.1f} dB"
        )
    return "\n".join(lines)
