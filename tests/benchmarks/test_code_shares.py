import re

import numpy as np
import pytest
from PIL import Image


@pytest.mark.slow
def test_samples_differ_by_what_the_model_looks_at(
    run_benchmark, make_tim, tmp_path, lpips_weights
):
    model = tmp_path / "model.keras"
    # Without blocks there is nothing that a style would modulate.
    make_tim(quick=True).save(model)
    photos = tmp_path / "photos"
    photos.mkdir()
    pixels = np.random.RandomState(0).randint(0, 256, (40, 70, 3))
    Image.fromarray(pixels.astype("uint8")).save(photos / "0.png")
    printed = run_benchmark(
        "code_shares.py",
        f"--model={model}",
        f"--test_photos={photos}",
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
