import numpy as np
import pytest

from keras_tim.tasks import TASKS, get_task
from keras_tim.tasks.components import from_input, to_input
from keras_tim.tasks.wiring import LevelWiring

# Per task: the wiring of three levels of CAM-Net, and the output factors.
WIRINGS = {
    "super_resolution": ([LevelWiring("up")] * 3, [2, 2, 2]),
    "layout_synthesis": ([LevelWiring("up")] * 3, [2, 2, 2]),
    "colourization": (
        [LevelWiring("up", True), LevelWiring("up", True), LevelWiring("same")],
        [1, 1, 1],
    ),
    "decompression": (
        [LevelWiring("up", True), LevelWiring("up", True), LevelWiring("none")],
        [1, 1, 1],
    ),
    "mnist": (
        [LevelWiring("up", True), LevelWiring("up", True), LevelWiring("none")],
        [1, 1, 1],
    ),
    "paired_images": (
        [LevelWiring("up", True), LevelWiring("up", True), LevelWiring("none")],
        [1, 1, 1],
    ),
}


def test_every_task_is_listed_here():
    assert WIRINGS.keys() == TASKS.keys()


@pytest.mark.parametrize("name", WIRINGS)
def test_wiring(name):
    wiring, factors = WIRINGS[name]
    found = get_task(name).wiring(3, "camnet")
    assert found == wiring
    assert [level.output_factor for level in found] == factors


def test_hyperrim_decompression_ends_in_two_more_convolutions():
    found = get_task("decompression").wiring(1, "hyperrim")
    assert found == [LevelWiring("same")]


@pytest.mark.parametrize(
    ("name", "noise_channels", "feature_scale", "chained"),
    [
        ("super_resolution", 5, 0.1, True),
        ("colourization", 5, 0.1, False),
        ("decompression", 5, 0.1, False),
        ("layout_synthesis", 10, 1.0, False),
    ],
)
def test_published_values(name, noise_channels, feature_scale, chained):
    task = get_task(name)
    assert task.name == name
    assert task.noise_channels == noise_channels
    assert task.feature_scale == feature_scale
    assert task.chained is chained


@pytest.mark.parametrize(
    "name",
    ["super_resolution", "decompression", "layout_synthesis", "paired_images"],
)
def test_tanh_becomes_a_picture(name):
    task = get_task(name)
    raw = np.array([[[[-1.0, 0.0, 1.0]]]], "float32")
    output = task.to_output(raw)
    np.testing.assert_allclose(output, [[[[0.0, 0.5, 1.0]]]])
    np.testing.assert_allclose(task.to_picture(output, None), output)


def test_unknown_task():
    with pytest.raises(ValueError, match="task='denoising'"):
        get_task("denoising")


def test_skip_of_super_resolution_stays_within_the_range():
    x = np.zeros((1, 6, 8, 3), "float32")
    x[:, :, 4:] = 1.0  # bicubic interpolation overshoots at this edge
    skip = np.asarray(get_task("super_resolution").skip(x))
    assert skip.shape == (1, 12, 16, 3)
    assert skip.min() >= 0.0
    assert skip.max() <= 1.0


def test_digits_become_rgb():
    task = get_task("mnist")
    raw = np.array([[[[-1.0], [0.0], [1.0]]]], "float32")
    output = task.to_output(raw)
    np.testing.assert_allclose(output, [[[[0.0], [0.5], [1.0]]]])
    np.testing.assert_allclose(
        task.to_picture(output, None), [[[[0.0] * 3, [0.5] * 3, [1.0] * 3]]]
    )


def test_inputs_of_digits_have_room_on_both_sides():
    rebuilt = np.array([-0.75, 0.0, 0.5, 1.0, 1.75])
    given = to_input(rebuilt)
    np.testing.assert_allclose(given, [0.0, 0.3, 0.5, 0.7, 1.0])
    np.testing.assert_allclose(from_input(given), rebuilt)


@pytest.mark.parametrize("name", ["decompression", "paired_images"])
def test_skip_is_what_stands_last(name):
    x = np.random.default_rng(0).random((1, 4, 6, 6))
    skip = get_task(name).skip
    np.testing.assert_array_equal(skip(x[..., :3]), x[..., :3])
    np.testing.assert_array_equal(skip(x), x[..., 3:])


def test_paired_images_are_what_they_are(make_tim):
    tim = make_tim("paired_images", quick=True)
    picture = np.random.default_rng(0).random((8, 6, 3), "float32")
    given = tim.condition(picture)
    np.testing.assert_array_equal(given, picture)
    np.testing.assert_array_equal(tim.shown(given), picture)
    name, plain = tim.baseline(given, (8, 6))
    assert name == "input"
    np.testing.assert_array_equal(plain, picture)
    assert tim.faithfulness(picture[None], given) is None
    own = np.random.default_rng(1).random((1, 8, 6, 3))
    beside = tim.task_definition.beside_previous(own, level=1)
    np.testing.assert_array_equal(beside, own)
