import numpy as np
import pytest

from keras_tim.data import compressed
from keras_tim.images import read_picture
from keras_tim.inference import sample_files
from keras_tim.inference.reading import read_input
from keras_tim.recipes import get_recipe
from keras_tim.runs import RunSettings

# Two levels of the paper's model, and the first paper's single one.
MODELS = {
    "camnet": {},
    "hyperrim": {
        "residual_channels": (8,),
        "growth_channels": (4,),
        "architecture": "hyperrim",
    },
}


@pytest.fixture(scope="module", params=MODELS)
def tim(make_tim, request):
    return make_tim("decompression", quick=True, **MODELS[request.param])


@pytest.fixture(scope="module")
def recipe(photo_folder):
    settings = RunSettings.of_task(
        "decompression",
        data=str(photo_folder),
        crop_size=32,
        images_per_selection=3,
        quality=7,
    )
    return get_recipe("decompression")(settings)


def test_holds_out_the_first_and_trains_on_the_others(tim, recipe, photo):
    examples, excluded = recipe.held_out(tim)
    ((name, given, target),) = examples
    assert name == "a.png"
    assert tuple(excluded) == ("a.png",)
    height, width = (n // tim.input_multiple for n in photo.shape[:2])
    assert target.shape[:2] == (
        height * tim.input_multiple,
        width * tim.input_multiple,
    )
    np.testing.assert_array_equal(given, compressed(target, 7))
    inputs, targets = next(iter(recipe.dataset(tim, excluded, seed=0)))
    assert inputs.shape == targets.shape == (3, 32, 32, 3)
    for x, y in zip(inputs.numpy(), targets.numpy(), strict=True):
        np.testing.assert_array_equal(x, compressed(y, 7))


def test_files_are_taken_as_they_are_unless_told_otherwise(
    tim, recipe, photo_folder
):
    path = photo_folder / "a.png"
    picture = read_picture(path)
    np.testing.assert_array_equal(read_input(tim, path), picture)
    np.testing.assert_array_equal(
        read_input(tim, path, quality=3), compressed(picture, 3)
    )
    assert read_input(tim, path, reduce=2, quality=3).shape[0] == 39


def test_the_plain_answer_is_the_jpeg(tim, recipe, photo):
    given, target = recipe.pair(tim, photo)
    name, plain = tim.baseline(given, target.shape[:2])
    assert name == "JPEG"
    np.testing.assert_array_equal(plain, tim.shown(given))
    # What compresses to the input is as faithful as can be, and finite.
    found = tim.faithfulness(
        np.stack([target, 1.0 - target]), given, recipe.quality
    )
    assert found[0] == 60.0
    assert found[1] < 20
    assert tim.faithfulness(target[None], given) is None


def test_samples_are_as_large_as_the_file(tim, recipe, photo_folder, tmp_path):
    path = photo_folder / "a.png"
    files = sample_files(
        tim, [path], tmp_path, seeds=[3, 4], quality=5, reduce=1
    )
    samples = [read_picture(file) for file in files]
    assert [sample.shape for sample in samples] == [(79, 97, 3)] * 2
    assert np.abs(samples[0] - samples[1]).max() > 0


@pytest.mark.parametrize("quality", [0, 101, 2.5, "low"])
def test_settings_refuse_a_quality_out_of_range(quality):
    with pytest.raises(ValueError, match="`quality` must be"):
        RunSettings.of_task("decompression", quality=quality)
