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


def test_time_counts_where_it_runs_out_first():
    decay = BudgetedCosineDecay(steps=100, minutes=1.0, elapsed=30.0)
    decay.set_model(model_at(10))
    assert decay.progress == pytest.approx(0.5, abs=0.02)
    decay = BudgetedCosineDecay(steps=100, minutes=1.0, elapsed=30.0)
    decay.set_model(model_at(80))
    assert decay.progress == pytest.approx(0.8)


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
