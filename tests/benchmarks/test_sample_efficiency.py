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
    drawn = np.concatenate([run["vanilla"] for run in runs], axis=1)
    assert drawn.shape == (2, 128)
    for row in rows:
        m = str(row["per_level"])
        for run, needed in zip(runs, row["needed"], strict=True):
            best = np.minimum.accumulate(run["vanilla"], axis=1).mean(axis=0)
            near_enough = best <= np.mean(run["hierarchical"][m])
            # The first that is, or all that were drawn.
            expected = near_enough.argmax() + 1 if near_enough.any() else 64
            assert needed == expected
        # The same by drawing: the nearest of so many is near enough, and of
        # one less it is not.
        kept = np.mean([run["hierarchical"][m] for run in runs])
        count = row["matching"]
        if row["reached"]:
            best, error = redrawn_best(drawn, count)
            assert best < kept + 4 * error
        if count > 1:
            best, error = redrawn_best(drawn, count - 1)
            assert best > kept - 4 * error
        low, high = row["interval"]
        assert low <= count <= high
        assert row["ratio"] == count / row["per_level"]
    # More to choose from, and other seeds.
    assert rows[1]["distance"] < rows[0]["distance"]
    assert runs[0]["vanilla"] != runs[1]["vanilla"]
    # What is there is of these flags alone.
    with pytest.raises(AssertionError, match=r"other flags \(distance\)"):
        run_benchmark("sample_efficiency.py", *flags, "--distance=lpips_vgg")


def redrawn_best(drawn, count):
    """Distance of the nearest of `count`, by drawing: mean and its error."""
    random = np.random.default_rng(0)
    order = np.tile(np.arange(drawn.shape[1]), (4000, 1))
    order = random.permuted(order, axis=1)[:, :count]
    best = drawn[:, order].min(axis=-1).mean(axis=0)
    return best.mean(), best.std() / np.sqrt(len(best))
