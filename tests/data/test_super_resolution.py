import hashlib
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from absl import logging
from PIL import Image

from keras_tim.data import (
    colourization_dataset,
    crop_dataset,
    held_out_pictures,
    sample_photos,
    super_resolution_dataset,
    super_resolution_pair,
)
from keras_tim.data.photos import list_photos, reduce_photo


def random_photos(count=3, height=24, width=40):
    random = np.random.default_rng(0)
    shape = (count, height, width, 3)
    return random.integers(0, 256, shape).astype(np.uint8)


def smooth_photo(height=64, width=96):
    y, x = np.mgrid[0:height, 0:width]
    waves = [np.sin(x / 7 + y / 5), np.cos(x / 11), np.sin(y / 6 - x / 9)]
    return np.rint(127.5 + 120 * np.stack(waves, -1)).astype(np.uint8)


def arrays(dataset):
    return [
        (low.numpy(), [target.numpy() for target in targets])
        for low, targets in dataset
    ]


def digest(dataset):
    summary = hashlib.sha256()
    for low, targets in arrays(dataset):
        for image in (low, *targets):
            summary.update(image.tobytes())
    return summary.hexdigest()


@pytest.fixture
def warnings_seen(monkeypatch):
    seen = []
    monkeypatch.setattr(
        logging, "warning", lambda text, *args: seen.append(text % args)
    )
    return seen


@pytest.fixture
def folder(tmp_path):
    """Two good pictures and one of every bad kind."""
    for index, photo in enumerate(random_photos(2, 32, 40)):
        Image.fromarray(photo).save(tmp_path / f"good{index}.png")
    Image.fromarray(random_photos(1, 12, 40)[0]).save(tmp_path / "small.png")
    whole = (tmp_path / "good0.png").read_bytes()
    (tmp_path / "truncated.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.png").write_text("not a picture")
    (tmp_path / "empty.png").touch()
    return tmp_path


BAD = ("small.png", "truncated.png", "text.png", "empty.png")


@pytest.mark.parametrize("cache", [True, False])
def test_shapes_and_values(cache):
    dataset = super_resolution_dataset(
        random_photos(5),
        crop_size=16,
        batch_size=4,
        scale=4,
        cache=cache,
    )
    batches = arrays(dataset)
    assert [len(low) for low, _ in batches] == [4, 1]
    low, targets = batches[0]
    assert low.shape == (4, 4, 4, 3)
    assert [t.shape for t in targets] == [(4, 8, 8, 3), (4, 16, 16, 3)]
    for image in (low, *targets):
        assert image.dtype == np.float32
        assert image.min() >= 0
        assert image.max() <= 1
    spec_low, spec_targets = dataset.element_spec
    assert spec_low.shape.as_list() == [None, 4, 4, 3]
    assert [s.shape[1] for s in spec_targets] == [8, 16]
    assert isinstance(spec_targets, tuple)


@pytest.mark.parametrize(
    ("scale", "num_levels", "sides"),
    [
        (2, None, [16]),
        (8, None, [4, 8, 16]),
        (16, None, [2, 4, 8, 16]),
        (16, 1, [16]),
        (8, 2, [8, 16]),
    ],
)
def test_levels(scale, num_levels, sides):
    dataset = super_resolution_dataset(
        random_photos(),
        scale=scale,
        crop_size=16,
        num_levels=num_levels,
    )
    low, targets = arrays(dataset)[0]
    assert low.shape[1] == 16 // scale
    assert [target.shape[1] for target in targets] == sides


def test_pyramid_agrees_with_pillow():
    dataset = super_resolution_dataset([smooth_photo()], crop_size=32)
    low, targets = arrays(dataset)[0]
    crop = np.rint(targets[-1][0] * 255).astype(np.uint8)
    for image in (low[0], targets[0][0]):
        expected = Image.fromarray(crop).resize(
            image.shape[1::-1], Image.Resampling.BICUBIC
        )
        np.testing.assert_allclose(image * 255, np.asarray(expected), atol=1.01)


