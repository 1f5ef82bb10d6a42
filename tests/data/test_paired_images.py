import shutil

import numpy as np
import pytest
from absl import logging
from PIL import Image

from keras_tim.data import (
    crop_dataset,
    dataset,
    paired_images_dataset,
    paired_images_pair,
)
from keras_tim.data.paired_images import list_pairs
from keras_tim.data.photos import reduce_photo
from keras_tim.images import PictureError

CHANGES = {
    "inverted": lambda x: 255 - x,
    "redder": lambda x: np.stack(
        [x[..., 0] // 2 + 128, x[..., 1] // 4, x[..., 2] // 3], axis=-1
    ),
}
NAMES = ("a.png", "b.png", "day/a.png")


def random_pictures(count=3, size=(24, 40)):
    random = np.random.default_rng(0)
    return {
        f"picture {n}": random.integers(0, 256, (*size, 3)).astype(np.uint8)
        for n in range(count)
    }


def write(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def folders(tmp_path):
    """A folder of targets, and one of the same inverted, as BMP files."""
    for name, pixels in zip(NAMES, random_pictures().values(), strict=True):
        write(tmp_path / "targets" / name, pixels)
        path = (tmp_path / "inputs" / name).with_suffix(".bmp")
        write(path, 255 - pixels)
    return tmp_path / "targets", tmp_path / "inputs"


def in_8_bits(pictures):
    return np.rint(255.0 * np.asarray(pictures)).astype(np.uint8)


# The same crops, flips and turns of both pictures.


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("cache", [True, False])
def test_input_crops_are_the_changed_target_crops(change, cache):
    change, targets = CHANGES[change], random_pictures()
    inputs = {name: change(pixels) for name, pixels in targets.items()}
    options = {
        "crop_size": 16,
        "batch_size": 4,
        "crops_per_picture": 5,
        "cache": cache,
        "seed": 3,
    }
    batches = list(paired_images_dataset(targets, inputs, **options))
    crops = list(crop_dataset(targets, **options))
    assert [len(given) for given, _ in batches] == [4, 4, 4, 3]
    for (given, target), crop in zip(batches, crops, strict=True):
        assert given.dtype == target.dtype == "float32"
        np.testing.assert_array_equal(target, crop)
        np.testing.assert_array_equal(in_8_bits(given), change(in_8_bits(crop)))


def test_folders_are_read_alike_in_the_order_of_the_targets(folders):
    targets, inputs = folders
    options = {"crop_size": 16, "shuffle": False, "augment": False}
    ((given, target),) = paired_images_dataset(targets, inputs, **options)
    np.testing.assert_array_equal(
        target, next(iter(crop_dataset(targets, **options)))
    )
    np.testing.assert_array_equal(in_8_bits(given), 255 - in_8_bits(target))
    ((again, _),) = dataset("paired_images", targets, inputs=inputs, **options)
    np.testing.assert_array_equal(given, again)
    names = [pair.name for pair in list_pairs(targets, inputs)]
    assert names == list(NAMES)


@pytest.mark.parametrize("options", [{"downsample": 2}, {"enlarged": 1.0}])
def test_both_are_resized_alike(options):
    targets = random_pictures()
    inputs = {name: 255 - pixels for name, pixels in targets.items()}
    for given, target in paired_images_dataset(
        targets, inputs, crop_size=8, **options
    ):
        # Resizing clips and rounds.
        assert np.abs(given + target - 1.0).max() < 1.5 / 255
        assert np.std(target) > 0.1
    with_reduced = {k: reduce_photo(v, 2) for k, v in targets.items()}
    (pair,) = list_pairs(targets, inputs, downsample=2)[:1]
    np.testing.assert_array_equal(
        pair.read()[..., :3], with_reduced["picture 0"]
    )
    assert pair.size == (12, 20)


def test_endless_batches_begin_anywhere(folders):
    options = {"crop_size": 16, "batch_size": 2, "repeat": True}
    batches = paired_images_dataset(*folders, **options).take(5)
    later = paired_images_dataset(*folders, start=3, **options).take(2)
    for ours, theirs in zip(list(batches)[3:], later, strict=True):
        for x, y in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(x, y)


def test_pairs_are_left_out_by_the_names_of_targets(folders):
    options = {"crop_size": 16, "shuffle": False, "augment": False}
    for exclude in (("b",), ("b.png",)):
        ((given, _),) = paired_images_dataset(
            *folders, exclude=exclude, **options
        )
        assert len(given) == 2
    ((given, _),) = paired_images_dataset(
        *folders, only=("day/a.png",), **options
    )
    assert len(given) == 1
    with pytest.raises(ValueError, match=r"3 held out .* two or more"):
        paired_images_dataset(*folders, exclude=("a", "b"), **options)
    with pytest.raises(ValueError, match=r"'c'.*unknown"):
        paired_images_dataset(*folders, exclude=("c",), **options)


def test_pair_is_the_centre_of_both():
    ((_, pixels),) = random_pictures(1, (15, 22)).items()
    given, target = paired_images_pair(pixels, 255 - pixels, 8)
    np.testing.assert_array_equal(in_8_bits(target), pixels[3:11, 3:19])
    np.testing.assert_array_equal(in_8_bits(given), 255 - pixels[3:11, 3:19])
    with pytest.raises(ValueError, match="must be of one shape"):
        paired_images_pair(pixels, pixels[1:])


# What is wrong with two folders.


def error_of(folders, **options):
    with pytest.raises((ValueError, OSError)) as error:
        paired_images_dataset(*folders, crop_size=16, **options)
    return str(error.value)


def test_a_target_without_input_is_named(folders):
    targets, inputs = folders
    (inputs / "day/a.bmp").unlink()
    message = error_of(folders)
    assert f"output in {targets} must have an input" in message
    assert f"same name in {inputs}" in message
    assert "1 of 3 without one: day/a.png" in message
    # What is left out needs a partner, too: the folders do not fit together.
    assert "day/a.png" in error_of(folders, exclude=("day/a.png",))


def test_an_input_without_target_is_named(folders):
    targets, inputs = folders
    (targets / "b.png").unlink()
    message = error_of(folders)
    assert f"input in {inputs} must have an output" in message
    assert "1 of 3 without one: b.bmp" in message


def test_arrays_without_partner_are_named():
    pictures = random_pictures()
    some = {name: pictures[name] for name in list(pictures)[:2]}
    assert "without one: picture 2" in error_of((pictures, some))
    assert "without one: photo 2" in error_of(
        (list(some.values()), list(pictures.values()))
    )


def test_names_that_differ_in_their_suffix_alone_collide(folders):
    for folder in folders:
        path = folder / "b.jpg"
        write(path, np.zeros((24, 40, 3), np.uint8))
        message = error_of(folders)
        assert "one picture of a name" in message
        assert "b.jpg" in message
        assert str(folder) in message
        path.unlink()


def test_sizes_that_differ_are_named(folders):
    targets, inputs = folders
    write(inputs / "b.bmp", np.zeros((25, 40, 3), np.uint8))
    for options in ({}, {"downsample": 2}):  # which makes them equal
        message = error_of(folders, **options)
        assert f"{targets / 'b.png'} of 40 x 24" in message
        assert f"{inputs / 'b.bmp'} of 40 x 25" in message


def test_a_size_that_changes_later_is_named(folders):
    pair = list_pairs(*folders)[1]
    write(folders[1] / "b.bmp", np.zeros((25, 40, 3), np.uint8))
    with pytest.raises(PictureError, match=r"b\.png .*b\.bmp of 40 x 25"):
        pair.read()


def test_one_folder_is_not_two(folders, tmp_path):
    targets, _ = folders
    (tmp_path / "link").symlink_to(targets)
    for other in (targets, tmp_path / "link"):
        assert "must be two folders" in error_of((targets, other))


@pytest.mark.parametrize("side", [0, 1])
def test_empty_and_missing_folders_are_named(folders, side, tmp_path):
    folders = list(folders)
    shutil.rmtree(folders[side])
    assert f"{folders[side]}', which does not exist" in error_of(folders)
    folders[side].mkdir()
    (folders[side] / "notes.txt").write_text("nothing")
    assert str(folders[side]) in error_of(folders)


def test_inputs_are_needed(folders):
    targets, _ = folders
    assert "`inputs` must be" in error_of((targets,))
    assert "tfds:mnist" in error_of((targets, "tfds:mnist"))
    assert "tfds:mnist" in error_of(("tfds:mnist", targets))
    assert "crop_size=16" in error_of(folders, num_levels=6)


@pytest.mark.parametrize("side", [0, 1])
def test_pairs_that_cannot_be_read_are_left_out(folders, side, monkeypatch):
    seen, unusable = [], []
    monkeypatch.setattr(
        logging, "warning", lambda text, *args: seen.append(text % args)
    )
    path = folders[side] / ("b.png", "b.bmp")[side]
    path.write_bytes(b"no picture")
    pairs = list_pairs(*folders, unusable=unusable)
    assert [pair.name for pair in pairs] == ["a.png", "day/a.png"]
    assert unusable == ["b.png"]
    assert str(path) in seen[0]
    # Of every pair one picture is damaged, of each side another one.
    for path in folders[1 - side].rglob("a.*"):
        path.write_bytes(b"no picture")
    assert "3 found, 3 unreadable" in error_of(folders)
    # What is not asked for is not looked at.
    unusable.clear()
    with pytest.raises(ValueError, match=r"2 held out .* 1 unreadable"):
        list_pairs(*folders, only=("b",), unusable=unusable)
    assert unusable == ["b.png"]
