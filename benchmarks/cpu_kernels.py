"""Time of a training round without and with oneDNN, and in half precision.

    python benchmarks/cpu_kernels.py

A round is a selection for 32 crops and 12 gradient steps on 8 of them, with
the settings of super-resolution. The kinds are timed in turn, each in a
process of its own: TensorFlow reads TF_ENABLE_ONEDNN_OPTS when it is first
imported, and leaves oneDNN off by itself on processors without AVX-512.
mixed_bfloat16 gains where the processor multiplies bfloat16 numbers, and takes
longer elsewhere.
"""

import os
import statistics
import subprocess
import sys
import time

from absl import app, flags

FLAGS = flags.FLAGS
flags.DEFINE_integer("rounds", 3, "timed rounds of each process")
flags.DEFINE_integer("repeats", 2, "processes of each kind")
flags.DEFINE_string("dtype", "float32", "policy of the rounds timed here")
flags.DEFINE_bool("child", False, "time the rounds here and print seconds")


def time_rounds():
    """Prints the median seconds of a round."""
    import keras
    import numpy as np

    from keras_tim import TIM
    from keras_tim.runs import RunSettings

    settings = RunSettings.of_task("super_resolution")
    tim = TIM.from_preset(settings.preset, dtype=FLAGS.dtype)
    tim.compile(
        optimizer=keras.optimizers.Adam(settings.learning_rate),
        distance=settings.distance,
        num_candidates=settings.candidates,
        images_per_selection=settings.images_per_selection,
        steps_per_selection=settings.steps_per_selection,
        mini_batch_size=settings.mini_batch_size,
        candidate_chunk=settings.candidate_chunk,
        pixel_weight=settings.pixel_weight,
    )
    side, count = settings.crop_size, settings.images_per_selection
    random = np.random.default_rng(0)
    low = random.random((count, side // 4, side // 4, 3), np.float32)
    high = random.random((count, side, side, 3), np.float32)
    seconds = []
    for _ in range(FLAGS.rounds + 1):
        start = time.perf_counter()
        tim.train_on_batch(low, high)
        seconds.append(time.perf_counter() - start)
    # The first is the tracing.
    print(statistics.median(seconds[1:]))


def timed(onednn, dtype):
    """Seconds of a round in a new process."""
    printed = subprocess.run(
        [
            sys.executable,
            __file__,
            "--child",
            f"--rounds={FLAGS.rounds}",
            f"--dtype={dtype}",
        ],
        env={**os.environ, "TF_ENABLE_ONEDNN_OPTS": onednn},
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return float(printed.split()[-1])


def main(_):
    """Times the kinds in turn and prints their ratios."""
    if FLAGS.child:
        time_rounds()
        return
    for _ in range(FLAGS.repeats):
        without = timed("0", "float32")
        full = timed("1", "float32")
        half = timed("1", "mixed_bfloat16")
        print(
            f"a round without oneDNN {without:.2f} s, with it {full:.2f} s "
            f"({without / full:.2f} times faster), in mixed_bfloat16 "
            f"{half:.2f} s ({full / half:.2f} times faster)",
            flush=True,
        )


if __name__ == "__main__":
    app.run(main)
