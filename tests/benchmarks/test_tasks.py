import json

import numpy as np
import pytest


@pytest.mark.slow
def test_tasks_makes_a_table_and_repeats_nothing(
    run_benchmark, tmp_path, lpips_weights
):
    flags = [
        f"--output={tmp_path}",
        "--task=super_resolution",
        "--method=tim",
        "--method=vanilla",
        "--method=regression",
        "--method=gan",
        "--steps=2",
        "--count=2",
    ]
    run_benchmark("tasks.py", *flags)
    table = (tmp_path / "table.md").read_text()
    for name in ("bicubic", "tim", "vanilla", "regression", "gan"):
        assert f"| super_resolution | {name} |" in table

    def measures(method):
        path = tmp_path / f"super_resolution_{method}" / "measures.json"
        return json.loads(path.read_text())

    # One answer, but for the order in which convolutions add up.
    assert measures("regression")["lpips_diversity"] < 1e-6
    assert measures("regression")["pictures"] == 2
    best = [measures(method)["best_of_each"] for method in ("vanilla", "tim")]
    first, second = np.subtract(*best)
    lead = (first + second) / 2
    # Student's t with one degree of freedom: 12.706.
    half = 12.706 * abs(first - second) / 2
    assert f"picture by picture: {lead:.3f} ± {half:.3f} (95%)" in table
    models = sorted(tmp_path.glob("*/model.keras"))
    made = [path.stat().st_mtime_ns for path in models]
    assert len(made) == 4
    run_benchmark("tasks.py", *flags)
    assert [path.stat().st_mtime_ns for path in models] == made
