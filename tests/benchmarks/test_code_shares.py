import re

import pytest


@pytest.mark.slow
def test_samples_differ_by_what_the_model_looks_at(
    run_benchmark, make_tim, noise_photos, tmp_path, lpips_weights
):
    model = tmp_path / "model.keras"
    # Without blocks there is nothing that a style would modulate.
    make_tim(quick=True).save(model)
    printed = run_benchmark(
        "code_shares.py",
        f"--model={model}",
        f"--test_photos={noise_photos}",
        "--count=2",
        "--crop=32",
        "--num_samples=3",
    )
    rows = re.findall(
        r"^\| (\w[\w ]*) \| ([\d.]+) \| ([\d.]+) \|$", printed, re.M
    )
    found = {name: float(value) for name, value, _ in rows}
    assert found["all"] > 0
    assert found["noise"] == found["all"]
    assert found["noise of level 1"] > 0
    assert found["style"] == found["style of level 0"] == 0
