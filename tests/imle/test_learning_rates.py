import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_tim.imle.learning_rates import (
    learning_rate_multipliers,
    scaled_learning_rates,
)

RATE, MULTIPLIER, STEPS = 0.05, 0.01, 4

WRAPPERS = ("LossScaleOptimizer", "MultiOptimizer", "Optimizer")
OPTIMIZERS = {
    name: value
    for name, value in vars(keras.optimizers).items()
    if isinstance(value, type)
    and issubclass(value, keras.optimizers.Optimizer)
    and name not in WRAPPERS
}
KINDS = {
    **{name: (value, {}) for name, value in OPTIMIZERS.items()},
    "large epsilon": (keras.optimizers.Adam, {"epsilon": 0.1}),
    "weight decay": (keras.optimizers.AdamW, {"weight_decay": 0.5}),
    "momentum": (keras.optimizers.SGD, {"momentum": 0.9, "nesterov": True}),
    "clipping": (keras.optimizers.SGD, {"clipnorm": 0.1}),
    "accumulation": (
        keras.optimizers.AdamW,
        {"gradient_accumulation_steps": 2, "weight_decay": 0.5},
    ),
    "moving average": (
        keras.optimizers.Adam,
        {"use_ema": True, "ema_momentum": 0.5},
    ),
    "overwriting average": (
        keras.optimizers.Adam,
        {"use_ema": True, "ema_overwrite_frequency": 2},
    ),
    "schedule": (
        keras.optimizers.AdamW,
        {
            "learning_rate": keras.optimizers.schedules.ExponentialDecay,
            "weight_decay": 0.5,
        },
    ),
}


def made(kind, rate):
    """An optimizer of a kind, and the variable it is to train."""
    optimizer_class, arguments = KINDS[kind]
    if "learning_rate" in arguments:
        schedule = arguments["learning_rate"](rate, 2, 0.5)
        optimizer = optimizer_class(**{**arguments, "learning_rate": schedule})
    else:
        optimizer = optimizer_class(rate, **arguments)
    values = np.random.default_rng(0).normal(size=(3, 4))
    return optimizer, keras.Variable(values.astype("float32"), name="kernel")


def gradients():
    rng = np.random.default_rng(1)
    return rng.normal(0.0, 0.1, (STEPS, 3, 4)).astype("float32")


def trained(optimizer, variables, multipliers, jit_compile=False):
    """Values of variables after some steps of the same gradients."""

    @tf.function(jit_compile=jit_compile)
    def step(gradient):
        scale = optimizer.scale_loss(1.0)
        with scaled_learning_rates(optimizer, multipliers):
            optimizer.apply([gradient * scale] * len(variables), variables)

    optimizer.build(variables)
    for gradient in gradients():
        step(gradient)
    optimizer.finalize_variable_values(variables)
    return [v.numpy() for v in variables]


@pytest.mark.filterwarnings("ignore:.*Ftrl")
@pytest.mark.parametrize("kind", KINDS)
def test_steps_are_those_of_the_multiplied_rate(kind):
    optimizer, slow = made(kind, RATE)
    fast = keras.Variable(slow.numpy(), name="fast")
    found = trained(optimizer, [slow, fast], [(slow, MULTIPLIER)])
    expected = [
        trained(single, [variable], [])[0]
        for single, variable in (
            made(kind, MULTIPLIER * RATE),
            made(kind, RATE),
        )
    ]
    _, start = made(kind, RATE)
    for value, wanted in zip(found, expected, strict=True):
        step = np.abs(wanted - start.numpy()).max()
        assert step > 1e-6
        # To within rounding, of the weights and of their change.
        np.testing.assert_allclose(
            value, wanted, rtol=0, atol=3e-7 + 1e-4 * step
        )


@pytest.mark.parametrize("decay", [None, 0.5])
def test_behind_a_loss_scale(decay):
    _, slow = made("Adam", RATE)
    optimizer = keras.optimizers.LossScaleOptimizer(
        keras.optimizers.Adam(RATE, weight_decay=decay)
    )
    (found,) = trained(optimizer, [slow], [(slow, MULTIPLIER)])
    _, other = made("Adam", RATE)
    plain = keras.optimizers.Adam(MULTIPLIER * RATE, weight_decay=decay)
    (expected,) = trained(plain, [other], [])
    np.testing.assert_allclose(found, expected, rtol=0, atol=3e-7)


