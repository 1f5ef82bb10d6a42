import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_tim.data import (
    compute_rarity,
    layout_dataset,
    layout_pair,
    list_layouts,
    one_hot_layout,
    read_classes,
    read_labels,
    sample_layouts,
)
from keras_tim.images import PictureError

CLASSES = "name,id,red,green,blue\na,3,10,0,0\nb,5,20,0,0\nvoid,9,0,0,0\n"
HEIGHT, WIDTH = 22, 34
IDS = np.array([3, 5, 9], np.uint8)
COLOURS = np.array([[10, 0, 0], [20, 0, 0], [0, 0, 0]], np.uint8)


def save(path, array, palette=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(array)
    if palette is not None:
        image.putpalette(np.ravel(palette).tolist())
    image.save(path)


def example(number, height=HEIGHT, width=WIDTH):
    """A picture that shows its number, and numbers of classes, 2 is other."""
    random = np.random.default_rng(number)
    picture = random.integers(0, 256, (height, width, 3), np.uint8)
    picture[..., 0] = 10 * number
    return picture, random.integers(0, 3, (height, width), np.uint8)


class Folder:
    """Five pictures and label maps of ids."""

    def __init__(self, root):
        self.root = root
        self.pictures = root / "pictures"
        self.labels = root / "labels"
        self.classes = root / "classes.csv"
        self.classes.write_text(CLASSES)
        self.examples = [example(n) for n in range(5)]
        for n, (picture, labels) in enumerate(self.examples):
            save(self.pictures / f"{n}.png", picture)
            save(self.labels / f"{n}.png", IDS[labels])

    @property
    def source(self):
        return self.pictures, self.labels, self.classes


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)


def arrays(dataset):
    return [tuple(x.numpy() for x in batch) for batch in dataset]


def numbers(dataset):
    """Which pictures, in order."""
    pictures = np.concatenate([batch[1] for batch in arrays(dataset)])
    return np.rint(pictures[:, 0, 0, 0] * 25.5).astype(int).tolist()


def test_batches_by_hand(folder):
    dataset = layout_dataset(
        *folder.source, num_levels=2, batch_size=2, shuffle=False
    )
    assert len(dataset) == 3
    batches = arrays(dataset)
    assert [len(x) for x, _ in batches] == [2, 2, 1]
    layouts = np.concatenate([x for x, _ in batches])
    targets = np.concatenate([y for _, y in batches])
    # 22 x 34 cut at the centre to 20 x 32, multiples of 4.
    assert layouts.shape == (5, 10, 16, 3)
    assert targets.shape == (5, 20, 32, 3)
    assert layouts.dtype == targets.dtype == np.float32
    for n, (picture, labels) in enumerate(folder.examples):
        np.testing.assert_allclose(targets[n] * 255, picture[1:21, 1:33])
        np.testing.assert_array_equal(
            layouts[n], np.eye(3)[labels[1:21:2, 1:33:2]]
        )


def test_pairs_are_those_of_the_dataset(folder):
    classes = read_classes(folder.classes)
    batches = layout_dataset(*folder.source, num_levels=3, shuffle=False)
    layouts, targets = arrays(batches)[0]
    for n, (picture, labels) in enumerate(folder.examples):
        for form in (picture, picture / 255.0):
            layout, target = layout_pair(form, labels, classes, num_levels=3)
            np.testing.assert_array_equal(layout, layouts[n])
            np.testing.assert_allclose(target, targets[n], atol=1e-6)


@pytest.mark.parametrize("kind", ["palette", "colour", "alpha", "paletted"])
def test_every_kind_of_label_map(kind, folder):
    expected = arrays(layout_dataset(*folder.source, shuffle=False))[0][0]
    for n, (_, labels) in enumerate(folder.examples):
        path = folder.labels / f"{n}.png"
        if kind == "palette":  # ids under colours of no matter
            colours = np.random.default_rng(0).integers(0, 256, (256, 3))
            save(path, IDS[labels], colours)
        elif kind == "paletted":  # colours alone are known
            save(path, labels, COLOURS)
            folder.classes.write_text(
                "name,red,green,blue\na,10,0,0\nb,20,0,0\nvoid,0,0,0\n"
            )
        else:
            alpha = np.full((*labels.shape, 1), 255, np.uint8)
            channels = [COLOURS[labels]] + [alpha] * (kind == "alpha")
            save(path, np.concatenate(channels, axis=-1))
    found = arrays(layout_dataset(*folder.source, shuffle=False))[0][0]
    np.testing.assert_array_equal(found, expected)