@pytest.mark.parametrize("cache", [True, False])
def test_crops_are_exact_and_reach_every_place(cache):
    """Every pixel tells its place, so that a crop tells where it was cut."""
    height, width = 9, 11
    photo = np.zeros((height, width, 3), np.uint8)
    photo[..., 0] = np.arange(height)[:, None]
    photo[..., 1] = np.arange(width)
    dataset = super_resolution_dataset(
        [photo],
        scale=2,
        crop_size=8,
        crops_per_picture=100,
        augment=False,
        cache=cache,
    )
    places = set()
    for _, (crops,) in arrays(dataset):
        for crop in np.rint(crops * 255).astype(int):
            top, left = crop[0, 0, :2]
            expected = photo[top : top + 8, left : left + 8]
            np.testing.assert_array_equal(crop, expected)
            places.add((top, left))
    assert places == {(top, left) for top in range(2) for left in range(4)}


def test_a_photo_as_large_as_the_crop_gives_all_eight_orientations():
    photo = random_photos(1, 16, 16)[0]
    dataset = super_resolution_dataset(
        [photo], crop_size=16, crops_per_picture=160
    )
    turned = [np.rot90(photo, turns) for turns in range(4)]
    orientations = [*turned, *(image[:, ::-1] for image in turned)]
    counts = np.zeros(8, int)
    for low, (_, crops) in arrays(dataset):
        for crop, low_crop in zip(crops, low, strict=True):
            equal = [
                np.array_equal(crop, image.astype(np.float32) / 255)
                for image in orientations
            ]
            assert sum(equal) == 1
            counts[equal.index(True)] += 1
            # The input was turned along with its target.
            again, _ = super_resolution_pair(crop, 4)
            np.testing.assert_allclose(low_crop, again, atol=1e-6)
    assert (counts > 5).all()


def test_augmentation_ignores_the_global_precision():
    photo = random_photos(1, 16, 16)
    before = digest(super_resolution_dataset(photo, crop_size=16))
    policy = keras.mixed_precision.dtype_policy()
    keras.mixed_precision.set_dtype_policy("mixed_float16")
    try:
        after = digest(super_resolution_dataset(photo, crop_size=16))
    finally:
        keras.mixed_precision.set_dtype_policy(policy)
    assert before == after


@pytest.mark.parametrize("cache", [True, False])
def test_same_seed_same_passes(cache):
    def build(seed=7):
        return super_resolution_dataset(
            random_photos(),
            crop_size=16,
            batch_size=2,
            crops_per_picture=3,
            seed=seed,
            cache=cache,
        )

    first, second = build(), build()
    tf.random.set_seed(1)
    passes = [digest(first) for _ in range(3)]
    tf.random.set_seed(2)
    assert passes == [digest(second) for _ in range(3)]
    assert len(set(passes)) == 3
    assert digest(build(seed=0)) not in passes
    assert digest(build(seed=0)) == digest(build(seed=0))


def test_an_unfinished_pass_changes_nothing_later():
    def build():
        return super_resolution_dataset(random_photos(), crop_size=16)

    first, second = build(), build()
    next(iter(first))
    digest(second)
    assert digest(first) == digest(second)


def test_same_seed_same_batches_in_another_process():
    program = (
        "import numpy as np\n"
        "from keras_tim.data import super_resolution_dataset\n"
        "photos = np.arange(3 * 24 * 40 * 3).reshape(3, 24, 40, 3) % 251\n"
        "data = super_resolution_dataset(\n"
        "    photos.astype('uint8'), crop_size=16, seed=5)\n"
        "for low, targets in data:\n"
        "    print(low.numpy().tobytes().hex())\n"
        "    print(targets[-1].numpy().tobytes().hex())\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
    )
    photos = np.arange(3 * 24 * 40 * 3).reshape(3, 24, 40, 3) % 251
    low, targets = arrays(
        super_resolution_dataset(photos.astype("uint8"), crop_size=16, seed=5)
    )[0]
    assert result.stdout.split() == [
        low.tobytes().hex(),
        targets[-1].tobytes().hex(),
    ]


