"""Time of a training round with and without oneDNN's convolutions.

    python benchmarks/cpu_kernels.py

A round is a selection for 32 crops and 12 gradient steps on 8 of them, with
the settings of `keras-tim demo`. Both kinds are timed in turn, each in a
process of its own: TensorFlow reads TF_ENABLE_ONEDNN_OPTS when it is first
imported, and leaves oneDNN off by itself on processors without AVX-512.
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
flags.DEFINE_bool("child", False, "time the rounds here and print seconds")


def time_rounds():
    """Prints the median seconds of a round."""
    import keras
    import numpy as np

    from keras_tim import TIM
    from keras_tim.runs import RunSettings

    settings = RunSettings.of_task("super_resolution")
    tim = TIM.from_preset(settings.preset)
    tim.compile(
        optimizer=keras.optimizers.Adam(settings.learning_rate),
        distance=settings.distance,
        num_samples=settings.candidates,
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


def timed(onednn):
    """Seconds of a round in a new process."""
    printed = subprocess.run(
        [sys.executable, __file__, "--child", f"--rounds={FLAGS.rounds}"],
        env={**os.environ, "TF_ENABLE_ONEDNN_OPTS": onednn},
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return float(printed.split()[-1])


def main(_):
    """Times both kinds in turn and prints the ratio."""
    if FLAGS.child:
        time_rounds()
        return
    pairs = [(timed("0"), timed("1")) for _ in range(FLAGS.repeats)]
    for without, with_onednn in pairs:
        print(
            f"a round without oneDNN {without:.2f} s, with it "
            f"{with_onednn:.2f} s: {without / with_onednn:.2f} times faster"
        )


if __name__ == "__main__":
    app.run(main)
