import numpy as np
import pytest
import tensorflow as tf

from keras_tim import TIM
from keras_tim.models.inputs import check_inputs


def test_constructor_refuses_unequal_numbers_of_levels():
    with pytest.raises(ValueError, match="one entry per level"):
        TIM(residual_channels=(8, 8), growth_channels=(4,))


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"task": "denoising"}, "task='denoising'"),
        ({"architecture": "unet"}, "architecture='unet'"),
        ({"residual_channels": (), "growth_channels": ()}, "at least one"),
        ({"task": "mnist", "input_skip": True}, "input_skip=True"),
        (
            {
                "task": "layout_synthesis",
                "input_channels": 4,
                "input_skip": True,
            },
            "input_skip=True",
        ),
        ({"task": "layout_synthesis"}, "input_channels=None"),
    ],
)
def test_constructor_refuses(make_tim, kwargs, message):
    with pytest.raises(ValueError, match=message):
        # Not through the factory, which adds channels to layouts.
        TIM(**{"residual_channels": (8,), "growth_channels": (4,), **kwargs})


def changed(pictures, **change):
    if "dtype" in change:
        return pictures.astype(change["dtype"])
    pictures = pictures.copy()
    pictures[1, 2, 3, 0] = change["value"]
    return pictures


METHODS = {
    "sample": lambda tim, x, codes: tim.sample(x),
    "call": lambda tim, x, codes: tim.call(x, codes),
    "decode": lambda tim, x, codes: tim.decode(x, codes),
    "draw_codes": lambda tim, x, codes: tim.draw_codes(x, 1, seed=0),
}


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda x: x[0], "must have shape"),
        (lambda x: x[..., :1], r"must have shape .*, 3\]"),
        (lambda x: x[None], "must have shape"),
        (lambda x: (255 * x).astype("uint8"), "divide 8-bit .*dtype=uint8"),
        (lambda x: x.astype("int64"), "dtype=int64"),
        (lambda x: 255.0 * x, r"must lie in \[0, 1\]"),
        (lambda x: 2.0 * x - 1.0, r"must lie in \[0, 1\]"),
        (lambda x: changed(x, value=np.nan), r"must lie in \[0, 1\]"),
        (lambda x: changed(x, value=np.inf), r"must lie in \[0, 1\]"),
        (lambda x: [x, x], "1 picture batches .*2 of them"),
        (lambda x: [], "1 picture batches .*0 of them"),
        (lambda x: "photo.png", "must have shape"),
        (lambda x: None, "must have shape"),
    ],
)
def test_refuses_inputs(shared_tim, pictures, method, spoil, message):
    tim = shared_tim
    (good,) = pictures(tim)
    codes = tim.draw_codes(good, num_samples=1, seed=0)
    bad = spoil(good)
    with pytest.raises(ValueError, match=message):
        method(tim, bad, codes)


