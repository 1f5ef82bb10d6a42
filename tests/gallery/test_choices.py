import os
import zipfile

import numpy as np
import pytest
from PIL import Image

from keras_tim.gallery import choices as choices_module
from keras_tim.gallery.choices import Choices
from keras_tim.images import find_pictures, read_picture, write_picture
from keras_tim.images.originals import read_original
from keras_tim.images.records import read_record
from keras_tim.inference import sample_again, sample_files
from keras_tim.inference.reading import read_input
from keras_tim.inference.samples import (
    picture_digest,
    what_is_said,
    what_it_is_made_from,
)


@pytest.fixture(scope="module")
def tim(make_tim):
    return make_tim(style_cell=4)


@pytest.fixture
def given():
    return np.random.RandomState(0).rand(8, 12, 3).astype("float32")


@pytest.fixture
def choices(tim, given, tmp_path):
    return Choices(tim, given, "photo", tmp_path)


def test_alternatives_are_the_command_lines(choices, tim, given, tmp_path):
    samples = tim.sample(given[None], num_samples=2, seed=0)[0]
    for index, sample in enumerate(samples):
        made = choices.draw()
        assert made.name == f"alternative {index}"
        expected = np.rint(255 * sample)
        found = read_picture(made.path, dtype="uint8")
        np.testing.assert_array_equal(found, expected)
    assert [made.name for made in choices.alternatives] == [
        "alternative 0",
        "alternative 1",
    ]
    # Nobody takes them for photos.
    write_picture(tmp_path / "photo.png", given)
    assert [p.name for p in find_pictures(tmp_path)] == ["photo.png"]


def test_colder_ones_are_the_command_lines_too(tim, given, tmp_path):
    """Made again from what they say; what came in goes out."""
    path = tmp_path / "photo.png"
    pixels = np.rint(255 * np.dstack([given, given[..., :1]])).astype("uint8")
    Image.fromarray(pixels).save(path)
    record = {"of": picture_digest(path), **what_is_said(path)}
    record |= what_it_is_made_from(tim, reduce=2)
    (tmp_path / "page").mkdir()
    choices = Choices(
        tim,
        read_input(tim, path, reduce=2),
        "photo",
        tmp_path / "page",
        record,
        read_original(path, tim.task_definition.keeps),
    )
    made = [choices.draw(t) for t in (0.25, 1.0)]
    assert [m.name for m in made] == [
        "alternative 0, temperature 0.25",
        "alternative 1",
    ]
    for one in made:
        with Image.open(one.path) as picture:
            assert picture.mode == "RGBA"
        assert sample_again(tim, one.path, path, tmp_path / "again")[1]
    (same,) = sample_files(
        *(tim, [path], tmp_path / "out"),
        alternatives=[0],
        temperature=0.25,
        reduce=2,
    )
    with open(same, "rb") as a, open(made[0].path, "rb") as b:
        assert a.read() == b.read()
    # More like this one is as cold.
    near = choices.vary(made[0].name, 1.0)
    record = read_record(near.path)
    assert record["codes"]["temperature"] == 0.25
    assert record["picture"] == "photo.png"
    # What was varied and mixed is made again, too.
    mask = np.zeros(choices.size())
    mask[:2] = 1.0
    mixed = choices.combine(made[1].name, near.name, mask)
    between = choices.between(mixed.name, made[0].name, 0.25)
    for one in (near, mixed, between):
        assert sample_again(tim, one.path, path, tmp_path / "again")[1]
    styles = [choices.codes(m)[0][0] for m in (near, choices.draw())]
    ratio = np.std(styles[0]) / np.std(styles[1])
    assert 0.15 < ratio < 0.4


def test_favourites(choices, monkeypatch, tmp_path):
    monkeypatch.setattr(choices_module, "MOST_KEPT", 2)
    assert choices.write_favourites() is None
    names = [choices.draw().name for _ in range(2)]
    assert choices.mark(names[1])
    assert choices.mark(names[0])
    # They are not forgotten.
    names += [choices.draw().name for _ in range(3)]
    assert [m.name for m in choices.alternatives] == [*names[:2], *names[3:]]
    assert not choices.mark(names[1])
    assert choices.mark(names[4])
    assert [m.name for m in choices.favourites] == [names[0], names[4]]
    with zipfile.ZipFile(choices.write_favourites()) as archive:
        kept = archive.namelist()
        assert kept == ["photo_0_0000.png", "photo_0_0004.png"]
        for name in kept:
            assert archive.read(name) == (tmp_path / name).read_bytes()
    with pytest.raises(ValueError, match="any more"):
        choices.mark(names[2])


