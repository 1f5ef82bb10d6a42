"""Digits of MNIST keep the coordinates that were given."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_tim import TIM
from keras_tim.data import digits_as_pictures, mnist_digits
from keras_tim.export import export_model, export_saved_model
from keras_tim.models.presets import preset_training
from keras_tim.recipes import get_recipe
from keras_tim.runs import RunSettings
from keras_tim.tasks import get_task
from keras_tim.tasks.components import NUM_GIVEN, to_input


@pytest.fixture
def tim(make_tim, mnist_components):
    tim = make_tim("mnist", consistency=20)
    tim.set_components(mnist_components)
    return tim


@pytest.fixture(scope="module")
def digits(mnist_wheel):
    return digits_as_pictures(mnist_digits(split="test")[:4])


def missed(components, pictures, given):
    """Standard deviations by which the given coordinates are missed."""
    wanted = components.given_coordinates(given)
    found = components.coordinates(pictures)[..., :NUM_GIVEN]
    return np.abs(found - wanted) / components.deviations[:NUM_GIVEN]


def test_a_round_by_hand():
    # Known are the first pixel and the mean of the next two.
    known = np.zeros((784, 11), np.float32)
    known[0, 0] = 1.0
    known[1:3, 1] = 0.5**0.5
    rebuilt = np.zeros((1, 28, 28, 1), np.float32)
    rebuilt[0, 0, :3, 0] = 0.25, 0.5, 0.7
    output = np.zeros((1, 28, 28, 1), np.float32)
    output[0, 0, :4, 0] = 0.9, 0.2, 0.4, 0.6
    found = get_task("mnist").agreeing(output, to_input(rebuilt), 1, 1, known)
    # The mean of 0.2 and 0.4 becomes 0.6, their difference stays.
    np.testing.assert_allclose(
        np.asarray(found)[0, 0, :4, 0], [0.25, 0.5, 0.7, 0.6], atol=1e-6
    )


def test_components_of_zeros_change_nothing():
    output = np.random.RandomState(0).rand(2, 28, 28, 1).astype("float32")
    found = get_task("mnist").agreeing(
        output, output[::-1], 1, 3, np.zeros((784, 11), np.float32)
    )
    np.testing.assert_array_equal(np.asarray(found), output)


def test_samples_have_the_given_coordinates(tim, mnist_components, digits):
    given = mnist_components.given(digits)
    samples = tim.sample(given, num_samples=3, seed=0)
    found = missed(mnist_components, samples, given[:, None])
    # An untrained model's; of trained ones' 0.003.
    assert found.mean() < 0.03
    assert samples.min() >= 0.0
    assert samples.max() <= 1.0
    assert np.abs(samples[:, 0] - samples[:, 1]).mean() > 0.01
    without = TIM(**{**tim.get_config(), "consistency": 0})
    without.set_weights(
        [w for w in tim.get_weights() if w.shape != (784, NUM_GIVEN + 1)]
    )
    free = without.sample(given, num_samples=3, seed=0)
    assert missed(mnist_components, free, given[:, None]).mean() > 0.3


def test_clipped_outputs_still_learn(tim, mnist_components, digits):
    given = mnist_components.given(digits)
    codes = tim.draw_codes(given, num_samples=1, seed=0)
    with tf.GradientTape() as tape:
        outputs = tim(given, codes)
        loss = tf.reduce_mean(tf.square(outputs[-1] - digits[..., :1]))
    kernel = tim.tower[-1].trainable_weights[0]
    assert np.abs(tape.gradient(loss, kernel)).max() > 0


def test_what_is_known_is_saved_and_exported(
    make_tim, mnist_components, digits, tmp_path
):
    tim = make_tim("mnist", quick=True, consistency=2)
    tim.set_components(mnist_components)
    given = mnist_components.given(digits)
    expected = tim.sample(given, num_samples=1, seed=0)
    tim.save(tmp_path / "tim.keras")
    again = keras.models.load_model(tmp_path / "tim.keras")
    np.testing.assert_array_equal(
        again.sample(given, num_samples=1, seed=0), expected
    )
    folded = TIM(**{**tim.get_config(), "weight_norm": True}).folded()
    assert folded.known.shape == (784, NUM_GIVEN + 1)
    folder = export_saved_model(tim, tmp_path / "export")
    signatures = tf.saved_model.load(str(folder)).signatures
    sample = signatures["sample"]
    arguments = {
        "seed": tf.zeros([4], tf.int64),
        "index": tf.zeros([4, 1], tf.int64),
    }
    found = sample(picture=tf.constant(given), **arguments)
    np.testing.assert_allclose(next(iter(found.values())), expected, atol=1e-5)
    with pytest.raises(tf.errors.InvalidArgumentError, match="28 x 28"):
        sample(picture=tf.zeros([4, 32, 28, 1]), **arguments)
    for name, options in (("tim.tflite", {"size": (28, 28)}), ("tim.onnx", {})):
        report = export_model(tim, tmp_path / name, name[4:], **options)
        assert report["max_difference"] < 1e-4
    with pytest.raises(ValueError, match="must be \\(28, 28\\)"):
        export_model(tim, tmp_path / "b.tflite", "tflite", size=(32, 28))


def test_other_sizes_are_refused(tim):
    with pytest.raises(ValueError, match="28 x 28 pixels"):
        tim.sample(np.zeros((1, 32, 28, 1), np.float32), num_samples=1)
    levels = [np.zeros((1, side, 16, 1), np.float32) for side in (8, 16)]
    with pytest.raises(ValueError, match="28 x 28 pixels"):
        tim.sample(levels, num_samples=1)


def test_components_that_are_none(tim, make_tim, mnist_components):
    basis = mnist_components.basis
    for wrong in (basis[: NUM_GIVEN - 1], 2 * basis[:NUM_GIVEN]):
        components = dataclasses.replace(mnist_components, basis=wrong)
        with pytest.raises(ValueError, match="at least 10 of 784 entries"):
            tim.set_components(components)
    with pytest.raises(ValueError, match="'super_resolution'"):
        make_tim(quick=True).set_components(mnist_components)


@pytest.mark.parametrize("consistency", [0, 2])
def test_a_model_keeps_its_components(make_tim, mnist_components, consistency):
    tim = make_tim("mnist", quick=True, consistency=consistency)
    assert tim.components is None
    tim.set_components(mnist_components)
    found = tim.components
    np.testing.assert_allclose(
        found.basis[:NUM_GIVEN], mnist_components.basis[:NUM_GIVEN], atol=1e-6
    )
    np.testing.assert_allclose(found.mean, mnist_components.mean, atol=1e-6)


def test_runs_tell_their_models(mnist_components):
    recipe = get_recipe("mnist")(RunSettings.of_task("mnist"))
    recipe.prepare()
    tim = TIM.from_preset("mnist_nano")
    recipe.equip(tim)
    np.testing.assert_allclose(
        tim.known[:, :NUM_GIVEN],
        mnist_components.basis[:NUM_GIVEN].T,
        atol=1e-6,
    )


@pytest.mark.slow
def test_trained_digits_differ_and_beat_their_projection(
    mnist_components, digits
):
    """At the rate of the preset; at twice that the last level goes black."""
    keras.utils.set_random_seed(0)
    tim = TIM.from_preset("mnist_nano")
    tim.set_components(mnist_components)
    targets = digits_as_pictures(mnist_digits()[:1280])
    tim.compile(
        keras.optimizers.Adam(
            preset_training("mnist_nano")["learning_rate"], beta_2=0.99
        ),
        distance="mean_squared_error",
        num_candidates=(8, 4, 4),
        steps_per_selection=16,
        mini_batch_size=32,
        candidate_chunk=1024,
        pixel_weight=0.3,
    )
    given = mnist_components.given(targets)
    tim.fit(given, targets, batch_size=128, shuffle=False, verbose=0)
    observed = digits_as_pictures(mnist_digits(split="test")[:64])
    given = mnist_components.given(observed)
    samples = tim.sample(given, num_samples=4, batch_size=64)
    assert samples.std(axis=1).mean() > 0.005
    error = np.square(samples - observed[:, None]).mean((2, 3, 4))
    plain = np.stack([tim.baseline(x, (28, 28))[1] for x in given])
    assert error.min(axis=1).mean() < error.mean()
    assert error.mean() < np.square(plain - observed).mean()
