"""Prepared TensorFlow data sets as sources of pictures."""

import pathlib
import shutil

import numpy as np
import pytest
import tensorflow as tf
from absl import logging

from keras_tim.data import (
    crop_dataset,
    held_out_pictures,
    mnist_digits,
    whole_photos,
)
from keras_tim.data import crops as crops_module
from keras_tim.data.photos import list_photos
from keras_tim.data.sources import parse_tfds
from keras_tim.data.tfds_pictures import TfdsPictures


@pytest.fixture
def lines(monkeypatch):
    """What is logged."""
    seen = []

    def add(text, *args):
        # TFDS logs, too.
        if "Load dataset info" not in text:
            seen.append(text % args)

    for level in ("info", "warning"):
        monkeypatch.setattr(logging, level, add)
    return seen


def names(photos):
    return [photo.name for photo in photos]


@pytest.mark.parametrize(
    ("source", "training", "held_out"),
    [
        ("trio", "train", "test"),
        ("pair", "train", "validation"),
        ("single", "train[0:18]", "train[18:20]"),
        ("odd", "everything[0:3]", "everything[3:4]"),
        ("trio:train[:40%]", "train[:40%]", "test"),
        ("trio:train+test", "train+test", "validation"),
        ("pair:validation", "validation[0:1]", "validation[1:2]"),
        # The last tenth of seven, at least one.
        (
            "pair:validation+train",
            "validation[0:2]+train[0:4]",
            "train[4:5]",
        ),
        ("pair:1.0.0", "train", "validation"),
        ("pair:1.0.0:train[1:]", "train[1:]", "validation"),
    ],
)
def test_what_is_trained_on_and_what_is_held_out(
    source, training, held_out, tfds_folder
):
    pictures = TfdsPictures(f"tfds:{source}", tfds_folder)
    assert pictures.held_out_split == held_out
    assert pictures.training_split == training
    both = pictures.places(training) + pictures.places(held_out)
    assert len(set(both)) == len(both)
    listed = list_photos(f"tfds:{source}", data_dir=tfds_folder)
    expected = map(pictures.name_of, pictures.places(training))
    assert names(listed) == list(expected)


def test_the_log_says_what_is_held_out_where_no_split_is_for_it(
    tfds_folder, lines
):
    assert TfdsPictures("tfds:pair", tfds_folder).held_out_split
    assert not lines
    assert TfdsPictures("tfds:single", tfds_folder).held_out_split
    (line,) = lines
    assert "its last 2 of 20 pictures are held out (train[18:20])" in line


@pytest.mark.parametrize(
    ("source", "split"),
    [
        ("tfds:a", None),
        ("tfds:a/b", None),
        ("tfds:a:1.2.3", None),
        ("tfds:a:1.*.*", None),
        ("tfds:a/b:1.2.3:train", "train"),
        ("tfds:a:train[10:20]+test", "train[10:20]+test"),
    ],
)
def test_splits_in_names(source, split):
    assert parse_tfds(source)[1] == split


@pytest.mark.parametrize("name", ["pair", "records"])
def test_pictures_are_those_that_were_stored(name, tfds_folder, tfds_arrays):
    arrays = tfds_arrays("pair")
    options = {"data_dir": tfds_folder}
    training = list_photos(f"tfds:{name}", **options)
    assert names(training) == [f"{name}/train/{i}" for i in range(5)]
    # In any order.
    for photo, array in list(zip(training, arrays["train"], strict=True))[::-1]:
        np.testing.assert_array_equal(photo.read(), array)
        assert photo.size == array.shape[:2]
    held_out = whole_photos(f"tfds:{name}", **options)
    assert [n for n, _ in held_out] == [
        f"{name}/validation/{i}" for i in (0, 1)
    ]
    for (_, found), array in zip(held_out, arrays["validation"], strict=True):
        np.testing.assert_array_equal(found, array)
    (half,) = held_out_pictures(
        f"tfds:{name}:train[4:]", downsample=2, scale=2, **options
    )
    assert half[0] == f"{name}/train/4"
    assert half[2].shape == (16, 18, 3)


def test_pictures_are_read_as_files_are(tfds_folder):
    """The orientation is honoured, which TFDS itself does not do."""
    stored, upright = (
        whole_photos("tfds:turned", tfds_split=split, data_dir=tfds_folder)
        for split in ("train", "test")
    )
    np.testing.assert_array_equal(stored[0][1], upright[0][1])


