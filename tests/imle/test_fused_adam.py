import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_tim.imle.fused_adam import fused_update_step
from keras_tim.imle.learning_rates import scaled_learning_rates

Adam = keras.optimizers.Adam
SHAPES = [(3, 3, 4, 8), (8,), (5, 7)]


class Halved(Adam):
    """Steps of half the length."""

    def update_step(self, gradient, variable, learning_rate):
        super().update_step(gradient, variable, 0.5 * learning_rate)


KINDS = {
    "adam": lambda: Adam(0.01),
    "large epsilon": lambda: Adam(0.01, beta_2=0.9, epsilon=0.1),
    "decay": lambda: keras.optimizers.AdamW(0.01, weight_decay=0.1),
    "clipped average": lambda: Adam(
        0.01, global_clipnorm=0.5, use_ema=True, ema_overwrite_frequency=3
    ),
    "accumulation": lambda: Adam(0.01, gradient_accumulation_steps=2),
    "schedule": lambda: Adam(
        keras.optimizers.schedules.ExponentialDecay(0.01, 2, 0.5)
    ),
    "loss scale": lambda: keras.optimizers.LossScaleOptimizer(Adam(0.01)),
    "amsgrad": lambda: Adam(0.01, amsgrad=True),
    "own": lambda: Halved(0.01),
    "other": lambda: keras.optimizers.RMSprop(0.01),
}
FUSED = {
    "adam",
    "large epsilon",
    "decay",
    "clipped average",
    "accumulation",
    "schedule",
    "loss scale",
}


def variables():
    random = np.random.default_rng(0)
    return [
        keras.Variable(
            random.normal(size=shape).astype("float32"), name=f"v{n}"
        )
        for n, shape in enumerate(SHAPES)
    ]


def stepper(optimizer, trained, fused, multipliers=(), **options):
    @tf.function(autograph=False, **options)
    def step(gradients):
        scaled = [x * optimizer.scale_loss(1.0) for x in gradients]
        with scaled_learning_rates(
            optimizer, list(multipliers), trained if fused else ()
        ):
            optimizer.apply(scaled, trained)

    return step


def gradients(steps):
    random = np.random.default_rng(1)
    return [
        [
            tf.constant(random.normal(0.0, 0.1, shape), tf.float32)
            for shape in SHAPES
        ]
        for _ in range(steps)
    ]


def run(kind, fused, steps=8, **options):
    optimizer, trained = KINDS[kind](), variables()
    optimizer.build(trained)
    # One of them learns at another rate.
    step = stepper(optimizer, trained, fused, [(trained[0], 0.1)], **options)
    for given in gradients(steps):
        step(given)
    graph = step.get_concrete_function(gradients(1)[0]).graph
    names = {node.op for node in graph.as_graph_def().node}
    for function in graph.as_graph_def().library.function:
        names |= {node.op for node in function.node_def}
    return optimizer, trained, "ResourceApplyAdam" in names


@pytest.mark.parametrize("kind", KINDS)
def test_steps_are_those_of_keras(kind):
    first, ours, is_fused = run(kind, True)
    second, keras_own, never = run(kind, False)
    assert is_fused == (kind in FUSED)
    assert not never
    for start, a, b in zip(variables(), ours, keras_own, strict=True):
        change = np.abs(b.numpy() - start.numpy()).max()
        assert change > 1e-4
        np.testing.assert_allclose(
            a.numpy(), b.numpy(), rtol=0, atol=1e-4 * change + 3e-7
        )
    # What is saved with the optimizer.
    for a, b in zip(first.variables, second.variables, strict=True):
        assert a.name == b.name
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=3e-4, atol=3e-7)


def test_xla_compiles_them():
    _, ours, _ = run("adam", True, jit_compile=True)
    _, others, _ = run("adam", True)
    for a, b in zip(ours, others, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=0, atol=3e-7)


def test_state_that_is_loaded_is_gone_on_from():
    """Half the steps by Keras, half fused, in one optimizer and in another."""
    optimizer, trained = KINDS["adam"](), variables()
    optimizer.build(trained)
    steps = gradients(6)
    for given in steps[:3]:
        stepper(optimizer, trained, False)(given)
    again, copies = KINDS["adam"](), variables()
    again.build(copies)
    for new, old in zip(
        [*copies, *again.variables],
        [*trained, *optimizer.variables],
        strict=True,
    ):
        new.assign(old)
    for given in steps[3:]:
        stepper(optimizer, trained, False)(given)
        stepper(again, copies, True)(given)
    for a, b in zip(copies, trained, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=0, atol=3e-6)


def test_variables_of_one_name_are_left_to_keras():
    values = [
        keras.Variable(np.full(3, value, "float32"), name="same")
        for value in (1.0, 0.0)
    ]
    optimizer = Adam(0.01)
    optimizer.build(values)
    stepper(optimizer, values, True)([tf.ones(3), -tf.ones(3)])
    np.testing.assert_allclose(values[0].numpy(), 0.99, atol=1e-5)
    np.testing.assert_allclose(values[1].numpy(), 0.01, atol=1e-5)


def test_replicas_leave_it_to_keras():
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    with strategy.scope():
        optimizer, value = Adam(0.01), keras.Variable(np.ones(3, "float32"))
        optimizer.build([value])

    @tf.function(autograph=False)
    def step():
        def replica():
            with scaled_learning_rates(optimizer, [], [value]):
                optimizer.apply([tf.ones(3)], [value])

        strategy.run(replica)

    step()
    np.testing.assert_allclose(value.numpy(), 0.99, atol=1e-5)
    nodes = step.get_concrete_function().graph.as_graph_def().node
    assert "ResourceApplyAdam" not in {node.op for node in nodes}


def test_outside_of_graphs():
    optimizer, trained = Adam(0.01), variables()
    optimizer.build(trained)
    update_step = fused_update_step(optimizer, trained)
    before = [v.numpy() for v in trained]
    for variable, gradient in zip(trained, gradients(1)[0], strict=True):
        update_step(gradient, variable, tf.constant(0.01))
        assert np.abs(before.pop(0) - variable.numpy()).max() > 0.005
