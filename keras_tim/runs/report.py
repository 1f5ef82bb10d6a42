"""How a super-resolution model does on held-out pictures."""

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
