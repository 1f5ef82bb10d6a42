import json

import numpy as np
import pytest

from keras_tim import TIM
from keras_tim.runs import load_run


@pytest.mark.slow
@pytest.mark.parametrize("method", ["tim", "vanilla", "regression"])
def test_what_jax_trains_and_draws_is_what_the_studies_go_on_with(
    method, run_benchmark, noise_photos, tmp_path, lpips_weights, monkeypatch
):
    measured = [
        "--distance=lpips_vgg",
        f"--test_photos={noise_photos}",
        "--per_level=2",
        "--per_level=4",
        "--most=64",
        "--runs=2",
        "--crops=2",
        "--crop=32",
    ]
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    run_benchmark(
        "jax_training.py",
        f"--photos={noise_photos}",
        "--preset=super_resolution_x4_nano",
        f"--method={method}",
        f"--output={tmp_path / 'run'}",
        "--steps=10",
        "--steps_per_selection=1",
        "--images_per_selection=2",
        "--mini_batch_size=2",
        "--num_samples=2",
        "--crop_size=16",
        *(
            [f"--distances={tmp_path / 'out'}", *measured]
            if method == "tim"
            else []
        ),
    )
    monkeypatch.delenv("KERAS_BACKEND")
    tim = load_run(tmp_path / "run")
    assert isinstance(tim, TIM)
    assert tim.stochastic == (method != "regression")
    assert tim.intermediate_supervision == (method != "vanilla")
    small = np.random.RandomState(0).rand(1, 8, 8, 3).astype("float32")
    samples = tim.sample(small, num_samples=2)[0]
    assert np.isfinite(samples).all()
    assert (samples[0] != samples[1]).any() == (method != "regression")
    if method != "tim":
        return

    # Finished runs are taken as they are: only the table is made.
    before = (tmp_path / "out/run_0.json").read_text()
    printed = run_benchmark(
        "sample_efficiency.py",
        f"--model={tmp_path / 'run'}",
        f"--output={tmp_path / 'out'}",
        *measured,
    )
    assert "2 held-out crops of 32 pixels, lpips_vgg" in printed
    assert (tmp_path / "out/run_0.json").read_text() == before
    drawn = np.array(json.loads(before)["vanilla"])
    assert drawn.shape == (2, 64)
    assert len(np.unique(drawn)) == drawn.size


def test_photos_smaller_than_a_crop_are_named(
    run_benchmark, noise_photos, tmp_path, monkeypatch
):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    wanted = r"0\.png must measure at least 64 pixels each way"
    with pytest.raises(AssertionError, match=wanted):
        run_benchmark(
            "jax_training.py",
            f"--photos={noise_photos}",
            f"--output={tmp_path / 'run'}",
            "--crop_size=64",
        )
    assert not (tmp_path / "run").exists()