def test_makes_the_coarser_inputs_from_the_finest(make_tim, pictures):
    tim = make_tim("decompression")
    finest = pictures(tim)[1]
    halved = tf.image.resize(
        finest, [n // 2 for n in finest.shape[1:3]], "bicubic", antialias=True
    )
    expected = tim.sample([np.clip(halved, 0, 1), finest], num_samples=2)
    np.testing.assert_allclose(
        tim.sample(finest, num_samples=2), expected, atol=1e-5
    )
    with pytest.raises(ValueError, match="multiples of 2"):
        tim.sample(finest[:, 1:])


def test_coarser_layouts_stay_one_hot(make_tim):
    tim = make_tim("layout_synthesis")
    layout = np.eye(4, dtype="float32")[np.arange(48).reshape(1, 6, 8) % 4]
    coarse, fine = (np.asarray(x) for x in check_inputs(tim, layout))
    np.testing.assert_array_equal(fine, layout)
    np.testing.assert_array_equal(coarse, layout[:, ::2, ::2])


def test_refuses_bad_inputs_of_a_level(make_tim, pictures):
    tim = make_tim("decompression")
    good = pictures(tim)
    with pytest.raises(ValueError, match=r"2 picture batches .*1 of them"):
        tim.sample([good[1]])
    with pytest.raises(ValueError, match=r"inputs\[1\]. must lie"):
        tim.sample([good[0], 255.0 * good[1]])


def test_accepts_a_hair_of_rounding(shared_tim, pictures):
    tim = shared_tim
    (good,) = pictures(tim)
    good[0, 0, 0] = (-0.0005, 1.0005, 0.5)
    assert np.isfinite(tim.sample(good, num_samples=1)).all()


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_accepts_other_precisions(shared_tim, pictures, dtype):
    tim = shared_tim
    (good,) = pictures(tim)
    # Rounded first, so that all three are the same pictures.
    good = good.astype("float16")
    np.testing.assert_array_equal(
        tim.sample(good.astype(dtype), num_samples=1),
        tim.sample(good.astype("float32"), num_samples=1),
    )


def spoiled(codes, level, style=None, noise=None):
    codes = list(codes)
    old = codes[level]
    codes[level] = (
        old[0] if style is None else style(old[0]),
        old[1] if noise is None else noise(old[1]),
    )
    return codes


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda c: c[:1], "one .style, noise. per level, 2 .*Received: 1"),
        (lambda c: [*c, c[0]], "Received: 3"),
        (
            lambda c: spoiled(c, 1, style=lambda x: x[:, :5]),
            r"codes\[1\]`: the style must have shape \[\?, 8\]",
        ),
        (
            lambda c: spoiled(c, 0, style=lambda x: x[None]),
            r"codes\[0\]`: the style",
        ),
        (
            lambda c: spoiled(c, 1, noise=lambda x: x[:, :4]),
            r"codes\[1\]`: the noise must have shape \[\?, 8, 12, 2\]",
        ),
        (
            lambda c: spoiled(c, 0, noise=lambda x: x[..., :1]),
            r"codes\[0\]`: the noise",
        ),
        (
            lambda c: [(s[:3], n[:3]) for s, n in c],
            "same number of codes .*3 codes for 2 inputs",
        ),
        (
            lambda c: [(s[:1], n[:1]) for s, n in c],
            "same number of codes .*1 codes for 2 inputs",
        ),
        (
            lambda c: spoiled(
                c, 1, style=lambda x: x[:2], noise=lambda x: x[:2]
            ),
            r"same number at every level.*\[2, 4\]",
        ),
        (
            lambda c: spoiled(c, 0, noise=lambda x: x[:2]),
            r"same number at every level.*\[2, 4\]",
        ),
    ],
)
def test_refuses_codes(shared_tim, pictures, spoil, message):
    tim = shared_tim
    (good,) = pictures(tim)
    codes = tim.draw_codes(good, num_samples=2, seed=0)
    with pytest.raises(ValueError, match=message):
        tim(good, spoil(codes))


@pytest.mark.parametrize(
    "seed",
    [1.5, "zero", True, None, [0, 1, 2], [0.0, 1.0], [[0], [1]], [], 2**63],
)
def test_refuses_seeds(shared_tim, pictures, seed):
    tim = shared_tim
    with pytest.raises(ValueError, match="`seed` must be"):
        tim.sample(pictures(tim)[0], num_samples=1, seed=seed)


@pytest.mark.parametrize(
    "seed", [0, -3, 2**62, np.int64(4), [5, 6], np.array([5, 6], "int32")]
)
def test_accepts_seeds(shared_tim, pictures, seed):
    tim = shared_tim
    samples = tim.sample(pictures(tim)[0], num_samples=1, seed=seed)
    assert np.isfinite(samples).all()


@pytest.mark.parametrize("value", [0, -1, 2.0, "8", None, True])
def test_refuses_numbers_of_samples(shared_tim, pictures, value):
    tim = shared_tim
    (good,) = pictures(tim)
    with pytest.raises(ValueError, match="`num_samples` must be"):
        tim.sample(good, num_samples=value)
    with pytest.raises(ValueError, match="`num_samples` must be"):
        tim.draw_codes(good, num_samples=value, seed=0)
    with pytest.raises(ValueError, match="`batch_size` must be"):
        tim.sample(good, batch_size=value)
