import json

import numpy as np
import pytest

from keras_tim import TIM
from keras_tim.models.pretrained import load_weights, read_preset

MODEL = {
    "task": "super_resolution",
    "residual_channels": [6, 4],
    "growth_channels": [4, 3],
    "num_blocks": [2, 0],
    "plain_blocks": [1, 0],
    "normalization": "none",
    "output_activation": "linear",
    "weight_norm": False,
    "input_skip": True,
    "style_dim": 3,
    "mapping_width": 4,
    "mapping_depth": 1,
    "noise_channels": 2,
    "consistency": 1,
    "style_cell": 4,
}
JOB = {
    "model": MODEL,
    "distance": {"lpips_alex": 1.0},
    "pixel_weight": 0.5,
    "num_candidates": [3, 2],
    "candidate_chunk": 2,
    "learning_rate": 1e-3,
    "crop": [32, 32],
    "enlarged": 0.5,
    "images_per_selection": 4,
    "selected_together": 2,
    "mini_batch_size": 2,
    "passes": 1,
    "ema": 0.5,
    "report": 1,
}


@pytest.mark.slow
def test_a_preset_is_trained_and_gone_on_with(
    run_benchmark, noise_photos, tmp_path, lpips_weights, monkeypatch
):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    job = tmp_path / "job.json"
    job.write_text(json.dumps({**JOB, "share_without_codes": 0.5}))
    flags = (
        f"--job={job}",
        f"--pictures={noise_photos}",
        f"--output={tmp_path / 'run'}",
        "--seconds=1000",
        "--rounds=2",
        "--policy=float32",
    )
    run_benchmark("train_presets.py", *flags)
    report = json.loads((tmp_path / "run/report.json").read_text())
    # Two rounds of two steps in either phase.
    assert report["steps"] == 8
    assert np.isfinite(report["history"][-1]).all()
    with np.load(tmp_path / "run/weights.npz") as file:
        first = dict(file)
    printed = run_benchmark("train_presets.py", *flags)
    assert "goes on from" in printed
    monkeypatch.delenv("KERAS_BACKEND")
    arguments = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in MODEL.items()
    }
    tim = TIM(**arguments)
    tim.save_to_preset(tmp_path / "preset", dtype="float32")
    with np.load(tmp_path / "run/weights.npz") as file:
        assert file.files == list(first)
        assert any((file[name] != first[name]).any() for name in first)
        with np.load(tmp_path / "preset/weights.npz") as own:
            assert set(own.files) == set(first)
    config = read_preset(tmp_path / "preset")
    load_weights(tim, tmp_path / "preset", config)
