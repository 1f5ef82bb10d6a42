import numpy as np
import pytest

import keras_tim
from keras_tim.data import super_resolution_pair
from keras_tim.runs import examples_report, report_table
from keras_tim.runs.report import averaged, warn_of_equal_samples


def test_averages_take_ratios_of_means():
    rows = [
        {
            "name": "a",
            "lpips_baseline": 0.4,
            "lpips_mean": 0.2,
            "lpips_best": 0.1,
            "lpips_mean_ratio": 0.5,
            "lpips_best_ratio": 0.25,
            "seed": 3,
        },
        {
            "name": "b",
            "lpips_baseline": 0.1,
            "lpips_mean": 0.1,
            "lpips_best": 0.1,
            "lpips_mean_ratio": 1.0,
            "lpips_best_ratio": 1.0,
            "seed": 3,
        },
    ]
    row = averaged(rows, "both")
    assert row["name"] == "both"
    assert row["seed"] == 3
    assert row["lpips_mean"] == pytest.approx(0.15)
    assert row["lpips_mean_ratio"] == pytest.approx(0.6)
    assert row["lpips_best_ratio"] == pytest.approx(0.4)


def test_nothing_is_a_multiple_of_a_plain_answer_that_is_right(
    make_tim, lpips_weights
):
    tim = make_tim("paired_images", quick=True)
    photos = np.random.default_rng(0).random((2, 64, 64, 3), dtype="float32")
    equal, other = photos
    rows = examples_report(
        tim,
        [("equal", equal, equal), ("other", equal, other)],
        num_samples=2,
    )
    assert [row["baseline"] for row in rows] == ["input", "input"]
    assert rows[0]["lpips_baseline"] == 0.0
    assert "lpips_mean_ratio" not in rows[0]
    assert rows[1]["lpips_mean_ratio"] > 0.0
    for order in (rows, rows[::-1]):
        mean = averaged(order, "both")
        assert mean["lpips_mean_ratio"] == pytest.approx(
            (rows[0]["lpips_mean"] + rows[1]["lpips_mean"])
            / rows[1]["lpips_baseline"]
        )
        assert "faithfulness" not in mean
    (_, first, second) = report_table(rows).splitlines()
    assert "(" not in first
    assert "(" in second


def test_a_model_that_adds_nothing_measures_as_its_own_distance(lpips_weights):
    tim = keras_tim.TIM.from_preset(
        "super_resolution_x4_nano",
        residual_channels=(8, 8),
        growth_channels=(4, 4),
    )
    # Without a residual every sample is the input enlarged twice.
    for module in tim.tower:
        module.output_convolution.g.assign(
            np.zeros_like(module.output_convolution.g)
        )
    target = np.random.RandomState(0).rand(32, 48, 3).astype("float32")
    given, target = super_resolution_pair(target, 4)
    (row,) = examples_report(tim, [("noise", given, target)], num_samples=2)
    assert row["lpips_diversity"] == pytest.approx(0.0, abs=1e-7)
    assert row["lpips_mean"] == row["lpips_best"]
    assert row["lpips_mean_ratio"] == pytest.approx(1.0, abs=0.1)
    assert row["faithfulness_baseline"] > 25
    assert row["faithfulness"] == pytest.approx(
        row["faithfulness_baseline"], abs=6
    )
    table = report_table([row])
    assert f"{row['lpips_baseline']:.3f}" in table
    assert "noise" in table


@pytest.mark.parametrize(
    ("diversity", "stochastic", "count"),
    [(0.0, True, 1), (0.01, True, 0), (0.0, False, 0)],
)
def test_samples_that_are_all_the_same_are_pointed_out(
    make_tim, monkeypatch, diversity, stochastic, count
):
    seen = []
    monkeypatch.setattr("absl.logging.warning", seen.append)
    tim = make_tim(quick=True, stochastic=stochastic)
    row = {"num_samples": 8, "lpips_diversity": diversity}
    warn_of_equal_samples(tim, [row, row])
    assert len(seen) == count
    assert all("All samples of a picture are the same" in x for x in seen)
