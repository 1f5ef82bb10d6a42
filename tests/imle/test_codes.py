import itertools

import numpy as np
import pytest
import tensorflow as tf

from keras_tim.models.codes import (
    NOISE,
    STYLE,
    draw_codes,
    draw_style,
    draw_window,
)

SIZES = [(2, 3), (4, 6)]


def draw(seeds, indices, levels=None, sizes=SIZES, style_dim=5, channels=2):
    seeds = tf.constant(seeds, tf.int64)
    indices = tf.constant(indices, tf.int64)
    return draw_codes(seeds, indices, sizes, style_dim, channels, levels)


def test_shapes_and_order():
    codes = draw([7, 8], [[0, 1, 2], [5, 6, 7]])
    assert [(s.shape, n.shape) for s, n in codes] == [
        ((6, 5), (6, 2, 3, 2)),
        ((6, 5), (6, 4, 6, 2)),
    ]
    # Row i * n + k is index k of image i.
    for row, (seed, index) in enumerate(
        [(7, 0), (7, 1), (7, 2), (8, 5), (8, 6), (8, 7)]
    ):
        alone = draw([seed], [[index]])
        for level in range(2):
            for kind in range(2):
                np.testing.assert_array_equal(
                    codes[level][kind][row], alone[level][kind][0]
                )


def test_some_levels_alone():
    every = draw([7], [[0, 1]])
    for level in range(2):
        (alone,) = draw([7], [[0, 1]], levels=[level])
        for a, b in zip(alone, every[level], strict=True):
            np.testing.assert_array_equal(a, b)


def test_graphs_with_and_without_sizes_draw_the_same():
    @tf.function
    def known(seeds, indices):
        return draw_codes(seeds, indices, SIZES, 5, 2)

    @tf.function(
        input_signature=[
            tf.TensorSpec([None], tf.int64),
            tf.TensorSpec([None, None], tf.int64),
            tf.TensorSpec([2, 2], tf.int32),
        ]
    )
    def unknown(seeds, indices, sizes):
        sizes = [(sizes[i, 0], sizes[i, 1]) for i in range(2)]
        return draw_codes(seeds, indices, sizes, 5, 2)

    seeds, indices = (
        tf.constant([7, 0], tf.int64),
        tf.constant([[0], [9]], tf.int64),
    )
    eager = draw([7, 0], [[0], [9]])
    for codes in (known(seeds, indices), unknown(seeds, indices, SIZES)):
        for a, b in zip(
            tf.nest.flatten(codes), tf.nest.flatten(eager), strict=True
        ):
            np.testing.assert_array_equal(a, b)


def test_values_are_pinned():
    # Samples named by a seed must be the same after an upgrade.
    style, noise = draw([0], [[0]])[0]
    np.testing.assert_allclose(
        style[0, :3], [-1.697034, -0.4813767, -0.6622369], atol=1e-6
    )
    np.testing.assert_allclose(
        noise[0, 0, 0], [1.2064347, -1.8821639], atol=1e-6
    )


@pytest.fixture(scope="module")
def many():
    """2 levels x 2 kinds of `[2000, 48]` values."""
    codes = draw(
        range(2), [list(range(1000))] * 2, sizes=[(4, 6)] * 2, style_dim=48
    )
    return [np.reshape(x, (2000, 48)) for x in tf.nest.flatten(codes)]


def test_codes_are_standard_normal(many):
    count = many[0].size
    for x in many:
        # Five standard errors of the first four moments.
        assert abs(x.mean()) < 5 / np.sqrt(count)
        assert abs((x**2).mean() - 1) < 5 * np.sqrt(2 / count)
        assert abs((x**3).mean()) < 5 * np.sqrt(15 / count)
        assert abs((x**4).mean() - 3) < 5 * np.sqrt(96 / count)


def test_levels_and_kinds_are_independent(many):
    for a, b in itertools.combinations(many, 2):
        correlation = (a * b).mean()
        assert abs(correlation) < 5 / np.sqrt(a.size)


def test_indices_and_seeds_are_independent(many):
    for x in many:
        first, second = x.reshape(2, 1000, 48)
        for a, b in ((first, second), (first[1:], first[:-1])):
            assert abs((a * b).mean()) < 5 / np.sqrt(a.size)


def test_no_draw_is_used_twice(many):
    # Style and noise of both levels have the same number of values here.
    firsts = np.concatenate([x[:, 0] for x in many])
    assert len(np.unique(firsts)) > 0.999 * len(firsts)
    rows = np.concatenate([x[:, :3] for x in many])
    assert len(np.unique(rows, axis=0)) == len(rows)


@pytest.mark.parametrize("channels", [1, 2, 5, 8])
@pytest.mark.parametrize(
    ("start", "size"),
    [
        ((0, 0), (13, 17)),
        ((3, 5), (4, 7)),
        ((12, 16), (1, 1)),
        ((0, 3), (13, 2)),
    ],
)
def test_a_window_is_cut_from_the_field(channels, start, size):
    seed, index = tf.constant(-7, tf.int64), tf.constant(3, tf.int64)
    codes = draw_codes(
        *(seed[None], index[None, None], [(13, 17)] * 2, channels, channels),
        style_sizes=[(13, 17)] * 2,
    )
    window = tuple(slice(a, a + n) for a, n in zip(start, size, strict=True))
    compiled = tf.function(draw_window)
    for kind, field in ((STYLE, codes[1][0]), (NOISE, codes[1][1])):
        for draw in (draw_window, compiled):
            np.testing.assert_array_equal(
                draw(seed, index, 1, kind, (17, channels), start, size),
                field[0][window],
            )


def test_a_style_without_the_noise():
    seed, index = tf.constant(7, tf.int64), tf.constant(2, tf.int64)
    for level, (style, _) in enumerate(draw([7], [[2]])):
        np.testing.assert_array_equal(
            draw_style(seed, index, level, 5), style[0]
        )


def test_a_window_of_a_huge_field():
    # The field would take 4 * 10**15 bytes; its places exceed 32 bits.
    side = 10**7
    seed, index = tf.constant(7, tf.int64), tf.constant(0, tf.int64)
    drawn = draw_window(
        seed, index, 0, NOISE, (side, 10), (side - 40, side - 50), (40, 50)
    )
    assert drawn.shape == (40, 50, 10)
    assert abs(float(tf.reduce_mean(drawn))) < 0.05
    assert abs(float(tf.math.reduce_std(drawn)) - 1.0) < 0.05
