import json

import numpy as np
import pytest

from keras_tim.images import write_picture


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for seed, size in enumerate([(40, 70), (64, 48), (48, 48)]):
        picture = np.random.RandomState(seed).rand(*size, 3)
        write_picture(folder / f"{seed}.png", picture)
    return folder


@pytest.mark.slow
def test_upscalers_are_measured(
    run_benchmark, pictures, tmp_path, lpips_weights, inception_weights
):
    output = tmp_path / "quality"
    printed = run_benchmark(
        "quality.py",
        "--model=super_resolution_x4_lite",
        "--peer=bicubic",
        "--kid",
        "--samples=2",
        "--sheets=1",
        f"--pictures={pictures}",
        f"--output={output}",
    )
    assert "| super_resolution_x4_lite |" in printed
    means = json.loads((output / "bicubic.json").read_text())["means"]
    for network in ("alex", "vgg"):
        assert means[f"{network}_mean"] == pytest.approx(1.0, abs=1e-5)
    assert 0.0 < means["soft"] <= 1.0
    assert (output / "super_resolution_x4_lite_0.png").stat().st_size


@pytest.mark.slow
def test_repairs_are_measured(run_benchmark, pictures, tmp_path, lpips_weights):
    printed = run_benchmark(
        "repair_quality.py",
        "--peer=jpeg",
        "--quality=10",
        "--quality=40",
        "--sheets=1",
        f"--pictures={pictures}",
        f"--output={tmp_path / 'repair'}",
    )
    found = json.loads((tmp_path / "repair" / "repair.json").read_text())
    assert "| 10, jpeg " in printed
    worse, better = (found["means"][f"{q}, jpeg"] for q in (10, 40))
    # The JPEG is its own repair, and a better one is nearer to the photo.
    assert worse["alex_mean"] == worse["alex_jpeg"] > better["alex_mean"]
    assert worse["psnr"] < better["psnr"]