def test_the_next_one_and_the_one_before(choices):
    assert choices.beside(None, 1) is None
    first, second, third = (choices.draw().name for _ in range(3))
    assert choices.beside(first, 1) == second
    assert choices.beside(third, 1) == first
    assert choices.beside(first, -1) == third
    assert choices.beside(None, 1) == first
    assert choices.beside("gone", -1) == third


def test_close_ups_are_where_they_differ_most(choices, monkeypatch):
    monkeypatch.setattr(choices_module, "CLOSE_UP", (8, 16))
    first = choices.draw()
    assert choices.close_up(first.name) is None
    second = choices.draw()
    picture = np.zeros((32, 48, 3))
    write_picture(first.path, picture)
    picture[26, 40] = 1.0
    write_picture(second.path, picture)
    for made, brightest in ((first, 0), (second, 255)):
        part = choices.close_up(made.name)
        assert part.shape == (8, 16, 3)
        assert part.max() == brightest


def test_every_variation_is_another_one(choices):
    first = choices.draw()
    made = [choices.vary(first.name, 0.5) for _ in range(2)]
    made.append(choices.vary(made[0].name, 0.5, "fine"))
    pictures = [read_picture(m.path) for m in [first, *made]]
    for i in range(4):
        for j in range(i):
            assert np.abs(pictures[i] - pictures[j]).max() > 1e-3
    (coarse, _), (near_coarse, _) = (
        choices.codes(m)[0] for m in (made[0], made[2])
    )
    np.testing.assert_array_equal(coarse, near_coarse)
    assert read_record(made[2].path)["codes"] == {
        "vary": {
            "vary": {"seed": 0, "index": 0},
            "amount": 0.5,
            "levels": None,
            "seed": 1,
        },
        "amount": 0.5,
        "levels": [1],
        "seed": 3,
    }


def test_between_and_by_region(choices):
    a, b = choices.draw(), choices.draw()
    pictures = [read_picture(m.path) for m in (a, b)]
    end = choices.between(a.name, b.name, 1.0)
    np.testing.assert_array_equal(read_picture(end.path), pictures[1])
    everywhere = choices.combine(a.name, b.name, np.ones((8, 12)))
    np.testing.assert_array_equal(read_picture(everywhere.path), pictures[1])
    mask = np.zeros((8, 12))
    mask[:, 6:] = 1.0
    mixed = read_picture(choices.combine(a.name, b.name, mask).path)
    near = [np.abs(mixed - picture).mean(axis=(0, 2)) for picture in pictures]
    assert near[0][:8].mean() < near[1][:8].mean()
    assert near[1][-8:].mean() < near[0][-8:].mean()


def test_what_was_chosen_can_be_chosen_from_again(choices):
    a, b = choices.draw(), choices.draw()
    mask = np.zeros((8, 12))
    mask[:4] = 1.0
    mixed = choices.combine(a.name, b.name, mask)
    near = choices.vary(mixed.name, 0.2)
    assert read_record(near.path)["codes"]["vary"]["mask"]
    assert choices.named("variation 1") is near


def test_large_pictures_are_shown_by_region(tim, monkeypatch, tmp_path):
    monkeypatch.setattr(choices_module, "REGION", 64)
    path = tmp_path / "photo.png"
    pixels = np.random.RandomState(1).randint(0, 256, (100, 81, 3))
    Image.fromarray(pixels.astype("uint8")).save(path)
    tile = tim.tiled_sampler().tiling.least_tile
    record = {"of": picture_digest(path), **what_is_said(path)}
    (tmp_path / "page").mkdir()
    choices = Choices(
        *(tim, read_input(tim, path), "photo", tmp_path / "page"),
        record | what_it_is_made_from(tim),
        read_original(path, tim.task_definition.keeps),
        tile=tile,
    )
    assert choices.size() == (16, 16)
    assert choices.size_made() == (400, 324)
    a, b = choices.draw(), choices.draw(0.5)
    near = choices.vary(a.name, 0.5, "fine")
    mask = np.zeros((16, 16))
    mask[:, 8:] = 1.0
    mixed = choices.combine(near.name, b.name, mask)
    choices.mark(b.name)
    assert choices.write_favourites() is None
    assert choices.close_up(mixed.name).shape == (32, 32, 3)

    told = []
    assert choices.whole(mixed.name) is None
    wholes = {
        made.name: choices.make_whole(made.name, told.append)
        for made in (b, mixed)
    }
    assert choices.whole(mixed.name) == wholes[mixed.name]
    # The last tile completes it.
    count = tim.tiled_sampler().num_tiles(100, 81, tile)
    assert told == [1 / count] * (2 * (count - 1))

    def shown_where_it_is():
        rows, columns = (
            slice(4 * part.start, 4 * part.stop) for part in choices.region
        )
        for name, file in wholes.items():
            part = read_picture(file)[rows, columns]
            shown = read_picture(choices.named(name).path)
            np.testing.assert_allclose(shown, part, atol=1.01 / 255)

    shown_where_it_is()
    assert list(choices.look(0.0, 1.0)) == [0, 1, 2, 3, 4]
    assert choices.region == (slice(0, 16), slice(65, 81))
    shown_where_it_is()
    assert not list(choices.look(0.0, 1.0))
    # Only what is shown, and what was made whole.
    assert len(os.listdir(tmp_path / "page")) == 4 + 2

    (same,) = sample_files(
        *(tim, [path], tmp_path / "out"),
        alternatives=[1],
        temperature=0.5,
        tile=tile,
    )
    with open(same, "rb") as one, open(wholes[b.name], "rb") as other:
        assert one.read() == other.read()
    again = tmp_path / "again"
    assert sample_again(tim, wholes[mixed.name], path, again)[1]


