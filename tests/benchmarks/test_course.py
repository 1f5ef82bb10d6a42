import json

import keras
import numpy as np
import pytest

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
