import contextlib
import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest

from keras_tim.layers.rrdb import DenseBlock
from keras_tim.models import sampling
from keras_tim.models.processor import pictures_together

# Where the same computation runs, results are bit-equal. Where the batch has
# another size, convolutions may add up in another order.
TOLERANCE = 1e-6


@pytest.fixture(scope="module")
def tim(shared_tim):
    return shared_tim


def test_shape_and_range(tim, pictures):
    samples = tim.sample(pictures(tim)[0], num_samples=3)
    assert isinstance(samples, np.ndarray)
    assert samples.dtype == np.float32
    assert samples.shape == (2, 3, 16, 24, 3)
    assert samples.min() >= 0.0
    assert samples.max() <= 1.0


def test_samples_differ(tim, pictures):
    samples = tim.sample(pictures(tim)[0], num_samples=4)[0]
    for i in range(4):
        for j in range(i):
            assert np.abs(samples[i] - samples[j]).max() > 1e-3


def test_a_regression_gives_one_answer(make_tim, pictures):
    tim = make_tim(stochastic=False)
    samples = tim.sample(pictures(tim)[0], num_samples=3, seed=5)
    for k in (1, 2):
        np.testing.assert_allclose(samples[:, k], samples[:, 0], atol=TOLERANCE)
    assert samples.std() > 1e-3


def test_seeds_differ(tim, pictures):
    (small,) = pictures(tim)
    zero, one = (tim.sample(small, num_samples=2, seed=s) for s in (0, 1))
    assert np.abs(zero - one).max() > 1e-3
    np.testing.assert_array_equal(zero, tim.sample(small, num_samples=2))


def test_same_call_gives_the_same_bits(tim, pictures):
    (small,) = pictures(tim)
    a, b = (tim.sample(small, num_samples=3, seed=7) for _ in range(2))
    np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("task", ["super_resolution", "colourization"])
def test_codes_depend_on_seed_and_index_alone(make_tim, pictures, task):
    tim = make_tim(task)
    inputs = pictures(tim, batch=3)
    whole = tim.draw_codes(inputs, num_samples=5, seed=[4, 5, 6])
    alone = tim.draw_codes([x[2:] for x in inputs], num_samples=2, seed=6)
    swapped = tim.draw_codes(inputs, num_samples=5, seed=[6, 5, 4])
    for kinds in zip(whole, alone, swapped, strict=True):
        for a, b, c in zip(*kinds, strict=True):
            np.testing.assert_array_equal(a[10:12], b)
            np.testing.assert_array_equal(a[10:], c[:5])
            np.testing.assert_array_equal(a[:5], c[10:])


def test_sample_is_the_decoded_codes(tim, pictures):
    (small,) = pictures(tim)
    codes = tim.draw_codes(small, num_samples=2, seed=[3, 4])
    decoded = np.asarray(tim.decode(small, codes)[-1])
    samples = tim.sample(small, num_samples=2, seed=[3, 4])
    np.testing.assert_allclose(
        samples, decoded.reshape(2, 2, 16, 24, 3), atol=TOLERANCE
    )


def test_samples_do_not_depend_on_the_batch(tim, pictures):
    (small,) = pictures(tim, batch=3)
    whole = tim.sample(small, num_samples=2, seed=[4, 5, 6])
    for i in range(3):
        alone = tim.sample(small[i : i + 1], num_samples=2, seed=4 + i)
        np.testing.assert_allclose(alone[0], whole[i], atol=TOLERANCE)


def test_samples_do_not_depend_on_the_order(tim, pictures):
    (small,) = pictures(tim, batch=3)
    whole = tim.sample(small, num_samples=2, seed=[4, 5, 6])
    turned = tim.sample(small[::-1], num_samples=2, seed=[6, 5, 4])
    np.testing.assert_allclose(turned[::-1], whole, atol=TOLERANCE)


def test_more_samples_do_not_change_the_first(tim, pictures):
    (small,) = pictures(tim)
    few = tim.sample(small, num_samples=2)
    many = tim.sample(small, num_samples=7)
    np.testing.assert_allclose(many[:, :2], few, atol=TOLERANCE)


@pytest.mark.parametrize("batch_size", [1, 3, 4, 100])
def test_batch_size_is_of_no_consequence(tim, pictures, batch_size):
    (small,) = pictures(tim)
    expected = tim.sample(small, num_samples=5)
    samples = tim.sample(small, num_samples=5, batch_size=batch_size)
    np.testing.assert_allclose(samples, expected, atol=TOLERANCE)


