import math
import types

import keras
import numpy as np
import pytest

from keras_tim.runs.callbacks import BudgetedCosineDecay
from keras_tim.runs.files import read_json, save_model, write_json


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


def test_json_round_trip_and_damage(tmp_path):
    path = tmp_path / "state.json"
    write_json(str(path), {"steps": 3, "names": ["a"]})
    assert read_json(path) == {"steps": 3, "names": ["a"]}
    assert list(tmp_path.iterdir()) == [path]
    path.write_text("{")
    with pytest.raises(ValueError, match=r"state\.json is damaged"):
        read_json(path)


def test_failed_writes_keep_what_was_there(tmp_path):
    path = tmp_path / "state.json"
    write_json(str(path), [1])
    with pytest.raises(TypeError):
        write_json(str(path), {"steps": object()})
    assert read_json(path) == [1]
    assert list(tmp_path.iterdir()) == [path]


def test_full_disk_keeps_the_earlier_model(tmp_path, monkeypatch):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    path = tmp_path / "model.keras"
    save_model(model, str(path))
    before = path.read_bytes()

    def save_partly(partial):
        with open(partial, "wb") as file:
            file.write(b"half a model")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(model, "save", save_partly)
    with pytest.raises(OSError, match=r"Cannot write .*model\.keras"):
        save_model(model, str(path))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
    again = keras.models.load_model(path)
    np.testing.assert_array_equal(
        again.get_weights()[0], model.get_weights()[0]
    )