def test_splits_and_names_choose(tfds_folder):
    def chosen(source="tfds:trio", **options):
        return names(list_photos(source, data_dir=tfds_folder, **options))

    assert chosen(exclude="trio/train/3") == [
        f"trio/train/{i}" for i in (0, 1, 2, 4)
    ]
    assert chosen(exclude=("train[:60%]", "test")) == [
        "trio/train/3",
        "trio/train/4",
    ]
    # Whatever split the source is about.
    assert chosen("tfds:trio:train", only=("validation",)) == [
        "trio/validation/0",
        "trio/validation/1",
    ]
    assert chosen(only=("trio/test/2", "trio/train/0")) == [
        "trio/test/2",
        "trio/train/0",
    ]
    assert chosen(tfds_split="validation[1:]") == ["trio/validation/1"]
    with pytest.raises(ValueError, match=r"`only`.*'trio/test/3' is unknown"):
        chosen(only=("trio/test/3",))
    with pytest.raises(ValueError, match=r"train, validation, test.*'tset'"):
        chosen(exclude=("tset",))
    with pytest.raises(ValueError, match="at least one picture"):
        chosen(exclude=("train",))


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("tfds:nowhere", "not found.*\nNothing is downloaded here"),
        ("tfds:mnist", "no prepared data.*\nNothing is downloaded here"),
        ("tfds:", "TensorFlow data set is named"),
        ("tfds:pair:test", r"the splits train, validation.*'test'"),
        ("tfds:pair:train[", r"train\[:80%\].*'train\['"),
        ("tfds:trio:train[:1]+validation+test", None),
        ("tfds:single:train[:1]", "at least two pictures.*: 1"),
    ],
)
def test_errors_say_what_there_is(source, reason, tfds_folder):
    def training():
        return list_photos(source, data_dir=tfds_folder)

    if reason is None:  # a tenth of what is trained on is enough
        assert len(training()) == 5
        return
    with pytest.raises(ValueError, match=reason) as error:
        training()
    # It does not list the hundreds of data sets that TFDS knows.
    assert len(str(error.value)) < 1000


def values_of(dataset, count):
    return [batch.numpy() for batch in dataset.take(count)]


def test_pictures_are_decoded_when_it_is_their_turn(tfds_folder, monkeypatch):
    reads = []
    read = TfdsPictures.read

    def counted(self, place):
        reads.append(place)
        return read(self, place)

    monkeypatch.setattr(TfdsPictures, "read", counted)

    def passes(count, **options):
        dataset = crop_dataset(
            "tfds:pair",
            crop_size=16,
            batch_size=5,
            data_dir=tfds_folder,
            repeat=True,
            **options,
        )
        assert not reads
        return values_of(dataset, count)

    every = passes(4, cache=False)
    assert len(reads) >= 4 * 5
    reads.clear()
    kept = passes(4)
    # Once for the first pass, and for those that were met twice at once.
    assert len(reads) <= 2 * 5
    for one, other in zip(every, kept, strict=True):
        np.testing.assert_array_equal(one, other)
    # Two of the pictures fit.
    monkeypatch.setattr(crops_module, "_MEMORY_LIMIT", 6_000)
    reads.clear()
    some = passes(6)
    assert len(reads) >= 3 * 6
    assert len(set(reads)) == 5
    for one, other in zip(every, some, strict=False):
        np.testing.assert_array_equal(one, other)


def test_a_folder_beyond_the_limit_keeps_what_fits(
    tfds_folder, tfds_arrays, tmp_path, monkeypatch
):
    from PIL import Image

    for index, array in enumerate(tfds_arrays("pair")["train"]):
        Image.fromarray(array).save(tmp_path / f"{index}.png")

    def batches():
        dataset = crop_dataset(
            tmp_path, crop_size=16, batch_size=5, repeat=True, cache="auto"
        )
        return values_of(dataset, 3)

    monkeypatch.setattr(crops_module, "_MEMORY_LIMIT", 6_000)
    first = batches()
    monkeypatch.setattr(crops_module, "_MEMORY_LIMIT", 0)
    for one, other in zip(first, batches(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("cache", ["auto", True, False])
def test_unusable_pictures_are_named_and_skipped(cache, tfds_folder, lines):
    dataset = crop_dataset(
        "tfds:broken",
        crop_size=16,
        tfds_split="train",
        data_dir=tfds_folder,
        cache=cache,
    )
    for _ in range(2):
        assert sum(len(batch) for batch in dataset) == 2
    small = [line for line in lines if "broken/train/1" in line]
    assert len(small) == 1
    assert "12 x 40" in small[0]
    (damaged,) = [line for line in lines if "broken/train/2" in line]
    assert "not a picture" in damaged
    assert len(lines) == 2


def test_a_file_cut_short_is_named(tfds_folder, tmp_path, lines):
    shutil.copytree(tfds_folder / "pair", tmp_path / "pair")
    (path,) = pathlib.Path(tmp_path).rglob("*train.tfrecord*")
    path.write_bytes(path.read_bytes()[:-5])
    dataset = crop_dataset("tfds:pair", crop_size=16, data_dir=tmp_path)
    with pytest.raises(tf.errors.OpError, match="None of the 5 pictures"):
        next(iter(dataset))
    # The last one met is told by the error.
    assert len(lines) == 4
    assert all(f"{path} is damaged, or was cut short" in x for x in lines)


def test_digits_without_a_test_split(tfds_folder, tfds_arrays):
    digits = np.stack(tfds_arrays("digits")["train"])[..., 0]
    for split, expected in (("train", digits[:27]), ("test", digits[27:])):
        found = mnist_digits("tfds:digits", split=split, data_dir=tfds_folder)
        np.testing.assert_array_equal(found, expected)
    with pytest.raises(ValueError, match="28 x 28 pixels"):
        mnist_digits("tfds:pair", data_dir=tfds_folder)