def test_equal_inputs_share_samples_of_a_seed(tim, pictures):
    (small,) = pictures(tim)
    small[1] = small[0]
    samples = tim.sample(small, num_samples=2, seed=3)
    np.testing.assert_allclose(samples[0], samples[1], atol=TOLERANCE)
    samples = tim.sample(small, num_samples=2, seed=[3, 4])
    assert np.abs(samples[0] - samples[1]).max() > 1e-3


def test_predict_is_sample_0_of_seed_0(make_tim, pictures):
    tim = make_tim()
    (small,) = pictures(tim, batch=3)
    tim.compile(distance=keras.losses.mean_absolute_error)
    predicted = tim.predict(small, batch_size=2, verbose=0)
    expected = tim.sample(small, num_samples=1)[:, 0]
    np.testing.assert_allclose(predicted, expected, atol=TOLERANCE)


def test_new_weights_show_in_the_next_sample(make_tim, pictures):
    tim = make_tim()
    (small,) = pictures(tim)
    before = tim.sample(small, num_samples=1)
    tim.tower[-1].output_convolution.bias.assign([1.0, 1.0, 1.0])
    assert np.abs(tim.sample(small, num_samples=1) - before).max() > 0.1


def test_progress_bar(tim, pictures, capsys):
    tim.sample(pictures(tim)[0], num_samples=2, verbose=1)
    assert "4/4" in capsys.readouterr().out
    tim.sample(pictures(tim)[0], num_samples=2)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("task", ["super_resolution", "layout_synthesis"])
def test_reloaded_model_gives_the_same_bits(make_tim, pictures, tmp_path, task):
    tim = make_tim(task)
    inputs = pictures(tim)
    tim.save(tmp_path / "tim.keras")
    again = keras.saving.load_model(tmp_path / "tim.keras")
    np.testing.assert_array_equal(
        again.sample(inputs, num_samples=3, seed=2),
        tim.sample(inputs, num_samples=3, seed=2),
    )


SCRIPT = """
import sys
import keras, numpy as np
import keras_tim
tim = keras.saving.load_model("tim.keras")
small = np.load("small.npy")
np.save("samples.npy", tim.sample(small, num_samples=3, seed=2))
codes = tim.draw_codes(small, num_samples=3, seed=2)
np.save("style.npy", codes[1][0])
varied = tim.vary(codes, 0.5, seed=7)
np.savez("varied.npz", *[part for code in varied for part in code])
"""


def test_another_process_gives_the_same_bits(tim, pictures, tmp_path):
    (small,) = pictures(tim)
    tim.save(tmp_path / "tim.keras")
    np.save(tmp_path / "small.npy", small)
    root = pathlib.Path(__file__).parents[2]
    subprocess.run(
        [
            sys.executable,
            "-c",
            f"import sys; sys.path.append({str(root)!r})\n" + SCRIPT,
        ],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        timeout=120,
    )
    codes = tim.draw_codes(small, num_samples=3, seed=2)
    np.testing.assert_array_equal(np.load(tmp_path / "style.npy"), codes[1][0])
    varied = tim.vary(codes, 0.5, seed=7)
    with np.load(tmp_path / "varied.npz") as found:
        for number, part in enumerate(x for code in varied for x in code):
            np.testing.assert_array_equal(found[f"arr_{number}"], part)
    np.testing.assert_array_equal(
        np.load(tmp_path / "samples.npy"),
        tim.sample(small, num_samples=3, seed=2),
    )


def test_samples_are_those_of_the_folded_model(make_tim):
    """To the last bit, also once the weights have changed."""
    tim = make_tim(quick=True, weight_norm=True)
    given = np.random.RandomState(0).rand(2, 5, 7, 3).astype("float32")
    before = tim.sample(given, num_samples=2)
    np.testing.assert_array_equal(tim.folded().sample(given, 2), before)
    weight = tim.tower[0].trainable_weights[0]
    weight.assign(weight + 0.1)
    after = tim.sample(given, num_samples=2)
    assert not np.array_equal(before, after)
    np.testing.assert_array_equal(tim.folded().sample(given, 2), after)


