import numpy as np
import pytest

from keras_tim.images import read_picture
from keras_tim.inference import reading, sample_files
from keras_tim.inference.reading import read_input
from keras_tim.recipes import get_recipe
from keras_tim.runs import RunSettings


@pytest.fixture(scope="module")
def tim(make_tim):
    return make_tim("colourization", quick=True)


@pytest.fixture(scope="module")
def recipe(photo_folder):
    settings = RunSettings.of_task(
        "colourization",
        data=str(photo_folder),
        crop_size=32,
        downsample=1,
        images_per_selection=3,
    )
    return get_recipe("colourization")(settings)


def test_holds_out_the_first_and_trains_on_the_others(tim, recipe, photo):
    examples, excluded = recipe.held_out(tim)
    ((name, given, target),) = examples
    assert name == "a.png"
    assert tuple(excluded) == ("a.png",)
    # Two levels: 79 x 97 is cut to even sides.
    assert given.shape == (78, 96, 1)
    np.testing.assert_allclose(target, photo[:78, :96], atol=0.5 / 255)
    inputs, targets = next(iter(recipe.dataset(tim, excluded, seed=0)))
    assert inputs.shape == (3, 32, 32, 1)
    assert targets.shape == (3, 32, 32, 3)


def test_any_picture_becomes_its_lightness(tim, recipe, photo_folder):
    color = pytest.importorskip("skimage.color")
    path = photo_folder / "a.png"
    given = read_input(tim, path)
    assert given.shape == (79, 97, 1)
    assert given.dtype == np.float32
    expected = color.rgb2lab(read_picture(path))[..., :1]
    np.testing.assert_allclose(100.0 * given, expected, atol=1e-3)
    assert read_input(tim, path, reduce=2).shape == (39, 48, 1)


def test_a_grey_picture_is_shown_as_it_is(tim, recipe, photo_folder):
    path = photo_folder / "grey.png"
    given = read_input(tim, path)
    shown = tim.shown(given)
    np.testing.assert_allclose(shown, read_picture(path), atol=1e-3)
    name, plain = tim.baseline(given, given.shape[:2])
    assert name == "grey"
    np.testing.assert_array_equal(plain, shown)


def test_grey_is_faithful_but_for_rounding(tim, recipe, photo):
    given, target = recipe.pair(tim, photo)
    samples = np.stack([tim.shown(given), target, 0.5 * target])
    errors = tim.faithfulness(samples, given)
    assert (errors[:2] < 0.2).all()
    assert errors[2] > 10


def test_samples_keep_the_lightness_and_the_size(
    tim, recipe, photo_folder, tmp_path
):
    path = photo_folder / "a.png"
    (file,) = sample_files(tim, [path], tmp_path, seeds=[3])
    sample = read_picture(file)
    assert sample.shape == (79, 97, 3)
    # This tiny model is not trained: its wild colours leave the gamut in
    # places, and there alone the lightness suffers.
    given = read_input(tim, path)
    again = read_input(tim, file)
    inside = ((sample > 0.01) & (sample < 0.99)).all(-1)
    assert inside.mean() > 0.2
    assert np.abs(again - given)[inside].max() < 0.01


def test_large_pictures_are_refused(tim, recipe, tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "LARGEST_ALTERNATIVE", 79 * 97 - 1)
    from keras_tim.images import PictureError, write_picture

    path = tmp_path / "large.png"
    write_picture(path, np.zeros((79, 97, 3), "float32"))
    with pytest.raises(PictureError, match="It would have"):
        read_input(tim, path)
    # The output is as large as the input, however many levels there are.
    monkeypatch.setattr(reading, "LARGEST_ALTERNATIVE", 79 * 97)
    assert read_input(tim, path).shape == (79, 97, 1)
