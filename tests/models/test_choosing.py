import keras
import numpy as np
import pytest
from keras import ops

from keras_tim.models.choosing import join, take

KINDS = ("whole", "cells")


@pytest.fixture(scope="module", params=KINDS)
def tim(request, make_tim):
    """One style for the whole picture, or one for every cell of 4 pixels."""
    return make_tim(style_cell=None if request.param == "whole" else 4)


@pytest.fixture(scope="module")
def given():
    """An input whose sides are no multiples of the cells'."""
    return np.random.RandomState(0).rand(1, 10, 14, 3).astype("float32")


@pytest.fixture(scope="module")
def large():
    """An input whose noise has numbers enough for statistics."""
    return np.zeros((1, 64, 96, 3), "float32")


def parts(codes):
    return [np.asarray(part) for code in codes for part in code]


def assert_equal(a, b):
    for one, other in zip(parts(a), parts(b), strict=True):
        np.testing.assert_array_equal(one, other)


def assert_normal(array, tolerance=0.05):
    assert abs(array.mean()) < tolerance
    assert abs(array.var() - 1.0) < tolerance


def correlation(a, b):
    return np.corrcoef(np.ravel(a), np.ravel(b))[0, 1]


def half_masks(height, width):
    """The left half from one alternative, the right one from another."""
    left = np.zeros((height, width), "float32")
    left[:, : width // 2] = 1.0
    return np.stack([left, 1.0 - left])


# -- Codes -----------------------------------------------------------------


def test_take_and_join(tim, given):
    codes = tim.draw_codes(given, num_samples=4, seed=0)
    again = join(take(codes, [0]), take(codes, [3, 1]))
    for some, whole in zip(parts(again), parts(codes), strict=True):
        np.testing.assert_array_equal(some, whole[[0, 3, 1]])


# -- More like this --------------------------------------------------------


def test_varied_by_nothing_is_the_same(tim, given):
    codes = tim.draw_codes(given, num_samples=3, seed=0)
    assert_equal(tim.vary(codes, 0.0, seed=1), codes)


@pytest.mark.parametrize("seed", [0, 5])
@pytest.mark.parametrize("amount", [0.3, 0.8, 1.0])
def test_varied_codes_are_as_alike_as_asked(tim, large, amount, seed):
    # Also with the seed that they were drawn from.
    codes = tim.draw_codes(large, num_samples=2, seed=seed)
    varied = tim.vary(codes, amount, seed=seed)
    for (_, before), (_, after) in zip(codes, varied, strict=True):
        assert_normal(np.asarray(after))
        expected = np.sqrt(1.0 - amount**2)
        assert abs(correlation(before, after) - expected) < 0.03
        # Each code is mixed with a draw of its own.
        assert abs(correlation(after[0], after[1])) < 0.03


def test_temperature_is_kept(tim, large):
    codes = tim.draw_codes(large, num_samples=1, seed=0, temperature=0.5)
    varied = tim.vary(codes, 0.7, seed=1, temperature=0.5)
    for _, noise in varied:
        assert abs(np.var(noise) - 0.25) < 0.02


@pytest.mark.parametrize("levels", [[0], [-1], [1, 0], range(1)])
def test_other_levels_stay(tim, given, levels):
    codes = tim.draw_codes(given, num_samples=2, seed=0)
    some = tim.vary(codes, 0.5, seed=1, levels=levels)
    every = tim.vary(codes, 0.5, seed=1)
    changed = {level % 2 for level in levels}
    for level in range(2):
        assert_equal(
            [some[level]], [every[level] if level in changed else codes[level]]
        )


def test_one_seed_per_code(tim, given):
    codes = tim.draw_codes(given, num_samples=3, seed=0)
    varied = tim.vary(codes, 0.5, seed=np.array([4, 5, 6]))
    for number in range(3):
        alone = tim.vary(take(codes, [number]), 0.5, seed=4 + number)
        assert_equal(alone, take(varied, [number]))


def test_several_variations_of_one(tim, given):
    code = tim.draw_codes(given, num_samples=1, seed=0)
    several = tim.vary(code, 0.5, seed=range(3), levels=[1])
    assert_equal(take(several, [2]), tim.vary(code, 0.5, seed=2, levels=[1]))
    assert len(tim.decode(given, several)[-1]) == 3
    assert correlation(several[1][1][0], several[1][1][1]) < 0.99


def test_fewer_codes_do_not_change_the_first(tim, given):
    codes = tim.draw_codes(given, num_samples=3, seed=0)
    few = tim.vary(take(codes, [0, 1]), 0.5, seed=9)
    assert_equal(few, take(tim.vary(codes, 0.5, seed=9), [0, 1]))


# -- Between two -----------------------------------------------------------


def test_the_way_begins_and_ends_where_it_should(tim, given):
    a, b = (tim.draw_codes(given, num_samples=2, seed=s) for s in (0, 1))
    assert_equal(tim.interpolate(a, b, 0.0), a)
    assert_equal(tim.interpolate(a, b, 1), b)
    backwards = tim.interpolate(b, a, 0.75)
    forwards = tim.interpolate(a, b, 0.25)
    for x, y in zip(parts(forwards), parts(backwards), strict=True):
        np.testing.assert_allclose(x, y, atol=1e-6)


def test_between_two_the_variance_is_kept(tim, large):
    a, b = (tim.draw_codes(large, num_samples=1, seed=s) for s in (0, 1))
    for t in (0.25, 0.5, 0.9):
        for _, noise in tim.interpolate(a, b, t):
            assert_normal(np.asarray(noise))


def test_the_way_is_an_arc_at_constant_speed(make_tim):
    tim = make_tim(style_dim=2)
    # A quarter of a circle: after a third of the way, 30 degrees.
    a, b = (
        [(np.array([s], "float32"), np.zeros((1, 2, 2, 2), "float32"))] * 2
        for s in ([2.0, 0.0], [0.0, 2.0])
    )
    style, noise = tim.interpolate(a, b, 1 / 3)[0]
    expected = [[2 * np.cos(np.pi / 6), 2 * np.sin(np.pi / 6)]]
    np.testing.assert_allclose(style, expected, atol=1e-6)
    np.testing.assert_array_equal(noise, 0.0)


def test_between_opposites_is_the_line(make_tim):
    tim = make_tim(style_dim=1)
    a = [(np.full((1, 1), 2.0, "float32"), np.ones((1, 2, 2, 2), "float32"))]
    b = [(np.full((1, 1), -1.0, "float32"), np.ones((1, 2, 2, 2), "float32"))]
    style, noise = tim.interpolate(a * 2, b * 2, 0.5)[1]
    np.testing.assert_allclose(style, 0.5, atol=1e-6)
    np.testing.assert_array_equal(noise, 1.0)


def test_what_two_have_in_common_stays_between_them(tim, large):
    a, b = (tim.draw_codes(large, num_samples=1, seed=s) for s in (0, 1))
    other = tim.combine(join(a, b), half_masks(64, 96))
    for code, kept in zip(tim.interpolate(a, other, 0.5), a, strict=True):
        noise, half = np.asarray(code[1]), np.shape(kept[1])[2] // 2
        inside = half - 4
        np.testing.assert_array_equal(
            noise[:, :, :inside], kept[1][:, :, :inside]
        )
        assert_normal(noise[:, :, half + 4 :])


# -- By region -------------------------------------------------------------


@pytest.mark.parametrize("size", [(10, 14), (40, 56), (20, 28), (5, 7)])
def test_a_mask_of_ones_is_that_alternative(tim, given, size):
    codes = tim.draw_codes(given, num_samples=3, seed=0)
    masks = np.zeros((3, *size), bool)
    masks[1] = True
    combined = tim.combine(codes, masks)
    assert_equal(combined, take(codes, [1]))
    np.testing.assert_array_equal(
        tim.decode(given, combined)[-1],
        tim.decode(given, take(codes, [1]))[-1],
    )


def test_only_the_ratio_of_masks_counts(tim, given):
    codes = tim.draw_codes(given, num_samples=2, seed=0)
    masks = np.random.RandomState(0).rand(2, 10, 14)
    some = tim.combine(codes, masks)
    grey = tim.combine(codes, 255 * masks / masks.sum(axis=0))
    for x, y in zip(parts(some), parts(grey), strict=True):
        np.testing.assert_allclose(x, y, atol=1e-5)


@pytest.mark.parametrize("size", [(64, 96), (256, 384)])
def test_every_region_has_its_own_noise(tim, large, size):
    codes = tim.draw_codes(large, num_samples=2, seed=0)
    combined = tim.combine(codes, half_masks(*size))
    for (_, both), (_, noise) in zip(codes, combined, strict=True):
        both, half = np.asarray(both), noise.shape[2] // 2
        left, right = np.s_[:, : half - 4], np.s_[:, half + 4 :]
        np.testing.assert_array_equal(noise[0][left], both[0][left])
        np.testing.assert_array_equal(noise[0][right], both[1][right])


def test_mixed_noise_has_the_variance_of_a_draw(tim, large):
    codes = tim.draw_codes(large, num_samples=3, seed=0)
    ramp = np.linspace(0, 1, 96)[None, :].repeat(64, axis=0)
    masks = np.stack([ramp, 1.0 - ramp, np.full_like(ramp, 0.5)])
    for _, noise in tim.combine(codes, masks):
        for part in np.split(np.asarray(noise), 4, axis=2):
            assert_normal(part, 0.08)


@pytest.mark.parametrize("amount", [0.3, 0.9])
def test_mixed_variations_have_it_too(tim, large, amount):
    # They are alike, and equal at the other level.
    code = tim.draw_codes(large, num_samples=1, seed=0)
    codes = tim.vary(code, amount, seed=range(3), levels=[1])
    combined = tim.combine(codes, np.ones((3, 64, 96)))
    np.testing.assert_allclose(combined[0][1], code[0][1], atol=1e-5)
    assert_normal(np.asarray(combined[1][1]))


def test_what_was_combined_can_be_combined_again(tim, large):
    codes = tim.draw_codes(large, num_samples=2, seed=0)
    first = tim.combine(codes, half_masks(64, 96))
    again = tim.combine(join(take(codes, [0]), first), np.ones((2, 64, 96)))
    for (_, noise), (_, both) in zip(again, codes, strict=True):
        noise, half = np.asarray(noise), noise.shape[2] // 2
        # Here they are equal.
        np.testing.assert_allclose(
            noise[0, :, : half - 4], both[0, :, : half - 4], atol=1e-5
        )
        assert_normal(noise[:, :, half + 4 :])


def test_cells_have_the_style_of_their_region(make_tim, given):
    tim = make_tim(style_cell=4)
    codes = tim.draw_codes(given, num_samples=2, seed=0)
    masks = np.zeros((2, 10, 14), "float32")
    masks[0, :, :8] = 1.0
    masks[1] = 1.0 - masks[0]
    for level, (style, _) in enumerate(tim.combine(codes, masks)):
        both = np.asarray(codes[level][0])
        # The last column is of two pixels only.
        assert style.shape == (1, 3, 4, 8)
        # Enlarged, the mask is soft at its border, also within cells.
        sure = np.s_[:, :2] if level == 0 else np.s_[:, :1]
        np.testing.assert_array_equal(style[0][sure], both[0][sure])
        np.testing.assert_array_equal(style[0][:, 3:], both[1][:, 3:])


def test_one_style_is_mixed_by_area(make_tim, given):
    tim = make_tim(style_dim=2)
    codes = [
        (np.array([[1.0, 0.0], [0.0, 1.0]], "float32"), noise)
        for _, noise in tim.draw_codes(given, num_samples=2, seed=0)
    ]
    masks = np.zeros((2, 40, 56))
    masks[0, :10] = 1.0
    masks[1, 10:] = 1.0
    (style, _), _ = tim.combine(codes, masks)
    expected = np.array([[0.25, 0.75]]) / np.hypot(0.25, 0.75)
    np.testing.assert_allclose(style, expected, atol=0.02)


@pytest.mark.parametrize("task", ["colourization", "mnist"])
def test_every_task_chooses(make_tim, pictures, task):
    tim = make_tim(task, quick=True)
    inputs = pictures(tim, batch=1, height=6, width=6)
    codes = tim.draw_codes(inputs, num_samples=2, seed=0)
    size = inputs[-1].shape[1:3]
    masks = half_masks(*size)
    made = [
        tim.vary(codes, 0.5, seed=1),
        tim.interpolate(take(codes, [0]), take(codes, [1]), 0.5),
        tim.combine(codes, masks),
    ]
    for codes, count in zip(made, (2, 1, 1), strict=True):
        assert len(tim.decode(inputs, codes)[-1]) == count


def test_masks_of_a_batch(tim, given):
    inputs = np.concatenate([given, given[:, ::-1]])
    codes = tim.draw_codes(inputs, num_samples=2, seed=[0, 1])
    masks = half_masks(10, 14)
    same = tim.combine(codes, masks)
    own = tim.combine(codes, np.stack([masks, masks[::-1]]))
    assert_equal(take(same, [0]), take(own, [0]))
    assert_equal(take(same, [1]), tim.combine(take(codes, [2, 3]), masks))
    assert_equal(take(own, [1]), tim.combine(take(codes, [3, 2]), masks))


def test_regions_run_in_a_graph(tim, given):
    codes = tim.draw_codes(given, num_samples=2, seed=0)
    masks = half_masks(10, 14)

    import tensorflow as tf

    @tf.function
    def made(codes):
        return tim.combine(codes, masks), tim.interpolate(codes, codes, 0.5)

    mixed, between = made(codes)
    for x, y in zip(
        parts(mixed), parts(tim.combine(codes, masks)), strict=True
    ):
        np.testing.assert_allclose(x, y, atol=1e-6)
    assert_equal(between, codes)


# -- Errors ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"amount": 1.5}, "`amount`"),
        ({"amount": float("nan")}, "`amount`"),
        ({"seed": 0.5}, "`seed`"),
        ({"seed": [1, 2, 3]}, "3 seeds for 2 codes"),
        ({"seed": 2**63}, "`seed`"),
        ({"levels": [2]}, "`levels`"),
        ({"levels": []}, "`levels`"),
        ({"temperature": -1.0}, "`temperature`"),
        ({"codes": []}, "`codes`"),
        ({"codes": [(np.zeros((1, 8)), np.zeros((1, 4, 4, 3)))] * 2}, "rank"),
        (
            {"codes": [(np.zeros((1, 8)), np.zeros((2, 4, 4, 2)))] * 2},
            "as many styles",
        ),
    ],
)
def test_vary_refuses(shared_tim, given, arguments, message):
    codes = shared_tim.draw_codes(given, num_samples=2, seed=0)
    arguments = {"codes": codes, "amount": 0.5, "seed": 0, **arguments}
    with pytest.raises(ValueError, match=message):
        shared_tim.vary(**arguments)


