import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_tim.models.inputs import check_inputs
from keras_tim.tasks import Colourization, get_task
from keras_tim.tasks.colourization import (
    lab_to_rgb,
    rgb_to_lab,
    rgb_to_lightness,
)


def rgb_grid():
    axis = np.linspace(0.0, 1.0, 9)
    grid = np.stack(np.meshgrid(axis, axis, axis), axis=-1)
    return grid.reshape(1, 27, 27, 3)


def test_undoes_the_conversion_of_scikit_image():
    color = pytest.importorskip("skimage.color")
    rgb = rgb_grid()
    lab = color.rgb2lab(rgb).astype("float32")
    np.testing.assert_allclose(lab_to_rgb(lab), rgb, atol=1e-3)


def test_agrees_with_the_conversion_of_scikit_image():
    color = pytest.importorskip("skimage.color")
    rgb = rgb_grid()
    expected = color.rgb2lab(rgb)
    np.testing.assert_allclose(rgb_to_lab(rgb), expected, atol=1e-3)
    np.testing.assert_allclose(
        100.0 * rgb_to_lightness(rgb), expected[..., :1], atol=1e-3
    )


def test_there_and_back():
    rgb = rgb_grid().astype("float32")
    np.testing.assert_allclose(lab_to_rgb(rgb_to_lab(rgb)), rgb, atol=1e-4)


def test_lightness_stays_within_the_range():
    ends = np.array([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]], "float32")
    lightness = np.asarray(rgb_to_lightness(ends))
    assert lightness.shape == (2, 1)
    assert lightness.min() == 0.0
    assert 1.0 - 1e-6 < lightness.max() <= 1.0


@pytest.mark.parametrize(
    "rgb",
    [
        (0.0, 0.0, 0.0),
        (1.0, 1.0, 1.0),
        (0.04045, 0.04045, 0.04045),  # where the power meets the line
        (1.0, 0.0, 0.0),
        (0.0, 0.0, 1.0),
    ],
)
def test_gradients_into_lab_are_finite(rgb):
    x = tf.Variable([rgb])

    @tf.function
    def gradient():
        with tf.GradientTape() as tape:
            total = tf.reduce_sum(rgb_to_lab(x))
        return tape.gradient(total, x)

    assert np.isfinite(gradient()).all()


def test_gradient_of_lightness_is_that_of_differences():
    rgb = np.array([[0.3, 0.5, 0.2]])
    x = tf.Variable(rgb, dtype="float32")
    with tf.GradientTape() as tape:
        lightness = tf.reduce_sum(rgb_to_lightness(x))
    found = np.asarray(tape.gradient(lightness, x))[0]
    step = 1e-3
    for channel in range(3):
        shift = step * np.eye(3)[channel]
        up, down = (rgb_to_lightness(rgb + s * shift) for s in (1, -1))
        expected = float(np.squeeze(up - down)) / (2 * step)
        assert found[channel] == pytest.approx(expected, rel=0.01)


def test_agrees_with_scikit_image_off_the_gamut():
    color = pytest.importorskip("skimage.color")
    rng = np.random.default_rng(0)
    lab = rng.uniform((5, -60, -60), (100, 60, 60), (1, 40, 25, 3))
    # Colours that no screen shows draw a warning there.
    with pytest.warns(UserWarning, match="negative Z"):
        expected = color.lab2rgb(lab)
    # Where scikit-image sets a negative Z to zero the rest does not move.
    np.testing.assert_allclose(
        lab_to_rgb(lab.astype("float32")), expected, atol=1e-3
    )


@pytest.mark.parametrize(
    ("lab", "rgb"),
    [
        ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0)),
        ((100.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
        # L = 50 is Y = ((50 + 16) / 116)^3 = 0.18419, in sRGB 0.46633.
        ((50.0, 0.0, 0.0), (0.46633, 0.46633, 0.46633)),
        # The primaries, CIE Lab of D65.
        ((53.2408, 80.0925, 67.2032), (1.0, 0.0, 0.0)),
        ((87.7347, -86.1827, 83.1793), (0.0, 1.0, 0.0)),
        ((32.2970, 79.1875, -107.8602), (0.0, 0.0, 1.0)),
    ],
)
def test_known_colours(lab, rgb):
    found = lab_to_rgb(np.array([lab], "float32"))
    np.testing.assert_allclose(found, [rgb], atol=1e-3)


@pytest.mark.parametrize(
    "lab",
    [
        (0.0, 0.0, 0.0),
        (100.0, 0.0, 0.0),
        (50.0, 0.0, 0.0),
        (8.0, 0.0, 0.0),  # where the cube root meets the line
        (30.0, 100.0, -120.0),
        (20.0, -80.0, 127.0),
        (0.0, 127.0, 127.0),
        (1.0, -127.0, -127.0),
    ],
)
def test_gradients_are_finite(lab):
    x = tf.Variable([lab])
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(lab_to_rgb(x))
    assert np.isfinite(tape.gradient(total, x)).all()


