import json

import keras
import numpy as np
import pytest

from keras_tim.runs.callbacks import RestoredMetrics

BATCHES = 3


@pytest.fixture
def model():
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(optimizer="sgd", loss="mse", metrics=["mae"])
    return model


def fit(model, course, epochs, initial_epoch=0):
    random = np.random.default_rng(0)
    x = random.normal(size=(8 * BATCHES, 2))
    model.fit(
        x,
        x.sum(axis=1),
        batch_size=8,
        initial_epoch=initial_epoch,
        epochs=epochs,
        callbacks=[course],
        shuffle=False,
        verbose=0,
    )


def grey(model):
    level = int(model.optimizer.iterations.numpy()) / 10.0
    return np.full((4, 4, 3), level, "float32")


def test_losses_are_those_of_each_batch(model, import_benchmark, tmp_path):
    module = import_benchmark("course")
    course = module.Course(tmp_path, [0, 2, 4, 5], grey, ["loss", "mae"])
    means = []

    class Means(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            means.append(logs["loss"])

    x = np.random.default_rng(0).normal(size=(8, 2))
    first = float(np.mean(np.square(model(x)[:, 0] - x.sum(axis=1))))
    model.fit(
        np.tile(x, (BATCHES, 1)),
        np.tile(x.sum(axis=1), BATCHES),
        batch_size=8,
        epochs=2,
        callbacks=[course, Means()],
        shuffle=False,
        verbose=0,
    )
    content = json.loads((tmp_path / "course.json").read_text())
    losses = [entry["loss"] for entry in content["rounds"]]
    assert losses[0] == pytest.approx(first, rel=1e-5)
    assert losses == sorted(losses, reverse=True)
    for epoch, mean in enumerate(means):
        own = losses[BATCHES * epoch : BATCHES * (epoch + 1)]
        assert np.mean(own) == pytest.approx(mean, rel=1e-5)
    assert [entry["step"] for entry in content["rounds"]] == list(range(1, 7))
    assert [entry["step"] for entry in content["pictures"]] == [0, 2, 4, 5]


def test_a_resumed_training_forgets_what_came_after(
    model, import_benchmark, tmp_path
):
    module = import_benchmark("course")

    def made():
        return module.Course(tmp_path, [0, 2, 4, 8], grey, ["loss"])

    fit(model, made(), epochs=1)
    checkpoint = tmp_path / "checkpoint.keras"
    model.save(checkpoint)
    fit(model, made(), epochs=2, initial_epoch=1)
    whole = json.loads((tmp_path / "course.json").read_text())
    assert [entry["step"] for entry in whole["pictures"]] == [0, 2, 4]
    # Killed after the second epoch, with the checkpoint of the first.
    model = keras.models.load_model(checkpoint)
    fit(model, made(), epochs=3, initial_epoch=1)
    resumed = json.loads((tmp_path / "course.json").read_text())
    assert [entry["step"] for entry in resumed["pictures"]] == [0, 2, 4, 8]
    assert [entry["step"] for entry in resumed["rounds"]] == list(range(1, 10))
    for entry, earlier in zip(resumed["rounds"], whole["rounds"], strict=False):
        assert entry["loss"] == pytest.approx(earlier["loss"], rel=1e-4)
    # A training from the start forgets everything.
    model = keras.models.clone_model(model)
    model.compile(optimizer="sgd", loss="mse")
    fit(model, made(), epochs=1)
    anew = json.loads((tmp_path / "course.json").read_text())
    assert [entry["step"] for entry in anew["rounds"]] == [1, 2, 3]


def test_an_epoch_begun_in_an_earlier_process(
    model, import_benchmark, tmp_path
):
    module = import_benchmark("course")
    x = np.random.default_rng(0).normal(size=(32, 2))
    y = x.sum(axis=1)

    def made(folder):
        return module.Course(tmp_path / folder, [], grey, ["loss"])

    def train(course, batches, values=None):
        """Trains by some batches of an epoch, and gives the metrics' state."""
        rows = slice(8 * batches.start, 8 * batches.stop)
        state = {}

        class State(keras.callbacks.Callback):
            def on_train_batch_end(self, batch, logs=None):
                state.update(
                    {
                        metric.name: [v.numpy() for v in metric.variables]
                        for metric in self.model.metrics
                    }
                )

        model.fit(
            x[rows],
            y[rows],
            batch_size=8,
            callbacks=[RestoredMetrics(values or {}), course, State()],
            shuffle=False,
            verbose=0,
        )
        return state

    first = model.get_weights()
    train(made("whole"), range(4))
    model.set_weights(first)
    model.optimizer.iterations.assign(0)
    state = train(made("parts"), range(3))
    train(made("parts"), range(3, 4), state)
    whole, parts = (
        json.loads((tmp_path / folder / "course.json").read_text())["rounds"]
        for folder in ("whole", "parts")
    )
    assert [entry["step"] for entry in parts] == [1, 2, 3, 4]
    for entry, expected in zip(parts, whole, strict=True):
        assert entry["epoch"] == 0
        assert entry["loss"] == pytest.approx(expected["loss"], rel=1e-4)