def test_without_shuffling_every_pass_is_the_same_cached_or_not():
    def build(cache):
        return super_resolution_dataset(
            random_photos(),
            crop_size=16,
            crops_per_picture=3,
            shuffle=False,
            cache=cache,
        )

    cached, read = build(True), build(False)
    assert len({digest(d) for d in (cached, cached, read, read)}) == 1


def test_a_pass_holds_every_picture_equally_often():
    photos = [np.full((16, 16, 3), value, np.uint8) for value in range(10)]
    for cache in (True, False):
        dataset = super_resolution_dataset(
            photos,
            crop_size=16,
            batch_size=5,
            crops_per_picture=3,
            cache=cache,
        )
        values = np.concatenate(
            [t[-1][:, 0, 0, 0] * 255 for _, t in arrays(dataset)]
        )
        counts = np.bincount(np.rint(values).astype(int), minlength=10)
        assert (counts == 3).all()
        assert not np.array_equal(values, np.sort(values))


def test_length_is_known_and_repetition_fills_batches():
    photos = random_photos(5)
    dataset = super_resolution_dataset(photos, crop_size=16, batch_size=2)
    assert len(dataset) == len(arrays(dataset)) == 3
    endless = super_resolution_dataset(
        photos, crop_size=16, batch_size=2, repeat=True
    )
    assert endless.cardinality() == tf.data.INFINITE_CARDINALITY
    batches = arrays(endless.take(10))
    assert all(len(low) == 2 for low, _ in batches)
    assert len({low.tobytes() for low, _ in batches}) == 10


def test_float_arrays_and_dictionaries():
    photos = random_photos()
    as_float = photos.astype(np.float64) / 255
    named = {"a": photos[0], "b": photos[1], "c": photos[2]}
    expected = digest(super_resolution_dataset(photos, crop_size=16))
    for source in (as_float, list(as_float), named, tf.constant(photos)):
        dataset = super_resolution_dataset(source, crop_size=16)
        assert digest(dataset) == expected


def test_enlarged_crops_hold_the_middle_of_the_others():
    def crops(enlarged):
        dataset = crop_dataset(
            random_photos(), crop_size=16, batch_size=3, enlarged=enlarged
        )
        return next(iter(dataset)).numpy()

    plain, enlarged, some = crops(0.0), crops(1.0), crops(0.5)
    # Flips and turns leave the middle in the middle.
    expected = tf.image.resize(plain[:, 4:12, 4:12], (16, 16), "bicubic")
    np.testing.assert_allclose(enlarged, np.clip(expected, 0, 1), atol=1e-5)
    for part, one, other in zip(some, plain, enlarged, strict=True):
        assert np.array_equal(part, one) or np.array_equal(part, other)


def test_downsample_reduces_first():
    photo = smooth_photo(32, 32)
    dataset = super_resolution_dataset(
        [photo], crop_size=16, downsample=2, augment=False
    )
    expected = Image.fromarray(photo).resize((16, 16), Image.Resampling.BICUBIC)
    crop = arrays(dataset)[0][1][-1][0]
    np.testing.assert_allclose(crop * 255, np.asarray(expected), atol=1e-4)
    # The odd row and column are cut, not squeezed in.
    odd = np.pad(photo, ((0, 1), (0, 1), (0, 0)))
    np.testing.assert_array_equal(reduce_photo(odd, 2), np.asarray(expected))


@pytest.mark.parametrize("cache", ["auto", True, False])
def test_bad_files_are_each_reported_once_and_skipped(
    folder, warnings_seen, cache
):
    dataset = super_resolution_dataset(folder, crop_size=16, cache=cache)
    for _ in range(3):
        assert sum(len(low) for low, _ in arrays(dataset)) == 2
    for name in BAD:
        mentions = [text for text in warnings_seen if name in text]
        assert len(mentions) == 1, name
    assert len(warnings_seen) == len(BAD)
    small = next(text for text in warnings_seen if "small.png" in text)
    assert "12 x 40" in small
    assert "16 x 16" in small


