"""Algorithm 1 on Keras' JAX backend, which a process of its own has."""

import inspect
import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import ops

from keras_tim.imle import training

# Both sides of the comparison take candidates from this table.
CANDIDATES = 3


def run(script, *arguments):
    """What a script prints as JSON, on JAX."""
    finished = subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        env={
            **os.environ,
            "KERAS_BACKEND": "jax",
            "JAX_PLATFORMS": "cpu",
            # Compiling takes most of the time.
            "XLA_FLAGS": "--xla_backend_optimization_level=0",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    return json.loads(finished.stdout.splitlines()[-1])


# Of a single level: two, which take twice as long to compile, are below.
LEARNING = """
import json
import keras
import numpy as np
from keras_tim import TIM
keras.utils.set_random_seed(0)
tim = TIM("super_resolution", residual_channels=(4,), growth_channels=(2,),
          num_blocks=0, mapping_network=False, style_dim=4, noise_channels=2,
          mapping_width=4, mapping_depth=1, dtype=DTYPE)
rng = np.random.default_rng(0)
y = np.clip(rng.normal(0.8, 0.1, (5, 16, 24, 3)), 0, 1).astype("float32")
x = y[:, ::2, ::2]
tim.compile(keras.optimizers.Adam(0.02), "mean_squared_error", 3,
            images_per_selection=3, steps_per_selection=2, mini_batch_size=2,
            candidate_chunk=4)
history = tim.fit(x, y, batch_size=5, epochs=20, verbose=0).history
def batches():
    while True:
        yield x, y
tim.fit(batches(), steps_per_epoch=2, verbose=0)
evaluated = [
    tim.evaluate(x, y, batch_size=5, verbose=0, return_dict=True)
    for _ in range(2)
]
many = tim.sample(x[:2], num_samples=3, seed=[7, -(2**62)])
one = tim.sample(x[1:2], num_samples=1, seed=-(2**62), first=2)
together = tim.sample(x[:2], num_samples=3, seed=[7, -(2**62)], batch_size=4)
codes = tim.draw_codes(x[:2], num_samples=3, seed=[7, -(2**62)])
code = tim.draw_codes(x[1:2], num_samples=1, seed=-(2**62), first=2)
far = tim.draw_codes(x[1:2], num_samples=1, seed=-(2**62), first=2**40 + 2)
try:
    tim.sample(x[:1], tile=16)
except ValueError as error:
    tiles = str(error)
others = []
for refused in (
    lambda: tim.invert(x[:1], y[:1]),
    lambda: tim.export("nowhere"),
):
    try:
        refused()
    except ValueError as error:
        others.append(str(error))
try:
    tim.fit(255 * x, y)
except ValueError as error:
    bright = str(error)
print(json.dumps({
    "loss": history["loss"],
    "iterations": int(tim.optimizer.iterations.numpy()),
    "nonfinite_step": tim.nonfinite_step,
    "evaluated": evaluated,
    "alone": float(np.abs(many[1, 2] - one[0, 0]).max()),
    "together": float(np.abs(many - together).max()),
    "apart": float(np.abs(many[0, 0] - many[0, 1]).max()),
    "codes": max(float(np.abs(np.asarray(a)[5] - np.asarray(b)[0]).max())
                 for a, b in zip(codes[0], code[0])),
    "far": float(np.abs(np.asarray(far[0][1]) - code[0][1]).max()),
    "predicted": tim.predict(x, verbose=0).shape,
    "deviation": float(np.std(np.asarray(codes[0][1]))),
    "tiles": [tiles, *others],
    "bright": bright,
}))
"""


@pytest.fixture(
    scope="module",
    params=["float32", pytest.param("mixed_bfloat16", marks=pytest.mark.slow)],
)
def learnt(request):
    return run(LEARNING.replace("DTYPE", repr(request.param)))


def test_fit_lowers_the_loss(learnt):
    assert np.isfinite(learnt["loss"]).all()
    assert learnt["loss"][-1] < 0.8 * learnt["loss"][0]
    assert learnt["nonfinite_step"] is None
    # Groups of 3 and 2 images, two steps each; then batches of a generator.
    assert learnt["iterations"] == (20 + 2) * 2 * 2


def test_evaluation_can_be_repeated(learnt):
    first, again = learnt["evaluated"]
    assert first == again
    assert set(first) >= {"loss", "selected_distance_level0"}
    assert "gradient_norm" not in first


def test_a_sample_is_the_same_in_any_batch(learnt):
    assert learnt["alone"] == 0.0
    assert learnt["codes"] == 0.0
    assert learnt["together"] < 0.02
    assert learnt["apart"] > 1e-4
    # Numbers beyond 32 bits are others.
    assert learnt["far"] > 0.1
    assert learnt["deviation"] == pytest.approx(1.0, abs=0.15)
    assert learnt["predicted"] == [5, 16, 24, 3]


def test_what_jax_cannot_do_is_said(learnt):
    for text, name in zip(
        learnt["tiles"], ("`tile`", "`TIM.invert`", "`TIM.export`"), strict=True
    ):
        assert f"{name} needs TensorFlow" in text
    assert "[0, 1]" in learnt["bright"]


# One round of Algorithm 1, from the same weights and candidates.


def from_table(table):
    """A stand-in for `draw_codes` that takes candidates from a table."""

    def draw(
        seeds, numbers, sizes, style_dim, channels, levels, style_sizes=None
    ):
        (level,) = levels
        # On JAX the last axis has the lower word of every number.
        numbers = numbers[..., -1] if len(numbers.shape) == 3 else numbers
        rows = ops.reshape(ops.cast(numbers, "int32"), (-1,))
        parts = (table[f"style{level}"], table[f"noise{level}"])
        return [
            tuple(
                ops.take(ops.convert_to_tensor(x), rows, axis=0) for x in parts
            )
        ]

    return draw


def one_round(tim, table):
    """Losses of a step of plain gradient descent; the weights are moved."""
    tim.compile(
        keras.optimizers.SGD(1.0),
        "mean_squared_error",
        CANDIDATES,
        candidate_chunk=4,
        pixel_weight=0.5,
    )
    data = table["x"], table["y"]
    return tim.train_on_batch(*data, return_dict=True)


ON_JAX = """
import json
import sys
import keras
import numpy as np
from keras import ops
from keras_tim.imle import training
CANDIDATES = 3
{functions}
tim = keras.models.load_model(sys.argv[1])
table = dict(np.load(sys.argv[2]))
training.draw_codes = from_table(table)
logs = one_round(tim, table)
np.savez(sys.argv[3], *tim.get_weights())
print(json.dumps({{name: float(value) for name, value in logs.items()}}))
"""


def test_a_step_is_that_of_tensorflow(make_tim, tmp_path, monkeypatch):
    tim = make_tim()
    rng = np.random.default_rng(1)
    table = {
        "x": rng.random((3, 4, 6, 3), dtype="float32"),
        "y": rng.random((3, 16, 24, 3), dtype="float32"),
    }
    for level, (style, noise) in enumerate(
        tim.draw_codes(table["x"][:1], num_samples=CANDIDATES, seed=5)
    ):
        table |= {f"style{level}": style, f"noise{level}": noise}
    files = [tmp_path / name for name in ("tim.keras", "in.npz", "out.npz")]
    tim.save(files[0])
    np.savez(files[1], **table)
    before = tim.get_weights()
    monkeypatch.setattr(training, "draw_codes", from_table(table))
    logs = one_round(tim, table)
    functions = "\n".join(map(inspect.getsource, (from_table, one_round)))
    found = run(ON_JAX.format(functions=functions), *files)
    assert found == pytest.approx(
        {name: float(value) for name, value in logs.items()}, abs=1e-5
    )
    # The step of rate 1 is the gradient.
    with np.load(files[2]) as file:
        gradients = [
            [old - new for old, new in zip(before, weights, strict=True)]
            for weights in (tim.get_weights(), list(file.values()))
        ]
    assert max(np.abs(gradient).max() for gradient in gradients[0]) > 1e-3
    for here, there in zip(*gradients, strict=True):
        np.testing.assert_allclose(there, here, atol=1e-4, rtol=1e-4)
