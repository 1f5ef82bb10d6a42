import dataclasses
import shutil

import numpy as np
import pytest

from keras_tim.data.tfds_pictures import TfdsPictures
from keras_tim.images import PictureError
from keras_tim.recipes import get_recipe
from keras_tim.runs import RunSettings


def test_crops_lie_side_by_side(make_tim):
    tim = make_tim(quick=True)
    recipe = get_recipe("super_resolution")(RunSettings())
    target = np.random.RandomState(0).rand(140, 200, 3).astype("float32")
    title, crops = recipe.crops(tim, ("noise", None, target))
    assert title == "noise, 6 crops of 64 px"
    names = ["0,0", "0,64", "0,128", "64,0", "64,64", "64,128"]
    assert [name for name, _, _ in crops] == names
    for name, given, crop in crops:
        top, left = map(int, name.split(","))
        assert given.shape == (16, 16, 3)
        np.testing.assert_array_equal(
            crop, target[top : top + 64, left : left + 64]
        )


def assert_listed(recipe, tim, names=None, examples=None):
    """What is listed is what `examples` gives."""
    listed = recipe.listed(tim, names)
    expected = recipe.examples(tim, names) if examples is None else examples
    assert [name for name, _ in listed] == [name for name, _, _ in expected]
    # In any order.
    for (_, read), (_, *pair) in zip(
        reversed(listed), reversed(expected), strict=True
    ):
        for found, array in zip(read(), pair, strict=True):
            np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize("task", ["super_resolution", "decompression"])
def test_listed_are_the_examples(task, make_tim, photo_folder):
    tim = make_tim(task, quick=True)
    recipe = get_recipe(task)(
        RunSettings.of_task(task, data=str(photo_folder), quality=20)
    )
    assert_listed(recipe, tim)
    assert_listed(recipe, tim, names=("b", "a.png"))


def test_listed_crops_are_the_crops(make_tim, photo_folder):
    tim = make_tim(quick=True)
    recipe = get_recipe("super_resolution")(RunSettings(data=str(photo_folder)))
    expected = []
    for example in recipe.examples(tim):
        name, _, target = example
        # 79 x 97 pixels hold one crop of 64.
        _, ((corner, *pair),) = recipe.crops(tim, example)
        assert target.shape == (76, 96, 3)
        expected.append((f"{name} {corner}", *pair))
    listed = recipe.listed(tim, crop=64)
    assert [name for name, _ in listed] == [name for name, *_ in expected]
    for (_, read), (_, *pair) in zip(listed, expected, strict=True):
        for found, array in zip(read(), pair, strict=True):
            np.testing.assert_array_equal(found, array)


def test_a_photo_is_read_when_it_is_its_turn(make_tim, photo_folder, tmp_path):
    tim = make_tim(quick=True)
    shutil.copytree(photo_folder, tmp_path / "photos")
    settings = RunSettings(data=str(tmp_path / "photos"))
    listed = get_recipe("super_resolution")(settings).listed(tim)
    (tmp_path / "photos" / "b.png").write_bytes(b"damaged since")
    readers = dict(listed)
    with pytest.raises(PictureError, match=r"b\.png"):
        readers["b.png"]()
    assert readers["grey.png"]()[1].shape == (76, 96, 3)


def test_names_of_what_is_held_out(make_tim, photo_folder):
    tim = make_tim(quick=True)

    def names(**settings):
        recipe = get_recipe("super_resolution")(RunSettings(**settings))
        return recipe.held_out_names(tim)

    assert names() == ("chelsea",)
    assert names(data=str(photo_folder)) == ("a.png",)
    assert names(data=str(photo_folder), held_out=("b",)) == ("b",)


