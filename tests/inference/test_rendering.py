import numpy as np
import pytest

from keras_tim.images.rows import whole
from keras_tim.inference.recorded_codes import mask_text
from keras_tim.inference.rendering import TiledRenderer, choice_of
from keras_tim.inference.samples import sample_of


def whole_of(picture):
    return whole(picture.parts, picture.size)


@pytest.mark.parametrize(
    "arguments", [{"style_cell": 4}, {"normalization": "instance"}]
)
def test_choices_in_tiles_are_those_made_whole(make_tim, arguments):
    tim = make_tim(quick=True, **arguments)
    given = np.random.default_rng(0).random((150, 131, 3)).astype("float32")
    cold = {"seed": 0, "index": 1, "temperature": 0.5}
    near = {"seed": 0, "index": 0}
    near = {"vary": near, "amount": 0.4, "levels": None, "seed": 1}
    mask = np.zeros((150, 131), "uint8")
    mask[40:90, 60:] = 255
    mixed = {
        "combine": [near, {"interpolate": [near, cold], "t": 0.3}],
        "mask": mask_text(mask),
    }
    tile = tim.tiled_sampler().tiling.least_tile
    for made_of in (cold, mixed):
        at_once = choice_of(tim, given, made_of)
        tiled = whole_of(choice_of(tim, given, made_of, tile))
        assert tiled.shape == at_once.shape == (600, 524, 3)
        assert np.abs(tiled - at_once).max() < 1 / 255
        shown = TiledRenderer(tim, given).region(
            made_of, (slice(45, 85), slice(50, 131))
        )
        if tim.normalization == "none":
            part = tiled[180:340, 200:524]
            assert np.abs(shown - part).max() < 0.5 / 255
        assert shown.shape == (160, 324, 3)
    drawn = choice_of(tim, given, cold, tile)
    same = sample_of(tim, given, 0, 1, 0.5, tile)
    np.testing.assert_array_equal(whole_of(drawn), whole_of(same))
