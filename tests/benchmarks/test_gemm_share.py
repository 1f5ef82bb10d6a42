import keras
import tensorflow as tf


def test_operations_are_those_of_the_convolutions(import_benchmark):
    operations = import_benchmark("gemm_share").operations
    kernel = tf.ones((3, 3, 2, 4))

    @tf.function
    def once(given):
        return keras.ops.conv(given, kernel, padding="same")

    @tf.function
    def twice(given):
        return once(given) + once(given)

    given = tf.ones((1, 5, 6, 2))
    # A multiplication and an addition for each of 5 x 6 x 4 values and each
    # of 3 x 3 x 2 weights.
    assert operations(once, given) == 2 * (5 * 6 * 4) * (3 * 3 * 2)
    assert operations(twice, given) == 2 * operations(once, given)
