import numpy as np
import pytest
import tensorflow as tf

from keras_tim.imle.tensorflow_backend import (
    for_each_group,
    length_of,
    map_in_groups,
    repeat,
)

ways = pytest.mark.parametrize(
    "way", ["eager", "graph", "unknown", "xla", "xla unknown"]
)


def run(function, way, length):
    """Calls `function(rows)` on `[length, 1]` rows in one of five ways."""
    rows = tf.reshape(tf.range(length), [length, 1])
    if way == "eager":
        return function(rows)
    known = None if "unknown" in way else length
    return tf.function(
        function,
        input_signature=[tf.TensorSpec([known, 1], tf.int32)],
        jit_compile="xla" in way,
        autograph=False,
    )(rows)


@ways
@pytest.mark.parametrize(
    ("length", "size"), [(6, 2), (5, 2), (1, 2), (4, 4), (3, 9), (7, 1)]
)
def test_map_in_groups_keeps_the_rows(way, length, size):
    def square(group):
        return {"squares": group[0] ** 2, "next": (group[0] + 1,)}

    mapped = run(lambda x: map_in_groups(square, (x,), size), way, length)
    rows = np.arange(length)[:, None]
    np.testing.assert_array_equal(mapped["squares"], rows**2)
    np.testing.assert_array_equal(mapped["next"][0], rows + 1)


def test_map_in_groups_sees_groups_of_the_given_size():
    seen = []

    def look(group):
        seen.append(group[0].shape[0])
        return group[0]

    map_in_groups(look, (tf.range(7),), 3)
    assert set(seen) == {3}


@ways
@pytest.mark.parametrize(
    ("length", "size", "sums"),
    [
        (5, 2, [0 + 1, 2 + 3, 4]),
        (4, 2, [0 + 1, 2 + 3]),
        (3, None, [0 + 1 + 2]),
        (3, 7, [0 + 1 + 2]),
        (3, 1, [0, 1, 2]),
    ],
)
def test_for_each_group_goes_in_order(way, length, size, sums):
    record = tf.Variable(tf.zeros([8], tf.int32))
    place = tf.Variable(0)

    def note(group):
        # Its length as XLA must know it, and what it is.
        ones = tf.ones([length_of(group)], tf.int32)
        total = tf.reduce_sum(ones * group[:, 0])
        here = tf.one_hot(place, 8, dtype=tf.int32)
        record.assign_add(here * total)
        place.assign_add(1)

    def go(rows):
        for_each_group(
            (rows,), size, lambda group: note(group[0]), "xla" in way
        )
        return place.read_value()

    count = int(run(go, way, length))
    assert count == len(sums)
    assert record.numpy()[:count].tolist() == sums


@pytest.mark.parametrize("graph", [False, True])
def test_repeat_counts_up(graph):
    total = tf.Variable(0)

    def go():
        repeat(4, lambda number: total.assign(10 * total + number))

    (tf.function(go) if graph else go)()
    assert int(total) == 123
