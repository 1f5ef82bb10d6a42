import json

import pytest


@pytest.mark.slow
def test_tasks_makes_a_table_and_repeats_nothing(
    run_benchmark, tmp_path, lpips_weights
):
    flags = [
        f"--output={tmp_path}",
        "--task=super_resolution",
        "--method=regression",
        "--method=gan",
        "--steps=2",
        "--count=2",
    ]
    run_benchmark("tasks.py", *flags)
    table = (tmp_path / "table.md").read_text()
    for name in ("bicubic", "regression", "gan"):
        assert f"| super_resolution | {name} |" in table
    measures = tmp_path / "super_resolution_regression" / "measures.json"
    row = json.loads(measures.read_text())
    # One answer, but for the order in which convolutions add up.
    assert row["lpips_diversity"] < 1e-6
    assert row["pictures"] == 2
    models = sorted(tmp_path.glob("*/model.keras"))
    made = [path.stat().st_mtime_ns for path in models]
    assert len(made) == 2
    run_benchmark("tasks.py", *flags)
    assert [path.stat().st_mtime_ns for path in models] == made
