import json
import math
import types

import keras
import numpy as np
import pytest

from keras_tim.runs.callbacks import (
    BudgetedCosineDecay,
    DivergenceGuard,
    RestoredMetrics,
    SampleSheets,
    trim_history,
)


def model_at(step, rate=0.01):
    optimizer = keras.optimizers.SGD(rate)
    optimizer.build([keras.Variable([0.0])])
    optimizer.iterations.assign(step)
    return types.SimpleNamespace(optimizer=optimizer, stop_training=False)


@pytest.mark.parametrize(
    ("step", "share"),
    [(0, 1.0), (50, 0.5), (25, 0.5 + math.sqrt(0.125)), (100, 0.02)],
)
def test_rate_falls_as_a_cosine_to_the_floor(step, share):
    decay = BudgetedCosineDecay(steps=100)
    model = model_at(step)
    decay.set_model(model)
    decay.on_train_batch_begin(0)
    assert float(model.optimizer.learning_rate) == pytest.approx(0.01 * share)


@pytest.mark.parametrize("step", [0, 50, 100])
def test_rate_is_constant_where_all_of_it_is_left(step):
    decay = BudgetedCosineDecay(steps=100, floor=1.0)
    model = model_at(step)
    decay.set_model(model)
    decay.on_train_batch_begin(0)
    assert float(model.optimizer.learning_rate) == pytest.approx(0.01)


class Clock:
    """Time that passes when it is told to."""

    def __init__(self, monkeypatch):
        self.seconds = 1000.0
        monkeypatch.setattr("time.monotonic", lambda: self.seconds)

    def train(self, decay, model, batches, seconds, steps=10):
        """Runs batches of so many seconds and steps; returns the rates."""
        rates = []
        for batch in range(batches):
            decay.on_train_batch_begin(batch)
            rates.append(float(model.optimizer.learning_rate))
            self.seconds += seconds
            iterations = model.optimizer.iterations
            iterations.assign(int(iterations.numpy()) + steps)
            decay.on_train_batch_end(batch)
            if model.stop_training:
                break
        return rates


def test_rates_do_not_depend_on_time_that_suffices(monkeypatch):
    clock = Clock(monkeypatch)
    runs = []
    for minutes, tracing, pace in ((None, 0.0, 0.0), (5, 60, 20), (5, 90, 23)):
        model = model_at(0, rate=1.0)
        decay = BudgetedCosineDecay(steps=100, minutes=minutes)
        decay.set_model(model)
        runs.append(
            clock.train(decay, model, 1, tracing)
            + clock.train(decay, model, 20, pace)
        )
    assert len(runs[0]) == 10
    np.testing.assert_array_equal(runs[1], runs[0])
    np.testing.assert_array_equal(runs[2], runs[0])


def test_rate_comes_down_within_the_time_where_it_ends_first(monkeypatch):
    clock = Clock(monkeypatch)
    model = model_at(0, rate=1.0)
    decay = BudgetedCosineDecay(steps=1000, minutes=5)
    decay.set_model(model)
    rates = clock.train(decay, model, 1, 60)
    rates += clock.train(decay, model, 99, 20)
    # A minute of tracing and twelve batches of 20 seconds: 130 steps of 10.
    assert len(rates) == 13
    # The second batch starts before there is a pace: by the steps.
    assert rates[1] == pytest.approx(0.5 * (1 + math.cos(math.pi / 100)))
    expected = [0.5 * (1 + math.cos(math.pi * n / 13)) for n in range(2, 13)]
    expected[-1] = max(expected[-1], 0.02)
    np.testing.assert_allclose(rates[2:], expected, rtol=1e-6)


def test_resumed_run_knows_its_pace(monkeypatch):
    clock = Clock(monkeypatch)
    decay = BudgetedCosineDecay(steps=100, minutes=1.0, elapsed=30.0)
    decay.set_model(model_at(10))
    # 3 seconds a step leave 10 more of them.
    assert decay.progress == pytest.approx(0.5)
    decay = BudgetedCosineDecay(steps=100, minutes=1.0, elapsed=30.0)
    decay.set_model(model_at(80))
    assert decay.progress == pytest.approx(0.8)
    clock.seconds += 30.0
    assert decay.progress == 1.0


def test_training_stops_when_the_budget_is_used_up():
    model = model_at(99)
    decay = BudgetedCosineDecay(steps=100)
    decay.set_model(model)
    decay.on_train_batch_end(0)
    assert not model.stop_training
    model.optimizer.iterations.assign(100)
    decay.on_train_batch_end(0)
    assert model.stop_training
    decay.on_train_end()
    assert float(model.optimizer.learning_rate) == pytest.approx(0.01)


