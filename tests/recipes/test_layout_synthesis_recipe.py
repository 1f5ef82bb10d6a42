import shutil

import numpy as np
import pytest
from PIL import Image

from keras_tim.checks import parsed_size
from keras_tim.data import read_classes
from keras_tim.images import PictureError, write_picture
from keras_tim.inference.reading import read_input
from keras_tim.recipes import get_recipe
from keras_tim.recipes.beside import complete
from keras_tim.runs import RunSettings


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Twelve pictures of 20 x 28 pixels; the label map is one number each."""
    folder = tmp_path_factory.mktemp("layouts")
    for kind in ("pictures", "labels"):
        (folder / kind / "val").mkdir(parents=True)
    for number in range(12):
        name = f"{'val/' if number % 2 else ''}{number:02}.png"
        picture = np.full((20, 28, 3), number / 20)
        write_picture(folder / "pictures" / name, picture)
        labels = np.full((20, 28), number % 11, np.uint8)
        Image.fromarray(labels).save(folder / "labels" / name)
    return folder


@pytest.fixture(scope="module")
def tim(make_tim):
    return make_tim("layout_synthesis", quick=True, input_channels=12)


@pytest.fixture
def make_recipe(folder, tmp_path):
    def make(**settings):
        given = {
            "data": str(folder / "pictures"),
            "labels": str(folder / "labels"),
            "classes": "camvid",
            "images_per_selection": 3,
            **settings,
        }
        return get_recipe("layout_synthesis")(
            RunSettings.of_task("layout_synthesis", **given), str(tmp_path)
        )

    return make


def test_patterns_hold_out_and_neighbours_stay(tim, make_recipe):
    recipe = make_recipe(held_out=("val/*",))
    examples, excluded = recipe.held_out(tim)
    names = [name for name, _, _ in examples]
    assert names == [f"val/{n:02}.png" for n in range(1, 12, 2)]
    seen = []
    for layouts, targets in recipe.dataset(tim, excluded, seed=0).take(4):
        assert layouts.shape == (3, 10, 14, 12)
        assert targets.shape == (3, 20, 28, 3)
        seen += np.rint(targets[:, 0, 0, 0] * 20).astype(int).tolist()
    assert sorted(set(seen)) == [0, 2, 4, 6, 8, 10]


def test_examples_are_spread_evenly(tim, make_recipe):
    recipe = make_recipe()
    assert len(recipe.examples(tim)) == 12
    three = recipe.examples(tim, count=3)
    # In the order of their paths "val" comes last.
    assert [name for name, _, _ in three] == [
        "00.png",
        "val/01.png",
        "val/11.png",
    ]
    _, given, target = three[1]
    np.testing.assert_array_equal(given.argmax(-1), 1)
    np.testing.assert_allclose(target, 1 / 20, atol=1 / 255)
    (only,) = recipe.examples(tim, names=("08",))
    assert only[0] == "08.png"


def test_the_first_is_held_out_unless_told_otherwise(tim, make_recipe):
    (example,), excluded = make_recipe().held_out(tim)
    assert example[0] == "00.png"
    assert tuple(excluded) == ("00.png",)


def test_size_and_downsample_reach_the_data(tim, make_recipe):
    recipe = make_recipe(downsample=2)
    ((_, given, target),) = recipe.examples(tim, count=1)
    # 10 x 14 cut to multiples of 4.
    assert target.shape == (8, 12, 3)
    assert given.shape == (4, 6, 12)
    recipe = make_recipe(size="12x16")
    layouts, targets = next(iter(recipe.dataset(tim, (), seed=0)))
    assert targets.shape == (3, 12, 16, 3)
    assert layouts.shape == (3, 6, 8, 12)


def test_the_model_has_a_channel_per_class(make_recipe):
    (named,) = make_recipe().model_arguments().values()
    assert named.names == read_classes("camvid").names
    (unnamed,) = make_recipe(classes=None).model_arguments().values()
    assert unnamed.ids == tuple((n,) for n in range(11))


def test_classes_are_kept_with_the_run(make_tim, make_recipe, folder, tmp_path):
    recipe = make_recipe()
    recipe.prepare()
    assert not (tmp_path / "classes.csv").exists()
    recipe.save()
    kept = read_classes(tmp_path / "classes.csv")
    assert kept.rows == read_classes("camvid").rows
    path = folder / "labels/08.png"
    older = make_tim("layout_synthesis", quick=True, input_channels=12)
    with pytest.raises(FileNotFoundError, match=r"classes\.csv"):
        read_input(older, path)
    complete(older, tmp_path)
    given = read_input(older, path)
    assert given.shape == (10, 14, 12)
    np.testing.assert_array_equal(given.argmax(-1), 8)


def test_a_layout_is_shown_in_its_colours_at_the_outputs_size(make_tim):
    tim = make_tim(
        "layout_synthesis", quick=True, classes=read_classes("camvid")
    )
    given = np.eye(12, dtype="float32")[np.array([[0, 3], [11, 3]])]
    sky, road, other = (128, 128, 128), (128, 64, 128), (0, 0, 0)
    expected = [
        [sky, sky, road, road],
        [sky, sky, road, road],
        [other, other, road, road],
        [other, other, road, road],
    ]
    np.testing.assert_allclose(255 * tim.shown(given), expected, atol=1e-4)


def test_there_is_no_plain_answer(tim):
    assert tim.baseline(None, (4, 4)) is None
    assert tim.faithfulness(None, None) is None


def test_labels_are_needed(tim, make_recipe):
    with pytest.raises(ValueError, match="`labels` must name the folder"):
        make_recipe(labels="").held_out(tim)


def test_stand_in(tim):
    pytest.importorskip("skimage")
    recipe = get_recipe("layout_synthesis")(
        RunSettings.of_task("layout_synthesis")
    )
    assert recipe.model_arguments()["classes"].num_channels == 9
    examples, excluded = recipe.held_out(tim)
    assert [name for name, _, _ in examples] == ["chelsea 1:2 0,0"]
    layouts, targets = next(iter(recipe.dataset(tim, excluded, seed=0)))
    assert layouts.shape[1:] == (48, 64, 9)
    assert targets.shape[1:] == (96, 128, 3)


@pytest.mark.parametrize("text", ["256", "256x", "a256x512", "-1x8", "8 x 8"])
def test_sizes_are_parsed(text):
    assert parsed_size("256x512") == (256, 512)
    assert parsed_size(None) is None
    with pytest.raises(ValueError, match="`size` must be height and width"):
        parsed_size(text)


def test_listed_are_the_examples(tim, make_recipe):
    recipe = make_recipe(held_out=("val/*",))
    for names in (None, recipe.held_out_names(tim)):
        listed = recipe.listed(tim, names)
        expected = recipe.examples(tim, names)
        assert [name for name, _ in listed] == [name for name, *_ in expected]
        for (_, read), (_, *pair) in zip(listed, expected, strict=True):
            for found, array in zip(read(), pair, strict=True):
                np.testing.assert_array_equal(found, array)
    assert make_recipe().held_out_names(tim) == ["00.png"]
    with pytest.raises(ValueError, match="measured whole"):
        recipe.listed(tim, crop=64)


def test_a_model_brings_its_classes(make_tim, make_recipe, folder):
    # In another order than the ids, and another than the run's.
    rows = [(f"id {n}", n, None) for n in (4, 3, 2, 1, 0)]
    recipe = make_recipe(classes=None)
    recipe.take_over(make_tim("layout_synthesis", quick=True, classes=rows))
    assert [row[0] for row in recipe.classes.rows] == [row[0] for row in rows]
    (example,) = recipe.examples(make_tim("layout_synthesis"), count=1)
    assert example[1].shape[-1] == 6


def test_what_cannot_be_read_is_left_out_to_measure(
    tim, make_recipe, folder, tmp_path
):
    copied = tmp_path / "copied"
    shutil.copytree(folder, copied)
    (copied / "pictures" / "02.png").write_text("no picture")
    (copied / "labels" / "val" / "03.png").write_bytes(b"")
    sources = {kind: str(copied / kind) for kind in ("pictures", "labels")}

    def recipe():
        return make_recipe(data=sources["pictures"], labels=sources["labels"])

    measured = recipe()
    assert len(measured.listed(tim)) == 10
    assert measured.unusable == ["02.png", "val/03.png"]
    assert len(measured.listed(tim, ("val/*",))) == 5
    assert measured.unusable == ["val/03.png"]
    # What is trained on should be whole.
    with pytest.raises(PictureError, match=r"02\.png"):
        recipe().held_out(tim)
