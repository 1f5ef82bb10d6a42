"""Archives of NumPy arrays, read with their sizes checked."""

import math
import re
import struct

import numpy as np

from keras_tim.assets.archives import open_zip, read_member
from keras_tim.assets.damage import damage_explained

# What NumPy writes ahead of numbers and text. Python objects, records and
# whatever else it can store are not of use here.
_DTYPE = r"[<>|=]?[fiu][1248]|\|b1|[<>]U[0-9]{1,4}|\|S[0-9]{1,4}"
_HEADER = re.compile(
    rf"\{{'descr': '(?P<descr>{_DTYPE})', "
    r"'fortran_order': (?P<fortran>True|False), "
    r"'shape': \((?P<shape>(?:[0-9]{1,12}, ?)*(?:[0-9]{1,12})?)\), \} *\n"
)
_MOST_AXES = 16
_MAGIC = b"\x93NUMPY"
_LENGTHS = {1: "<H", 2: "<I", 3: "<I"}


class NpzError(ValueError):
    """A file is no archive of NumPy arrays."""


def read_npz(file, name=None, keys=None):
    """Reads the arrays of a `.npz` file.

    Args:
        file: path or binary file.
        name: what error messages call the file; its path by default.
        keys: which arrays to read, as far as the file has them; None for all.

    Returns:
        dict from key to array.

    Raises:
        OSError: if there is no such file.
        NpzError: if the file is damaged, or holds anything but numbers, text
            and truth values.
    """
    name = file if name is None else name
    if isinstance(file, str) or hasattr(file, "__fspath__"):
        with open(file, "rb") as stream:
            return read_npz(stream, name, keys)
    with damage_explained(name, NpzError, "damaged or no .npz file"):
        archive = open_zip(file)
        members = {m.removesuffix(".npy"): m for m in archive.namelist()}
        return {
            key: _array(read_member(archive, member))
            for key, member in members.items()
            if keys is None or key in keys
        }


def _array(content):
    if content[:6] != _MAGIC or content[6] not in _LENGTHS:
        raise ValueError("a member is no array of NumPy")
    length = _LENGTHS[content[6]]
    start = 8 + struct.calcsize(length)
    (size,) = struct.unpack(length, content[8:start])
    header = _HEADER.fullmatch(content[start : start + size].decode("latin-1"))
    if header is None:
        raise ValueError("an array holds objects, or its header is damaged")
    dtype = np.dtype(header["descr"])
    shape = tuple(int(n) for n in re.findall("[0-9]+", header["shape"]))
    found = len(content) - start - size
    if (
        len(shape) > _MOST_AXES
        or not dtype.itemsize
        or math.prod(shape) * dtype.itemsize != found
    ):
        raise ValueError(
            f"an array of shape {shape[:_MOST_AXES]} and type {dtype} has "
            f"{found} bytes"
        )
    order = "F" if header["fortran"] == "True" else "C"
    view = np.ndarray(shape, dtype, content, start + size, order=order)
    return view.copy(order)
