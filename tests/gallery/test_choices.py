import os

import numpy as np
import pytest

from keras_tim.gallery import choices as choices_module
from keras_tim.gallery.choices import Choices
from keras_tim.images import find_pictures, read_picture, write_picture
from keras_tim.images.own import read_record


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


def test_every_variation_is_another_one(choices):
    first = choices.draw()
    made = [choices.vary(first.name, 0.5) for _ in range(2)]
    made.append(choices.vary(made[0].name, 0.5, "fine"))
    pictures = [read_picture(m.path) for m in [first, *made]]
    for i in range(4):
        for j in range(i):
            assert np.abs(pictures[i] - pictures[j]).max() > 1e-3
    (coarse, _), (near_coarse, _) = (m.codes()[0] for m in (made[0], made[2]))
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
