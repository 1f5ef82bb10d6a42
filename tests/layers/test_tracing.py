import numpy as np
import tensorflow as tf

from keras_tim.layers.tracing import traced_once
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