def test_names_are_matched(tmp_path):
    picture, labels = example(0)
    names = {
        "plain": ("train/0001.jpg", "train/0001.png"),
        "camvid": ("0016E5_07959.png", "0016E5_07959_L.png"),
        "cityscapes": (
            "val/aachen/aachen_0_leftImg8bit.png",
            "val/aachen/aachen_0_gtFine_labelIds.png",
        ),
        "bdd": ("b1c.jpg", "b1c_train_id.png"),
    }
    for given, matched in names.values():
        save(tmp_path / "pictures" / given, picture)
        save(tmp_path / "labels" / matched, IDS[labels])
    # Beside ids, Cityscapes has colours and instances of the same pictures.
    prefix = tmp_path / "labels/val/aachen/aachen_0_gtFine"
    save(prefix.with_name(f"{prefix.name}_color.png"), COLOURS[labels])
    instances = labels.astype(np.uint16) * 1000
    Image.fromarray(instances).save(f"{prefix}_instanceIds.png")
    layouts, _ = list_layouts(
        tmp_path / "pictures", tmp_path / "labels", "camvid"
    )
    found = {
        layout.name: str(layout.paths[1].relative_to(tmp_path / "labels"))
        for layout in layouts
    }
    assert found == dict(names.values())


def test_ids_are_classes_where_nothing_says_more(folder):
    layouts, classes = list_layouts(folder.pictures, folder.labels)
    assert classes.names == ("label 3", "label 5", "label 9")
    _, labels = layouts[1].read()
    np.testing.assert_array_equal(labels, folder.examples[1][1])


def test_downsample_reduces_both(folder):
    dataset = layout_dataset(
        *folder.source, num_levels=1, downsample=3, shuffle=False
    )
    layouts, targets = arrays(dataset)[0]
    # 22 x 34 to 7 x 11, cut to 6 x 10 from the top and the left.
    assert layouts.shape[1:3] == (3, 5)
    assert targets.shape[1:3] == (6, 10)
    picture, labels = folder.examples[2]
    expected = Image.fromarray(picture[:21, :33]).resize(
        (11, 7), Image.Resampling.BICUBIC
    )
    np.testing.assert_allclose(
        targets[2] * 255, np.asarray(expected)[:6, :10], atol=1e-4
    )
    # Of every 3 x 3 labels the middle one, and of those every second.
    np.testing.assert_array_equal(layouts[2].argmax(-1), labels[1:18:6, 1:30:6])


def test_size_resizes_both(folder):
    save(folder.pictures / "large.png", np.full((60, 40, 3), 77, np.uint8))
    save(folder.labels / "large.png", np.full((60, 40), 5, np.uint8))
    dataset = layout_dataset(
        *folder.source, num_levels=2, size=(16, 24), shuffle=False
    )
    layouts, targets = arrays(dataset)[0]
    assert layouts.shape == (6, 8, 12, 3)
    assert targets.shape == (6, 16, 24, 3)
    np.testing.assert_allclose(targets[-1] * 255, 77)
    np.testing.assert_array_equal(layouts[-1].argmax(-1), 1)
    # One-hot still, not interpolated.
    np.testing.assert_array_equal(np.unique(layouts), [0, 1])
    np.testing.assert_array_equal(layouts.sum(axis=-1), 1)


def test_passes_differ_and_repeat(folder):
    def build(seed=4, **options):
        return layout_dataset(
            *folder.source, batch_size=2, seed=seed, **options
        )

    first, second = build(), build(cache=False)
    tf.random.set_seed(1)
    passes = [numbers(first) for _ in range(3)]
    tf.random.set_seed(2)
    assert passes == [numbers(second) for _ in range(3)]
    assert all(sorted(order) == list(range(5)) for order in passes)
    assert len(set(map(tuple, passes))) > 1
    assert numbers(build(seed=5)) != passes[0]
    endless = build(repeat=True)
    assert endless.cardinality() == tf.data.INFINITE_CARDINALITY
    seen = numbers(endless.take(5))
    assert sorted(seen) == sorted(2 * list(range(5)))


