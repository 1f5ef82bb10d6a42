"""JPEG repair whose outputs the file may have been made of."""

import io

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_tim import TIM
from keras_tim.export import export_saved_model
from keras_tim.images.jpeg import compressed
from keras_tim.layers.coefficients import standard_steps
from keras_tim.layers.resampling import bicubic_picture
from keras_tim.models.tiles import Tiling
from keras_tim.recipes import get_recipe
from keras_tim.runs import RunSettings
from keras_tim.tasks import get_task

QUALITY = 20


@pytest.fixture
def tim(make_tim):
    return make_tim(
        "decompression", quick=True, consistency=1, jpeg_quality=QUALITY
    )


def jpegs(height, width, count=1):
    """Soft pictures of muted colours, compressed."""
    rng = np.random.default_rng(0)
    shapes = rng.random((count, 5, 6, 3)).astype("float32")
    photos = [bicubic_picture(0.3 + 0.4 * x, (height, width)) for x in shapes]
    return np.stack([compressed(np.clip(x, 0, 1), QUALITY) for x in photos])


@pytest.fixture
def whole_blocks_apart(steps_apart):
    """As `steps_apart`, of whole blocks of two batches of that quality."""

    def measure(made, given):
        luminance, _ = standard_steps(QUALITY)
        height, width = (n // 8 * 8 for n in made.shape[1:3])
        made, given = (x[:, :height, :width] for x in (made, given))
        return steps_apart(made, given, luminance)

    return measure


@pytest.mark.parametrize("quality", [1, 10, 49, 50, 75, 95, 100])
def test_standard_steps_are_pillows(quality):
    stream = io.BytesIO()
    Image.new("RGB", (8, 8)).save(stream, "JPEG", quality=quality)
    with Image.open(stream) as image:
        tables = image.quantization
    for number, steps in enumerate(standard_steps(quality)):
        assert steps.ravel().tolist() == list(tables[number])


def test_samples_may_be_what_was_compressed(tim, make_tim, whole_blocks_apart):
    given = jpegs(48, 64, 2)
    samples = tim.sample(given, num_samples=2, seed=0)
    free = make_tim("decompression", quick=True)
    free.set_weights(tim.get_weights())
    others = free.sample(given, num_samples=2, seed=0)
    for k in range(2):
        # Where a colour is cut off a coefficient may leave its interval.
        apart = whole_blocks_apart(samples[:, k], given)
        assert np.mean(apart > 0.5 + 1e-3) < 0.01
        assert np.mean(whole_blocks_apart(others[:, k], given) > 0.5) > 0.05
    assert np.abs(samples[:, 0] - samples[:, 1]).max() > 1e-4


def test_sides_need_not_be_whole_blocks(tim, whole_blocks_apart):
    given = jpegs(38, 54)
    made = tim.sample(given, num_samples=1, seed=0)[:, 0]
    assert made.shape == given.shape
    inner = whole_blocks_apart(made, given)[:, :4, :, :6]
    assert np.mean(inner > 0.5 + 1e-3) < 0.01


def test_tiles_begin_with_blocks(tim):
    tiling = Tiling.of_model(tim)
    assert tiling.grid % 16 == 0
    given = jpegs(tiling.least_tile + 40, 2 * tiling.least_tile - 6)
    whole = tim.sample(given, num_samples=1, seed=3)
    tiled = tim.sample(given, num_samples=1, seed=3, tile=tiling.least_tile)
    np.testing.assert_allclose(tiled, whole, atol=1e-4)


def test_it_is_saved_and_exported(tim, tmp_path):
    given = jpegs(32, 48)
    wanted = tim.sample(given, num_samples=2, seed=1)
    tim.save(tmp_path / "tim.keras")
    loaded = keras.models.load_model(tmp_path / "tim.keras")
    assert loaded.jpeg_quality == QUALITY
    np.testing.assert_array_equal(
        loaded.sample(given, num_samples=2, seed=1), wanted
    )
    exported = tf.saved_model.load(export_saved_model(tim, tmp_path / "saved"))
    serve = exported.signatures["sample"]
    made = serve(
        picture=tf.constant(given),
        seed=tf.constant([1], tf.int64),
        index=tf.constant([[0, 1]], tf.int64),
    )
    np.testing.assert_allclose(made["alternatives"], wanted, atol=2e-5)


def test_it_learns(tim):
    photos = jpegs(32, 32, 2)
    tim.compile(
        optimizer=keras.optimizers.Adam(1e-3),
        distance="mean_absolute_error",
        num_candidates=2,
        mini_batch_size=2,
    )
    before = tim.get_weights()
    history = tim.fit(tf.data.Dataset.from_tensors((photos, photos)), verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    # Gradients come through what coefficients were not moved.
    moved = [
        np.abs(a - b).max()
        for a, b in zip(tim.get_weights(), before, strict=True)
    ]
    assert np.mean(np.array(moved) > 0.0) > 0.5


def test_runs_know_their_quality():
    settings = RunSettings(
        task="decompression",
        preset="decompression_nano",
        quality=7,
        consistency=1,
    )
    assert get_recipe("decompression")(settings).model_arguments() == {
        "jpeg_quality": 7
    }
    assert settings.model_switches == {"consistency": 1}
    plain = RunSettings(task="decompression", preset="decompression_nano")
    assert get_recipe("decompression")(plain).model_arguments() == {}


@pytest.mark.parametrize(
    "arguments",
    [
        {"task": "decompression", "consistency": 1},
        {"task": "decompression", "jpeg_quality": 10},
        {"task": "super_resolution", "consistency": 1, "jpeg_quality": 10},
        {"task": "decompression", "consistency": 1, "jpeg_quality": 101},
    ],
)
def test_a_quality_is_needed_and_means_nothing_elsewhere(arguments):
    with pytest.raises(ValueError, match="`jpeg_quality`"):
        TIM(residual_channels=[4], growth_channels=[4], **arguments)


def test_only_the_last_level_agrees():
    task = get_task("decompression")
    assert [task.agrees_at(level, 3) for level in range(3)] == [0, 0, 1]