def test_grey_has_a_gradient_towards_every_colour():
    x = tf.Variable([[50.0, 0.0, 0.0]])
    with tf.GradientTape() as tape:
        red = lab_to_rgb(x)[0, 0]
    gradient = np.asarray(tape.gradient(red, x))[0]
    assert gradient[0] > 0
    assert gradient[1] > 0  # a: towards red
    assert gradient[2] > 0  # b: towards yellow


@pytest.mark.parametrize("lightness", [0.0, 0.005, 0.5, 1.0])
def test_picture_gradients_are_finite_in_the_dark(lightness):
    level_input = np.full((1, 2, 3, 1), lightness, "float32")
    output = tf.Variable(np.full((1, 2, 3, 2), 0.3 * lightness, "float32"))
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(Colourization().to_picture(output, level_input))
    assert np.isfinite(tape.gradient(total, output)).all()


def test_predicted_channels_are_divided_by_the_lightness():
    color = pytest.importorskip("skimage.color")
    level_input = np.full((1, 1, 1, 1), 0.6, "float32")
    output = np.array([[[[0.06, -0.12]]]], "float32")
    picture = Colourization().to_picture(output, level_input)
    # a = 127 * 0.06 / 0.6 = 12.7, b = -25.4
    np.testing.assert_allclose(
        picture[0, 0, 0], color.lab2rgb([60.0, 12.7, -25.4]), atol=1e-3
    )


def test_division_stops_at_a_hundredth():
    color = pytest.importorskip("skimage.color")
    level_input = np.full((1, 1, 1, 1), 0.005, "float32")
    output = np.array([[[[0.0002, 0.0001]]]], "float32")
    picture = Colourization().to_picture(output, level_input)
    np.testing.assert_allclose(
        picture[0, 0, 0], color.lab2rgb([0.5, 2.54, 1.27]), atol=1e-3
    )


def test_picture_keeps_the_given_lightness():
    color = pytest.importorskip("skimage.color")
    rng = np.random.default_rng(0)
    level_input = rng.uniform(0.3, 0.8, (2, 5, 7, 1)).astype("float32")
    # Mild colours, so that none is clipped.
    colours = rng.uniform(-0.1, 0.1, (2, 5, 7, 2)).astype("float32")
    picture = Colourization().to_picture(colours * level_input, level_input)
    lab = color.rgb2lab(np.asarray(picture))
    np.testing.assert_allclose(
        lab[..., :1], 100.0 * level_input, atol=0.1, rtol=0
    )
    np.testing.assert_allclose(lab[..., 1:], 127.0 * colours, atol=0.2)


def test_a_later_level_starts_from_the_colours_before():
    """Enlarged, with its own lightness; where it is dark, from less of them."""
    task = get_task("colourization")
    before = np.full((1, 2, 2, 1), 0.5, "float32")
    own = np.full((1, 4, 4, 1), 0.8, "float32")
    output = np.full((1, 2, 2, 2), (0.1, -0.2), "float32")
    made = np.asarray(task.enlarged(output, before, own))
    assert made.shape == (1, 4, 4, 2)
    # a L of 0.1 at L = 0.5 is 0.16 at L = 0.8.
    np.testing.assert_allclose(made[0, 1, 2], (0.16, -0.32), atol=1e-6)
    dark = np.asarray(task.enlarged(output, before / 10, own))
    np.testing.assert_allclose(dark, made * 0.5 / 0.2, atol=1e-6)
    # The first level starts from grey.
    seen = np.concatenate([own, made, np.ones((1, 4, 4, 3))], -1)
    assert not np.asarray(task.skip(seen)).any()
    np.testing.assert_array_equal(np.asarray(task.skip(seen, level=1)), made)


def test_a_model_whose_levels_change_colours(make_tim, tmp_path):
    options = {"output_activation": "linear", "weight_norm": False}
    tim = make_tim("colourization", input_skip=True, **options)
    lightness = np.random.RandomState(0).rand(1, 16, 8, 1).astype("float32")
    for module in tim.tower[1:]:
        for weight in module.weights:
            if "/output/" in weight.path:
                weight.assign(np.zeros(weight.shape))
    samples = tim.sample(lightness, num_samples=2, seed=0)[0]
    for sample in samples:
        np.testing.assert_allclose(
            np.asarray(rgb_to_lightness(sample)), lightness[0], atol=0.2
        )
    tim.save(tmp_path / "tim.keras")
    again = keras.models.load_model(tmp_path / "tim.keras")
    np.testing.assert_array_equal(
        again.sample(lightness, num_samples=2, seed=0)[0], samples
    )
    # The last level shows the first one's colours.
    codes = tim.draw_codes(lightness, num_samples=1, seed=0)
    outputs = tim(lightness, codes)
    wanted, inputs = outputs[0], check_inputs(tim, lightness)
    for level in range(1, tim.num_levels):
        wanted = tim.task_definition.enlarged(
            wanted, inputs[level - 1], inputs[level]
        )
    np.testing.assert_allclose(
        np.asarray(outputs[-1]), np.clip(wanted, -1.0, 1.0), atol=1e-5
    )
    with pytest.raises(ValueError, match='must not be "own"'):
        make_tim("colourization", input_skip="own")
