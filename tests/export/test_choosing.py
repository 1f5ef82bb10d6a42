import pathlib
import re

import numpy as np
import pytest
import tensorflow as tf

from keras_tim.export import Limits, export_saved_model
from keras_tim.export.choosing import Choosing
from keras_tim.export.limits import Checks
from keras_tim.images import write_picture
from keras_tim.models.choosing import take
from keras_tim.models.generator import Generator

KIT = pathlib.Path(__file__).parents[2] / "export"
GIVEN = np.random.default_rng(0).random((1, 12, 20, 3), "float32")


def named(codes, *shape):
    """Codes as the signatures have them, `shape` in front."""
    return {
        f"{kind}_{level}": tf.reshape(part, [*shape, *part.shape[1:]])
        for level, code in enumerate(codes)
        for kind, part in zip(("style", "noise"), code, strict=True)
    }


def assert_same(made, expected):
    assert made.keys() == expected.keys()
    for name, code in expected.items():
        np.testing.assert_allclose(made[name], code, rtol=0, atol=2e-6)


@pytest.fixture(scope="module")
def tim(make_tim):
    return make_tim(quick=True)


@pytest.fixture(scope="module")
def ask(tim):
    """Calls a signature by its name, as a graph that knows no sizes."""
    generator = Generator(tim)
    limits = Limits(alternatives=8).of_model(generator)
    functions = {
        name: (tf.function(function, specifications), specifications)
        for name, (function, specifications) in Choosing(
            generator, Checks(generator, limits)
        )
        .functions()
        .items()
    }

    def ask(name, **inputs):
        function, specifications = functions[name]
        return function(
            *(tf.constant(inputs[x.name], x.dtype) for x in specifications)
        )

    return ask


def test_vary(tim, ask):
    codes = tim.draw_codes(np.repeat(GIVEN, 2, 0), num_samples=2, seed=0)
    seeds = [[4, 5], [-6, 2**40]]
    for levels, amounts in ((None, [0.4, 0.4]), ([1], [0.0, 0.4])):
        expected = tim.vary(codes, 0.4, seed=np.ravel(seeds), levels=levels)
        made = ask(
            "vary", seed=seeds, amount=[amounts] * 2, **named(codes, 2, 2)
        )
        assert_same(made, named(expected, 2, 2))
    # Several of one.
    made = ask(
        "vary",
        seed=[[4, 5, 6]],
        amount=[[0.4, 1.0]],
        **named(take(codes, [1]), 1, 1),
    )
    expected = tim.vary(take(codes, [1]), 0.4, seed=[4, 5, 6])
    assert_same(
        {"style_0": made["style_0"]},
        {"style_0": named(expected, 1, 3)["style_0"]},
    )
    assert made["noise_1"].shape == (1, 3, 24, 40, tim.noise_channels)


def test_vary_at_a_temperature(tim, ask):
    """As export/README.md says."""
    codes = tim.draw_codes(GIVEN, num_samples=1, seed=0)
    expected = tim.vary(codes, 0.6, seed=[4], temperature=0.5)
    warmer = {name: code / 0.5 for name, code in named(codes, 1, 1).items()}
    made = ask("vary", seed=[[4]], amount=[[0.6, 0.6]], **warmer)
    made = {name: 0.5 * code for name, code in made.items()}
    assert_same(made, named(expected, 1, 1))


def test_interpolate(tim, ask):
    codes = tim.draw_codes(GIVEN, num_samples=2, seed=0)
    shares = [0.0, 0.3, 1.0]
    made = ask("interpolate", t=[shares], **named(codes, 1, 2))
    for number, t in enumerate(shares):
        expected = tim.interpolate(take(codes, [0]), take(codes, [1]), t)
        assert_same(
            {name: code[:, number] for name, code in made.items()},
            named(expected, 1),
        )


@pytest.mark.parametrize("count", [1, 2, 4])
def test_combine(tim, ask, count):
    codes = tim.draw_codes(np.repeat(GIVEN, 2, 0), num_samples=count, seed=0)
    if count > 2:  # What is equal counts otherwise than what is not.
        codes[0] = tuple(np.array(part) for part in codes[0])
        for part in codes[0]:
            part[1] = part[3]
    masks = np.random.default_rng(1).random((2, count, 48, 80), "float32")
    made = ask("combine", masks=masks, **named(codes, 2, count))
    assert_same(made, named(tim.combine(codes, masks), 2, 1))


@pytest.mark.parametrize(
    ("name", "count", "changes", "message"),
    [
        ("vary", 1, {"seed": [[1] * 9]}, "`seed` must ask for 1 to 8"),
        ("vary", 2, {"seed": [[1, 2, 3]]}, "one seed per code"),
        ("vary", 1, {"amount": [[0.5, np.nan]]}, "`amount` must have one row"),
        (
            "vary",
            1,
            {"noise_0": np.zeros((1, 1, 4, 5, 2))},
            "`noise_0` must have",
        ),
        ("interpolate", 2, {"t": [[1.5]]}, "`t` must hold numbers from 0 to 1"),
        ("combine", 2, {"masks": np.zeros((1, 2, 12, 20))}, "one above 0 for"),
        ("combine", 2, {"masks": np.ones((1, 2, 12, 12))}, "same proportion"),
        ("combine", 2, {"masks": np.ones((1, 3, 12, 20))}, "`style_0` must"),
        ("combine", 9, {"masks": np.ones((1, 9, 12, 20))}, "must ask for 1 to"),
    ],
)
def test_what_is_refused(tim, ask, name, count, changes, message):
    codes = tim.draw_codes(GIVEN, num_samples=count, seed=0)
    right = {
        "seed": [[1]],
        "amount": [[0.5, 0.5]],
        "t": [[0.5]],
        "masks": np.ones((1, 2, 12, 20)),
        **named(codes, 1, count),
    }
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        ask(name, **{**right, **changes})


def test_the_example_of_the_readme(make_tim, tmp_path, monkeypatch):
    """With a map of styles, from a file and its own codes to a picture."""
    tim = make_tim(quick=True, style_cell=4)
    # Tiles, which its picture has no need of, take as long again.
    export_saved_model(tim, tmp_path / "models" / "photos", tile=None)
    monkeypatch.chdir(tmp_path)
    write_picture("PICTURE.png", GIVEN[0])
    text = (KIT / "README.md").read_text()
    (example,) = re.findall(r"```python\n(.*?)```", text, re.S)
    found = {}
    exec(example, found)
    codes = tim.draw_codes(GIVEN, num_samples=8, seed=0)
    third, both = take(codes, [3]), take(codes, [3, 7])
    near = tim.vary(third, 0.5, seed=[1, 2], levels=[-1])
    assert_same(found["near"], named(near, 1, 2))
    between = tim.interpolate(third, take(codes, [7]), 0.5)
    made = {name: code[:, 1:] for name, code in found["between"].items()}
    assert_same(made, named(between, 1, 1))
    masks = found["masks"].numpy().transpose(2, 0, 1)
    assert masks[0, :, :5].min() == masks[1, :, 15:].min() == 1.0
    mixed = tim.combine(both, masks)
    assert_same(found["mixed"], named(mixed, 1, 1))
    np.testing.assert_allclose(
        found["made"][0],
        tim.decode(found["picture"].numpy(), mixed)[-1],
        rtol=0,
        atol=1e-5,
    )
