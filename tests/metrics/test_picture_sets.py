import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_tim.metrics import (
    FeatureStatistics,
    FrechetInceptionDistance,
    InceptionFeatures,
    KernelInceptionDistance,
    feature_batches,
    frechet_inception_distance,
    kernel_inception_distance,
)

both_metrics = pytest.mark.parametrize(
    "metric_class", [FrechetInceptionDistance, KernelInceptionDistance]
)


def test_frechet_metric_is_the_function(mean_colour, draw_pictures):
    real, fake = draw_pictures(9, 0), draw_pictures(8, 1, gain=0.5)
    metric = FrechetInceptionDistance(mean_colour, batch_size=2)
    metric.update_state(real[:4], fake[:7])
    metric.update_state(real[4:] / np.float32(255), fake[7:])
    expected = frechet_inception_distance(real, fake, mean_colour)
    assert metric.result() == pytest.approx(expected, rel=1e-6)


def test_kernel_metric_is_the_function(mean_colour, draw_pictures):
    real, fake = draw_pictures(9, 0), draw_pictures(8, 1, gain=0.5)
    metric = KernelInceptionDistance(mean_colour)
    metric.update_state(real[:4], fake[:7])
    metric.update_state(real[4:], fake[7:])
    expected = kernel_inception_distance(real, fake, mean_colour)
    np.testing.assert_allclose(metric.estimate(), expected, rtol=1e-6)
    assert metric.result() == metric.estimate().value


@both_metrics
def test_reset_forgets_all_pictures(metric_class, mean_colour, draw_pictures):
    metric = metric_class(mean_colour)
    metric.update_state(draw_pictures(4, 0), draw_pictures(4, 1))
    before = metric.result()
    metric.update_state(draw_pictures(4, 2), draw_pictures(4, 3, gain=0.1))
    assert metric.result() != before
    metric.reset_state()
    with pytest.raises(ValueError, match="pictures"):
        metric.result()
    metric.update_state(draw_pictures(4, 0), draw_pictures(4, 1))
    assert metric.result() == before


def test_real_statistics_take_the_place_of_real_pictures(
    mean_colour, draw_pictures, tmp_path
):
    real, fake = draw_pictures(9, 0), draw_pictures(8, 1, gain=0.5)
    statistics = FeatureStatistics()
    for features in feature_batches(real, mean_colour):
        statistics.update(features)
    statistics.save(tmp_path / "real.npz")
    metric = FrechetInceptionDistance(
        mean_colour, real_statistics=tmp_path / "real.npz"
    )
    expected = frechet_inception_distance(real, fake, mean_colour)
    for _ in range(2):
        metric.update_state(None, fake)
        assert metric.result() == pytest.approx(expected, rel=1e-6)
        metric.reset_state()
    with pytest.raises(ValueError, match="`y_true` must be None"):
        metric.update_state(real, fake)
    # Read once; a copy from a configuration does not open it.
    (tmp_path / "real.npz").unlink()
    metric.reset_state()
    metric.update_state(None, fake)
    assert metric.result() == pytest.approx(expected, rel=1e-6)
    copy = FrechetInceptionDistance.from_config(metric.get_config())
    assert copy.get_config() == metric.get_config()
    with pytest.raises(ValueError, match=r"opens no path.*real\.npz"):
        copy.result()


@both_metrics
def test_config_keeps_every_argument(metric_class, mean_colour):
    for extractor in (None, mean_colour, InceptionFeatures(name="mine")):
        metric = metric_class(extractor, batch_size=5, name="other")
        config = keras.saving.serialize_keras_object(metric)
        again = keras.saving.deserialize_keras_object(config)
        assert type(again) is metric_class
        assert keras.saving.serialize_keras_object(again) == config
        assert (again.batch_size, again.name) == (5, "other")


def test_kernel_config_keeps_the_subsets(mean_colour):
    metric = KernelInceptionDistance(
        mean_colour, num_subsets=3, subset_size=4, seed=5
    )
    again = KernelInceptionDistance.from_config(metric.get_config())
    assert (again.num_subsets, again.subset_size, again.seed) == (3, 4, 5)


@both_metrics
def test_weights_and_compiled_steps_are_refused(
    metric_class, mean_colour, draw_pictures
):
    pictures = draw_pictures(4, 0)
    metric = metric_class(mean_colour)
    with pytest.raises(ValueError, match="`sample_weight` must be None"):
        metric.update_state(pictures, pictures, np.ones(4))
    model = keras.Sequential([keras.Input((5, 7, 3)), keras.layers.Identity()])
    model.compile(loss="mse", metrics=[metric], run_eagerly=False)
    pictures = pictures / np.float32(255)
    with pytest.raises(ValueError, match="within a compiled step"):
        model.evaluate(pictures, pictures, verbose=0)


@both_metrics
def test_pairs_are_refused(metric_class, mean_colour, draw_pictures):
    inputs, targets = draw_pictures(9, 0), draw_pictures(9, 1)
    pairs = tf.data.Dataset.from_tensor_slices((inputs, targets)).batch(3)
    for real, fake in ((pairs, inputs), (targets, pairs)):
        with pytest.raises(ValueError, match="both would be counted"):
            metric_class(mean_colour).update_state(real, fake)
