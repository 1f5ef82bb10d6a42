import json

import pytest

from keras_tim.images import read_picture


@pytest.mark.slow
def test_rungs_become_a_table_and_nothing_is_repeated(
    run_benchmark, tmp_path, lpips_weights, inception_weights
):
    flags = [
        f"--output={tmp_path}",
        "--task=super_resolution",
        "--rung=full",
        "--rung=weight_norm",
        "--steps=1",
        "--count=4",
        "--crop=32",
        "--seed=0",
    ]
    printed = run_benchmark("ablation.py", *flags)
    written = (tmp_path / "ablation.md").read_text()
    assert printed.endswith(written)
    (full,) = [line for line in written.splitlines() if "| full |" in line]
    assert full.endswith("| 16.75 |")
    found = json.loads((tmp_path / "ablation.json").read_text())
    rungs = found["super_resolution"]
    assert list(rungs) == ["full", "weight_norm"]
    (full,), (last,) = rungs.values()
    assert full["without"] == []
    # The rung named after its part lacks all those above it, too.
    assert len(last["without"]) == 4
    assert last["parameters"] < full["parameters"]
    for key in ("steps", "candidates", "crops"):
        assert last[key] == full[key], key
    for row in (full, last):
        assert row["crops"] == 4
        assert row["fid"] > 0
        assert 0 < row["lpips_alex_best"] <= row["lpips_alex_mean"]
        assert row["pairs_alex_all"] > 0
    assert read_picture(tmp_path / "ablation.png").std() > 0.05
    runs = sorted(tmp_path.glob("*/*.*"))
    made = [path.stat().st_mtime_ns for path in runs]
    assert run_benchmark("ablation.py", *flags) == written
    assert [path.stat().st_mtime_ns for path in runs] == made
