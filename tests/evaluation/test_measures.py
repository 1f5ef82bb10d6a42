import numpy as np
import pytest

from keras_tim import LPIPS
from keras_tim.evaluation import picture_measures
from keras_tim.evaluation.measures import picture_sentence
from keras_tim.metrics import (
    faithfulness_weighted_variance,
    fidelity_summary,
    low_resolution_psnr,
    lpips_diversity,
    ntire_diversity,
)
from keras_tim.metrics.vocabulary import measures_of

BANDWIDTHS = (0.3, 0.1)


@pytest.fixture(scope="module")
def random_case():
    """Samples, target and input of random pixels."""
    random = np.random.default_rng(0)
    target = random.random((40, 48, 3)).astype("float32")
    noise = 0.3 * random.standard_normal((4, 40, 48, 3))
    samples = np.clip(target + noise, 0, 1).astype("float32")
    given = target.reshape(10, 4, 12, 4, 3).mean((1, 3))
    return samples, target, given


def test_one_pass_gives_what_the_functions_give(
    random_case, tim, lpips_weights
):
    samples, target, given = random_case
    distance = LPIPS("alex")
    found = picture_measures(*random_case, tim, {"alex": distance}, BANDWIDTHS)
    variances = faithfulness_weighted_variance(
        samples[None], target[None], BANDWIDTHS, distance
    )
    faithfulness = low_resolution_psnr(samples, given)
    expected = {
        "pairs_alex_all": lpips_diversity(samples[None], distance),
        "pairs_alex_consecutive": lpips_diversity(
            samples[None], distance, "consecutive"
        ),
        "variance_alex_0.3": variances[0],
        "variance_alex_0.1": variances[1],
        "ntire_alex": ntire_diversity(samples[None], target[None], distance),
        "faithfulness_mean": faithfulness.mean(),
        "faithfulness_worst": faithfulness.min(),
    }
    for key, measure in (("lpips_alex", "lpips"), ("psnr",) * 2, ("ssim",) * 2):
        summary = fidelity_summary(samples, target, measure, distance)
        for which, value in summary._asdict().items():
            expected[f"{key}_{which}"] = value
    assert found["samples"].keys() == expected.keys()
    for key, value in expected.items():
        assert found["samples"][key] == pytest.approx(value, rel=1e-5), key
    listed = measures_of(found["samples"], tim.task_definition)
    assert {measure.key for measure in listed} == expected.keys()


def test_values_worked_by_hand(tim, brightness):
    # Samples 51 levels above and below a target of 102: their mean is the
    # target. The squared distance of their mean colours is 3 x 0.2^2.
    target = np.full((40, 48, 3), 102 / 255, "float32")
    samples = np.stack([target + 0.2, target - 0.2])
    given = target[::4, ::4]
    found = picture_measures(
        samples, target, given, tim, {"alex": brightness}, (0.12,)
    )
    measures = found["samples"]
    psnr = 10 * np.log10(255**2 / 51**2)  # 13.98 dB
    # Of flat pictures SSIM is the term of the means alone.
    constant = (0.01 * 255) ** 2
    bright, dark = (
        (2 * 102 * other + constant) / (102**2 + other**2 + constant)
        for other in (153, 51)
    )
    expected = {
        "lpips_alex_mean": 0.12,
        "lpips_alex_best": 0.12,
        "lpips_alex_mean_image": 0.0,
        "psnr_mean": psnr,
        "psnr_best": psnr,
        "psnr_mean_image": 100.0,  # stands for equality
        "ssim_mean": (bright + dark) / 2,
        "ssim_best": bright,
        "ssim_mean_image": 1.0,
        "faithfulness_mean": psnr,
        "faithfulness_worst": psnr,
        # They are 0.4 apart.
        "pairs_alex_all": 0.48,
        "pairs_alex_consecutive": 0.48,
        # Both lie 0.12 from their mean and, by chance, from the target.
        "variance_alex_0.12": 0.12 * np.exp(-0.5),
        "ntire_alex": 0.0,
    }
    assert measures == pytest.approx(expected, rel=1e-4, abs=1e-6)
    # Enlarging a flat picture gives the target itself.
    assert found["baseline_name"] == "bicubic"
    assert found["baseline"] == pytest.approx(
        {
            "lpips_alex_mean": 0.0,
            "psnr_mean": 100.0,
            "ssim_mean": 1.0,
            "faithfulness_mean": 100.0,
        },
        abs=1e-4,
    )
    assert found["each"]["lpips_alex"] == pytest.approx([0.12, 0.12])


def test_of_an_error_the_worst_is_the_largest(make_tim, brightness):
    tim = make_tim("colourization", quick=True)
    grey = np.full((16, 16, 3), 0.5, "float32")
    given = np.full((16, 16, 1), 0.5339, "float32")  # L of that grey is 53.39
    samples = np.stack([grey, grey + 0.1, grey - 0.02])
    found = picture_measures(
        samples, grey, given, tim, {"alex": brightness}, (0.3,)
    )
    each = found["each"]["faithfulness"]
    assert each[0] < each[2] < each[1]
    assert found["samples"]["faithfulness_worst"] == each[1]
    worst, mean = (
        measure
        for measure in measures_of(found["samples"], tim.task_definition)[::-1]
        if measure.key.startswith("faithfulness")
    )
    assert (mean.key, mean.better) == ("faithfulness_mean", "lower")
    assert worst.label == "Faithfulness: error in L, worst sample"


def test_a_task_without_a_plain_answer_or_faithfulness(make_tim, brightness):
    tim = make_tim("layout_synthesis", quick=True)
    target = np.full((16, 16, 3), 0.5, "float32")
    found = picture_measures(
        target[None], target, None, tim, {"alex": brightness}, (0.3,)
    )
    assert found["baseline"] is found["baseline_name"] is None
    assert "faithfulness" not in found["each"]
    listed = measures_of(found["samples"], tim.task_definition)
    assert [m.key for m in listed] == [
        "lpips_alex_mean",
        "psnr_mean",
        "ssim_mean",
    ]


def test_pictures_too_small_for_ssim_go_without(tim, brightness):
    target = np.full((8, 12, 3), 0.5, "float32")
    samples = np.stack([target, target])
    found = picture_measures(
        samples, target, target[::4, ::4], tim, {"alex": brightness}, (0.3,)
    )
    assert "psnr_best" in found["samples"]
    assert "psnr_mean" in found["baseline"]
    for keys in (found["samples"], found["each"], found["baseline"]):
        assert not [key for key in keys if key.startswith("ssim")]
    assert "SSIM" not in picture_sentence(found, "alex")
