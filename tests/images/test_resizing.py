import numpy as np
import pytest
from PIL import Image

from keras_tim.images import resizing
from keras_tim.images.resizing import resized_band, resized_rows


def of_pillow(values, size, filter):
    parts = [
        Image.fromarray(np.ascontiguousarray(values[..., n])).resize(
            size[::-1], filter
        )
        for n in range(values.shape[-1])
    ]
    return np.stack([np.asarray(part) for part in parts], axis=-1)


def random(height, width, channels=3, seed=0):
    values = np.random.default_rng(seed).random((height, width, channels))
    return values.astype(np.float32)


@pytest.mark.parametrize(
    "new_size", [(35, 49), (40, 61), (1, 1), (7, 90), (95, 8), (40, 30)]
)
@pytest.mark.parametrize("pixels", [40, 1 << 20])
def test_bands_are_pillows_whole(new_size, pixels, monkeypatch):
    monkeypatch.setattr(resizing, "_PIXELS", pixels)
    values = random(40, 56)
    expected = of_pillow(values, new_size, Image.Resampling.LANCZOS)
    made = list(resized_rows([values], (40, 56), new_size))
    assert sum(map(len, made)) == new_size[0]
    np.testing.assert_allclose(
        np.concatenate(made), np.clip(expected, 0.0, 1.0), atol=2e-5
    )
    if pixels == 40:
        assert len(made) > 1 or new_size == (1, 1)


def test_parts_make_no_difference():
    values = random(40, 16)
    (one,) = resized_rows([values], (40, 16), (33, 13))
    cut = np.split(values, [1, 2, 17, 39])
    (other,) = resized_rows(cut, (40, 16), (33, 13))
    np.testing.assert_array_equal(one, other)


def test_means_are_kept_and_nothing_aliases():
    """Stripes of one pixel become grey, not other stripes."""
    stripes = np.zeros((60, 60, 1), np.float32)
    stripes[::2] = 1.0
    (made,) = resized_rows([stripes], (60, 60), (20, 20))
    np.testing.assert_allclose(made[4:-4], 0.5, atol=0.02)


@pytest.mark.parametrize("new_size", [(19, 31), (70, 75), (3, 120)])
def test_a_bicubic_band_is_that_of_the_whole(new_size):
    values = random(24, 32, 2)
    expected = of_pillow(values, new_size, Image.Resampling.BICUBIC)
    for start, stop in ((0, 1), (1, 3), (0, new_size[0])):
        made = resized_band(values, new_size, start, stop)
        np.testing.assert_allclose(made, expected[start:stop], atol=2e-5)


def test_few_rows_are_held(monkeypatch):
    """However long a picture is."""
    monkeypatch.setattr(resizing, "_PIXELS", 64)
    largest = 0
    concatenate = np.concatenate

    def measured(arrays):
        nonlocal largest
        joined = concatenate(arrays)
        largest = max(largest, len(joined))
        return joined

    monkeypatch.setattr(resizing.np, "concatenate", measured)
    parts = (random(4, 8, seed=n) for n in range(1000))
    made = list(resized_rows(parts, (4000, 8), (2000, 4)))
    assert sum(map(len, made)) == 2000
    # For eight rows at a time, sixteen and what the filter reaches.
    assert largest < 16 + resizing.rows_held(4000, 2000) + 8
