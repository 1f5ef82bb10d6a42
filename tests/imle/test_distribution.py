import contextlib
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf


def test_one_replica_trains_as_none(make_tim, make_pairs, mean_square_distance):
    weights = []
    for strategy in (None, tf.distribute.MirroredStrategy(["CPU:0"])):
        with strategy.scope() if strategy else contextlib.nullcontext():
            tim = make_tim(
                quick=True, residual_channels=(8,), growth_channels=(4,)
            )
            tim.compile(
                optimizer=keras.optimizers.SGD(0.1),
                distance=mean_square_distance,
                num_samples=2,
                steps_per_selection=2,
            )
        inputs, targets = make_pairs(tim, batch=4)
        data = tf.data.Dataset.from_tensor_slices((inputs, targets)).batch(4)
        tim.fit(data, verbose=0, shuffle=False)
        weights.append(tim.get_weights())
    for a, b in zip(*weights, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


# Steps on a global batch of four, on one device and on two.
SCRIPT = """
import sys
import keras, numpy as np, tensorflow as tf
from keras import ops
from keras_tim import TIM
from keras_tim.imle.learning_rates import scaled_learning_rates

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(
    cpu, [tf.config.LogicalDeviceConfiguration()] * 2
)

def distance(pictures, targets):
    return ops.mean((pictures - targets) ** 2, axis=(1, 2, 3))

def train(strategy, steps, images=4, rates=1.0):
    keras.utils.set_random_seed(0)
    with strategy.scope():
        tim = TIM(
            residual_channels=(6, 5)[:levels],
            growth_channels=(4, 3)[:levels], num_blocks=0,
            style_dim=4, mapping_network=False,
        )
        tim.compile(
            optimizer=keras.optimizers.SGD(rates), distance=distance,
            num_samples=3, candidate_chunk=2, steps_per_selection=steps,
            metrics=["mae"],
        )
    rng = np.random.default_rng(0)
    inputs = rng.random((images, 3, 5, 3), dtype="float32")
    sides = 3 * 2**levels, 5 * 2**levels
    targets = rng.random((images, *sides, 3), dtype="float32")
    data = tf.data.Dataset.from_tensor_slices((inputs, targets)).batch(
        4, drop_remainder=images == 4
    )
    before = tim.get_weights()
    tested = {}
    if steps == 1:
        tested = tim.evaluate(data, verbose=0, return_dict=True)
    logs = tim.fit(data, verbose=0, shuffle=False).history
    logs |= {f"tested_{name}": value for name, value in tested.items()}
    changes = [b - a for a, b in zip(before, tim.get_weights())]
    return changes, logs, int(tim.optimizer.iterations.numpy())

mirrored = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
assert mirrored.num_replicas_in_sync == 2
# Of a second batch, one image, the second replica gets none. It counts in the
# mean over replicas alone: half of the step.
images, levels = map(int, sys.argv[1:])
half = keras.optimizers.schedules.PiecewiseConstantDecay([0], [1.0, 0.5])
one = train(tf.distribute.get_strategy(), 1, images, half)
two = train(mirrored, 1, images)
assert max(np.abs(x).max() for x in one[0]) > 1e-3
for a, b in zip(one[0], two[0]):
    np.testing.assert_allclose(a, b, atol=1e-6)
for name in one[1].keys() - {"gradient_norm"}:
    np.testing.assert_allclose(one[1][name], two[1][name], rtol=1e-5)
changes, logs, iterations = train(mirrored, 2)
assert iterations == 2
assert np.isfinite(logs["loss"]).all()
print("the replicas agree")

# The slower learning rate of some variables.

def apply(strategy, scaled):
    with strategy.scope():
        variables = [keras.Variable([1.0, 2.0]) for _ in range(2)]
        optimizer = keras.optimizers.LossScaleOptimizer(
            keras.optimizers.AdamW(0.1, weight_decay=0.5)
        ) if scaled else keras.optimizers.AdamW(0.1, weight_decay=0.5)
        optimizer.build(variables)

    def step():
        scale = optimizer.scale_loss(1.0) / strategy.num_replicas_in_sync
        gradients = [scale * tf.constant([3.0, 4.0])] * 2
        with scaled_learning_rates(optimizer, [(variables[0], 0.01)]):
            optimizer.apply(gradients, variables)

    run = tf.function(lambda: strategy.run(step))
    for _ in range(2):
        run()
    return [v.numpy() for v in variables]

for scaled in (False, True):
    slow, fast = apply(mirrored, scaled)
    for a, b in zip((slow, fast), apply(tf.distribute.get_strategy(), scaled)):
        np.testing.assert_allclose(a, b, atol=1e-6)
    # Two steps of 0.1 and of a decay by 0.05, times 0.01.
    np.testing.assert_allclose(slow, [0.997, 1.996], atol=1e-5)
    assert (fast < [0.8, 1.7]).all()
print("so do their learning rates")
"""


# The first four of five images are those of the other run. Of one level:
# replicas add up gradients and logs, whatever they are of, and two take twice
# as long to trace.
@pytest.mark.parametrize(
    ("images", "levels"), [(5, 1), pytest.param(4, 2, marks=pytest.mark.slow)]
)
def test_two_replicas_train_as_one_on_the_whole_batch(tmp_path, images, levels):
    script = tmp_path / "replicas.py"
    script.write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, str(script), str(images), str(levels)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "the replicas agree" in done.stdout
    assert "so do their learning rates" in done.stdout
