import json

import numpy as np
import pytest
from PIL import Image

from keras_tim import TIM
from keras_tim.models.pretrained import stored_weights

JOB = {
    "seed": 0,
    "variants": 2,
    "uniform_share": 0.5,
    "smooth": 0.05,
    "darkest": 0.15,
    "candidates": 3,
    "group": 4,
    "mini_batch_size": 2,
    "passes": 1,
    "learning_rate": 1e-3,
    "weight_decay": 1e-3,
    "dropout": 0.2,
    "ema": 0.5,
    "warmup": 10,
    "crop": 16,
    "later_batch": 2,
    "later_candidates": 2,
    "model": {
        "task": "colourization",
        "residual_channels": [4, 4],
        "growth_channels": [3, 3],
        "num_blocks": [2, 1],
        "plain_blocks": [1, 0],
        "normalization": "none",
        "output_activation": "linear",
        "weight_norm": False,
        "guidance": "vgg",
        "guidance_channels": 3,
        "style_dim": 2,
        "mapping_width": 4,
        "mapping_depth": 1,
        "noise_channels": 2,
    },
}


@pytest.mark.slow
@pytest.mark.parametrize("codes", ["--codes", "--nocodes"])
def test_colours_are_trained(run_benchmark, tmp_path, lpips_weights, codes):
    """Both phases, the second one on what the first one has left."""
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number in range(3):
        pixels = np.random.default_rng(number).integers(0, 256, (2, 2, 3))
        image = Image.fromarray(pixels.astype("uint8"))
        image.resize((24, 24)).save(pictures / f"{number}.png")
    job = tmp_path / "job.json"
    job.write_text(json.dumps(JOB))
    run = tmp_path / "run"
    flags = (
        f"--job={job}",
        f"--pictures={pictures}",
        f"--output={run}",
        "--minutes=0.2",
        "--later_minutes=0.2",
        "--policy=float32",
        codes,
    )
    run_benchmark("train_colours.py", *flags)
    colours = np.load(run / "colours.npy")
    assert colours.shape == (6, 12, 12, 2)
    assert np.load(run / "features.npy").shape == (6, 12, 12, 1472)
    with (
        np.load(run / "first.npz") as first,
        np.load(run / "weights.npz") as later,
    ):
        names = set(first.files)
        assert names == set(later.files)
        moved = {n for n in names if not np.array_equal(first[n], later[n])}
        # The first level and what it reads stay as they are.
        assert moved
        parts = {n.split("/")[1] for n in moved if n.startswith("level0/")}
        assert parts == {"resize1", "resize2"}
        guides = {name for name in names if "projection_" in name}
        assert {n for n in guides & moved if "projection_0_" in n} == set()
        assert len(guides & moved) == 5
        untrained = stored_weights(TIM(**JOB["model"]))
        assert set(untrained) == names
