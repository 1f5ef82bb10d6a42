"""`compile` and what follows from it, as of any Keras model."""

import inspect
import re

import keras
import numpy as np
import pytest
import tensorflow as tf

COMPILED = {"distance": "mean_squared_error", "num_samples": 2}


def pairs(batch=3):
    random = np.random.RandomState(0)
    inputs = random.rand(batch, 4, 6, 3).astype("float32")
    return inputs, random.rand(batch, 8, 12, 3).astype("float32")


def psnr(targets, pictures):
    return tf.image.psnr(targets, pictures, 1.0)


def made(make_tim, **arguments):
    """A model of a single level: twice as many take twice as long to trace."""
    return make_tim(
        quick=True, residual_channels=(8,), growth_channels=(4,), **arguments
    )


@pytest.fixture
def tim(make_tim):
    return made(make_tim)


def test_every_argument_of_keras_is_known(tim):
    theirs = inspect.signature(keras.Model.compile).parameters
    assert theirs.keys() <= inspect.signature(tim.compile).parameters.keys() | {
        "self"
    }


# Metrics.


@pytest.mark.parametrize("run_eagerly", [False, True])
def test_metrics_are_those_of_predictions(tim, run_eagerly):
    inputs, targets = pairs()
    weights = np.float32([0.0, 1.0, 3.0])
    tim.compile(
        metrics=["mae", psnr, keras.metrics.MeanSquaredError()],
        weighted_metrics=[keras.metrics.MeanAbsoluteError(name="weighted")],
        run_eagerly=run_eagerly,
        candidate_chunk=2,  # fewer than the batch
        **COMPILED,
    )
    found = tim.evaluate(
        inputs,
        targets,
        sample_weight=weights,
        batch_size=3,
        return_dict=True,
        verbose=0,
    )
    errors = tim.predict(inputs, verbose=0) - targets
    each = np.abs(errors).mean(axis=(1, 2, 3))
    squares = np.square(errors).mean(axis=(1, 2, 3))
    expected = {
        "mae": each.mean(),
        "mean_squared_error": squares.mean(),
        "psnr": np.mean(-10 * np.log10(squares)),
        "weighted": np.average(each, weights=weights),
    }
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-4)
    # Over batches, and as a list in the order of `metrics`.
    again = tim.evaluate(
        inputs, targets, sample_weight=weights, batch_size=2, verbose=0
    )
    names = [metric.name for metric in tim.metrics[:-1]]
    names.remove("gradient_norm")
    assert again[len(names) :] == pytest.approx(
        [found[n] for n in ("mae", "psnr", "mean_squared_error", "weighted")],
        rel=1e-4,
    )


def test_metrics_of_training_are_those_before_the_steps(tim):
    inputs, targets = pairs()
    before = np.abs(tim.predict(inputs, verbose=0) - targets).mean()
    tim.compile("adam", metrics=["mae"], run_eagerly=True, **COMPILED)
    history = tim.fit(
        inputs, targets, validation_data=(inputs, targets), verbose=0
    ).history
    after = np.abs(tim.predict(inputs, verbose=0) - targets).mean()
    assert history["mae"] == [pytest.approx(before, rel=1e-4)]
    assert history["val_mae"] == [pytest.approx(after, rel=1e-4)]
    assert after != pytest.approx(before, rel=1e-4)


def test_metrics_change_nothing_else(make_tim):
    histories = []
    for metrics in (None, ["mse"]):
        tim = made(make_tim)
        tim.compile("adam", metrics=metrics, run_eagerly=True, **COMPILED)
        history = tim.fit(*pairs(4), batch_size=2, verbose=0).history
        histories.append(history)
    del histories[1]["mse"]
    assert histories[0] == histories[1]


def test_metrics_weigh_pixels(tim):
    inputs, targets = pairs()
    weights = np.zeros((3, 8, 12), "float32")
    weights[1, 2:5, 7:9] = 2.0
    tim.compile(weighted_metrics=["mae"], pixel_weight=0.1, **COMPILED)
    with pytest.raises(ValueError, match="`sample_weight` must be one weight"):
        # By this distance, of no pixels.
        tim.evaluate(inputs, targets, sample_weight=weights, verbose=0)
    tim.compile(
        distance=keras_tim_lpips(),
        num_samples=1,
        weighted_metrics=["mae"],
        run_eagerly=True,
    )
    found = tim.evaluate(
        inputs, targets, sample_weight=weights, return_dict=True, verbose=0
    )
    errors = np.abs(tim.predict(inputs, verbose=0) - targets).mean(axis=-1)
    expected = np.average(errors, weights=weights)
    assert found["mae"] == pytest.approx(expected, rel=1e-4)


def keras_tim_lpips():
    from keras_tim import LPIPS

    return LPIPS("alex", weights=None)


def test_metrics_take_the_finest_target(make_tim):
    tim = make_tim("decompression", quick=True)
    tim.compile(metrics=["mae"], run_eagerly=True, **COMPILED)
    random = np.random.RandomState(0)
    inputs = random.rand(2, 8, 12, 3).astype("float32")
    targets = [
        random.rand(2, *s, 3).astype("float32") for s in ((4, 6), (8, 12))
    ]
    data = tf.data.Dataset.from_tensors((inputs, tuple(targets)))
    found = tim.evaluate(data, return_dict=True, verbose=0)
    expected = np.abs(tim.predict(inputs, verbose=0) - targets[1]).mean()
    assert found["mae"] == pytest.approx(expected, rel=1e-4)


