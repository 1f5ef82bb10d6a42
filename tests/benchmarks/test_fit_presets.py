import json

import numpy as np
import pytest

from keras_tim import TIM
from keras_tim.models.pretrained import stored_weights

JOB = {
    "model": {
        "task": "decompression",
        "residual_channels": [6, 4],
        "growth_channels": [4, 3],
        "num_blocks": [1, 0],
        "normalization": "none",
        "weight_norm": False,
        "input_skip": "own",
        "style_dim": 3,
        "mapping_width": 4,
        "mapping_depth": 1,
        "noise_channels": 2,
    },
    "distance": {"lpips_alex": 1.0},
    "pixel_weight": 0.5,
    "num_candidates": [2, 2],
    "candidate_chunk": 4,
    "learning_rate": 1e-3,
    "warmup": 2,
    "crop": [32, 32],
    "qualities": [5, 80],
    "images_per_selection": 4,
    "mini_batch_size": 2,
    "passes": 1,
    "steps": 4,
    "ema": 0.5,
    "report": 1,
    "seed": 0,
}


@pytest.mark.slow
def test_a_preset_is_trained_and_gone_on_with(
    run_benchmark, noise_photos, tmp_path, lpips_weights
):
    job, run = tmp_path / "job.json", tmp_path / "run"
    flags = (
        f"--job={job}",
        f"--pictures={noise_photos}",
        f"--output={run}",
        "--policy=float32",
    )
    job.write_text(json.dumps(JOB))
    run_benchmark("fit_presets.py", *flags)
    with np.load(run / "weights.npz") as file:
        first = dict(file)
    arguments = {
        k: tuple(v) if isinstance(v, list) else v
        for k, v in JOB["model"].items()
    }
    assert first.keys() == stored_weights(TIM(**arguments)).keys()
    job.write_text(json.dumps({**JOB, "steps": 6}))
    run_benchmark("fit_presets.py", *flags)
    text = (run / "history.jsonl").read_text()
    lines = [json.loads(x) for x in text.splitlines()]
    assert [line["steps"] for line in lines] == [2, 4, 6]
    with np.load(run / "weights.npz") as file:
        assert any((file[k] != first[k]).any() for k in first)
