"""Peak memory of selection as the number of candidates grows.

Each number of candidates is measured in a process of its own: the largest
resident set while codes are selected, above what the process held before.

    python benchmarks/selection_memory.py
"""

import argparse
import gc
import resource
import subprocess
import sys
import time


def measure(num_samples, candidate_chunk, images, sampling):
    """Selects once and prints megabytes before, at the peak, and seconds."""
    import keras
    import tensorflow as tf

    import keras_tim

    keras.utils.set_random_seed(0)
    tim = keras_tim.TIM.from_preset("super_resolution_x4_nano")
    tim.compile(
        distance="lpips_alex",
        num_candidates=num_samples,
        candidate_chunk=candidate_chunk,
        sampling=sampling,
    )
    imle = tim._imle
    imle.distance.build(channels=3)
    inputs = [keras.random.uniform((images, 16, 16, 3), seed=0)]
    targets = [
        keras.random.uniform((images, 32, 32, 3), seed=1),
        keras.random.uniform((images, 64, 64, 3), seed=2),
    ]
    seeds = tf.range(images, dtype=tf.int64)
    gc.collect()
    before = _peak_megabytes()
    select = tf.function(
        lambda: imle.select(tim, inputs, targets, seeds)[0].distances[-1],
        autograph=False,
    )
    start = time.perf_counter()
    select().numpy()
    seconds = time.perf_counter() - start
    print(f"RESULT {before:.1f} {_peak_megabytes():.1f} {seconds:.1f}")


def _peak_megabytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0


def main():
    """Measures every number of candidates and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--num_samples", type=int, nargs="+", default=[32, 256])
    parser.add_argument("--candidate_chunk", type=int, default=16)
    parser.add_argument("--images", type=int, default=4)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        sampling, count = arguments.one.split(":")
        measure(
            int(count), arguments.candidate_chunk, arguments.images, sampling
        )
        return
    print(
        f"{arguments.images} images, {arguments.candidate_chunk} candidates "
        "at a time, nano 4x, LPIPS-alex"
    )
    print("sampling      candidates   peak MB   above start MB   ratio   s")
    for sampling in ("hierarchical", "vanilla"):
        first = None
        for count in arguments.num_samples:
            output = subprocess.run(
                [
                    sys.executable,
                    __file__,
                    f"--one={sampling}:{count}",
                    f"--candidate_chunk={arguments.candidate_chunk}",
                    f"--images={arguments.images}",
                ],
                capture_output=True,
                text=True,
                check=True,
            ).stdout
            numbers = output.split("RESULT", 1)[1].split()
            before, peak, seconds = map(float, numbers)
            first = first or peak - before
            print(
                f"{sampling:<12}  {count:>10}   {peak:>7.0f}   "
                f"{peak - before:>14.0f}   {(peak - before) / first:>5.2f}   "
                f"{seconds:.0f}"
            )


if __name__ == "__main__":
    main()
