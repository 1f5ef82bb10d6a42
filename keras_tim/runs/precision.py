"""Finds the dtype policy that this machine trains fastest in."""

import time

from keras_tim.lazy import tensorflow as tf

DTYPES = ("float32", "mixed_bfloat16", "mixed_float16")
# What is computed between the convolutions gains nothing, so that a little
# faster is not worth the precision.
WORTHWHILE = 0.8


def fastest_dtype():
    """The dtype policy that convolutions are fastest in, by trying them.

    Processors with AVX512-BF16 or AMX and most graphics cards multiply
    bfloat16 numbers about twice as fast as float32 ones; others take several
    times as long. Takes about a second.

    Returns:
        "float32" or "mixed_bfloat16".
    """
    full = _seconds("float32")
    try:
        half = _seconds("bfloat16")
    except tf.errors.OpError:
        # oneDNN has no such convolution for some processors.
        return "float32"
    return "mixed_bfloat16" if half < WORTHWHILE * full else "float32"


def _seconds(dtype, repeats=5):
    """Time of a convolution and its gradients, the least of some tries."""
    pictures = tf.ones((8, 48, 48, 32), dtype)
    kernel = tf.ones((3, 3, 32, 32), dtype)

    @tf.function(autograph=False)
    def gradients(pictures, kernel):
        with tf.GradientTape() as tape:
            tape.watch((pictures, kernel))
            made = tf.nn.conv2d(pictures, kernel, strides=1, padding="SAME")
        return tape.gradient(made, (pictures, kernel))

    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        for gradient in gradients(pictures, kernel):
            gradient.numpy()
        taken.append(time.perf_counter() - start)
    return min(taken)
