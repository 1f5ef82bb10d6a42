import pytest
import tensorflow as tf

from keras_tim.runs import precision


def times(monkeypatch, **seconds):
    def taken(dtype):
        if seconds[dtype] is None:
            raise tf.errors.InvalidArgumentError(None, None, "no primitive")
        return seconds[dtype]

    monkeypatch.setattr(precision, "_seconds", taken)


@pytest.mark.parametrize(
    ("half", "chosen"),
    [
        (0.5, "mixed_bfloat16"),
        (0.79, "mixed_bfloat16"),
        (0.81, "float32"),
        (7.0, "float32"),
        (None, "float32"),
    ],
)
def test_the_faster_one_is_chosen(half, chosen, monkeypatch):
    times(monkeypatch, float32=1.0, bfloat16=half)
    assert precision.fastest_dtype() == chosen


def test_this_machine_has_one():
    assert precision.fastest_dtype() in precision.DTYPES
    assert precision._seconds("float32", repeats=2) > 0