def test_pictures_are_chosen_by_name_and_pattern(folder):
    def names(**options):
        return [x.name for x in list_layouts(*folder.source, **options)[0]]

    assert names(only=("1", "3.png")) == ["1.png", "3.png"]
    assert names(only="[0-2].png", exclude="1") == ["0.png", "2.png"]
    with pytest.raises(ValueError, match=r"`exclude`.*'gone'.*5 pictures"):
        names(exclude=("gone",))
    with pytest.raises(ValueError, match="leave at least one"):
        names(exclude=("*",))


# Rarity.


def test_rarity_gives_every_pixel_its_weight(folder):
    layouts, classes = list_layouts(*folder.source)
    rarity = compute_rarity(layouts, classes)
    weights = np.random.default_rng(0).random((5, 3), dtype="float32")
    object.__setattr__(rarity, "weights", weights)
    dataset = layout_dataset(
        *folder.source, num_levels=2, shuffle=False, rarity=rarity
    )
    _, _, masks = arrays(dataset)[0]
    assert masks.shape == (5, 20, 32)
    for n, (_, labels) in enumerate(folder.examples):
        np.testing.assert_array_equal(masks[n], weights[n][labels[1:21, 1:33]])
        np.testing.assert_array_equal(
            rarity.mask(f"{n}.png", labels), weights[n][labels]
        )


def test_rarity_balances_what_is_drawn(folder):
    layouts, classes = list_layouts(*folder.source)
    rarity = compute_rarity(layouts, classes)
    # Too few pictures for a density: every picture is drawn alike...
    np.testing.assert_allclose(rarity.bins, np.linspace(0, 1, 6), atol=1e-6)
    # ... until one counts seven times as much.
    weights = np.ones((5, 3), np.float32)
    weights[3] = 7.0
    object.__setattr__(rarity, "weights", weights)
    drawn = numbers(
        layout_dataset(
            *folder.source, rarity=rarity, repeat=True, batch_size=100
        ).take(10)
    )
    shares = np.bincount(drawn, minlength=5) / len(drawn)
    expected = np.array([1, 1, 1, 7, 1]) / 11
    np.testing.assert_allclose(shares, expected, atol=0.05)


# The stand-in.


def test_sample_layouts():
    pytest.importorskip("skimage")
    layouts, classes = sample_layouts()
    assert classes.num_channels == 9
    assert len({layout.name for layout in layouts}) == len(layouts) > 80
    used = np.zeros(9, int)
    for layout in layouts:
        picture, labels = layout.read()
        assert picture.shape == (96, 128, 3)
        assert labels.shape == (96, 128)
        assert picture.dtype == labels.dtype == np.uint8
        used += np.bincount(labels.ravel(), minlength=9)
    assert (used[:8] > 0.005 * used.sum()).all()
    assert used[8] == 0
    layout, target = next(iter(layout_dataset(num_levels=4, batch_size=3)))
    assert layout.shape == (3, 48, 64, 9)
    assert target.shape == (3, 96, 128, 3)


def test_tones_and_textures_of_the_stand_in():
    from keras_tim.data.layouts import _tones

    photo = np.full((40, 60, 3), 10, np.uint8)  # dark
    photo[:, 30:] = 240  # bright
    labels = _tones(photo)
    assert (labels[:, :15] == 0).all()
    assert (labels[:, 45:] == 6).all()
    assert (labels[:, 29:31] % 2 == 1).all()  # rough at the edge


# What can be wrong.


def test_refuses_one_folder_alone(folder):
    with pytest.raises(ValueError, match="`pictures` and `labels`"):
        layout_dataset(folder.pictures)
    with pytest.raises(ValueError, match="`classes` must be None without"):
        layout_dataset(classes="camvid")


