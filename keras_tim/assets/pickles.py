"""Pickles read without running anything that they name.

A pickle is a program for a small stack machine that can call any function of
Python. Here is a machine for the few instructions that plain values and arrays
need. What a pickle may call are functions that its reader hands out; each of
them checks what it is given and gives a value of this package's own, so there
is nothing to forge an object from.
"""

import dataclasses
import io
import math
import pickletools
import re
from collections.abc import Callable

import numpy as np

# Enough for 50,000 tensors, and few enough that the empty dictionaries they
# could make, one an instruction, fit into memory.
_MOST_INSTRUCTIONS = 2_000_000

# How deep arrays may lie within dictionaries.
_MOST_LEVELS = 16

# A long name that is stored once may be met at every instruction.
LONGEST_NAME = 1000

# NumPy's own limit is 64, PyTorch's files stay far below.
_MOST_AXES = 16


class PickleError(ValueError):
    """A pickle is damaged, or asks for more than plain values."""


@dataclasses.dataclass(frozen=True)
class Constructor:
    """What a pickle may call.

    Args:
        function: callable. It must check its arguments, which may be anything
            that a pickle can hold, and raise `PickleError`. It must not copy
            them: it may be called with the same ones a million times.
    """

    function: Callable


class Record:
    """What a constructor gives whose state the pickle hands in later."""

    def set_state(self, state):
        """Takes the state.

        Args:
            state: anything that a pickle can hold.

        Raises:
            PickleError: if it is not what it should be.
        """
        raise NotImplementedError


