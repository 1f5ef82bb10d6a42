import numpy as np
import pytest

import keras_tim
from keras_tim.data import super_resolution_pair
from keras_tim.files import write_json
from keras_tim.runs import examples_report, read_report, report_table
from keras_tim.runs.report import averaged, warn_of_equal_samples


def row(name, mean, plain):
    """A row of a report, as far as the tests go by it."""
    return {
        "name": name,
        "seed": 3,
        "num_samples": 8,
        "size": [16, 16],
        "samples": {"lpips_alex_mean": mean, "pairs_alex_all": 0.1},
        "each": {"psnr": [20.0] * 8},
        "baseline": plain and {"lpips_alex_mean": plain},
        "baseline_name": plain and "bicubic",
        "faithfulness_name": None,
    }


def test_averages_are_means_and_their_ratio_is_that_of_means():
    found = averaged([row("a", 0.2, 0.4), row("b", 0.1, 0.1)], "both")
    assert (found["name"], found["seed"], found["pictures"]) == ("both", 3, 2)
    assert found["samples"] == pytest.approx(
        {"lpips_alex_mean": 0.15, "pairs_alex_all": 0.1}
    )
    assert found["baseline"] == pytest.approx({"lpips_alex_mean": 0.25})
    assert not {"each", "size"} & found.keys()
    assert "0.150 (0.60)" in report_table([found])
    # Without a baseline there is nothing to average.
    rows = [row(name, 0.2, None) for name in "ab"]
    assert averaged(rows, "both")["baseline"] is None
    assert "(" not in report_table(rows)


def test_earlier_reports_are_read(tmp_path):
    path = tmp_path / "report.json"
    earlier = {
        "name": "chelsea.png",
        "lpips_mean": 0.2,
        "lpips_best": 0.16,
        "lpips_diversity": 0.05,
        "num_samples": 8,
        "seed": 1,
        "baseline": "bicubic",
        "lpips_baseline": 0.4,
        "lpips_mean_ratio": 0.5,
        "lpips_best_ratio": 0.4,
        "faithfulness_name": "LR-PSNR [dB]",
        "faithfulness": 40.0,
        "faithfulness_baseline": 30.0,
    }
    now = row("chelsea.png", 0.2, 0.4)
    layout = {"name": "0001.png", "lpips_mean": 0.3, "num_samples": 1}
    write_json(path, [earlier, layout, now])
    first, second, third = read_report(path)
    assert first == {
        "name": "chelsea.png",
        "seed": 1,
        "num_samples": 8,
        "samples": {
            "lpips_alex_mean": 0.2,
            "lpips_alex_best": 0.16,
            "pairs_alex_all": 0.05,
            "faithfulness_mean": 40.0,
        },
        "baseline": {"lpips_alex_mean": 0.4, "faithfulness_mean": 30.0},
        "baseline_name": "bicubic",
        "faithfulness_name": "LR-PSNR [dB]",
    }
    assert report_table([first]).splitlines()[-1] == (
        "| chelsea.png   | 0.400   | 0.200 (0.50) | 0.160 (0.40) | 0.050     "
        "| 30.0                  | 40.0                  |"
    )
    assert second["samples"] == {"lpips_alex_mean": 0.3}
    assert second["baseline"] is second["baseline_name"] is None
    assert third == now


@pytest.mark.parametrize("content", ["{}", "[1]", "[", "null"])
def test_damaged_reports_are_named(content, tmp_path):
    path = tmp_path / "report.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"report\.json"):
        read_report(path)


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
    assert [row["baseline_name"] for row in rows] == ["input", "input"]
    assert rows[0]["baseline"]["lpips_alex_mean"] == 0.0
    for order in (rows, rows[::-1]):
        mean = averaged(order, "both")
        assert mean["baseline"]["lpips_alex_mean"] > 0.0
        assert "faithfulness_mean" not in mean["samples"]
    (*_, first, second) = report_table(rows).splitlines()
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
    samples, baseline = row["samples"], row["baseline"]
    assert samples["pairs_alex_all"] == pytest.approx(0.0, abs=1e-7)
    assert samples["lpips_alex_mean"] == samples["lpips_alex_best"]
    assert samples["lpips_alex_mean"] == pytest.approx(
        baseline["lpips_alex_mean"], rel=0.1
    )
    assert baseline["faithfulness_mean"] > 25
    assert samples["faithfulness_mean"] == pytest.approx(
        baseline["faithfulness_mean"], abs=6
    )
    table = report_table([row])
    assert f"{baseline['lpips_alex_mean']:.3f}" in table
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
    row = {"num_samples": 8, "samples": {"pairs_alex_all": diversity}}
    warn_of_equal_samples(tim, [row, row])
    assert len(seen) == count
    assert all("All samples of a picture are the same" in x for x in seen)