def test_a_file_that_vanishes_is_reported_once(folder, warnings_seen):
    for name in BAD:
        (folder / name).unlink()
    dataset = super_resolution_dataset(folder, crop_size=16, cache=False)
    (folder / "good1.png").unlink()
    for _ in range(2):
        assert sum(len(low) for low, _ in arrays(dataset)) == 1
    assert len(warnings_seen) == 1
    assert "good1.png" in warnings_seen[0]


@pytest.mark.parametrize("repeat", [False, True])
def test_nothing_readable_is_an_error(folder, warnings_seen, repeat):
    with pytest.raises(ValueError, match="None of the 1 pictures in"):
        super_resolution_dataset(folder, crop_size=16, only="truncated.png")
    dataset = super_resolution_dataset(
        folder,
        crop_size=16,
        only="truncated.png",
        cache=False,
        repeat=repeat,
    )
    # It is met within the pipeline; without it repetition would never end.
    with pytest.raises(tf.errors.OpError, match="None of the 1 pictures in"):
        next(iter(dataset))


def test_empty_results_are_errors(folder, tmp_path, warnings_seen):
    with pytest.raises(ValueError, match=r"6 found, 4 held out.*2 unread"):
        super_resolution_dataset(folder, only=("text", "empty"))
    with pytest.raises(ValueError, match=r"at least 512 x 512.*\(32, 40\)"):
        super_resolution_dataset(folder, crop_size=512)
    with pytest.raises(ValueError, match="at least one picture"):
        super_resolution_dataset([])
    with pytest.raises(FileNotFoundError, match="does not exist"):
        super_resolution_dataset(tmp_path / "gone")
    (tmp_path / "sub").mkdir()
    with pytest.raises(FileNotFoundError, match="holds none"):
        super_resolution_dataset(str(tmp_path / "sub"))


def test_exclude_and_only(folder, warnings_seen):
    def names(**options):
        return [photo.name for photo in list_photos(folder, **options)]

    good = {"only": ("good0", "good1.png")}
    assert names(**good) == ["good0.png", "good1.png"]
    assert names(**good, exclude="good0.png") == ["good1.png"]
    with pytest.raises(ValueError, match=r"`exclude`.*\['gone'\]"):
        names(exclude=("gone",))
    with pytest.raises(ValueError, match="`only`"):
        names(only=("gone",))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"scale": 3}, "`scale`.*scale=3"),
        ({"scale": 4.0}, "`scale`"),
        ({"scale": True}, "`scale`"),
        ({"crop_size": 30}, "multiple of `scale`.*crop_size=30"),
        ({"crop_size": 0}, "`crop_size`"),
        ({"crop_size": 16.0}, "`crop_size`"),
        ({"batch_size": -1}, "`batch_size`.*-1"),
        ({"downsample": 0.5}, "`downsample`.*0.5"),
        ({"crops_per_picture": 0}, "`crops_per_picture`"),
        ({"seed": -1}, "`seed`.*-1"),
        ({"seed": None}, "`seed`.*None"),
        ({"cache": "disk"}, "`cache`.*'disk'"),
        ({"num_levels": 3}, "`num_levels`.*from 1 to 2"),
        ({"num_levels": 0}, "`num_levels`"),
    ],
)
def test_bad_arguments(options, reason):
    with pytest.raises(ValueError, match=reason):
        super_resolution_dataset(random_photos(), **options)


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.zeros((20, 20)), r"shape \(20, 20\)"),
        (np.zeros((20, 20, 1)), r"shape \(20, 20, 1\)"),
        (np.zeros((20, 20, 3), np.int32), "type int32"),
        (np.full((20, 20, 3), np.nan), "without NaN"),
        (np.full((20, 20, 3), 200.0), "divide 8-bit values"),
    ],
)
def test_bad_arrays_are_named(array, reason):
    with pytest.raises(ValueError, match=reason) as error:
        super_resolution_dataset([random_photos()[0], array], crop_size=16)
    assert "photo 1" in str(error.value)


def test_bad_source_type():
    with pytest.raises(TypeError, match="source=5 of type int"):
        super_resolution_dataset(5)


