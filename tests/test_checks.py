import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf

from keras_tim.checks import (
    SLACK,
    check_floating,
    check_unit_range,
    integer,
    integers,
    unit_range_assertion,
)


@pytest.mark.parametrize(
    "value",
    [
        3,
        np.int64(3),
        np.uint8(3),
        np.array(3),
        np.arange(4)[3],
        tf.constant(3, tf.int16),
    ],
)
def test_integers_of_every_kind(value):
    found = integer("steps", value)
    assert type(found) is int
    assert found == 3


@pytest.mark.parametrize(
    "value",
    [
        True,
        np.True_,
        3.0,
        np.float32(3.0),
        np.array([3]),
        tf.constant(3.0),
        tf.constant(True),
        "3",
        None,
        0,
        -1,
    ],
)
def test_what_is_no_positive_integer(value):
    with pytest.raises(ValueError, match="`steps` must be a positive integer"):
        integer("steps", value)


def test_ranges_of_integers():
    assert integer("seed", -5, least=None) == -5
    assert integer("version", 0, least=0) == 0
    assert integer("quality", 100, most=100) == 100
    with pytest.raises(ValueError, match=r"integer from 0 on.*version=-1"):
        integer("version", -1, least=0)
    with pytest.raises(ValueError, match=r"from 1 to 100.*quality=101"):
        integer("quality", 101, most=100)
    with pytest.raises(ValueError, match=r"must be an integer\. Received"):
        integer("seed", 0.5, least=None)


def test_sequences_of_integers():
    for values in ([8, 6], (8, np.int32(6)), np.array([8, 6])):
        found = integers("channels", values)
        assert found == (8, 6)
        assert {type(value) for value in found} == {int}
    with pytest.raises(ValueError, match=r"`channels\[1\]` must be a positive"):
        integers("channels", [8, 0.5])
    with pytest.raises(ValueError, match="must be a sequence"):
        integers("channels", 8)


def kinds(values):
    """The same pictures as every kind of array."""
    values = np.asarray(values, "float32")
    return [
        values,
        values.astype("float64"),
        values.astype(ml_dtypes.bfloat16),
        tf.constant(values),
        tf.Variable(values),
    ]


def test_ranges_of_pictures():
    for pictures in kinds([0.0, 0.25, 1.0]):
        check_floating("x", pictures)
        check_unit_range("x", pictures)
    # What rounding to 8 bits would hide, but no more.
    check_unit_range("x", np.array([-0.99 * SLACK, 1 + 0.99 * SLACK]))
    check_unit_range("x", np.zeros((0, 4, 4, 3), "float32"))
    wrong = ([-0.01, 0.5], [0.5, 1.01], [0, 255], [-1, 1], [0, np.nan])
    for values in (*wrong, [0, np.inf]):
        for pictures in kinds(values):
            with pytest.raises(ValueError, match=r"`x` must lie in \[0, 1\]"):
                check_unit_range("x", pictures)
    for pictures in (np.uint8([0, 255]), tf.constant([0, 1])):
        with pytest.raises(ValueError, match=r"x\.dtype=u?int"):
            check_floating("x", pictures)


def test_ranges_inside_a_graph():
    @tf.function
    def checked(pictures):
        check_unit_range("x", pictures)  # symbols pass
        with tf.control_dependencies([unit_range_assertion("x", pictures)]):
            return 2 * pictures

    np.testing.assert_array_equal(checked(tf.constant([0.5, 1.0])), [1, 2])
    assert checked(tf.zeros([0])).shape == (0,)
    for wrong in (-0.01, 1.01, 255.0, np.nan):
        with pytest.raises(
            tf.errors.InvalidArgumentError, match=r"`x` must lie in \[0, 1\]"
        ):
            checked(tf.constant([0.5, wrong]))


def enlarged(pictures, method="bicubic"):
    size = [4 * side for side in pictures.shape[1:3]]
    return tf.image.resize(pictures, size, method).numpy()


def test_room_for_overshoot():
    noise = np.random.RandomState(0).rand(2, 30, 30, 3).astype("float32")
    black_and_white = (noise > 0.5).astype("float32")
    for pictures in (noise, black_and_white):
        unclipped = enlarged(pictures)
        assert unclipped.min() < -0.05
        check_unit_range("x", unclipped, overshoot=True)
        with pytest.raises(ValueError, match=r"`x` must lie in \[0, 1\]"):
            check_unit_range("x", unclipped)


@pytest.mark.parametrize(
    "other",
    [
        lambda x: x - 0.5,
        lambda x: x - x.mean(),
        lambda x: 0.6 * x - 0.3,
        lambda x: x + 0.5,
        lambda x: 2 * x - 1,
        lambda x: (x - 0.45) / 0.225,
        lambda x: 255 * x,
        lambda x: np.where(x > 0.999, np.nan, x),
    ],
)
def test_no_room_for_other_ranges(other):
    pictures = np.random.RandomState(0).rand(2, 48, 48, 3).astype("float32")
    with pytest.raises(ValueError, match=r"`x` must lie in \[0, 1\]"):
        check_unit_range("x", other(pictures), overshoot=True)
