"""Nothing in, nothing out: filtered folders, last slices, idle replicas."""

import keras
import numpy as np
import pytest
import tensorflow as tf

COMPILED = {"distance": "mean_squared_error", "num_samples": 2}


def pairs(batch):
    random = np.random.RandomState(0)
    inputs = random.rand(batch, 4, 6, 3).astype("float32")
    return inputs, random.rand(batch, 8, 12, 3).astype("float32")


def batches(*sizes):
    """A data set of batches of these sizes."""

    def generate():
        for size in sizes:
            yield pairs(size)

    specification = (
        tf.TensorSpec([None, 4, 6, 3]),
        tf.TensorSpec([None, 8, 12, 3]),
    )
    dataset = tf.data.Dataset.from_generator(
        generate, output_signature=specification
    )
    return dataset.apply(tf.data.experimental.assert_cardinality(len(sizes)))


@pytest.fixture
def tim(make_tim):
    # Of a single level: twice as many take twice as long to trace.
    return make_tim(quick=True, residual_channels=(8,), growth_channels=(4,))


@pytest.mark.parametrize("task", ["super_resolution", "decompression", "mnist"])
@pytest.mark.parametrize("batch_size", [1, 4])
def test_samples_of_nothing(make_tim, task, batch_size):
    tim = make_tim(task, quick=True)
    nothing = np.zeros((0, 4, 6, tim.input_channels), "float32")
    samples = tim.sample(nothing, num_samples=3, batch_size=batch_size)
    factor = tim.output_factor
    assert samples.shape == (0, 3, 4 * factor, 6 * factor, 3)
    assert samples.dtype == np.float32
    # What is wrong is wrong of nothing, too.
    with pytest.raises(ValueError, match="must have shape"):
        tim.sample(nothing[..., :0])


def test_predictions_of_nothing(tim):
    nothing, _ = pairs(0)
    assert tim.predict(nothing, verbose=0).shape == (0, 8, 12, 3)
    assert tim.predict([nothing], verbose=0).shape == (0, 8, 12, 3)
    assert tim.predict_on_batch(nothing).shape == (0, 8, 12, 3)
    assert tim.predict(batches(2, 0, 1), verbose=0).shape == (3, 8, 12, 3)
    for data in (batches(), pairs_of_nothing()):
        with (
            pytest.warns(UserWarning, match="ran out of data"),
            pytest.raises(ValueError, match="at least one batch"),
        ):
            tim.predict(data, verbose=0)


def pairs_of_nothing():
    return batches(2).filter(lambda inputs, targets: False)


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"run_eagerly": True},
        {
            "images_per_selection": 2,
            "steps_per_selection": 2,
            "mini_batch_size": 1,
            "metrics": ["mae"],
        },
    ],
)
def test_empty_batches_change_nothing(tim, arguments):
    weights, logs = [], []
    tim.compile(keras.optimizers.Adam(0.01), **COMPILED, **arguments)
    tim.optimizer.build(tim.trainable_variables)
    variables = [*tim.weights, *tim.optimizer.variables]
    start = [np.array(variable) for variable in variables]
    for sizes in ((2, 3), (2, 0, 3, 0)):
        # By the same graphs.
        for variable, value in zip(variables, start, strict=True):
            variable.assign(value)
        # Moments of earlier steps would move the weights in an empty one.
        data = batches(*sizes)
        fitted = tim.fit(data, epochs=2, shuffle=False, verbose=0).history
        measured = tim.evaluate(data, return_dict=True, verbose=0)
        logs.append((fitted, measured))
        weights.append(tim.get_weights())
    assert logs[0] == logs[1]
    for a, b in zip(*weights, strict=True):
        np.testing.assert_array_equal(a, b)


def test_steps_of_nothing(tim):
    tim.compile("adam", metrics=["mae"], **COMPILED)
    tim.fit(*pairs(2), verbose=0)
    weights = tim.get_weights()
    for call in (tim.train_on_batch, tim.test_on_batch):
        assert call(*pairs(0), return_dict=True)["loss"] == 0.0
    for call in (tim.fit, tim.evaluate):
        with pytest.warns(UserWarning, match="ran out of data"):
            call(*pairs(0), verbose=0)
    assert int(tim.optimizer.iterations) == 1
    for a, b in zip(weights, tim.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_nothing_to_invert(tim):
    with pytest.raises(ValueError, match="`inputs` must hold at least one"):
        tim.invert(*pairs(0), distance="mean_squared_error", verbose=0)
