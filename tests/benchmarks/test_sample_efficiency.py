import json

import numpy as np
import pytest


@pytest.mark.slow
def test_whole_codes_that_match_a_choice_by_levels(
    run_benchmark, make_tim, noise_photos, tmp_path, lpips_weights
):
    model = tmp_path / "model.keras"
    make_tim(quick=True).save(model)
    flags = [
        f"--model={model}",
        f"--output={tmp_path / 'out'}",
        f"--test_photos={noise_photos}",
        "--per_level=2",
        "--per_level=4",
        "--most=64",
        "--runs=2",
        "--crops=2",
        "--crop=32",
    ]
    printed = run_benchmark("sample_efficiency.py", *flags)
    assert "2 held-out crops" in printed
    rows = json.loads((tmp_path / "out/sample_efficiency.json").read_text())
    runs = [
        json.loads((tmp_path / f"out/run_{seed}.json").read_text())
        for seed in range(2)
    ]
    for row in rows:
        m = row["per_level"]
        for run, needed in zip(runs, row["needed"], strict=True):
            vanilla = np.asarray(run["vanilla"])
            assert len(vanilla) == 64
            assert (np.diff(vanilla) <= 0).all()
            near_enough = vanilla <= run["hierarchical"][str(m)]
            # The first that is, or all that were drawn.
            expected = near_enough.argmax() + 1 if near_enough.any() else 64
            assert needed == expected
        assert row["ratio"] == pytest.approx(np.mean(row["needed"]) / m)
        # The median of two is their mean.
        assert row["ratio_of_median"] == pytest.approx(row["ratio"])
    # More to choose from, and other seeds.
    assert rows[1]["distance"] < rows[0]["distance"]
    assert runs[0]["vanilla"] != runs[1]["vanilla"]
