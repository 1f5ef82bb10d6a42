import io
import pickle
import struct
import tracemalloc

import numpy as np
import pytest

from keras_tim.assets.pickles import (
    Constructor,
    PickleError,
    Record,
    load_pickle,
    read_pickled_arrays,
)


def no_names(module, name):
    raise PickleError(f"no {module}.{name}")


def load(content, names=no_names, persistent=None):
    return load_pickle(io.BytesIO(content), names, persistent)


PLAIN = [
    None,
    True,
    -3,
    2**40,
    0.5,
    "naïve",
    b"bytes",
    (),
    (1,),
    (1, 2, 3, 4),
    [[], [1, "two"]],
    {"a": {1: [2.0]}, "b": ()},
]


@pytest.mark.parametrize("protocol", [3, 4, 5])
@pytest.mark.parametrize("value", PLAIN)
def test_plain_values(value, protocol):
    assert load(pickle.dumps(value, protocol)) == value


def test_leaves_the_file_at_the_end_of_the_pickle():
    stream = io.BytesIO(pickle.dumps(1, 2) + pickle.dumps("two", 2) + b"rest")
    assert load_pickle(stream, no_names) == 1
    assert load_pickle(stream, no_names) == "two"
    assert stream.read() == b"rest"


def test_keeps_elsewhere_what_the_reader_says():
    content = b"\x80\x02X\x03\x00\x00\x00keyQ."
    assert load(content, persistent=lambda key: f"<{key}>") == "<key>"
    with pytest.raises(PickleError, match="BINPERSID"):
        load(content)


# What can be called, and what not.


class Pair(Record):
    def __init__(self, a, b):
        self.items = [a, b]

    def set_state(self, state):
        self.items.append(state)


def names(module, name):
    return {
        "add": Constructor(lambda a, b: a + b),
        "Pair": Constructor(Pair),
        "constant": 7,
    }[name]


ADD = b"\x80\x02cm\nadd\n"
PAIR = b"\x80\x02cm\nPair\nK\x01K\x02\x86"


def test_calls_what_the_reader_hands_out():
    assert load(ADD + b"K\x01K\x02\x86R.", names) == 3
    for call in (b"R", b"\x81"):
        assert load(PAIR + call + b"K\x03b.", names).items == [1, 2, 3]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        # Attributes of a function, of its wrapper and of plain values.
        (ADD + b"}X\x01\x00\x00\x00xK\x01sb.", "attributes of a Constructor"),
        (b"\x80\x02]K\x01b.", "attributes of a list"),
        (b"\x80\x02)K\x01b.", "attributes of a tuple"),
        # Calls of what is no function, or without the right arguments.
        (b"\x80\x02cm\nconstant\n)R.", "calls a value of type int"),
        (b"\x80\x02K\x05)R.", "calls a value of type int"),
        (PAIR + b"RK\x01\x85R.", "calls a value of type Pair"),
        (ADD + b"]R.", "no arguments"),
        (ADD + b"K\x01\x85R.", "missing 1 required"),
        # Items of what has none.
        (ADD + b"K\x01K\x02s.", "item of a Constructor"),
        (ADD + b"K\x01a.", "appends to a Constructor"),
        (b"\x80\x02}]K\x01s.", "key is a list"),
        (b"\x80\x02})K\x01s.", "key is a tuple"),
        (b"\x80\x02}(K\x01u.", "shorter"),
        # Instructions that plain values have no need of.
        (b"\x80\x02K\x01K\x02\x86iposix\nsystem\n.", "INST"),
        (b"(cm\nadd\nK\x01K\x02o.", "OBJ"),
        (b"\x80\x02\x82\x01.", "EXT1"),
        (b"\x80\x04K\x01)}\x92.", "NEWOBJ_EX"),
        (b"\x80\x05\x97.", "NEXT_BUFFER"),
        # The machine itself.
        (b"\x80\x02", "damaged"),
        (b"\x80\x02.", "damaged"),
        (b"\x80\x02K\x01K\x02.", "damaged"),
        (b"\x80\x02h\x05.", "damaged"),
        (b"\x80\x02\x86.", "empty stack"),
        (b"\x80\x02t.", "damaged"),
        (b"\x80\x04K\x01K\x02\x93.", "no text"),
    ],
)
def test_refuses(content, message):
    with pytest.raises(PickleError, match=message):
        load(content, names)


def test_long_names_are_cut():
    with pytest.raises(PickleError) as error:
        read_pickled_arrays(b"\x80\x02c" + b"m" * 10_000 + b"\nn\n.")
    assert len(str(error.value)) < 200


def test_claims_cost_no_memory():
    # Texts, bytes and integers of four billion bytes.
    for code, size in ((b"X", "<I"), (b"B", "<I"), (b"\x8e", "<Q")):
        content = b"\x80\x04" + code + struct.pack(size, 2**32 - 1) + b"abc."
        tracemalloc.start()
        with pytest.raises(PickleError):
            load(content)
        assert tracemalloc.get_traced_memory()[1] < 2**20
        tracemalloc.stop()