def test_a_look_that_does_not_come_to_its_end(tim, monkeypatch, tmp_path):
    """All is shown where it was, and what is made goes on from there."""
    monkeypatch.setattr(choices_module, "REGION", 64)
    given = np.random.RandomState(1).rand(100, 81, 3).astype("float32")
    tile = tim.tiled_sampler().tiling.least_tile
    choices = Choices(tim, given, "photo", tmp_path, tile=tile)
    names = [choices.draw().name for _ in range(3)]
    before, files = choices.region, sorted(os.listdir(tmp_path))

    look = choices.look(0.0, 1.0, first=[names[2]])
    assert [next(look), next(look)] == [0, 1]
    assert choices.region != before
    changed = [os.path.exists(tmp_path / file) for file in files]
    assert changed == [True] * 3
    assert os.path.basename(choices.named(names[2]).path) not in files
    look.close()
    assert choices.region == before
    assert sorted(os.listdir(tmp_path)) == files
    assert [
        os.path.basename(made.path) for made in choices.alternatives
    ] == files

    # Nobody has closed it, and something else is made.
    look = choices.look(0.0, 1.0)
    assert [next(look), next(look)] == [0, 1]
    choices.stay()
    fourth = choices.draw()
    assert list(look) == []
    assert choices.region == before
    assert choices.named(fourth.name) is fourth
    assert len(os.listdir(tmp_path)) == 4
    assert list(choices.look(0.0, 1.0)) == [0, 1, 2, 3, 4]


def test_sides_that_must_be_padded(make_tim, tmp_path):
    tim = make_tim("colourization", quick=True)
    grey = np.random.RandomState(0).rand(7, 9, 1).astype("float32")
    choices = Choices(tim, grey, "grey", tmp_path)
    a, b = choices.draw(), choices.draw()
    made = choices.combine(a.name, b.name, np.eye(7, 9))
    assert read_picture(made.path).shape == (7, 9, 3)


def test_only_the_latest_are_kept(choices, monkeypatch, tmp_path):
    monkeypatch.setattr(choices_module, "MOST_KEPT", 2)
    first = choices.draw()
    near = choices.vary(first.name, 0.5)
    choices.draw()
    assert [made.name for made in choices.alternatives] == [
        "variation 1",
        "alternative 1",
    ]
    assert len(os.listdir(tmp_path)) == 2
    with pytest.raises(
        ValueError, match="no alternative 'alternative 0' any more"
    ):
        choices.vary("alternative 0", 0.5)
    # What was made of it does not need it.
    choices.vary(near.name, 0.5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda c: c.vary(None, 0.5), "Choose one"),
        (lambda c: c.vary("alternative 0", 0.5, "blue"), "levels"),
        (lambda c: c.vary("alternative 0", 1.5), "amount"),
        (
            lambda c: c.combine(
                "alternative 0", "alternative 0", np.zeros((8, 12))
            ),
            "Paint",
        ),
        (
            lambda c: c.combine(
                "alternative 0", "alternative 0", np.ones((12, 8))
            ),
            "mask",
        ),
    ],
)
def test_refuses(choices, call, message):
    choices.draw()
    with pytest.raises(ValueError, match=message):
        call(choices)
    assert len(choices.alternatives) == 1
