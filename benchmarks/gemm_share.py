"""How near the network comes to what the processor can multiply.

    python benchmarks/gemm_share.py --rounds=10

One thread, times of the processor. A product of matrices of side 2048 takes
turns with a picture made by each model and with a round of training, of one
candidate and eight steps on eight pictures. Operations are those of the
convolutions, counted while they run. In a step the tower's count three times
(values, gradients of inputs and of kernels) and those of LPIPS twice.
"""

import argparse
import os
import statistics
import time

os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import numpy as np
import tensorflow as tf

from keras_tim import LPIPS, TIM
from keras_tim.tables import markdown_table

SIDE = 2048
BATCH, STEPS = 8, 8
MODELS = {
    "nano, 32 -> 128 px": ("super_resolution_x4_nano", 32),
    "small, 32 -> 128 px": ("super_resolution_x4_small", 32),
    "RealSR's trunk, 32 -> 128 px": ("super_resolution_x4_realsr", 32),
}


def operations(function, *arguments):
    """Floating-point operations of a function's convolutions."""
    convolution, count = tf.nn.convolution, 0

    def counted(given, kernel, *arguments, **options):
        nonlocal count
        made = convolution(given, kernel, *arguments, **options)
        count += 2 * int(np.prod(made.shape) * np.prod(kernel.shape[:3]))
        return made

    # Keras' way to convolve. Eagerly: what is traced once may run often.
    tf.nn.convolution = counted
    tf.config.run_functions_eagerly(True)
    try:
        function(*arguments)
    finally:
        tf.config.run_functions_eagerly(False)
        tf.nn.convolution = convolution
    return count


def decoder(tim, given):
    """A function that makes pictures, and what it is called with."""
    codes = tim.draw_codes(given, num_samples=1, seed=0)

    @tf.function(autograph=False)
    def decode(given):
        return tim.decode(given, codes)

    return decode, tf.constant(given)


def training():
    """A round of training of a nano: what runs it, and its operations."""
    random = np.random.default_rng(0)
    tim = TIM.from_preset("super_resolution_x4_nano")
    given, small, large = (
        random.random((BATCH, side, side, 3), np.float32)
        for side in (16, 32, 64)
    )
    distance = LPIPS("alex")
    tim.compile(
        optimizer="adam",
        distance=distance,
        num_candidates=1,
        images_per_selection=BATCH,
        mini_batch_size=BATCH,
        steps_per_selection=STEPS,
    )
    decode, pictures = decoder(tim, given)
    tower = operations(decode, pictures)

    @tf.function(autograph=False)
    def features(made):
        return distance.features(made)

    compared = sum(operations(features, tf.constant(x)) for x in (small, large))
    # Targets and candidates once, and the steps.
    count = (tower + 2 * compared) + STEPS * (3 * tower + 2 * compared)

    def run():
        tim.train_on_batch(given, large)

    return run, count


def main():
    """Measures and prints a table."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=10)
    arguments = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    square = tf.ones((SIDE, SIDE))
    product = tf.function(
        lambda: tf.linalg.matmul(square, square), autograph=False
    )
    cases = {"product of matrices": (product, 2 * SIDE**3)}
    for name, (preset, side) in MODELS.items():
        given = np.random.default_rng(0).random((1, side, side, 3), np.float32)
        decode, pictures = decoder(TIM.from_preset(preset), given)
        count = operations(decode, pictures)
        cases[name] = (lambda d=decode, p=pictures: d(p), count)
    cases["a round of training, nano, batch 8, AlexNet"] = training()
    times = {name: [] for name in cases}
    for number in range(arguments.rounds + 1):
        for name, (run, _) in cases.items():
            start = time.process_time()
            run()
            if number:  # the first one traces
                times[name].append(time.process_time() - start)
    rates = {
        name: count / statistics.median(times[name]) / 1e9
        for name, (_, count) in cases.items()
    }
    rows = [
        [
            name,
            f"{count / 1e9:.2f}",
            f"{1000 * statistics.median(times[name]):.1f}",
            f"{rates[name]:.0f}",
            f"{rates[name] / rates['product of matrices']:.0%}",
        ]
        for name, (_, count) in cases.items()
    ]
    print(markdown_table(["", "GFLOP", "ms", "GFLOP/s", "share"], rows))


if __name__ == "__main__":
    main()
