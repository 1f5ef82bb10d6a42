"""Colours are made of a small picture and laid onto the large one."""

import numpy as np
import pytest

from keras_tim.gallery.choices import Choices
from keras_tim.images import read_picture, write_picture
from keras_tim.images.originals import read_original
from keras_tim.images.records import read_record
from keras_tim.inference import sample_again, sample_files
from keras_tim.inference.last_steps import last_step
from keras_tim.inference.reading import read_input
from keras_tim.inference.samples import (
    picture_digest,
    what_is_said,
    what_it_is_made_from,
)
from keras_tim.inference.sizing import Sizing
from keras_tim.layers.resampling import bicubic_picture
from keras_tim.tasks import get_task
from keras_tim.tasks.colourization import rgb_to_lab


@pytest.fixture(scope="module")
def tim(make_tim):
    return make_tim(quick=True, task="colourization")


@pytest.fixture
def picture(tmp_path):
    """A photo of fine texture, so large that it is reduced three times."""
    rng = np.random.default_rng(0)
    light = bicubic_picture(rng.random((5, 7, 1)).astype("float32"), (700, 901))
    grain = rng.normal(0.0, 0.05, light.shape)
    path = tmp_path / "photo.png"
    pixels = np.clip(0.25 + 0.5 * light + grain, 0.05, 0.9)
    write_picture(path, np.repeat(pixels, 3, axis=-1).astype("float32"))
    return path


def lightness(path):
    return np.asarray(rgb_to_lab(read_picture(path)))[..., 0]


def test_a_layer_and_a_lightness_are_the_picture():
    task = get_task("colourization")
    rgb = np.random.default_rng(1).random((6, 5, 3)).astype("float32")
    made = task.laid_onto(task.layer_of(rgb), np.asarray(task.of_rgb(rgb)))
    np.testing.assert_allclose(made, rgb, atol=2e-3)


def test_every_pixel_keeps_its_lightness(tim, picture, tmp_path):
    paths = sample_files(tim, [picture], tmp_path / "out", alternatives=[0, 1])
    for path in paths:
        record = read_record(path)
        assert record["reading"] == {"reduce": 3}
        assert record["size"] == [700, 901]
        # But for what RGB cannot show of a colour.
        error = np.abs(lightness(path) - lightness(picture))
        assert error.shape == (700, 901)
        assert np.median(error) < 0.5
    _, same = sample_again(tim, paths[1], picture, tmp_path / "again")
    assert same
    # The colours are those of the reduced picture.
    task = get_task("colourization")
    given = task.of_rgb(bicubic_picture(read_picture(picture), (233, 300)))
    missing = -233 % tim.input_multiple, -300 % tim.input_multiple
    given = np.pad(given, (*((0, n) for n in missing), (0, 0)), "edge")
    small = np.asarray(tim.sample(given[None], num_samples=2, seed=0))[0]
    found = task.layer_of(read_picture(paths[1]))
    found = bicubic_picture(found, (233, 300))
    other, own = (
        np.abs(found - task.layer_of(sample[:233, :300])).mean()
        for sample in small
    )
    assert own < 0.4 * other


def test_the_page_gives_the_command_lines_file(tim, picture, tmp_path):
    (line,) = sample_files(tim, [picture], tmp_path / "out", alternatives=[0])
    record = {"of": picture_digest(picture), **what_is_said(picture)}
    record |= what_it_is_made_from(tim, reduce=3)
    choices = Choices(
        *(tim, read_input(tim, picture, reduce=3), "photo", tmp_path, record),
        read_original(picture, tim.task_definition.keeps),
        last=last_step(tim, picture, (700, 901)),
    )
    drawn = choices.draw()
    with open(line, "rb") as a, open(drawn.path, "rb") as b:
        assert a.read() == b.read()
    assert choices.size_made() == (700, 901)
    varied = choices.vary(drawn.name, 0.5)
    assert read_picture(varied.path).shape == (700, 901, 3)
    assert sample_again(tim, varied.path, picture, tmp_path / "again")[1]


def test_small_pictures_and_a_factor_that_is_given(tim, picture, tmp_path):
    sizing = Sizing.of(tim)
    small = tmp_path / "small.png"
    write_picture(small, read_picture(picture)[:448, :300])
    assert sizing.reduced(small) == 1
    assert sizing.of_picture(small) is None
    assert sizing.reduced(picture) == 3
    assert sizing.of_picture(picture) == (700, 901)
    assert Sizing.of(tim, 2).reduced(picture) == 2
    assert Sizing.of(tim, 1).of_picture(picture) is None
    assert Sizing.of(tim, size="same").of_picture(picture) == (700, 901)
    with pytest.raises(ValueError, match="models that enlarge"):
        Sizing.of(tim, size=300)
    with pytest.raises(ValueError, match="models that enlarge"):
        Sizing.of(tim, scale=2)