def test_metrics_of_an_earlier_call_are_gone(tim):
    tim.compile(metrics=["mae"], **COMPILED)
    tim.compile(weighted_metrics=["mse"], **COMPILED)
    found = tim.evaluate(*pairs(), return_dict=True, verbose=0)
    assert "mse" in found
    assert "mae" not in found


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"loss": "mse"}, "`distance` and `loss` are one argument.*'mse'"),
        ({"num_candidates": 3}, "`num_candidates` and `num_samples` are one"),
        ({"loss_weights": [1.0]}, "`loss_weights` must be None"),
        ({"metrics": "mae"}, "`metrics` argument to be a list"),
        ({"metrics": ["nothing"]}, "nothing"),
        ({"steps_per_execution": 0}, "`steps_per_execution` must be a pos"),
    ],
)
def test_compile_refuses(tim, arguments, message):
    with pytest.raises(ValueError, match=message):
        tim.compile(**COMPILED, **arguments)


# What a file keeps.


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("steps_per_execution", 3),
        ("run_eagerly", True),
        ("jit_compile", True),
    ],
)
def test_a_file_keeps_how_steps_are_run(tim, tmp_path, name, value):
    tim.compile(**COMPILED, **{name: value})
    tim.save(tmp_path / "tim.keras")
    again = keras.saving.load_model(tmp_path / "tim.keras")
    assert getattr(again, name) == value
    assert again.get_compile_config() == tim.get_compile_config()


@pytest.mark.parametrize("scale", [True, False])
def test_a_file_keeps_the_optimizer_of_half_precision(
    make_tim, tmp_path, scale
):
    tim = made(make_tim, dtype="mixed_float16")
    tim.compile("adam", auto_scale_loss=scale, **COMPILED)
    tim.fit(*pairs(), batch_size=1, verbose=0)
    tim.save(tmp_path / "tim.keras")
    again = keras.saving.load_model(tmp_path / "tim.keras")
    assert type(again.optimizer) is type(tim.optimizer)
    for a, b in zip(
        tim.optimizer.variables, again.optimizer.variables, strict=True
    ):
        np.testing.assert_array_equal(a, b)
    # Half precision alone needs its loss scaled.
    full = again.full_precision()
    assert type(full.optimizer) is keras.optimizers.Adam


def test_a_file_keeps_metrics(tim, tmp_path):
    tim.compile(
        metrics=["mae", keras.metrics.MeanSquaredError(name="square")],
        weighted_metrics=[keras.metrics.CosineSimilarity(name="cosine")],
        **COMPILED,
    )
    tim.save(tmp_path / "tim.keras")
    again = keras.saving.load_model(tmp_path / "tim.keras")
    for a, b in zip(tim.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    first, second = (
        x.evaluate(*pairs(), return_dict=True, verbose=0) for x in (tim, again)
    )
    assert first == second
    assert {"mae", "square", "cosine"} < first.keys()


def test_files_written_before_still_compile(tim):
    tim.compile(**COMPILED, seed=3)
    config = tim.get_compile_config()
    for name in (
        "auto_scale_loss",
        "metrics",
        "run_eagerly",
        "steps_per_execution",
        "weighted_metrics",
    ):
        del config[name]
    tim.compile_from_config(config)
    assert tim.get_compile_config()["seed"] == 3


# NumPy's integers.


def test_integers_of_numpy(tim, tmp_path):
    arguments = {
        "images_per_selection": 2,
        "steps_per_selection": 3,
        "mini_batch_size": 1,
        "candidate_chunk": 4,
        "seed": 5,
        "steps_per_execution": 1,
    }
    tim.compile(
        distance="mean_squared_error",
        num_samples=np.array([3]),
        **{name: np.int64(value) for name, value in arguments.items()},
    )
    config = tim.get_compile_config()
    assert config["num_candidates"] == [3]
    assert {name: config[name] for name in arguments} == arguments
    assert re.search("int64", repr(config)) is None
    tim.save(tmp_path / "tim.keras")
    again = keras.saving.load_model(tmp_path / "tim.keras")
    assert again.get_compile_config() == config


# Predictions.


@pytest.mark.parametrize(
    "policy", ["float32", "mixed_bfloat16", "mixed_float16"]
)
def test_predictions_are_the_first_samples(make_tim, policy):
    tim = made(make_tim, dtype=policy)
    inputs, _ = pairs()
    # In full precision, samples are made one at a time.
    assert not tim.jit_compile
    np.testing.assert_allclose(
        tim.predict(inputs, verbose=0),
        tim.sample(inputs, num_samples=1)[:, 0],
        atol=1e-5,
    )


@pytest.mark.parametrize(
    "spoil",
    [lambda x: 255 * x, lambda x: 2 * x - 1, lambda x: np.nan * x],
)
@pytest.mark.parametrize("arguments", [{}, {"jit_compile": True}])
def test_predict_refuses_ranges(tim, spoil, arguments):
    wrong = spoil(pairs()[0])
    tim.compile(**COMPILED, **arguments)
    with pytest.raises(ValueError, match=r"`x` must lie in \[0, 1\]"):
        tim.predict(wrong, verbose=0)
    if arguments:
        return  # XLA has no assertions
    data = tf.data.Dataset.from_tensors(wrong)
    for call in (tim.predict_on_batch, tim.predict):
        with pytest.raises(
            tf.errors.InvalidArgumentError, match="`inputs` must lie in"
        ):
            call(wrong if call == tim.predict_on_batch else data)


def test_predict_refuses_bytes(tim):
    wrong = (255 * pairs()[0]).astype("uint8")
    with pytest.raises(ValueError, match="divide 8-bit"):
        tim.predict(wrong, verbose=0)
    with pytest.raises(ValueError, match="divide 8-bit"):
        tim.predict(tf.data.Dataset.from_tensors(wrong), verbose=0)
