"""Builds the paper-sized 16x model and runs it once, 16 -> 256 pixels.

python benchmarks/paper_preset.py
"""

import resource
import time

import keras

import keras_tim


def main():
    """Prints parameters, seconds and peak memory."""
    keras.utils.set_random_seed(0)
    start = time.perf_counter()
    tim = keras_tim.TIM.from_preset("super_resolution_x16_paper")
    built = time.perf_counter() - start
    print(f"parameters: {tim.count_params():,} (built in {built:.1f} s)")
    for level, module in enumerate(tim.tower):
        print(f"  level {level}: {module.count_params():,}")
    small = keras.random.uniform((1, 16, 16, 3), seed=0)
    for name in ("first, with tracing", "second"):
        start = time.perf_counter()
        samples = tim.sample(small, num_samples=1, seed=0)
        seconds = time.perf_counter() - start
        print(f"sample {samples.shape[2:]}, {name}: {seconds:.1f} s")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"peak memory: {peak:.1f} GB")


if __name__ == "__main__":
    main()
