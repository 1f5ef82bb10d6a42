import re

import numpy as np
import pytest

from keras_tim.images import write_picture


@pytest.mark.slow
def test_a_mixture_is_near_its_sources(
    run_benchmark, make_tim, tmp_path, lpips_weights
):
    model = tmp_path / "model.keras"
    make_tim(style_cell=4).save(model)
    photos = tmp_path / "photos"
    photos.mkdir()
    picture = np.random.RandomState(0).rand(128, 128, 3)
    write_picture(photos / "photo.png", picture)
    printed = run_benchmark(
        "region_mixing.py",
        f"--model={model}",
        f"--test_photos={photos}",
        "--crop=128",
        "--num_samples=3",
        f"--sheets={tmp_path / 'sheets'}",
    )
    rows = re.findall(
        r"^\| (alex|vgg) \| (inside|around) \|"
        r" ([\d.]+) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|$",
        printed,
        re.M,
    )
    assert len(rows) == 4
    for _, _, *values in rows:
        apart, near, largest, _ = map(float, values)
        assert near < apart / 2
        assert largest >= near
    assert (tmp_path / "sheets" / "mixture1.png").exists()
