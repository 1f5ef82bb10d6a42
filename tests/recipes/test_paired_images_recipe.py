import numpy as np
import pytest

from keras_tim.images import PictureError, read_picture, write_picture
from keras_tim.recipes import get_recipe
from keras_tim.runs import RunSettings


@pytest.fixture(scope="module")
def folders(photo_folder, tmp_path_factory):
    """Targets, and as inputs the same upside down."""
    inputs = tmp_path_factory.mktemp("inputs")
    for path in photo_folder.glob("*.png"):
        write_picture(inputs / path.name, read_picture(path)[::-1])
    return photo_folder, inputs


def recipe_of(folders, **settings):
    data, inputs = map(str, folders)
    return get_recipe("paired_images")(
        RunSettings.of_task(
            "paired_images", data=data, inputs=inputs, **settings
        )
    )


@pytest.fixture(scope="module")
def tim(make_tim):
    return make_tim("paired_images", quick=True)


def test_examples_are_the_whole_pairs(folders, tim):
    recipe = recipe_of(folders)
    examples = recipe.examples(tim)
    assert [name for name, *_ in examples] == ["a.png", "b.png", "grey.png"]
    for (name, given, target), (listed, read) in zip(
        examples, recipe.listed(tim), strict=True
    ):
        # 79 x 97 pixels, cut for two levels; 96 of 97 columns from the left.
        photo = read_picture(folders[0] / name)
        np.testing.assert_array_equal(target, photo[:78, :96])
        np.testing.assert_array_equal(given, photo[::-1][:78, :96])
        assert listed == name
        for found, expected in zip(read(), (given, target), strict=True):
            np.testing.assert_array_equal(found, expected)


def test_crops_are_cut_from_both_at_one_place(folders, tim):
    recipe = recipe_of(folders)
    example = name, given, target = recipe.examples(tim, count=1)[0]
    crops = recipe.listed(tim, (name,), crop=32)
    assert [name for name, _ in crops] == [
        f"a.png {top},{left}" for top in (0, 32) for left in (0, 32, 64)
    ]
    for name, read in crops:
        top, left = map(int, name.split()[1].split(","))
        place = slice(top, top + 32), slice(left, left + 32)
        for found, whole in zip(read(), (given, target), strict=True):
            np.testing.assert_array_equal(found, whole[place])
    title, ((corner, *pair),) = recipe.crops(tim, example)
    assert (title, corner) == ("a.png, 1 crops of 64 px", "0,0")
    np.testing.assert_array_equal(pair[0], given[:64, :64])
    np.testing.assert_array_equal(pair[1], target[:64, :64])


def test_the_first_pair_is_held_out(folders, tim):
    recipe = recipe_of(folders, crop_size=16, images_per_selection=3)
    examples, excluded = recipe.held_out(tim)
    assert [name for name, *_ in examples] == ["a.png"]
    assert excluded == ("a.png",)
    given, target = next(iter(recipe.dataset(tim, excluded, seed=0)))
    assert given.shape == target.shape == (3, 16, 16, 3)
    named = recipe_of(folders, held_out=("b",))
    assert [name for name, *_ in named.held_out(tim)[0]] == ["b.png"]


def test_pairs_with_a_damaged_picture_are_named(folders, tim, tmp_path):
    for path in folders[1].glob("*.png"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    damaged = tmp_path / "b.png"
    readers = dict(recipe_of((folders[0], tmp_path)).listed(tim))
    damaged.write_bytes(damaged.read_bytes()[:300])  # its size can be read
    with pytest.raises(PictureError, match=r"b\.png"):
        readers["b.png"]()
    damaged.write_bytes(b"no picture")
    recipe = recipe_of((folders[0], tmp_path))
    assert [name for name, _ in recipe.listed(tim)] == ["a.png", "grey.png"]
    assert recipe.unusable == ["b.png"]
