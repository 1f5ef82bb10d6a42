import json

import numpy as np
import pytest
import tensorflow as tf

from keras_tim.export import Limits, export_saved_model
from keras_tim.export.deployed import deployed
from keras_tim.export.signatures import Signatures
from keras_tim.export.tiles import Side
from keras_tim.models.tiles import Tiling

from .conftest import decode as decode_png
from .conftest import encode
from .test_cpp_loader import Session

SEED = tf.constant([5], tf.int64)
INDEX = tf.constant([[0, 1]], tf.int64)
# Of a single level: twice as many take twice as long to trace.
SINGLE = {"residual_channels": (8,), "growth_channels": (4,)}


def picture(tim, height, width):
    values = np.random.default_rng(0).random((1, height, width, 3), "float32")
    return values[..., : tim.input_channels]


@pytest.mark.parametrize(("grid", "factor"), [(1, 4), (8, 1), (8, 2)])
def test_windows_of_a_graph_are_those_of_python(grid, factor):
    tiling = Tiling(grid=grid, overlap=32, output_factor=factor)
    tile = 64 * factor
    for length in (40, 64, 65, 71, 72, 100, 191, 1000):
        side = Side(tiling, tf.constant(length, tf.int64), tile)
        spans = tiling.spans(length, tile)
        assert side.count == len(spans)
        for number, span in enumerate(spans):
            number = tf.constant(number, tf.int64)
            assert tuple(side.window(number)) == (span.start, span.stop)
            assert tuple(side.core(number)) == span.core
            shares = np.zeros((span.stop - span.start) * factor, np.float32)
            shares[span.inside] = span.shares
            np.testing.assert_array_equal(side.shares(number), shares)


@pytest.mark.parametrize(
    ("task", "arguments", "size"),
    [
        ("super_resolution", {"quick": True, "style_cell": 4}, (85, 150)),
        ("decompression", {"quick": True, "input_skip": True}, (150, 202)),
        # Its statistics are those of the whole picture.
        ("super_resolution", SINGLE, (70, 160)),
    ],
)
def test_tiles_are_those_of_the_model(make_tim, task, arguments, size):
    tim = make_tim(task, **arguments)
    assert bool(tim.num_normalised) != ("quick" in arguments)
    given = picture(tim, *size)
    given[:, :, :80] *= 0.1  # windows are unlike each other
    tile = Tiling.of_model(tim).least_tile
    expected = tim.sample(given, num_samples=2, seed=5, tile=tile)
    functions = Signatures(deployed(tim), Limits(), tile=tile).functions()
    sample, decode, draw = (
        tf.function(*functions[name])
        for name in ("sample", "decode", "draw_codes")
    )
    sampled = sample(given, SEED, INDEX)["alternatives"]
    np.testing.assert_allclose(sampled, expected, rtol=0, atol=1e-4)
    codes = draw(SEED, INDEX, tf.constant([size], tf.int64))
    decoded = decode(given, *codes.values())["alternatives"]
    np.testing.assert_array_equal(decoded, sampled)
    small = given[:, :12, :20]
    np.testing.assert_allclose(
        sample(small, SEED, INDEX)["alternatives"],
        tim.sample(small, num_samples=2, seed=5),
        rtol=0,
        atol=1e-5,
    )


@pytest.fixture(scope="module")
def tim(make_tim):
    return make_tim("decompression", quick=True)


@pytest.fixture(scope="module")
def tile(tim):
    return Tiling.of_model(tim).least_tile


@pytest.fixture(scope="module")
def folder(tim, tile, tmp_path_factory):
    """A SavedModel that makes what is larger than this in tiles."""
    path = tmp_path_factory.mktemp("tiles") / "photos"
    return export_saved_model(tim, path, tile=tile)


@pytest.fixture(scope="module")
def large():
    return np.random.default_rng(0).integers(0, 256, (201, 99, 3), np.uint8)


def ask(served, pixels):
    answer = served(
        picture_bytes=tf.constant([encode(pixels)]), seed=SEED, index=INDEX
    )
    return answer["alternative_bytes"].numpy()[0]


@pytest.fixture(scope="module")
def tiled(folder):
    loaded = tf.saved_model.load(folder)
    yield loaded.signatures["serving_default"]
    # Its functions would go with it.
    del loaded


@pytest.fixture(scope="module")
def pngs(tiled, large):
    return ask(tiled, large)


def test_encoded_pictures(tim, tile, folder, tiled, large, pngs):
    limits = Limits(output_pixels=tile**2)
    whole = tf.function(
        Signatures(deployed(tim), limits, tile=None).serving_default
    )
    made = [decode_png(png) for png in pngs]
    given = np.pad(large, ((0, 1), (0, 1), (0, 0)), "edge") / np.float32(255)
    expected = tim.sample(given[None], 2, seed=5, tile=tile)[0, :, :201, :99]
    np.testing.assert_allclose(made, 255 * expected, rtol=0, atol=0.51)
    small = large[:tile, :tile]
    np.testing.assert_array_equal(ask(tiled, small), ask(whole, small))
    # With a limit of one's own, and so without tiles, larger ones are refused.
    with pytest.raises(
        tf.errors.InvalidArgumentError,
        match=rf"outputs of at most {tile**2:,} pixels.*201 99",
    ):
        ask(whole, large)
    with open(f"{folder}/card.json") as file:
        assert json.load(file)["tile"] == tile
    with open(f"{folder}/card.md") as file:
        assert f"in tiles of {tile} x {tile} pixels" in file.read()


def test_without_python_they_are_the_same(folder, large, pngs):
    made = Session(folder).run(
        "serving_default",
        picture_bytes=[encode(large)],
        seed=SEED.numpy(),
        index=INDEX.numpy(),
    )["alternative_bytes"]
    np.testing.assert_array_equal(made, [pngs])


def test_limits_are_those_of_a_request(make_tim):
    """By default two megapixels become 32, of any model that enlarges."""
    generator = deployed(make_tim(quick=True))
    answers = Signatures(generator, Limits())
    least = Tiling.of_model(generator.tim).least_tile
    assert answers.limits.output_pixels > 16 * 2_100_000
    assert answers.tile == int((2e9 / generator.bytes_per_output_pixel) ** 0.5)
    few = Signatures(generator, Limits(total_pixels=1000))
    assert few.limits.output_pixels == 1000
    with pytest.raises(ValueError, match=f"at least {least} pixels"):
        Signatures(generator, Limits(), tile=least - 1)
    with pytest.raises(tf.errors.InvalidArgumentError, match="170,000,000"):
        tf.function(answers.sample)(tf.zeros([1, 3000, 3000, 3]), SEED, INDEX)
