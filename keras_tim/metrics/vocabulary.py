"""The measures: what files and tables call them, and which way is better."""

import dataclasses
import re


@dataclasses.dataclass(frozen=True)
class Measure:
    """What a number is.

    Attributes:
        key: what `report.json`, `evaluation.json` and `evaluation.csv` call
            it.
        title: what tables call it.
        better: "higher" or "lower"; in `MEASURES` "" where the task says it.
        unit: str, "" where it has none.
        digits: decimals that are shown.
    """

    key: str
    title: str
    better: str
    unit: str = ""
    digits: int = 4

    @property
    def label(self):
        """The title with the unit."""
        return f"{self.title} [{self.unit}]" if self.unit else self.title


# In the order of tables. {net} is an LPIPS network, {bandwidth} that of a
# weighted variance, {faithfulness} what a task calls its measure.
MEASURES = (
    # Of one picture: LPIPS, PSNR and SSIM to the observed output.
    Measure("lpips_{net}_mean", "LPIPS-{net}, mean of samples", "lower"),
    Measure("lpips_{net}_best", "LPIPS-{net}, best sample", "lower"),
    Measure(
        "lpips_{net}_mean_image", "LPIPS-{net}, of the mean image", "lower"
    ),
    Measure("psnr_mean", "PSNR, mean of samples", "higher", "dB", 2),
    Measure("psnr_best", "PSNR, best sample", "higher", "dB", 2),
    Measure("psnr_mean_image", "PSNR, of the mean image", "higher", "dB", 2),
    Measure("ssim_mean", "SSIM, mean of samples", "higher"),
    Measure("ssim_best", "SSIM, best sample", "higher"),
    Measure("ssim_mean_image", "SSIM, of the mean image", "higher"),
    # To the input, see `Task.faithfulness`, which also says what is better.
    Measure(
        "faithfulness_mean", "Faithfulness: {faithfulness}, mean", "", digits=2
    ),
    Measure(
        "faithfulness_worst",
        "Faithfulness: {faithfulness}, worst sample",
        "",
        digits=2,
    ),
    # `lpips_diversity`, `faithfulness_weighted_variance`, `ntire_diversity`.
    Measure("pairs_{net}_all", "Diversity: LPIPS-{net}, all pairs", "higher"),
    Measure(
        "pairs_{net}_consecutive",
        "Diversity: LPIPS-{net}, consecutive pairs",
        "higher",
    ),
    Measure(
        "variance_{net}_{bandwidth}",
        "Diversity: faithfulness-weighted variance, {net}, bandwidth "
        "{bandwidth}",
        "higher",
        digits=5,
    ),
    Measure(
        "ntire_{net}", "Diversity: NTIRE 2021 score, {net}", "higher", "%", 2
    ),
    # Of all pictures as a set.
    Measure("fid_one_sample", "FID, one sample per picture", "lower", digits=2),
    Measure("fid_all_samples", "FID, all samples", "lower", digits=2),
    Measure("kid_one_sample", "KID, one sample per picture", "lower", digits=5),
    # Of what `TIM.invert` finds.
    Measure(
        "inversion_{net}_distance",
        "Inversion: LPIPS-{net}, of the nearest picture (recall)",
        "lower",
    ),
    Measure(
        "inversion_{net}_random_mean",
        "Inversion: LPIPS-{net}, of random samples, same pictures",
        "lower",
    ),
    Measure(
        "inversion_{net}_ratio",
        "Inversion: LPIPS-{net}, nearest over random",
        "lower",
    ),
    Measure(
        "inversion_psnr",
        "Inversion: PSNR, of the nearest picture",
        "higher",
        "dB",
        2,
    ),
    Measure(
        "inversion_psnr_random",
        "Inversion: PSNR, of random samples, same pictures",
        "higher",
        "dB",
        2,
    ),
    Measure(
        "path_mean",
        "Inversion: {faithfulness} on the path (precision), mean",
        "",
        digits=2,
    ),
    Measure(
        "path_worst",
        "Inversion: {faithfulness} on the path (precision), worst picture",
        "",
        digits=2,
    ),
)
_PATTERNS = [
    re.compile(
        measure.key.replace("{net}", "(?P<net>[^_]+)").replace(
            "{bandwidth}", "(?P<bandwidth>.+)"
        )
    )
    for measure in MEASURES
]


def measures_of(keys, task=None):
    """The measures that keys stand for.

    Args:
        keys: iterable of str.
        task: what says, by `faithfulness_name` and `lower_is_more_faithful`,
            how faithfulness is measured: a `keras_tim.tasks.Task`. It may be
            None where no key is about faithfulness.

    Returns:
        List of `Measure`, in the order of `MEASURES`.

    Raises:
        ValueError: if a key is none of theirs.
    """
    found = []
    for key in dict.fromkeys(keys):
        match = next(filter(None, (p.fullmatch(key) for p in _PATTERNS)), None)
        if match is None:
            raise ValueError(
                "`keys` must be of measures, see "
                f"`keras_tim.metrics.vocabulary`. Received: {key!r}"
            )
        place = _PATTERNS.index(match.re)
        words, better = match.groupdict(), MEASURES[place].better
        if not better:
            words["faithfulness"] = task.faithfulness_name
            better = "lower" if task.lower_is_more_faithful else "higher"
        measure = dataclasses.replace(
            MEASURES[place],
            key=key,
            title=MEASURES[place].title.format(**words),
            better=better,
        )
        found.append((place, measure))
    return [measure for _, measure in sorted(found, key=lambda pair: pair[0])]
