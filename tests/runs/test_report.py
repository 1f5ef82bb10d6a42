import numpy as np
import pytest

import keras_tim
from keras_tim.runs import report_table, super_resolution_report
from keras_tim.runs.report import averaged, crops_of


def test_crops_lie_side_by_side():
    target = np.arange(20 * 28, dtype="float32").reshape(20, 28, 1) / 560
    target = np.repeat(target, 3, axis=-1)
    crops = crops_of(target, scale=4, size=8)
    assert [name for name, _, _ in crops] == [
        "0,0",
        "0,8",
        "0,16",
        "8,0",
        "8,8",
        "8,16",
    ]
    for name, given, crop in crops:
        top, left = map(int, name.split(","))
        assert given.shape == (2, 2, 3)
        np.testing.assert_array_equal(
            crop, target[top : top + 8, left : left + 8]
        )


def test_averages_take_ratios_of_means():
    rows = [
        {
            "name": "a",
            "lpips_bicubic": 0.4,
            "lpips_mean": 0.2,
            "lpips_best": 0.1,
            "lpips_mean_ratio": 0.5,
            "lpips_best_ratio": 0.25,
            "seed": 3,
        },
        {
            "name": "b",
            "lpips_bicubic": 0.1,
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
    (_, given, target) = crops_of(target, 4, 32)[0]
    (row,) = super_resolution_report(
        tim, [("noise", given, target)], num_samples=2
    )
    assert row["lpips_diversity"] == pytest.approx(0.0, abs=1e-7)
    assert row["lpips_mean"] == row["lpips_best"]
    assert row["lpips_mean_ratio"] == pytest.approx(1.0, abs=0.1)
    assert row["lr_psnr_bicubic"] > 25
    table = report_table([row])
    assert f"{row['lpips_bicubic']:.3f}" in table
    assert "noise" in table
