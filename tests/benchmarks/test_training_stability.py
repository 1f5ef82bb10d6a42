import json

import pytest

from keras_tim.images import read_picture


@pytest.mark.slow
def test_pictures_stand_above_the_losses(
    run_benchmark, tmp_path, lpips_weights
):
    flags = [
        f"--output={tmp_path}",
        "--steps=13",
        "--pictures=3",
        "--crop=32",
        "--downsample=2",
        "--task=super_resolution",
    ]
    run_benchmark("training_stability.py", *flags)
    content = json.loads((tmp_path / "training_stability.json").read_text())
    course = content["tim"]
    # Rounds of 12 steps.
    assert [entry["step"] for entry in course["rounds"]] == [12, 24]
    assert [entry["step"] for entry in course["pictures"]] == [0, 12, 24]
    losses = [entry["loss"] for entry in course["rounds"]]
    assert 0 < losses[-1] < losses[0]
    # The losses of an epoch's rounds have the mean that the run has logged.
    history = (tmp_path / "tim" / "history.csv").read_text().splitlines()
    place = history[0].split(",").index("loss")
    logged = [float(line.split(",")[place]) for line in history[1:]]
    assert losses == pytest.approx(logged, rel=1e-4)
    pictures = [
        read_picture(tmp_path / "tim" / "course" / entry["file"])
        for entry in course["pictures"]
    ]
    assert {picture.shape for picture in pictures} == {(32, 32, 3)}
    # It learns.
    assert abs(pictures[0] - pictures[-1]).mean() > 1e-3
    figure = tmp_path / "training_stability.png"
    before = read_picture(figure)
    model = tmp_path / "tim" / "model.keras"
    made = model.stat().st_mtime_ns
    run_benchmark("training_stability.py", *flags)
    assert model.stat().st_mtime_ns == made
    assert (read_picture(figure) == before).all()