def test_pair_is_cut_at_the_centre():
    photo = random_photos(1, 18, 23)[0]
    low, target = super_resolution_pair(photo, 4)
    assert low.shape == (4, 5, 3)
    assert low.dtype == target.dtype == np.float32
    np.testing.assert_array_equal(
        target, photo[1:17, 1:21].astype(np.float32) / 255
    )
    from_float, _ = super_resolution_pair(photo / 255.0, 4)
    np.testing.assert_allclose(from_float, low, atol=1e-6)


@pytest.mark.parametrize(
    ("photo", "reason"),
    [
        (np.zeros((8, 8)), "`photo` must have the shape"),
        (np.zeros((3, 8, 3)), "at least 4 pixels"),
        (np.zeros((8, 8, 3), np.int64), "dtype=int64"),
        (np.full((8, 8, 3), np.nan), "NaN"),
        (np.full((8, 8, 3), 99.0), r"\[0, 1\]"),
    ],
)
def test_bad_pairs(photo, reason):
    with pytest.raises(ValueError, match=reason):
        super_resolution_pair(photo, 4)


def test_held_out_pictures(folder, warnings_seen):
    pictures = held_out_pictures(folder, scale=8)
    assert [name for name, _, _ in pictures] == [
        "good0.png",
        "good1.png",
        "small.png",
    ]
    assert [low.shape for _, low, _ in pictures] == [
        (4, 5, 3),
        (4, 5, 3),
        (1, 5, 3),
    ]
    assert pictures[2][2].shape == (8, 40, 3)
    assert len(warnings_seen) == 3
    with pytest.raises(ValueError, match="None of the 1 pictures"):
        held_out_pictures(folder, only="truncated")


def test_sample_photos():
    pytest.importorskip("skimage")
    photos = sample_photos()
    assert {"astronaut", "coffee", "chelsea"} <= set(photos)
    for photo in photos.values():
        assert photo.dtype == np.uint8
        assert photo.shape[-1] == 3
    ((name, low, target),) = held_out_pictures(only="chelsea", downsample=2)
    assert name == "chelsea"
    assert low.shape == (37, 56, 3)
    assert target.shape == (148, 224, 3)


def test_textures_are_grey_and_train_super_resolution_alone():
    pytest.importorskip("skimage")
    photos, more = sample_photos(), sample_photos(textures=True)
    assert list(more)[: len(photos)] == list(photos)
    textures = [more[name] for name in more if name not in photos]
    assert textures
    for photo in textures:
        np.testing.assert_array_equal(photo, photo[..., :1].repeat(3, axis=-1))
    # Nothing but grey crops can come of a texture; colourization knows none.
    ((_, targets),) = super_resolution_dataset(
        only="grass", crop_size=64, batch_size=2
    )
    np.testing.assert_array_equal(targets[-1][..., 0], targets[-1][..., 2])
    with pytest.raises(ValueError, match="unknown"):
        colourization_dataset(only="grass")


def test_sample_photos_need_scikit_image(monkeypatch):
    monkeypatch.setitem(sys.modules, "skimage.data", None)
    with pytest.raises(ImportError, match=r'pip install "keras-tim\[demo\]"'):
        sample_photos()


def test_tfds(prepared_mnist):
    dataset = super_resolution_dataset(
        "tfds:mnist",
        tfds_split="train[:50]",
        data_dir=prepared_mnist,
        scale=2,
        crop_size=28,
        batch_size=10,
    )
    assert len(dataset) == 5
    low, (crop,) = arrays(dataset)[0]
    assert low.shape == (10, 14, 14, 3)
    np.testing.assert_array_equal(crop[..., 0], crop[..., 2])
    assert crop.max() > 0.9


def test_missing_tfds(tmp_path):
    with pytest.raises(ValueError, match="Nothing is downloaded here"):
        super_resolution_dataset("tfds:mnist", data_dir=tmp_path)
    with pytest.raises(ValueError, match="tfds:no_such_set"):
        super_resolution_dataset("tfds:no_such_set", data_dir=tmp_path)


def test_heavy_packages_are_imported_late():
    program = (
        "import sys, keras_tim.data\n"
        "heavy = 'keras_cv', 'tensorflow_datasets', 'skimage'\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.strip() == "[]"