def test_overflowing_gradients_change_nothing():
    _, slow = made("Adam", RATE)
    before = slow.numpy()
    optimizer = keras.optimizers.LossScaleOptimizer(
        keras.optimizers.AdamW(RATE, weight_decay=0.5)
    )
    optimizer.build([slow])
    with scaled_learning_rates(optimizer, [(slow, MULTIPLIER)]):
        optimizer.apply([tf.fill((3, 4), np.inf)], [slow])
    np.testing.assert_array_equal(slow.numpy(), before)


def test_under_xla():
    values = []
    for jit_compile in (False, True):
        optimizer, slow = made("weight decay", RATE)
        values.append(
            trained(optimizer, [slow], [(slow, MULTIPLIER)], jit_compile)
        )
    np.testing.assert_allclose(*values, rtol=0, atol=3e-7)


def test_optimizer_is_left_as_it_was():
    optimizer, slow = made("Adam", RATE)
    optimizer.build([slow])
    before = set(vars(optimizer))
    with (
        pytest.raises(KeyboardInterrupt),
        scaled_learning_rates(optimizer, [(slow, MULTIPLIER)]),
    ):
        raise KeyboardInterrupt
    assert set(vars(optimizer)) == before


ON_JAX = """
import jax, keras, numpy as np
from keras_tim.imle.learning_rates import scaled_learning_rates

def trained(rate, multiplier):
    values = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
    variable = keras.Variable(values)
    optimizer = keras.optimizers.AdamW(rate, weight_decay=0.5)
    optimizer.build([variable])

    @jax.jit
    def step(state, gradient):
        with scaled_learning_rates(optimizer, [(variable, multiplier)]):
            return optimizer.stateless_apply(state[1], [gradient], state[0])

    state = [variable.value], [v.value for v in optimizer.variables]
    for _ in range(3):
        state = step(state, 0.1 * values)
    return np.asarray(state[0][0]) - values

assert keras.backend.backend() == "jax"
slow, expected = trained(0.05, 0.01), trained(0.0005, 1.0)
assert np.abs(expected).max() > 1e-3
np.testing.assert_allclose(slow, expected, rtol=0, atol=3e-7)
"""


def test_on_jax():
    finished = subprocess.run(
        [sys.executable, "-c", ON_JAX],
        env={**os.environ, "KERAS_BACKEND": "jax"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr


# In the model.


def change(tim, make_pairs):
    """What one step of SGD changes, by the weights' paths."""
    tim.compile(
        keras.optimizers.SGD(1.0),
        distance="mean_squared_error",
        num_samples=1,
        run_eagerly=True,
    )
    before = tim.get_weights()
    tim.fit(*make_pairs(tim), verbose=0)
    paths = [w.path[w.path.index("level") :] for w in tim.weights]
    differences = [
        a - b for a, b in zip(tim.get_weights(), before, strict=True)
    ]
    return dict(zip(paths, differences, strict=True))


@pytest.mark.parametrize("dtype", ["float32", "mixed_float16"])
def test_mapping_networks_take_smaller_steps(make_tim, make_pairs, dtype):
    slow, plain = (
        change(
            make_tim(
                mapping_learning_rate_multiplier=multiplier,
                dtype=dtype,
                mapping_gain=1.0,
            ),
            make_pairs,
        )
        for multiplier in (MULTIPLIER, 1.0)
    )
    assert slow.keys() == plain.keys()
    assert any("mapping" in path for path in slow)
    for path, step in slow.items():
        factor = MULTIPLIER if "mapping" in path else 1.0
        assert np.abs(plain[path]).max() > 0, path
        # Small steps are rounded to what weights of about 1 can take.
        np.testing.assert_allclose(
            step, factor * plain[path], rtol=0.02, atol=1e-6, err_msg=path
        )


def test_multipliers_of_a_model(make_tim):
    tim = make_tim(mapping_learning_rate_multiplier=0.5)
    pairs = learning_rate_multipliers(tim)
    # Two levels, two layers each, kernel and bias.
    assert len(pairs) == 8
    assert all("mapping" in variable.path for variable, _ in pairs)
    assert {multiplier for _, multiplier in pairs} == {0.5}
    assert learning_rate_multipliers(make_tim(mapping_network=False)) == []
    assert learning_rate_multipliers(make_tim()) == []