@pytest.mark.parametrize(
    ("data", "held_out", "shown"),
    [
        ("trio", "test", "trio/test/0"),
        ("pair", "validation", "pair/validation/0"),
        ("pair:train[:3]", "validation", "pair/validation/0"),
        ("single", "train[18:20]", "single/train/18"),
    ],
)
def test_tfds_holds_out_a_split(data, held_out, shown, make_tim, tfds_folder):
    tim = make_tim(quick=True)
    settings = RunSettings(
        data=f"tfds:{data}",
        data_dir=str(tfds_folder),
        crop_size=16,
        images_per_selection=2,
    )
    recipe = get_recipe("super_resolution")(settings)
    assert recipe.held_out_names(tim) == (held_out,)
    examples, excluded = recipe.held_out(tim)
    # As long as a split may be, the first of it is shown; all is measured.
    assert [name for name, _, _ in examples] == [shown]
    assert excluded == (held_out,)
    listed = [name for name, _ in recipe.listed(tim, excluded)]
    assert listed[0] == shown
    pictures = TfdsPictures(settings.data, settings.data_dir)
    assert len(listed) == len(pictures.places(held_out))
    # What a run has written down holds whatever else is true then.
    noted = dataclasses.replace(settings, held_out=excluded)
    again = get_recipe("super_resolution")(noted)
    assert again.held_out(tim)[1] == excluded
    dataset = recipe.dataset(tim, excluded, seed=0)
    given, targets = next(iter(dataset))
    assert (given.shape, targets[-1].shape) == ((2, 4, 4, 3), (2, 16, 16, 3))


def test_tfds_pictures_of_ones_own_choice_are_held_out(make_tim, tfds_folder):
    tim = make_tim(quick=True)
    held_out = ("trio/train/1", "trio/validation/0")
    settings = RunSettings(
        data="tfds:trio", data_dir=str(tfds_folder), held_out=held_out
    )
    recipe = get_recipe("super_resolution")(settings)
    examples, excluded = recipe.held_out(tim)
    assert tuple(name for name, _, _ in examples) == excluded == held_out
    crops = recipe.listed(tim, held_out, crop=16)
    assert [name for name, _ in crops] == [
        *(f"trio/train/1 0,{left}" for left in (0, 16)),
        *(f"trio/validation/0 0,{left}" for left in (0, 16)),
    ]
    assert crops[0][1]()[1].shape == (16, 16, 3)


def test_what_is_held_out_is_chosen_once(make_tim, photo_folder, tmp_path):
    tim = make_tim(quick=True)
    folder = tmp_path / "photos"
    shutil.copytree(photo_folder, folder)
    recipe = get_recipe("super_resolution")(RunSettings(data=str(folder)))
    assert recipe.held_out_names(tim) == ("a.png",)
    shutil.copy(folder / "b.png", folder / "0.png")
    assert recipe.held_out(tim)[1] == ("a.png",)
    (folder / "a.png").unlink()
    assert recipe.held_out_names(tim) == ("a.png",)
    with pytest.raises(ValueError, match=r"'a\.png'.*unknown"):
        recipe.held_out(tim)


def test_the_only_picture_is_held_out(make_tim, photo_folder, tmp_path):
    tim = make_tim(quick=True)
    shutil.copy(photo_folder / "a.png", tmp_path / "a.png")
    recipe = get_recipe("super_resolution")(RunSettings(data=str(tmp_path)))
    _, excluded = recipe.held_out(tim)
    with pytest.raises(ValueError, match=r"held out.*two or more are needed"):
        recipe.dataset(tim, excluded, seed=0)


def test_unusable_tfds_pictures_are_named(make_tim, tfds_folder):
    tim = make_tim(quick=True)
    settings = RunSettings(
        data="tfds:broken:train", data_dir=str(tfds_folder), crop_size=16
    )
    recipe = get_recipe("super_resolution")(settings)
    # One is too small, one is no picture.
    crops = recipe.listed(tim, crop=16)
    assert {name.split()[0] for name, _ in crops} == {
        "broken/train/0",
        "broken/train/3",
    }
    assert recipe.unusable == ["broken/train/1", "broken/train/2"]
    # Whole ones are looked into when it is their turn.
    readers = dict(recipe.listed(tim))
    assert readers["broken/train/1"]()[1].shape == (12, 40, 3)
    with pytest.raises(PictureError, match="broken/train/2"):
        readers["broken/train/2"]()
