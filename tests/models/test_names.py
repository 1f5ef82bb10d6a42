"""Other names and ways in that are understood."""

import keras
import numpy as np
import pytest

from keras_tim import TIM, data
from keras_tim.imle.distances import SelectionDistance
from keras_tim.models.presets import preset_arguments, preset_training
from keras_tim.recipes import get_recipe
from keras_tim.runs import RunSettings, load_run
from keras_tim.task_names import task_name
from keras_tim.tasks import get_task

# Of a single level: twice as many take twice as long to trace.
SINGLE = {"residual_channels": (8,), "growth_channels": (4,)}

TARGETS = np.array([[0.0, 0.0], [1.0, 1.0]], "float32").reshape(1, 2, 2, 1)
PICTURES = np.array([[0.0, 0.5], [1.0, 0.0]], "float32").reshape(1, 2, 2, 1)


def test_colorization_is_understood():
    assert get_task("colorization") is get_task("colourization")
    assert get_recipe("colorization") is get_recipe("colourization")
    assert task_name("colorization") == "colourization"
    assert data.colorization_dataset is data.colourization_dataset
    name = "colorization_nano"
    assert preset_arguments(name) == preset_arguments("colourization_nano")
    assert preset_training(name) == preset_training("colourization_nano")
    settings = RunSettings.of_task("colorization")
    assert settings == RunSettings.of_task("colourization")
    assert settings.task == "colourization"
    assert RunSettings(task="colorization", preset=name).preset == (
        "colourization_nano"
    )
    assert TIM.from_preset(name).task == "colourization"
    with pytest.raises(ValueError, match="task='colorizations'"):
        get_task("colorizations")


def test_candidates_go_by_either_name(make_tim):
    tim = make_tim(quick=True)
    tim.compile(distance="mse", num_samples=[3, 2])
    config = tim.get_compile_config()
    tim.compile(loss="mean_squared_error", num_candidates=[3, 2])
    again = tim.get_compile_config()
    for name in ("distance", "num_candidates"):
        assert again[name] == config[name]
    assert again["num_candidates"] == [3, 2]
    # As older files have it.
    again["num_samples"] = again.pop("num_candidates")
    other = make_tim(quick=True)
    other.compile_from_config(again)
    assert other.get_compile_config()["num_candidates"] == [3, 2]
    with pytest.raises(ValueError, match="`num_candidates` and `num_samples`"):
        tim.compile(num_candidates=3, num_samples=2)
    with pytest.raises(ValueError, match="`distance` and `loss` are one"):
        tim.compile(distance="mae", loss="mse")


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        # Differences of 0.5 and 1 in four pixels.
        (keras.losses.MeanSquaredError(), (0.25 + 1.0) / 4),
        (keras.losses.MeanAbsoluteError(reduction="sum"), 1.5 / 4),
        # Quadratic below 1/2, then linear: 0.125 and 1/2 (1 - 1/4).
        (keras.losses.Huber(delta=0.5), (0.125 + 0.375) / 4),
        # Not symmetric: -log of one minus the picture where the target is 0,
        # of the picture where it is 1.
        (
            keras.losses.BinaryCrossentropy(),
            (-np.log(0.5) - np.log(1e-7)) / 4,
        ),
        (keras.losses.mean_absolute_error, 1.5 / 4),
    ],
)
def test_losses_of_keras_are_distances(loss, expected):
    distance = SelectionDistance(loss)
    # Three candidates of each of two images.
    a = np.stack([PICTURES[0], TARGETS[0], PICTURES[0]])[None].repeat(2, 0)
    b = TARGETS[None].repeat(2, 0)
    found = distance.compare(distance.features(a), distance.features(b))
    found = keras.ops.convert_to_numpy(found)
    assert found.shape == (2, 3)
    np.testing.assert_allclose(found[:, [0, 2]], expected, rtol=1e-3)
    assert (found[:, 1] < 1e-6).all()


def test_a_loss_trains_as_the_distance_of_its_name(make_tim, tmp_path):
    pictures = np.random.RandomState(0).rand(3, 16, 16, 3).astype("float32")
    histories = []
    for loss in ("mean_squared_error", keras.losses.MeanSquaredError()):
        tim = make_tim(quick=True, **SINGLE)
        tim.compile("sgd", loss=loss, num_candidates=2)
        small = pictures[:, ::2, ::2]
        histories.append(
            tim.fit(small, pictures, shuffle=False, verbose=0).history
        )
    assert histories[0].keys() == histories[1].keys()
    for name, values in histories[0].items():
        np.testing.assert_allclose(values, histories[1][name], rtol=1e-5)
    tim.save(tmp_path / "tim.keras")
    again = keras.saving.load_model(tmp_path / "tim.keras")
    assert isinstance(
        again._imle.distance.distance, keras.losses.MeanSquaredError
    )
    assert again.get_compile_config() == tim.get_compile_config()


def test_a_distance_that_gives_one_value_is_refused():
    distance = SelectionDistance(lambda a, b: keras.ops.mean((a - b) ** 2))
    with pytest.raises(ValueError, match=r"one value per picture, \[batch\]"):
        distance.compare(distance.features(PICTURES), {"pixels": TARGETS})


def test_fit_does_not_shuffle_what_flows_by(make_tim):
    tf = pytest.importorskip("tensorflow")
    pictures = np.random.RandomState(0).rand(2, 16, 16, 3).astype("float32")
    pair = (pictures[:, ::2, ::2], pictures)
    tim = make_tim(quick=True, **SINGLE)
    tim.compile("sgd", distance="mse", num_candidates=2)
    # Warnings are errors here.
    tim.fit(tf.data.Dataset.from_tensors(pair), verbose=0)
    tim.fit((pair for _ in range(2)), steps_per_epoch=1, verbose=0)
    tim.fit(*pair, verbose=0)
    with pytest.warns(UserWarning, match="shuffle=True"):
        tim.fit(tf.data.Dataset.from_tensors(pair), shuffle=True, verbose=0)


def test_a_call_without_codes_says_what_to_do(make_tim):
    with pytest.raises(ValueError, match=r"`codes`.*`tim.sample\(inputs"):
        make_tim(quick=True)(np.zeros((1, 4, 4, 3), "float32"))


def test_from_preset_takes_a_run_folder_and_a_file(make_tim, tmp_path):
    tim = make_tim(quick=True)
    run, file = tmp_path / "run", tmp_path / "other.keras"
    run.mkdir()
    tim.save(run / "model.keras")
    tim.save(file)
    for path in (run, file, str(file)):
        for again in (TIM.from_preset(path), load_run(path)):
            assert again.get_config() == tim.get_config()
            for a, b in zip(tim.weights, again.weights, strict=True):
                np.testing.assert_array_equal(a, b)
    half = TIM.from_preset(file, dtype="mixed_bfloat16")
    assert half.dtype_policy.name == "mixed_bfloat16"
    for a, b in zip(tim.get_weights(), half.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    fresh = TIM.from_preset(run, load_weights=False, num_blocks=1)
    assert fresh.num_blocks == 1
    with pytest.raises(ValueError, match=r"other\.keras belong to another"):
        TIM.from_preset(file, num_blocks=1)
    file.write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"other\.keras is damaged"):
        TIM.from_preset(file)