def test_blocks_are_traced_once_for_all_samples(make_tim, monkeypatch):
    """The same, to the last bit, as of blocks that are traced one by one."""
    traced = []
    run = DenseBlock._run

    def counted(block, inputs):
        traced.append(block.name)
        return run(block, inputs)

    def tower():
        tim = make_tim(
            weight_norm=False, num_blocks=(3, 1), plain_blocks=(1, 0)
        )
        for weight in tim.trainable_variables:
            if len(weight.shape) == 4:
                # Blocks that show.
                weight.assign(10.0 * weight)
        return tim

    monkeypatch.setattr(DenseBlock, "_run", counted)
    tim = tower()
    given = np.random.RandomState(0).rand(1, 5, 7, 3).astype("float32")
    made = tim.sample(given, num_samples=2)
    # Plain ones, in a graph of their own, and those of two levels' widths.
    assert len(traced) == 3
    monkeypatch.setattr(
        sampling, "layers_alike_traced_once", contextlib.nullcontext
    )
    one_by_one = tower().sample(given, num_samples=2)
    np.testing.assert_array_equal(one_by_one, made)
    assert len(traced) == 3 + 3 * 4
    kernel = tim.tower[0].blocks[2].dense_blocks[0].convolutions[0].kernel
    kernel.assign(2.0 * kernel)
    assert np.abs(tim.sample(given, num_samples=2) - made).max() > 1e-3


PAIRS = """
import numpy as np
from keras_tim import TIM
from keras_tim.inference.rendering import Renderer
from keras_tim.models.processor import pictures_together

assert pictures_together() == 2
tim = TIM(
    "super_resolution",
    residual_channels=(8,),
    growth_channels=(4,),
    num_blocks=1,
    style_dim=4,
    mapping_width=4,
    mapping_depth=1,
)
given = np.random.default_rng(0).random((2, 8, 9, 3), np.float32)
made = tim.sample(given, num_samples=3, seed=5)
(last,) = tim.sample(given[1:], num_samples=1, seed=5, first=2)
np.testing.assert_array_equal(made[1, 2], last[0])
two = tim.sample(given, num_samples=2, seed=5)
np.testing.assert_array_equal(two, made[:, :2])
folded = tim.folded().sample(given, num_samples=3, seed=5)
np.testing.assert_array_equal(folded, made)
renderer = Renderer(tim, given[1])
third = renderer.picture(renderer.draw(5, 2))
np.testing.assert_array_equal(third, made[1, 2])
assert len({picture.tobytes() for picture in made.reshape(6, -1)}) == 6
np.save("made.npy", made)
np.save("codes.npy", tim.decode([given], tim.draw_codes(given, 1, 5))[-1])
"""


def test_pairs_of_samples_are_the_same_samples(tmp_path):
    """Where the processor is as quick with two pictures as with one."""
    root = pathlib.Path(__file__).parents[2]
    subprocess.run(
        [
            sys.executable,
            "-c",
            f"import sys; sys.path.append({str(root)!r})\n" + PAIRS,
        ],
        cwd=tmp_path,
        env={
            **os.environ,
            "TF_ENABLE_ONEDNN_OPTS": "1",
            "ONEDNN_MAX_CPU_ISA": "AVX2",
        },
        check=True,
        timeout=120,
    )
    made = np.load(tmp_path / "made.npy")
    np.testing.assert_allclose(
        made[:, 0], np.load(tmp_path / "codes.npy"), atol=1e-5
    )


@pytest.mark.parametrize(
    ("environment", "instructions", "count"),
    [
        ({}, {"X86_V2", "X86_V3"}, 1),
        ({"TF_ENABLE_ONEDNN_OPTS": "0"}, {"X86_V3"}, 1),
        ({"TF_ENABLE_ONEDNN_OPTS": "1"}, {"X86_V2", "X86_V3"}, 2),
        ({"TF_ENABLE_ONEDNN_OPTS": "1"}, {"SSE42", "AVX2"}, 2),
        ({"TF_ENABLE_ONEDNN_OPTS": "1"}, {"X86_V3", "X86_V4"}, 1),
        ({"TF_ENABLE_ONEDNN_OPTS": "1"}, {"AVX2", "AVX512F"}, 1),
        ({"TF_ENABLE_ONEDNN_OPTS": "1"}, {"NEON", "ASIMD"}, 1),
    ],
)
def test_pictures_together(monkeypatch, environment, instructions, count):
    for name in ("TF_ENABLE_ONEDNN_OPTS", "ONEDNN_MAX_CPU_ISA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    found = {"SIMD Extensions": {"baseline": [], "found": [*instructions]}}
    monkeypatch.setattr(np, "show_config", lambda mode: found)
    assert pictures_together() == count
