import json

import numpy as np
import pytest
from PIL import Image

from keras_tim import TIM
from keras_tim.layers.resampling import linear_resize
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
    "model": {
        "task": "colourization",
        "residual_channels": [4, 4],
        "growth_channels": [3, 3],
        "num_blocks": [2, 0],
        "plain_blocks": [1, 0],
        "normalization": "none",
        "output_activation": "linear",
        "weight_norm": False,
        "input_skip": True,
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
    """The first level is; what is behind it enlarges its colours."""
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
        "--policy=float32",
        codes,
    )
    run_benchmark("train_colours.py", *flags)
    colours = np.load(run / "colours.npy")
    assert colours.shape == (6, 12, 12, 2)
    assert np.load(run / "features.npy").shape == (6, 12, 12, 1472)
    tim = TIM(**JOB["model"])
    weights = stored_weights(tim)
    with np.load(run / "weights.npz") as file:
        assert set(file.files) == set(weights)
        for name, weight in weights.items():
            weight.assign(file[name])
        assert np.abs(file["level0/output/bias"]).max() > 0
    # The later level shows the first one's colours, enlarged.
    lightness = np.full((1, 16, 24, 1), 0.5, "float32")
    codes = tim.draw_codes(lightness, num_samples=1, seed=0)
    first, last = tim(lightness, codes)
    wanted = linear_resize(first, 16, 24)
    np.testing.assert_allclose(np.array(last), np.array(wanted), atol=1e-5)