def test_interpolate_refuses(shared_tim, given):
    codes = shared_tim.draw_codes(given, num_samples=2, seed=0)
    with pytest.raises(ValueError, match="`t`"):
        shared_tim.interpolate(codes, codes, -0.1)
    with pytest.raises(ValueError, match=r"level 0"):
        shared_tim.interpolate(codes, take(codes, [0]), 0.1)
    with pytest.raises(ValueError, match="`b`"):
        shared_tim.interpolate(codes, codes[:1], 0.1)


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        (np.ones((10, 14)), "`masks` must have shape"),
        (np.ones((3, 10, 14)), "for 2 codes"),
        (np.ones((3, 2, 10, 14)), "for 2 codes"),
        (np.ones((2, 14, 10)), "14 x 10"),
        (np.zeros((2, 10, 14)), "above 0"),
        (-np.ones((2, 10, 14)), "from -1"),
        (np.full((2, 10, 14), np.nan), "nan"),
    ],
)
def test_combine_refuses(shared_tim, given, masks, message):
    codes = shared_tim.draw_codes(given, num_samples=2, seed=0)
    with pytest.raises(ValueError, match=message):
        shared_tim.combine(codes, masks)


def test_codes_are_float32(shared_tim, given):
    codes = shared_tim.draw_codes(given, num_samples=2, seed=0)
    doubles = keras.tree.map_structure(
        lambda part: np.asarray(part, "float64"), codes
    )
    for made in (
        shared_tim.vary(doubles, 0.5, seed=0),
        shared_tim.interpolate(doubles, doubles, 0.5),
        shared_tim.combine(doubles, half_masks(10, 14)),
    ):
        for code in made:
            for part in code:
                assert ops.dtype(part) == "float32"
