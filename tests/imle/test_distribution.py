import contextlib
import subprocess
import sys

import keras
import numpy as np
import tensorflow as tf


def test_one_replica_trains_as_none(make_tim, make_pairs, mean_square_distance):
    weights = []
    for strategy in (None, tf.distribute.MirroredStrategy(["CPU:0"])):
        with strategy.scope() if strategy else contextlib.nullcontext():
            tim = make_tim(quick=True)
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


# One step on a global batch of four, on one device and on two.
SCRIPT = """
import keras, numpy as np, tensorflow as tf
from keras import ops
from keras_tim import TIM

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
            residual_channels=(6, 5), growth_channels=(4, 3), num_blocks=0,
            style_dim=4, mapping_network=False,
        )
        tim.compile(
            optimizer=keras.optimizers.SGD(rates), distance=distance,
            num_samples=3, candidate_chunk=2, steps_per_selection=steps,
            metrics=["mae"],
        )
    rng = np.random.default_rng(0)
    inputs = rng.random((images, 3, 5, 3), dtype="float32")
    targets = rng.random((images, 12, 20, 3), dtype="float32")
    data = tf.data.Dataset.from_tensor_slices((inputs, targets)).batch(
        4, drop_remainder=images == 4
    )
    before = tim.get_weights()
    logs = tim.fit(data, verbose=0, shuffle=False).history
    changes = [b - a for a, b in zip(before, tim.get_weights())]
    return changes, logs, int(tim.optimizer.iterations.numpy())

one = train(tf.distribute.get_strategy(), 1)
mirrored = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
assert mirrored.num_replicas_in_sync == 2
two = train(mirrored, 1)
assert max(np.abs(x).max() for x in one[0]) > 1e-3
for a, b in zip(one[0], two[0]):
    np.testing.assert_allclose(a, b, atol=1e-6)
names = (
    "loss", "selected_distance_level0", "selected_distance_level1", "mae"
)
for name in names:
    np.testing.assert_allclose(one[1][name], two[1][name], rtol=1e-5)
# Of the second batch, one image, the second replica gets none. It counts in
# the mean over replicas alone: half of the step.
half = keras.optimizers.schedules.PiecewiseConstantDecay([0], [1.0, 0.5])
one = train(tf.distribute.get_strategy(), 1, 5, half)
two = train(mirrored, 1, 5)
for a, b in zip(one[0], two[0]):
    np.testing.assert_allclose(a, b, atol=1e-6)
for name in names:
    np.testing.assert_allclose(one[1][name], two[1][name], rtol=1e-5)
changes, logs, iterations = train(mirrored, 2)
assert iterations == 2
assert np.isfinite(logs["loss"]).all()
print("the replicas agree")
"""


def test_two_replicas_train_as_one_on_the_whole_batch(tmp_path):
    script = tmp_path / "replicas.py"
    script.write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "the replicas agree" in done.stdout