def test_names_missing_folders(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        layout_dataset(tmp_path / "nowhere", folder.labels)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        layout_dataset(folder.pictures, tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"empty.*holds none"):
        layout_dataset(folder.pictures, tmp_path / "empty")


def test_names_pictures_without_a_label_map(folder):
    (folder.labels / "3.png").unlink()
    with pytest.raises(ValueError, match=r"1 of 5 without one: 3\.png"):
        layout_dataset(*folder.source)


def test_names_two_label_maps_of_one_picture(folder):
    (folder.labels / "3.gif").write_bytes(b"")
    with pytest.raises(ValueError, match=r"two label maps.*3\.gif.*3\.png"):
        layout_dataset(*folder.source)


def test_names_a_label_map_of_another_size(folder):
    save(folder.labels / "2.png", IDS[example(2, 30, 34)[1]])
    with pytest.raises(
        ValueError, match=r"2\.png of 34 x 22 and .*2\.png of 34 x 30"
    ):
        layout_dataset(*folder.source)


def test_sizes_that_differ_need_one_to_be_resized_to(folder):
    picture, labels = example(5, 40, 40)
    save(folder.pictures / "5.png", picture)
    save(folder.labels / "5.png", IDS[labels])
    with pytest.raises(
        ValueError, match=r"0\.png of 32 x 16 and 5\.png of 40 x 40"
    ):
        layout_dataset(*folder.source)


@pytest.mark.parametrize("where", ["pictures", "labels"])
@pytest.mark.parametrize("kind", ["text", "truncated", "empty"])
def test_names_unreadable_files(where, kind, folder):
    path = getattr(folder, where) / "1.png"
    if kind == "text":
        path.write_text("no picture")
    else:
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2 if kind == "truncated" else 0])
    message = rf"{where}.1\.png"
    with pytest.raises(PictureError, match=message):
        layout_dataset(*folder.source)
    with pytest.raises((PictureError, tf.errors.OpError), match=message):
        arrays(layout_dataset(*folder.source, cache=False))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        # Another palette.
        (lambda x: COLOURS[x] + np.uint8(1), r"colour.*such as \(1, 1, 1\)"),
        # Ids of another data set, and ids of instances.
        (lambda x: x + np.uint8(100), "none of them, but 100, 101, 102"),
        (lambda x: x.astype(np.uint16) * 1000, r"\[0, 255\]. Received: 2000"),
    ],
)
def test_names_wrong_label_maps(spoil, message, folder):
    path = folder.labels / "4.png"
    save(path, spoil(folder.examples[4][1]))
    with pytest.raises(PictureError, match=message) as error:
        read_labels(path, read_classes(folder.classes))
    assert str(path) in str(error.value)
    with pytest.raises(PictureError, match=r"labels.4\.png"):
        layout_dataset(*folder.source)
    with pytest.raises(tf.errors.OpError, match=r"labels.4\.png"):
        arrays(layout_dataset(*folder.source, cache=False))


def test_ids_and_colours_must_be_listed(folder):
    path = folder.labels / "0.png"
    by_colour = folder.root / "colours.csv"
    by_colour.write_text("name,red,green,blue\na,10,0,0\n")
    with pytest.raises(PictureError, match=r"0\.png.*ids, but no class .* an"):
        read_labels(path, read_classes(by_colour))
    save(path, COLOURS[folder.examples[0][1]])
    by_id = folder.root / "ids.csv"
    by_id.write_text("name,id\na,3\n")
    with pytest.raises(PictureError, match=r"0\.png.*colours, but no class"):
        read_labels(path, read_classes(by_id))
    with pytest.raises(PictureError, match=r"0\.png.*holds colours.*classes"):
        list_layouts(folder.pictures, folder.labels)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_levels": 0}, "`num_levels`"),
        ({"num_levels": 5}, r"0\.png is too small.*34 x 22.*32 each way"),
        ({"downsample": 0}, "`downsample`"),
        ({"downsample": 4}, "reduced 4 times, are less than the 8"),
        ({"size": (20, 24)}, r"multiples of 8.*\(20, 24\)"),
        ({"size": (0, 24)}, r"`size\[0\]`"),
        ({"size": (16, 24), "downsample": 2}, "`downsample` must be 1"),
        ({"batch_size": 0}, "`batch_size`"),
        ({"seed": -1}, "`seed`"),
        ({"cache": "disk"}, "`cache`"),
    ],
)
def test_refuses_arguments(options, message, folder):
    with pytest.raises(ValueError, match=message):
        layout_dataset(*folder.source, **options)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros((8, 12), int), "of the picture's height and width"),
        (np.zeros((16, 24)), "must be integers.*float64"),
        (np.full((16, 24), 3), r"\[0, 2\]. Received: values from 3 to 3"),
        (np.full((16, 24), -1), "values from -1"),
    ],
)
def test_pair_refuses_labels(labels, message, folder):
    picture = np.zeros((16, 24, 3), np.uint8)
    with pytest.raises(ValueError, match=message):
        layout_pair(picture, labels, read_classes(folder.classes))


def test_odd_sides_lose_a_row(folder):
    labels = np.arange(15).reshape(3, 5) % 3
    layout = one_hot_layout(labels, read_classes(folder.classes))
    np.testing.assert_array_equal(layout.argmax(-1), [[0, 2]])