def test_a_resumed_run_keeps_its_clock(monkeypatch):
    clock = Clock(monkeypatch)
    decay = BudgetedCosineDecay(steps=100, elapsed=30.0)
    model = model_at(10)
    for _ in range(2):  # a resumed run trains in two parts
        decay.set_model(model)
        clock.seconds += 5.0
    assert decay.seconds == pytest.approx(40.0)


@pytest.mark.parametrize(
    ("epochs", "expected"),
    [
        (2, b"epoch,loss\r\n0,0.5\r\n1,0.25\r\n"),
        (1, b"epoch,loss\r\n0,0.5\r\n"),
        (0, None),
    ],
)
def test_history_is_cut_back_to_the_checkpoint(tmp_path, epochs, expected):
    path = tmp_path / "history.csv"
    # Killed twice: an epoch is there twice, and part of a row.
    path.write_bytes(b"epoch,loss\r\n0,0.5\r\n1,0.3\r\n1,0.25\r\n2,0.2\r\n3")
    trim_history(path, epochs)
    if expected is None:
        assert not path.exists()
    else:
        assert path.read_bytes() == expected


@pytest.mark.parametrize("content", [None, b"", b"epoch,loss\r\n"])
def test_history_without_rows(tmp_path, content):
    path = tmp_path / "history.csv"
    if content is not None:
        path.write_bytes(content)
    trim_history(path, 3)
    assert not path.exists()


def test_metrics_go_on_where_they_were():
    tracker = keras.metrics.Mean(name="loss")
    tracker.update_state([1.0, 3.0])
    values = {"loss": [v.numpy().tolist() for v in tracker.variables]}
    again = keras.metrics.Mean(name="loss")
    other = keras.metrics.Mean(name="other")
    restored = RestoredMetrics(json.loads(json.dumps(values)))
    restored.set_model(types.SimpleNamespace(metrics=[again, other]))
    restored.on_epoch_begin(3)
    again.update_state(8.0)
    assert float(again.result()) == 4.0
    assert float(other.result()) == 0.0
    # The epoch after it begins with nothing.
    again.reset_state()
    restored.on_epoch_begin(4)
    assert float(again.result()) == 0.0


def test_divergence_is_named_and_the_last_finite_weights_are_kept(
    make_tim, tmp_path
):
    # Of a single level: twice as many take twice as long to trace.
    tim = make_tim(
        quick=True,
        weight_norm=False,
        residual_channels=(8,),
        growth_channels=(4,),
    )
    tim.compile(
        keras.optimizers.SGD(1e36),
        distance="mean_squared_error",
        num_samples=1,
        steps_per_selection=4,
        mini_batch_size=1,
    )
    random = np.random.default_rng(0)
    data = [random.random((2, n, n, 3), dtype="float32") for n in (3, 6)]
    message = (
        r"gradient step 2\. .*last_finite.*--learning_rate \(it was 1e\+36"
    )
    with pytest.raises(RuntimeError, match=message):
        tim.fit(*data, callbacks=[DivergenceGuard(tmp_path)], verbose=0)
    kept = keras.models.load_model(tmp_path / "last_finite.keras")
    assert int(kept.optimizer.iterations) == 1
    for a, b in zip(kept.get_weights(), tim.get_weights(), strict=True):
        assert np.isfinite(a).all()
        np.testing.assert_array_equal(a, b)


def test_weights_that_are_not_finite_are_not_kept(make_tim, tmp_path):
    tim = make_tim(quick=True)
    tim.compile("sgd", distance="mean_squared_error", num_samples=1)
    guard = DivergenceGuard(tmp_path)
    guard.set_model(tim)
    guard.on_train_batch_end(0)
    weight = tim.trainable_variables[3]
    weight.assign(np.full(weight.shape, np.inf))
    with pytest.raises(RuntimeError, match="checkpoints hold finite weights"):
        guard.on_train_batch_end(0)
    assert not list(tmp_path.iterdir())


def test_samples_that_are_not_finite_are_a_divergence(make_tim, tmp_path):
    tim = make_tim(quick=True, weight_norm=False)
    tim.compile("sgd", distance="mean_squared_error", num_samples=1)
    tim.set_weights([1e30 * weight for weight in tim.get_weights()])
    random = np.random.default_rng(0)
    example = [random.random((n, n, 3), dtype="float32") for n in (3, 12)]
    sheets = SampleSheets(tmp_path, [("cat", *example)])
    sheets.set_model(tim)
    with pytest.raises(RuntimeError, match="samples of cat are not finite aft"):
        sheets.on_epoch_end(0)
    assert not list(tmp_path.iterdir())
