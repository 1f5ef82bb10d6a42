import inspect

import keras
import numpy as np
import pytest
import tensorflow as tf


def as_list(outputs):
    return [np.asarray(x, "float32") for x in tf.nest.flatten(outputs)]


def check_config(layer_class, kwargs):
    layer = layer_class(**kwargs)
    config = layer.get_config()
    for name in inspect.signature(layer_class).parameters:
        if name == "kwargs":
            continue
        assert name in config, f"{name} is missing from get_config"
        assert config[name] == getattr(layer, name), name
        if name in kwargs:
            assert config[name] == kwargs[name], name
    assert layer_class.from_config(config).get_config() == config
    serialised = keras.saving.serialize_keras_object(layer)
    again = keras.saving.deserialize_keras_object(serialised)
    assert type(again) is layer_class
    assert again.get_config() == config


def check_saving(layer_class, kwargs, arguments, path):
    inputs = [keras.Input(x.shape[1:]) for x in arguments]
    model = keras.Model(inputs, layer_class(**kwargs)(*inputs))
    rng = np.random.default_rng(1)
    model.set_weights(
        [rng.normal(0.0, 0.1, w.shape) for w in model.get_weights()]
    )
    model.save(path)
    again = keras.saving.load_model(path)
    for before, after in zip(
        as_list(model(arguments)), as_list(again(arguments)), strict=True
    ):
        np.testing.assert_array_equal(before, after)


def check_policy(layer_class, kwargs, arguments, policy, expected):
    layer = layer_class(**kwargs, dtype=policy)
    symbols = tf.nest.flatten(
        layer(*[keras.Input(x.shape[1:]) for x in arguments])
    )
    with tf.GradientTape() as tape:
        outputs = tf.nest.flatten(layer(*arguments))
        loss = tf.add_n(
            [tf.reduce_mean(tf.square(tf.cast(x, "float32"))) for x in outputs]
        )
    gradients = tape.gradient(loss, layer.trainable_variables)
    assert [x.dtype for x in symbols] == [x.dtype.name for x in outputs]
    assert {w.dtype for w in layer.weights} == {"float32"}
    for output, full in zip(as_list(outputs), expected, strict=True):
        assert output.shape == full.shape
        assert np.isfinite(output).all()
    for variable, gradient in zip(
        layer.trainable_variables, gradients, strict=True
    ):
        assert np.isfinite(np.asarray(gradient)).all(), variable.path


def check_gradients(layer, arguments):
    rng = np.random.default_rng(2)
    for weight in layer.trainable_variables:
        # Kernels that begin at zero pass no gradient on in the first step.
        if len(weight.shape) > 1 and not np.any(weight):
            weight.assign(rng.normal(0.0, 0.1, weight.shape))
    with tf.GradientTape() as tape:
        outputs = tf.nest.flatten(layer(*arguments))
        # A plain mean would cancel behind an instance normalisation.
        loss = tf.add_n([tf.reduce_mean(x**3 + x) for x in outputs])
    variables = layer.trainable_variables
    assert variables
    for variable, gradient in zip(
        variables, tape.gradient(loss, variables), strict=True
    ):
        assert gradient is not None, variable.path
        assert np.isfinite(np.asarray(gradient)).all(), variable.path
        assert np.abs(np.asarray(gradient)).max() > 0, variable.path


@pytest.fixture
def run_layer_test(tmp_path):
    """Checks that hold for every layer; returns the layer it made."""

    def run(layer_class, kwargs, arguments):
        check_config(layer_class, kwargs)
        check_saving(layer_class, kwargs, arguments, tmp_path / "model.keras")
        layer = layer_class(**kwargs)
        outputs = layer(*arguments)
        expected = as_list(outputs)
        shapes = layer.compute_output_shape(*[x.shape for x in arguments])
        shapes = list(shapes) if isinstance(outputs, tuple) else [shapes]
        assert [tuple(s) for s in shapes] == [x.shape for x in expected]

        compiled = as_list(tf.function(layer, jit_compile=True)(*arguments))
        unknown = tf.function(
            layer,
            input_signature=[
                tf.TensorSpec([*[None] * (x.ndim - 1), x.shape[-1]])
                for x in arguments
            ],
        )
        for eager, xla, sizeless in zip(
            expected, compiled, as_list(unknown(*arguments)), strict=True
        ):
            np.testing.assert_allclose(xla, eager, atol=2e-5, rtol=0)
            np.testing.assert_allclose(sizeless, eager, atol=2e-5, rtol=0)

        for policy in ("mixed_bfloat16", "mixed_float16"):
            check_policy(layer_class, kwargs, arguments, policy, expected)
        check_gradients(layer, arguments)
        return layer

    return run
