import contextlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_tim.layers.rrdb import DenseBlock
from keras_tim.layers.tracing import layers_alike_traced_once, traced_once
from keras_tim.tasks import get_task


def counted(calls):
    def double(x):
        calls.append(tf.executing_eagerly())
        return 2.0 * x + tf.reduce_sum(x)

    return double


def test_a_graph_traces_it_once():
    calls = []

    @tf.function(autograph=False)
    def three_times(x):
        function = traced_once(counted(calls))
        return function(function(function(x)))

    made = three_times(tf.constant([1.0, 2.0]))
    np.testing.assert_array_equal(made, [92.0, 100.0])
    assert calls == [False]


def test_outside_of_graphs_nothing_is_traced():
    calls = []
    function = traced_once(counted(calls))
    function(tf.ones(2))
    function(tf.ones(3))
    assert calls == [True, True]


def test_back_projection_and_its_gradient_are_the_same_in_a_graph():
    random = np.random.default_rng(0)
    output = tf.constant(random.random((1, 16, 24, 3), np.float32))
    observed = tf.constant(random.random((1, 4, 6, 3), np.float32))

    def value_and_gradient(output, observed):
        with tf.GradientTape() as tape:
            tape.watch(output)
            made = get_task("super_resolution").agreeing(output, observed, 4, 3)
            total = tf.reduce_sum(made**2)
        return made, tape.gradient(total, output)

    specs = [tf.TensorSpec([None, None, None, 3])] * 2
    graph = tf.function(
        value_and_gradient, input_signature=specs, autograph=False
    )
    for ours, plain in zip(
        graph(output, observed),
        value_and_gradient(output, observed),
        strict=True,
    ):
        np.testing.assert_allclose(ours, plain, rtol=1e-5, atol=1e-5)


SHAPE = (2, 6, 7, 8)


def blocks(dtype="float32", **options):
    made = []
    for seed in range(3):
        keras.utils.set_random_seed(seed)
        block = DenseBlock(4, dtype=dtype, **options)
        block.build(SHAPE)
        made.append(block)
    return made


def value_and_gradients(made, x):
    weights = [w.value for block in made for w in block.trainable_variables]
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = x
        for block in made:
            y = block(y)
        total = tf.reduce_sum(tf.cast(y, tf.float32) ** 2)
    return y, tape.gradient(total, [x, *weights])


def in_graph(made, x, scope):
    @tf.function(autograph=False)
    def run(x):
        with scope():
            return value_and_gradients(made, x)

    return run(x), run.get_concrete_function(x).graph.as_graph_def()


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("weight_norm", [True, False])
def test_blocks_traced_once_are_the_same_blocks(dtype, weight_norm):
    made = blocks(dtype, weight_norm=weight_norm)
    for block, bias in zip(made, (0.1, 0.2, 0.3), strict=True):
        block.convolutions[0].bias.assign([bias] * 4)
    random = np.random.default_rng(0)
    x = tf.constant(random.normal(size=SHAPE), made[0].compute_dtype)
    ours, graph = in_graph(made, x, layers_alike_traced_once)
    plain, other = in_graph(made, x, contextlib.nullcontext)
    # Forward and backward, once each.
    called = {f.signature.name for f in graph.library.function}
    assert len([name for name in called if "forward" in name]) == 1
    assert len([name for name in called if "backward" in name]) == 1
    assert not other.library.function
    tolerance = 1e-5 if dtype == "float32" else 4e-2
    for a, b in zip(tf.nest.flatten(ours), tf.nest.flatten(plain), strict=True):
        a, b = (tf.cast(value, tf.float32).numpy() for value in (a, b))
        most = np.abs(b).max()
        assert most > 0
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * most)


def test_blocks_that_differ_are_traced_apart():
    x = tf.ones(SHAPE)
    made = blocks()
    made[1].residual_scale = 0.5
    made[2].trainable = False

    @tf.function(autograph=False)
    def run(x):
        with layers_alike_traced_once():
            return [block(x) for block in made]

    expected = [block(x) for block in made]
    for a, b in zip(run(x), expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    functions = run.get_concrete_function(x).graph.as_graph_def().library
    assert len(functions.function) == 3


def test_mirrored_weights_are_each_layers_own():
    with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
        made = blocks()
    x = tf.ones(SHAPE)

    @tf.function(autograph=False)
    def run(x):
        with layers_alike_traced_once():
            return [block(x) for block in made]

    expected = [block(x) for block in made]
    assert np.abs(expected[0] - expected[1]).max() > 1e-3
    for a, b in zip(run(x), expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
