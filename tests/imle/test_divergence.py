import keras
import numpy as np
import pytest


@pytest.fixture
def diverging(make_tim, mean_square_distance):
    """Callable that makes a model whose second step meets huge weights."""

    def make(**kwargs):
        tim = make_tim(quick=True, weight_norm=False)
        tim.compile(
            optimizer=keras.optimizers.SGD(1e36),
            distance=mean_square_distance,
            num_samples=1,
            **kwargs,
        )
        return tim

    return make


def fit(tim, data, **kwargs):
    return tim.fit(*data, verbose=0, shuffle=False, **kwargs).history


@pytest.mark.parametrize(
    "options", [{}, {"run_eagerly": True}, {"jit_compile": True}]
)
def test_a_step_that_would_spoil_the_weights_is_left_out(
    diverging, make_pairs, options
):
    tim = diverging(steps_per_selection=4, mini_batch_size=1, **options)
    data = make_pairs(tim)
    logs = fit(tim, data)
    assert not np.isfinite(logs["loss"][0])
    assert tim.nonfinite_step == 2
    assert int(tim.optimizer.iterations) == 1
    assert all(np.isfinite(w).all() for w in tim.get_weights())
    if options:
        return
    # They are those after the first step.
    once = diverging(steps_per_selection=1, mini_batch_size=1)
    fit(once, data)
    assert once.nonfinite_step is None
    for a, b in zip(tim.get_weights(), once.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_another_training_begins_with_a_clean_slate(diverging, make_pairs):
    tim = diverging(steps_per_selection=2, mini_batch_size=1)
    weights = tim.get_weights()
    data = make_pairs(tim)
    fit(tim, data)
    assert tim.nonfinite_step == 2
    tim.set_weights(weights)
    tim.optimizer.learning_rate = 1e-3
    logs = fit(tim, data)
    assert tim.nonfinite_step is None
    assert np.isfinite(logs["loss"][0])
    assert int(tim.optimizer.iterations) == 3


def test_a_scaled_loss_that_overflows_is_no_divergence(
    make_tim, make_pairs, mean_square_distance
):
    tim = make_tim(quick=True, dtype="mixed_float16")
    optimizer = keras.optimizers.LossScaleOptimizer(
        keras.optimizers.SGD(0.1), initial_scale=2.0**100
    )
    tim.compile(
        optimizer=optimizer,
        distance=mean_square_distance,
        num_samples=1,
        steps_per_selection=3,
    )
    fit(tim, make_pairs(tim))
    assert tim.nonfinite_step is None
    # Three steps were left out, each of which halved the scale.
    assert float(optimizer.dynamic_scale) == 2.0**97
    assert int(tim.optimizer.iterations) == 0
