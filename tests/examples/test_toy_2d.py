import importlib.util
import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_tim.images import read_picture

SCRIPT = pathlib.Path(__file__).parents[2] / "examples/toy_2d.py"


@pytest.fixture(scope="module")
def toy():
    specification = importlib.util.spec_from_file_location("toy_2d", SCRIPT)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.fixture
def square(toy):
    """Four modes at the corners of a square."""
    centres = np.array([(0, 0), (1, 0), (0, 1), (1, 1)], float)
    return toy.Mixture(centres, deviation=0.1)


def test_coverage_by_hand(toy, square):
    samples = np.array(
        [(0.29, 0.0)] * 5  # within 3 x 0.1 of the first mode
        + [(1.2, 0.2)] * 3  # sqrt(0.08) = 0.283 from the second
        + [(0.0, 1.31)] * 1  # 0.31 from the third: too far
        + [(0.5, 0.5)] * 1  # nowhere
    )
    held_out = np.array([(0.29, 0.4), (1.2, 0.2), (0.5, 0.6), (-0.3, 1.31)])
    found = toy.coverage(samples, square, held_out)
    assert found["modes"] == 2
    assert found["rarest_mode"] == 0.0
    assert found["near_a_mode"] == 0.8
    # To (0.5, 0.5), which is nearer than (0.29, 0); none; 0.1; 0.3.
    expected = (np.hypot(0.21, 0.1) + 0.0 + 0.1 + 0.3) / 4
    assert found["nearest_sample"] == pytest.approx(expected, abs=1e-6)


def test_a_mode_needs_a_tenth_of_its_due(toy, square):
    # A quarter of 1000 is each mode's due, 25 a tenth of it.
    for rarest, modes in ((24, 3), (25, 4)):
        counts = [325, 325, 350 - rarest, rarest]
        samples = np.repeat(square.centres, counts, axis=0)
        found = toy.coverage(samples, square, square.centres)
        assert found["modes"] == modes
        assert found["rarest_mode"] == pytest.approx(rarest / 250)
        assert found["near_a_mode"] == 1.0
        assert found["nearest_sample"] == 0.0


@pytest.mark.parametrize(("name", "modes"), [("grid", 25), ("ring", 8)])
def test_a_mixture_covers_itself(toy, name, modes):
    mixture = toy.make_mixture(name)
    found = toy.coverage(mixture.draw(20_000, 0), mixture, mixture.draw(500, 1))
    assert found["modes"] == modes
    # In two dimensions 1 - exp(-9 / 2) lies within three deviations.
    share = 1.0 - np.exp(-4.5)
    error = np.sqrt(share * (1.0 - share) / 20_000)
    assert abs(found["near_a_mode"] - share) < 4.0 * error
    assert found["rarest_mode"] > 0.8


def test_nearest(toy):
    random = np.random.default_rng(0)
    points, samples = random.normal(size=(2, 40, 2)).astype("float32")
    distances = np.linalg.norm(points[:, None] - samples[None], axis=-1)
    np.testing.assert_array_equal(
        toy.nearest(points, samples[:30]), distances[:, :30].argmin(axis=1)
    )


def test_density_is_the_right_way_up(toy):
    # 96 pixels from -1 to 1: 0.75 falls into the 85th, from either side.
    found = toy.density(np.array([(0.75, 0.25)]), extent=1.0)
    assert found.shape == (96, 96)
    assert np.unravel_index(found.argmax(), found.shape) == (36, 84)
    assert found.max() == 0.25
    assert found.sum() == pytest.approx(1.0)


def test_imle_trains_the_nearest_samples_alone(toy):
    point = np.array([[1.5, -1.0]], np.float32)
    settings = toy.Settings(steps=100, batch_size=64, seed=2)
    training = toy.ImleTraining(point, settings)
    before = training.sample(1000)
    assert np.linalg.norm(before - point, axis=-1).min() > 1.0
    training.train(tf.constant(0), tf.constant(100))
    after = training.sample(1000)
    assert np.linalg.norm(after - point, axis=-1).min() < 0.1
    # Samples paired with the point at random would all have come to it.
    assert (after.std(axis=0) > 0.5 * before.std(axis=0)).all()


def test_imle_covers_the_ring(toy):
    mixture = toy.make_mixture("ring")
    settings = toy.Settings(steps=1500)
    training = toy.ImleTraining(mixture.draw(5_000, 0), settings)
    training.train(tf.constant(0), tf.constant(1500))
    found = toy.coverage(training.sample(5_000), mixture, mixture.draw(500, 1))
    assert found["modes"] == 8
    assert found["nearest_sample"] < 0.05


def test_seeds_reproduce(toy):
    mixture = toy.make_mixture("grid")

    settings = toy.Settings(steps=6, data_points=500, seed=3)
    samples, measures = toy.compare(mixture, settings, verbose=0)
    again, same_measures = toy.compare(mixture, settings, verbose=0)
    assert sorted(samples["IMLE"]) == sorted(samples["GAN"])
    # Both start from the same weights and go different ways.
    np.testing.assert_array_equal(samples["IMLE"][0], samples["GAN"][0])
    assert np.abs(samples["IMLE"][6] - samples["GAN"][6]).max() > 1e-3
    for name in ("IMLE", "GAN"):
        np.testing.assert_allclose(samples[name][6], again[name][6], atol=1e-5)
    assert measures["data"] == same_measures["data"]

    data = mixture.draw(10, 0)
    for kind in (toy.ImleTraining, toy.GanTraining):
        drawn = [
            kind(data, toy.Settings(steps=6, seed=seed)).sample(100)
            for seed in (3, 3, 4)
        ]
        np.testing.assert_array_equal(drawn[0], drawn[1])
        assert np.abs(drawn[0] - drawn[2]).max() > 0.1


def test_wrong_settings(toy):
    with pytest.raises(ValueError, match="steps=0"):
        toy.Settings(steps=0)
    with pytest.raises(ValueError, match="seed=-1"):
        toy.Settings(seed=-1)
    with pytest.raises(ValueError, match="'star'"):
        toy.make_mixture("star")


def test_script_writes_its_files(tmp_path):
    output = tmp_path / "toy"
    command = [
        sys.executable,
        str(SCRIPT),
        "--mixture=ring",
        "--steps=4",
        "--seed=5",
        f"--output={output}",
    ]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    files = sorted(path.name for path in output.iterdir())
    assert files == ["coverage.json", "density.gif", "density.png"]
    content = json.loads((output / "coverage.json").read_text())
    assert content["mixture"] == "ring"
    assert content["settings"]["steps"] == 4
    assert content["settings"]["seed"] == 5
    assert content["measures"]["data"]["modes"] == 8
    for name, row in content["measures"].items():
        assert f"| {name} | {row['modes']} of 8 |" in done.stdout
    # Rows for the data and both models, columns for steps 0, 1, 2 (and 3), 4.
    height, width, _ = read_picture(output / "density.png").shape
    assert height > 3 * 192
    assert width > 4 * 192
    with Image.open(output / "density.gif") as film:
        assert film.n_frames == 5
