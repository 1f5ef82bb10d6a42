import numpy as np
import pytest

from keras_tim.images.sheets import (
    colour_map,
    contact_sheet,
    difference_map,
    pixel_deviation,
)


def test_pictures_appear_unchanged_and_enlarged_by_whole_factors():
    random = np.random.default_rng(0)
    small = random.integers(0, 256, (8, 8, 3)).astype(np.uint8)
    large = random.integers(0, 256, (16, 16, 3)).astype(np.uint8)
    sheet = contact_sheet([[small / 255.0, large / 255.0]], scale=1)
    assert sheet.dtype == np.float32
    assert sheet.min() >= 0
    assert sheet.max() == 1
    pixels = np.rint(sheet * 255).astype(np.uint8)
    inside = np.argwhere((pixels != 255).any(axis=-1))
    top, left = inside.min(axis=0)
    doubled = small.repeat(2, 0).repeat(2, 1)
    np.testing.assert_array_equal(
        pixels[top : top + 16, left : left + 16], doubled
    )
    bottom, right = inside.max(axis=0) + 1
    np.testing.assert_array_equal(
        pixels[bottom - 16 : bottom, right - 16 : right], large
    )
    margins = pixels.copy()
    margins[top:bottom, left:right] = 255
    assert (margins == 255).all()


def test_captions_take_room_and_nothing_is_cut_off():
    image = np.full((40, 60, 3), 0.5)
    plain = contact_sheet([[image, None], [image, image]])
    full = contact_sheet(
        [[image, None], [image, image]],
        column_titles=["input", "sample\n(peak 0.1)"],
        row_titles=["a cat", ""],
        title="A title",
        footer="A footer of many words, which is broken into lines. " * 5,
    )
    assert full.shape[0] > plain.shape[0]
    assert full.shape[1] > plain.shape[1]
    for edge in (full[:5], full[-5:], full[:, :5], full[:, -5:]):
        assert (edge == 1).all()


def test_bad_sheets():
    image = np.zeros((4, 4, 3))
    with pytest.raises(ValueError, match="at least one image"):
        contact_sheet([[None], []])
    with pytest.raises(ValueError, match="`column_titles` must have 2"):
        contact_sheet([[image, image]], column_titles=["one"])
    with pytest.raises(ValueError, match="`row_titles` must have 1"):
        contact_sheet([[image]], row_titles=["one", "two"])
    with pytest.raises(ValueError, match=r"rows\[0\]\[1\].*NaN"):
        contact_sheet([[image, image * np.nan]])
    with pytest.raises(ValueError, match="scale=0"):
        contact_sheet([[image]], scale=0)


def test_difference_map_by_hand():
    samples = np.zeros((2, 1, 3, 3))
    samples[1, 0, 1] = 0.6, 0, 0  # deviation 0.3 in one channel of three
    samples[1, 0, 2] = 0.8  # 0.4 in all three
    picture, peak = difference_map(samples)
    assert peak == pytest.approx(0.4)
    expected = colour_map(np.array([[0, 0.3 / np.sqrt(3) / 0.4, 1]]))
    np.testing.assert_allclose(picture, expected, atol=1e-6)
    assert picture[0, 0].max() < 0.02
    picture, peak = difference_map(np.full((3, 2, 2, 3), 0.5))
    assert peak == 0
    assert picture.max() < 0.02


def test_colour_map_grows_evenly_lighter():
    colours = colour_map(np.linspace(0, 1, 100))
    lightness = colours @ np.array([0.2126, 0.7152, 0.0722])
    assert (np.diff(lightness) > 0).all()
    assert colours.shape == (100, 3)


@pytest.mark.parametrize(
    ("samples", "reason"),
    [
        (np.zeros((4, 4, 3)), "shape"),
        (np.zeros((1, 4, 4, 3)), "at least two samples"),
        (np.zeros((2, 4, 4, 3), np.uint8), "dtype=uint8"),
        (np.full((2, 4, 4, 3), np.nan), "without NaN"),
        (np.full((2, 4, 4, 3), 2.0), "from 2 to 2"),
    ],
)
def test_bad_samples(samples, reason):
    with pytest.raises(ValueError, match=reason):
        difference_map(samples)


@pytest.mark.parametrize("size", [(1000, 1500), (3000, 200), (200, 3000)])
def test_large_pictures_are_reduced_to_cells(size):
    image = np.full((*size, 3), 0.25)
    image[:, : size[1] // 2] = 0.75
    sheet = contact_sheet([[image, None], [image, image]])
    assert max(sheet.shape) < 1100
    for value in (0.25, 0.75):
        assert np.any(np.all(np.abs(sheet - value) < 0.01, axis=-1))
    # An explicit scale is taken as it is.
    assert contact_sheet([[image]], scale=1).shape[0] > size[0]


def test_reduced_pictures_are_antialiased():
    stripes = np.zeros((960, 960, 3))
    stripes[:, ::2] = 1.0
    sheet = contact_sheet([[stripes]])
    middle = sheet[200:300, 200:300]
    np.testing.assert_allclose(middle, 0.5, atol=0.02)


def test_long_words_are_broken():
    image = np.full((40, 60, 3), 0.5)
    sheet = contact_sheet([[image]], title="n" * 300, footer="m" * 300)
    assert (sheet[:, -5:] == 1).all()
    assert sheet.shape[0] > 600


def test_captions_that_are_no_utf8():
    image = np.full((40, 60, 3), 0.5)
    contact_sheet([[image]], column_titles=["caf\udce9"])


def test_differences_of_a_sequence_are_those_of_the_array():
    samples = np.random.default_rng(0).random((7, 5, 6, 3)).astype("float32")
    expected = np.sqrt(samples.astype("f8").var(axis=0).mean(axis=-1))
    found = pixel_deviation(list(samples))
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    np.testing.assert_array_equal(
        difference_map(samples)[0], colour_map(found / found.max())
    )