def test_instructions_are_counted(monkeypatch):
    monkeypatch.setattr("keras_tim.assets.pickles._MOST_INSTRUCTIONS", 100)
    assert load(b"\x80\x02(" + b"}" * 97 + b"t.") == ({},) * 97
    with pytest.raises(PickleError, match="too long"):
        load(b"\x80\x02(" + b"}" * 98 + b"t.")


def test_references_that_double_at_every_step_take_no_time():
    # A tuple of two of the one before, a hundred times over, as a key.
    with pytest.raises(PickleError, match="key is a tuple"):
        load(b"\x80\x02}K\x01q\x00" + b"h\x00\x86q\x00" * 100 + b"K\x01s.")


# Arrays.


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_arrays_within_dictionaries(protocol):
    tree = {
        "net": {
            "kernel": np.arange(6, dtype="float32").reshape(2, 3),
            "turned": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
            "nothing": np.zeros((0, 2), "int64"),
            "steps": 3,
        },
        5: np.array([True, False]),
        "swapped": np.arange(3, dtype=">i2"),
    }
    found = read_pickled_arrays(pickle.dumps(tree, protocol))
    expected = {**{f"net/{k}": v for k, v in tree["net"].items()}}
    del expected["net/steps"]
    expected |= {"5": tree[5], "swapped": tree["swapped"]}
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


@pytest.mark.parametrize(
    "value",
    [np.array([{}]), np.array(["text"]), np.array([1j]), np.datetime64("2020")],
)
def test_other_arrays_are_refused(value):
    with pytest.raises(PickleError):
        read_pickled_arrays(pickle.dumps({"a": value}))


def text(value):
    return b"X" + struct.pack("<I", len(value)) + value


RECONSTRUCT = (
    b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n"
    b"K\x00\x85C\x01b\x87R"
)
FLOAT = b"cnumpy\ndtype\n" + text(b"f4") + b"\x89\x88\x87R"
OBJECT = b"cnumpy\ndtype\n" + text(b"O8") + b"\x89\x88\x87R"
ORDER = b"(K\x03" + text(b"<") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"


def array_pickle(shape=b"K\x02\x85", dtype=FLOAT + ORDER, data=8 * b"\x41"):
    raw = data if data[:1] in b"(]N" else b"C" + bytes([len(data)]) + data
    state = b"(K\x01" + shape + dtype + b"\x89" + raw + b"tb"
    return b"\x80\x04}" + text(b"a") + RECONSTRUCT + state + b"s."


def test_handmade_array():
    found = read_pickled_arrays(array_pickle())
    np.testing.assert_array_equal(found["a"], np.frombuffer(b"\x41" * 8, "<f4"))


@pytest.mark.parametrize(
    "content",
    [
        # The forgeries: an array of object pointers, sizes that are not those
        # of the bytes, an array in the place of bytes, shape or dtype.
        array_pickle(dtype=OBJECT + ORDER, shape=b"K\x01\x85"),
        array_pickle(shape=b"K\x03\x85"),
        array_pickle(shape=b"J\xff\xff\xff\xff\x85"),
        array_pickle(shape=b"K\x02K\x02\x86"),
        array_pickle(shape=b"]"),
        array_pickle(shape=b"\x8a\x08" + b"\xff" * 7 + b"\x7f\x85"),
        array_pickle(shape=b"(" + 40 * b"K\x01" + b"t"),
        array_pickle(shape=RECONSTRUCT),
        array_pickle(dtype=RECONSTRUCT),
        array_pickle(dtype=text(b"f4")),
        array_pickle(dtype=FLOAT + b"K\x01b"),
        array_pickle(dtype=FLOAT + b"K\x01" + text(b"=") + b"\x86b"),
        array_pickle(data=b"N"),
        array_pickle(data=b"](K\x01e"),
        # A dtype with fields, of giant elements, or of something else.
        array_pickle(dtype=b"cnumpy\ndtype\n" + text(b"S9999999") + b"\x85R"),
        array_pickle(dtype=b"cnumpy\ndtype\n]\x85R"),
        array_pickle(dtype=b"cnumpy\ndtype\n" + text(b"f4,f4") + b"\x85R"),
        # Never told its values.
        b"\x80\x04}" + text(b"a") + RECONSTRUCT + b"s.",
        # The class itself cannot be called, nor anything of an array set.
        b"\x80\x02cnumpy\nndarray\nK\x02\x85\x85R.",
        # Dictionaries that hold themselves, or lie deep in one another.
        b"\x80\x02}q\x00" + text(b"a") + b"h\x00s.",
        b"\x80\x02" + 30 * (b"}" + text(b"a")) + b"}" + 30 * b"s" + b".",
        # Names that grow with every level.
        b"\x80\x02" + 3 * (b"}" + text(500 * b"a")) + b"}" + 3 * b"s" + b".",
    ],
)
def test_forged_arrays_are_refused(content):
    with pytest.raises(PickleError):
        read_pickled_arrays(content)