_LITERALS = {
    *("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"),
    *("BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
    *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
    *("BINSTRING", "SHORT_BINSTRING"),
}
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_EMPTY = {"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


def load_pickle(stream, names, persistent=None):
    """Reads one pickle.

    Args:
        stream: binary file at the pickle's start; it is left at its end.
        names: callable `(module, name)` that gives what the pickle knows by
            that name, such as a `Constructor`, or raises `PickleError`.
        persistent: callable that gives what the pickle keeps elsewhere, from
            the identity that it states, or None where nothing is.

    Returns:
        None, a bool, int, float, str, bytes, tuple, list, dict or what one of
        the two callables gave.

    Raises:
        PickleError: if the pickle is damaged or asks for anything else.
    """
    try:
        return _run(stream, names, persistent)
    except PickleError:
        raise
    # A stack that is empty, arguments that a constructor does not take, ...
    except (IndexError, KeyError, TypeError, ValueError) as error:
        raise PickleError(f"its pickle is damaged: {error}") from error


def _run(stream, names, persistent):
    stack, marked, memo = [], [], {}
    instructions = enumerate(pickletools.genops(stream))
    for count, (instruction, argument, _) in instructions:
        if count > _MOST_INSTRUCTIONS:
            raise PickleError("its pickle is too long")
        name = instruction.name
        if name in _LITERALS:
            stack.append(argument)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in _EMPTY:
            stack.append(_EMPTY[name]())
        elif name in ("BINPUT", "LONG_BINPUT"):
            memo[argument] = stack[-1]
        elif name == "MEMOIZE":
            memo[len(memo)] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(memo[argument])
        elif name in _TUPLES:
            items = _popped(stack, _TUPLES[name])
            stack.append(tuple(items))
        elif name == "MARK":
            marked.append(stack)
            stack = []
        elif name == "TUPLE":
            items, stack = stack, marked.pop()
            stack.append(tuple(items))
        elif name == "APPEND":
            (item,) = _popped(stack, 1)
            _extend(stack[-1], [item])
        elif name == "APPENDS":
            items, stack = stack, marked.pop()
            _extend(stack[-1], items)
        elif name == "SETITEM":
            items = _popped(stack, 2)
            _set_items(stack[-1], items)
        elif name == "SETITEMS":
            items, stack = stack, marked.pop()
            _set_items(stack[-1], items)
        elif name == "GLOBAL":
            stack.append(_named(names, *argument.split(" ", 1)))
        elif name == "STACK_GLOBAL":
            stack.append(_named(names, *_popped(stack, 2)))
        elif name in ("REDUCE", "NEWOBJ"):
            constructor, arguments = _popped(stack, 2)
            stack.append(_called(constructor, arguments))
        elif name == "BUILD":
            (state,) = _popped(stack, 1)
            _set_state(stack[-1], state)
        elif name == "BINPERSID" and persistent is not None:
            (identity,) = _popped(stack, 1)
            stack.append(persistent(identity))
        elif name == "STOP":
            (value,) = stack
            return value
        elif name not in ("PROTO", "FRAME"):
            raise PickleError(
                f"it asks for {name}, which plain values never need"
            )
    raise PickleError("its pickle has no end")


def _popped(stack, count):
    """Takes the last items off the stack."""
    if len(stack) < count:
        raise PickleError("its pickle takes from an empty stack")
    items = stack[-count:]
    del stack[-count:]
    return items


def _named(names, module, name):
    if not (isinstance(module, str) and isinstance(name, str)):
        raise PickleError("it asks for a name that is no text")
    if len(module) + len(name) > LONGEST_NAME:
        raise refused_name(module, name, "is too long")
    return names(module, name)


def _extend(target, items):
    if type(target) is not list:
        raise PickleError(f"it appends to a {type(target).__name__}")
    target.extend(items)


def _set_items(target, items):
    if type(target) is not dict:
        raise PickleError(f"it sets an item of a {type(target).__name__}")
    for key, value in zip(items[::2], items[1::2], strict=True):
        # The hash of nested tuples can take forever.
        if type(key) not in (str, int):
            raise PickleError(f"a key is a {type(key).__name__}")
        target[key] = value


def _called(constructor, arguments):
    if not isinstance(constructor, Constructor):
        kind = type(constructor).__name__
        raise PickleError(f"it calls a value of type {kind}")
    if type(arguments) is not tuple:
        raise PickleError("it calls something with no arguments")
    return constructor.function(*arguments)


def _set_state(target, state):
    if isinstance(target, Record):
        target.set_state(state)
    # The attributes of an OrderedDict are of no use here.
    elif type(target) is not dict:
        raise PickleError(f"it sets attributes of a {type(target).__name__}")


def refused_name(module, name, reason):
    """The error for a name that is not handed out.

    Args:
        module: str, any.
        name: str, any.
        reason: str, goes on from "which".

    Returns:
        A `PickleError`.
    """
    shown = f"{module}.{name}"
    if len(shown) > 80:
        shown = f"{shown[:80]}..."
    return PickleError(f"it asks for {shown}, which {reason}")


# Arrays of NumPy.


def read_pickled_arrays(content):
    """Reads a pickle of NumPy arrays within dictionaries.

    Args:
        content: bytes.

    Returns:
        dict from the keys that lead to an array, joined by "/", to the array.
        Whatever else there is is left out.

    Raises:
        PickleError: if the pickle is damaged, or holds anything but arrays
            and plain values.
    """
    tree = load_pickle(io.BytesIO(content), _array_names)
    arrays, pending, seen = {}, [((), tree)], set()
    while pending:
        keys, node = pending.pop()
        if isinstance(node, _Array):
            arrays["/".join(keys)] = node.array()
        elif type(node) is dict:
            # A dictionary may hold itself, or another one many times over.
            if id(node) in seen or len(keys) > _MOST_LEVELS:
                raise PickleError("its dictionaries are nested without end")
            seen.add(id(node))
            for key, value in node.items():
                path = (*keys, str(key))
                if sum(map(len, path)) > LONGEST_NAME:
                    raise PickleError("the name of an array is too long")
                pending.append((path, value))
    return arrays


def _array_names(module, name):
    # NumPy has moved these about.
    place = (module.replace("numpy._core.", "numpy.core."), name)
    if place not in _ARRAY_NAMES:
        raise refused_name(module, name, "a file of arrays never needs")
    return _ARRAY_NAMES[place]


class _DType(Record):
    """An element type, of numbers alone."""

    def __init__(self, text, align=False, copy=False):
        if not (isinstance(text, str) and re.fullmatch("[fiu][1248]|b1", text)):
            raise PickleError("an array is of something else than numbers")
        self._text = text
        self._order = "<"

    def set_state(self, state):
        if type(state) is not tuple or state[1] not in ("<", ">", "|"):
            raise PickleError("an array is of an unknown byte order")
        self._order = state[1]

    def dtype(self):
        return np.dtype(self._order + self._text)


class _Array(Record):
    """An array: its bytes and how to read them."""

    def __init__(self, subtype, shape, kind):
        # What the pickle gives here is a stand-in, told the rest later.
        self._array = None

    def set_state(self, state):
        _, shape, dtype, fortran, content = state
        self._array = _array(content, dtype, shape, "F" if fortran else "C")

    def array(self):
        if self._array is None:
            raise PickleError("an array has no values")
        return self._array


def _from_buffer(content, dtype, shape, order):
    array = _Array(None, None, None)
    array.set_state((1, shape, dtype, order == "F", content))
    return array


def _array(content, dtype, shape, order):
    if not isinstance(dtype, _DType):
        raise PickleError("an array has no element type")
    if not isinstance(content, bytes | bytearray):
        raise PickleError("the values of an array are no bytes")
    check_sizes(shape)
    dtype = dtype.dtype()
    if math.prod(shape) * dtype.itemsize != len(content):
        raise PickleError(
            f"an array of {math.prod(shape)} elements has {len(content)} bytes"
        )
    return np.frombuffer(content, dtype).reshape(shape, order=order)


def check_sizes(sizes):
    """Raises unless `sizes` is a tuple of what can be sizes in an array.

    Args:
        sizes: anything.

    Raises:
        PickleError: if it is something else.
    """
    if (
        type(sizes) is not tuple
        or len(sizes) > _MOST_AXES
        or not all(type(n) is int and 0 <= n < 2**40 for n in sizes)
    ):
        raise PickleError("the sizes of an array are no sizes")


_ARRAY_NAMES = {
    ("numpy.core.multiarray", "_reconstruct"): Constructor(_Array),
    ("numpy.core.numeric", "_frombuffer"): Constructor(_from_buffer),
    ("numpy", "dtype"): Constructor(_DType),
    # Only ever handed to `_reconstruct`.
    ("numpy", "ndarray"): "ndarray",
}
