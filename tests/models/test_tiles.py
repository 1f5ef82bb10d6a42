import itertools
import subprocess
import sys

import numpy as np
import pytest

from keras_tim.models import tiles
from keras_tim.models.generator import Generator
from keras_tim.models.tiles import Tiling

# What rounding may do in another window.
ROUNDING = 2e-6


def pictures(tim, height, width, batch=1):
    values = np.random.default_rng(0).random((batch, height, width, 3))
    return values[..., : tim.input_channels].astype("float32")


def difference(a, b):
    return np.abs(a - b).mean()


@pytest.mark.parametrize("grid", [1, 8])
@pytest.mark.parametrize("length", [64, 65, 71, 72, 100, 191, 1000, 4097])
def test_windows_cover_a_side(grid, length):
    tiling = Tiling(grid=grid, overlap=32, output_factor=4)
    windows = tiling.windows(length, 4 * 64)
    assert windows[0][0] == 0
    assert windows[-1][1] == length
    for start, stop in windows:
        assert start % grid == 0
        assert min(64, length) <= stop - start < 64 + grid
    for (_, stop), (start, _) in itertools.pairwise(windows):
        assert stop - start >= 32
    # No more of them than are needed.
    assert (len(windows) - 1) * (64 - 32) < max(length - 32, 1)


@pytest.mark.parametrize("length", [64, 100, 191, 1000])
def test_shares_add_up_to_one(length):
    tiling = Tiling(grid=8, overlap=32, output_factor=2)
    total = np.zeros(2 * length)
    spans = tiling.spans(length, 2 * 64)
    for span in spans:
        assert span.shares.min() >= 0
        total[span.first : span.first + len(span.shares)] += span.shares
        assert span.inside.start == span.first - 2 * span.start
        assert span.inside.stop - span.inside.start == len(span.shares)
        # What lies at a window's border counts only where the picture ends.
        assert span.start == 0 or span.inside.start >= 2 * 12
        ends = 2 * (span.stop - span.start) - span.inside.stop
        assert span.stop == length or ends >= 2 * 12
    np.testing.assert_allclose(total, 1.0, atol=1e-6)
    cores = [[n + span.start for n in span.core] for span in spans]
    assert [start for start, _ in cores] == [0, *(b for _, b in cores[:-1])]
    assert cores[-1][1] == length


@pytest.mark.parametrize(
    ("task", "arguments", "size"),
    [
        ("super_resolution", {}, (70, 150)),
        ("super_resolution", {"style_cell": 4}, (85, 150)),
        ("super_resolution", {"consistency": 1}, (70, 130)),
        ("decompression", {"input_skip": True}, (150, 202)),
        ("colourization", {"style_cell": 4}, (150, 202)),
    ],
)
def test_tiles_make_the_whole_picture(make_tim, task, arguments, size):
    # What such a model makes of a pixel depends on few others.
    tim = make_tim(task, quick=True, **arguments)
    given = pictures(tim, *size, batch=2)
    whole = tim.sample(given, num_samples=2, seed=[5, 6])
    tile = Tiling.of_model(tim).least_tile
    tiled = tim.sample(given, num_samples=2, seed=[5, 6], tile=tile)
    assert tiled.dtype == np.float32
    assert difference(whole[:, 0], whole[:, 1]) > 1e-3
    np.testing.assert_allclose(tiled, whole, atol=ROUNDING)


def test_styles_are_those_of_the_whole_picture(make_tim):
    tim = make_tim(normalization="none", style_cell=4, plain_blocks=[1, 0])
    given = pictures(tim, 70, 100)
    for modulation in tim.tower[1].modulations:  # which begin as identities
        kernel = modulation.dense.kernel
        kernel.assign(np.random.default_rng(0).normal(0.0, 1.0, kernel.shape))
    tile = Tiling.of_model(tim).least_tile
    whole = tim.sample(given, num_samples=1)
    assert difference(whole, tim.sample(given, 1, temperature=0.0)) > 5e-3
    np.testing.assert_allclose(
        tim.sample(given, num_samples=1, tile=tile), whole, atol=1e-4
    )


def test_statistics_are_shared(make_tim, monkeypatch):
    tim = make_tim()
    # Half dark and flat, half bright and busy: windows are unlike each other.
    given = pictures(tim, 70, 160)
    given[:, :, :80] *= 0.1
    tile = Tiling.of_model(tim).least_tile
    whole = tim.sample(given, num_samples=1)
    tiled = difference(tim.sample(given, num_samples=1, tile=tile), whole)
    monkeypatch.setattr(tiles, "ROUNDS", 0)
    alone = difference(tim.sample(given, num_samples=1, tile=tile), whole)
    assert tiled < 1 / 255
    assert tiled < alone / 10


def test_parts_are_pooled():
    parts = np.split(np.random.default_rng(0).normal(3.0, 2.0, (99, 5)), [10])
    moments = [np.stack([x.mean(0), x.var(0)]) for x in parts]
    together = np.concatenate(parts)
    np.testing.assert_allclose(
        tiles.pooled(moments, [10, 89]),
        [together.mean(0), together.var(0)],
        rtol=1e-5,
    )


def test_same_seed_same_bits(make_tim):
    tim = make_tim(quick=True)
    given = pictures(tim, 70, 100)
    tile = Tiling.of_model(tim).least_tile
    several = tim.sample(given, num_samples=2, seed=3, tile=tile)
    alone = tim.sample(given, num_samples=1, seed=3, tile=tile)
    np.testing.assert_array_equal(several[:, :1], alone)
    assert difference(several[:, 0], several[:, 1]) > 1e-3
    calm = tim.sample(given, 1, seed=3, temperature=0.0, tile=tile)
    np.testing.assert_array_equal(
        calm, tim.sample(given, 1, seed=4, temperature=0.0, tile=tile)
    )


def test_weights_are_those_of_now(make_tim):
    tim = make_tim(quick=True)
    given = pictures(tim, 70, 100)
    tile = Tiling.of_model(tim).least_tile
    before = tim.sample(given, num_samples=1, tile=tile)
    for weight in tim.trainable_variables:
        weight.assign(0.5 * weight)
    np.testing.assert_allclose(
        tim.sample(given, num_samples=1, tile=tile),
        tim.sample(given, num_samples=1),
        atol=ROUNDING,
    )
    assert difference(before, tim.sample(given, 1, tile=tile)) > 1e-3


def test_half_precision(make_tim):
    tim = make_tim(quick=True, dtype="mixed_bfloat16")
    given = pictures(tim, 70, 100)
    tile = Tiling.of_model(tim).least_tile
    whole = tim.sample(given, num_samples=1)
    tiled = tim.sample(given, num_samples=1, tile=tile)
    assert difference(whole, tiled) < 1 / 255


def test_rows_follow_one_another(make_tim):
    tim = make_tim(quick=True)
    given = pictures(tim, 300, 80)[0]
    sampler = tim.tiled_sampler()
    tile = sampler.tiling.least_tile
    told = []
    rows = list(
        sampler.rows(
            given, 3, 1, tile, progress=lambda *count: told.append(count)
        )
    )
    # No more than a row of tiles is held.
    assert max(map(len, rows)) <= tile
    count = sampler.num_tiles(300, 80, tile)
    assert told == [(n + 1, count) for n in range(count)]
    np.testing.assert_array_equal(
        np.concatenate(rows),
        tim.sample(given[None], num_samples=2, seed=3, tile=tile)[0, 1],
    )


def test_auto_goes_by_memory(make_tim, monkeypatch):
    tim = make_tim(quick=True)
    sampler = tim.tiled_sampler()
    each = Generator(tim).bytes_per_output_pixel
    least = sampler.tiling.least_tile
    monkeypatch.setattr(tiles, "MEMORY", each * 400**2)
    monkeypatch.setattr(tiles, "LEAST_MEMORY", 1)
    monkeypatch.setattr(tiles, "available_memory", lambda: None)
    assert sampler.tile_of("auto", 100, 100) is None
    assert sampler.tile_of("auto", 100, 101) == 400
    assert sampler.tile_of(None, 10_000, 10_000) is None
    # Half of what is free, and never less than can be.
    monkeypatch.setattr(tiles, "available_memory", lambda: each * 400**2)
    assert sampler.tile_of("auto", 100, 101) == int(400 / 2**0.5)
    monkeypatch.setattr(tiles, "available_memory", lambda: 0)
    assert sampler.tile_of("auto", 100, 101) == least


def test_what_is_free_is_known():
    free = tiles.available_memory()
    assert free is None or 0 < free < 2**50


def test_tiles_that_cannot_be(make_tim):
    tim = make_tim(quick=True)
    given = pictures(tim, 70, 100)
    least = Tiling.of_model(tim).least_tile
    with pytest.raises(ValueError, match=f"at least {least} pixels"):
        tim.sample(given, tile=least - 1)
    with pytest.raises(ValueError, match='an integer, "auto" or None'):
        tim.sample(given, tile="large")
    with pytest.raises(ValueError, match="`tile` must be a positive"):
        tim.sample(given, tile=512.5)
    with pytest.raises(ValueError, match="`inputs` must have shape"):
        tim.sample(given[0], tile=least)
    with pytest.raises(ValueError, match=r"lie in \[0, 1\]"):
        tim.sample(given + 1.0, tile=least)
    pyramid = make_tim("decompression", quick=True)
    with pytest.raises(ValueError, match="`tile` must be None"):
        pyramid.sample([given, given], tile="auto")
    with pytest.raises(ValueError, match="multiples of 2"):
        pyramid.sample(given[:, :69], tile="auto")


@pytest.mark.slow
def test_memory_is_that_of_a_tile():
    def peak(height):
        # Its own, see /proc/self/status: `ru_maxrss` is at least the parent's.
        program = (
            "import re, pathlib, numpy, keras_tim\n"
            "tim = keras_tim.TIM(residual_channels=(8, 6), num_blocks=0, "
            "growth_channels=(4, 3), mapping_network=False)\n"
            f"given = numpy.zeros(({height}, 256, 3), 'float32')\n"
            "for rows in tim.tiled_sampler().rows(given, 0, 0, 512):\n"
            "    pass\n"
            "status = pathlib.Path('/proc/self/status').read_text()\n"
            "print(re.search(r'VmHWM:\\s+(\\d+) kB', status)[1])\n"
        )
        printed = subprocess.run(
            [sys.executable, "-c", program],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        return 1024 * int(printed.split()[-1])

    # The larger picture alone takes 200 MB, and its noise 70 MB.
    assert peak(4096) - peak(256) < 50e6
