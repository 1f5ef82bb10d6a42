"""Reads the tensors in a PyTorch file without PyTorch.

Such a file is a zip archive of a pickle and of one raw file per storage; before
PyTorch 1.6 it was a few pickles in a row and the storages behind them. The
reader knows tensors of numbers, dictionaries and, in a TorchScript file,
modules that hold them, and refuses everything else. The code in a TorchScript
file is not looked at.
"""

import contextlib
import dataclasses
import io
import math
import os
import struct
import zipfile

import numpy as np

from keras_tim.assets.archives import most_bytes, open_zip, read_member
from keras_tim.assets.damage import damage_explained
from keras_tim.assets.pickles import (
    LONGEST_NAME,
    Constructor,
    PickleError,
    Record,
    check_sizes,
    load_pickle,
    refused_name,
)
from keras_tim.conversion.errors import CheckpointError

_DTYPES = {
    "DoubleStorage": np.dtype("<f8"),
    "FloatStorage": np.dtype("<f4"),
    "HalfStorage": np.dtype("<f2"),
    # Its upper half; NumPy has no such type.
    "BFloat16Storage": np.dtype("<u2"),
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
    "ShortStorage": np.dtype("<i2"),
    "CharStorage": np.dtype("i1"),
    "ByteStorage": np.dtype("u1"),
    "BoolStorage": np.dtype("?"),
}

# Where training scripts nest the weights, the best ones first.
_WRAPPERS = ("params_ema", "params", "state_dict")

# What a file of before PyTorch 1.6 begins with, as two pickles.
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_VERSION = 1001

# How deep modules may lie within modules.
_MOST_LEVELS = 64


def read_state_dict(file, name=None, key=None):
    """Reads a state dict as NumPy arrays.

    Args:
        file: path or binary file, as `torch.save` writes them: the zip
            archives of today or what versions before 1.6 wrote.
        name: what error messages call the file; its path by default.
        key: str, under which of the file's dictionaries the weights lie, or
            None for one of the common ones (`params_ema`, `params`,
            `state_dict`), else the file's only dictionary.

    Returns:
        dict from parameter name to array, in PyTorch's layout and element
        type (bfloat16 as float32). A prefix `module.` is taken off, and
        entries that are no tensors are left out.

    Raises:
        OSError: if there is no such file.
        CheckpointError: if the file is damaged, is no such file, or holds
            anything but tensors.
    """
    name = file if name is None else name
    with _opened(file) as stream, _explained(name):
        if zipfile.is_zipfile(stream):
            state, read, limit = _load_zip(stream, name, _tensor_names)
        else:
            state, read, limit = _load_legacy(stream, name)
        return _arrays(_tensors(state, name, key), read, limit)


def read_torchscript_tensors(file, name):
    """Reads the parameters of a TorchScript file as NumPy arrays.

    Args:
        file: path or binary file of a module saved by `torch.jit.save`.
        name: what error messages call the file.

    Returns:
        dict from dotted parameter name to array, in PyTorch's layout and in
        the order in which the module holds them.

    Raises:
        OSError: if there is no such file.
        CheckpointError: if the file is damaged, is no such archive, or holds
            anything but modules of tensors.
    """
    with _opened(file) as stream, _explained(name):
        module, read, limit = _load_zip(stream, name, _module_names)
        if not isinstance(module, _Module):
            raise CheckpointError(
                f"{name} holds {_kind(module)}, not a module."
            )
        return _arrays(dict(module.tensors()), read, limit)


@contextlib.contextmanager
def _opened(file):
    if isinstance(file, str | os.PathLike):
        with open(file, "rb") as stream:
            yield stream
    else:
        yield file


@contextlib.contextmanager
def _explained(name):
    """Turns what reading a damaged file raises into a `CheckpointError`."""
    with damage_explained(
        name, CheckpointError, "damaged or holds no plain tensors"
    ):
        try:
            yield
        except zipfile.BadZipFile as error:
            raise CheckpointError(
                f"{name} is not a PyTorch checkpoint, or it is damaged: {error}"
            ) from error


def _load_zip(stream, name, names):
    """What the pickle of an archive holds.

    Returns:
        Tuple of it, a function that reads the storage of a key, and the
        bytes that all tensors together may take.
    """
    archive = open_zip(stream)
    members = set(archive.namelist())
    pickles = [m for m in members if m.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise CheckpointError(
            f"{name} is not a PyTorch checkpoint: it holds {len(pickles)} "
            "files named data.pkl, not one."
        )
    folder = pickles[0].removesuffix("data.pkl")
    order = f"{folder}byteorder"
    if order in members and read_member(archive, order) != b"little":
        raise CheckpointError(
            f"{name} was saved on a big-endian machine, which is not supported."
        )

    def read(key):
        member = f"{folder}data/{key}"
        if member not in members:
            raise PickleError(f"storage {key[:40]} is missing")
        return read_member(archive, member)

    content = io.BytesIO(read_member(archive, pickles[0]))
    return load_pickle(content, names, _storage), read, most_bytes(stream)


def _load_legacy(stream, name):
    """As `_load_zip`, of a file from before PyTorch 1.6."""
    stream = _Bounded(stream)
    stream.seek(0)
    try:
        magic = load_pickle(stream, _tensor_names)
    except PickleError:
        magic = None
    if magic != _LEGACY_MAGIC:
        raise CheckpointError(
            f"{name} is not a PyTorch checkpoint, or it is damaged."
        )
    if load_pickle(stream, _tensor_names) != _LEGACY_VERSION:
        raise CheckpointError(f"{name} is of an unknown version of PyTorch.")
    machine = load_pickle(stream, _tensor_names)
    if type(machine) is not dict or machine.get("little_endian") is not True:
        raise CheckpointError(
            f"{name} was saved on a big-endian machine, which is not supported."
        )
    sizes = {}

    def persistent(identity):
        storage = _storage(identity)
        sizes[storage.key] = storage.dtype.itemsize
        return storage

    state = load_pickle(stream, _tensor_names, persistent)
    keys = load_pickle(stream, _tensor_names)
    if type(keys) is not list or not all(type(k) is str for k in keys):
        raise PickleError("the list of storages is damaged")
    # Every storage follows: the number of its elements, and their bytes.
    place = stream.tell()
    end = stream.seek(0, os.SEEK_END)
    places = {}
    for key in keys:
        stream.seek(place)
        (count,) = struct.unpack("<q", stream.read(8))
        size = count * sizes.get(key, 0)
        if not 0 <= size <= end - place - 8:
            raise PickleError("a storage is damaged or missing")
        places[key] = (place + 8, size)
        place += 8 + size

    def read(key):
        start, size = places.get(key, (0, 0))
        stream.seek(start)
        return stream.read(size)

    return state, read, most_bytes(stream)


class _Bounded:
    """A file that takes no memory for more than there is left of it."""

    def __init__(self, stream):
        self._stream = stream
        self._size = stream.seek(0, os.SEEK_END)
        self.seek, self.tell = stream.seek, stream.tell
        self.readline = stream.readline

    def read(self, size):
        return self._stream.read(min(size, self._size - self.tell()))


def _tensors(state, name, key):
    """The tensors of a state dict, by name."""
    if type(state) is not dict:
        raise CheckpointError(f"{name} holds {_kind(state)}, not a state dict.")
    nested = {k: v for k, v in state.items() if type(v) is dict}
    if key is not None:
        if key not in nested:
            known = ", ".join(str(k)[:40] for k in list(nested)[:5]) or "none"
            raise CheckpointError(
                f"{name} has no dictionary {key!r}, but {known}."
            )
        places = [nested[key]]
    else:
        places = [nested[k] for k in _WRAPPERS if k in nested] + [state]
        if len(nested) == 1:
            places += nested.values()
    for place in places:
        tensors = _tensors_in(place)
        if tensors:
            return tensors
    raise CheckpointError(f"{name} holds no tensors.")


def _tensors_in(state):
    return {
        str(k).removeprefix("module."): value
        for k, value in state.items()
        if isinstance(value, _Tensor)
    }


def _kind(value):
    return f"a {type(value).__name__.strip('_').lower()}"


def _arrays(tensors, read, limit):
    """Tensors as arrays.

    Args:
        tensors: dict from name to `_Tensor`.
        read: callable that gives the bytes of the storage of a key.
        limit: int, how many bytes they may take together.

    Returns:
        dict from name to array.
    """
    size = sum(
        math.prod(t.sizes) * t.storage.dtype.itemsize for t in tensors.values()
    )
    if size > limit:
        raise PickleError(
            f"its tensors claim {size} bytes; at most {limit} are allowed"
        )
    contents = {}
    arrays = {}
    for name, tensor in tensors.items():
        storage = tensor.storage
        # Once, whatever the pickle says of its type and length.
        if storage.key not in contents:
            contents[storage.key] = read(storage.key)
        content = contents[storage.key]
        if len(content) < storage.size:
            raise PickleError(f"storage {storage.key[:40]} is too short")
        # NumPy checks once more that the buffer holds all of it.
        array = np.ndarray(
            tensor.sizes,
            storage.dtype,
            buffer=content,
            offset=tensor.offset * storage.dtype.itemsize,
            strides=[n * storage.dtype.itemsize for n in tensor.strides],
        )
        if storage.kind == "BFloat16Storage":
            array = (array.astype("<u4") << 16).view("<f4")
        arrays[name] = array.copy()
    return arrays


# What the pickles may hold.


@dataclasses.dataclass(frozen=True)
class _StorageKind:
    name: str


@dataclasses.dataclass(frozen=True)
class _Storage:
    """A row of numbers that lies elsewhere in the file."""

    kind: str
    key: str
    count: int

    @property
    def dtype(self):
        return _DTYPES[self.kind]

    @property
    def size(self):
        """Bytes that it takes."""
        return self.count * self.dtype.itemsize


@dataclasses.dataclass(frozen=True)
class _Tensor:
    """Where in a storage a tensor lies, in elements."""

    storage: _Storage
    offset: int
    sizes: tuple[int, ...]
    strides: tuple[int, ...]


class _Module(Record):
    """What is left of a TorchScript module: its attributes."""

    def __init__(self):
        self._attributes = {}

    def set_state(self, state):
        if type(state) is not dict:
            raise PickleError("the attributes of a module are no dictionary")
        self._attributes = state

    def tensors(self, prefix="", level=0, seen=None):
        """Yields `(dotted name, tensor)` of this module and those in it."""
        if level > _MOST_LEVELS:
            raise PickleError("its modules are nested without end")
        # Each by one name alone: a module may hold itself.
        seen = set() if seen is None else seen
        if id(self) in seen:
            return
        seen.add(id(self))
        for name, value in self._attributes.items():
            name = f"{prefix}{name}"
            if len(name) > LONGEST_NAME:
                raise PickleError("the name of a tensor is too long")
            if isinstance(value, _Module):
                yield from value.tensors(f"{name}.", level + 1, seen)
            elif isinstance(value, _Tensor):
                yield name, value


def _storage(identity):
    """The storage of an identity `(kind, type, key, place, count)`."""
    # Old files add which part of another storage it is.
    if type(identity) is not tuple or len(identity) not in (5, 6):
        raise PickleError("a storage is damaged")
    word, kind, key, _, count = identity[:5]
    if word != "storage" or not isinstance(kind, _StorageKind):
        raise PickleError("it refers to something else than a storage")
    if identity[5:] not in ((), (None,)):
        raise PickleError("a storage is part of another one")
    check_sizes((count,))
    if type(key) is not str:
        raise PickleError("a storage has no name")
    return _Storage(kind.name, key, count)


def _rebuild_tensor(storage, offset, sizes, strides, *_):
    if not isinstance(storage, _Storage):
        raise PickleError("a tensor is not made of a storage")
    check_sizes(sizes)
    check_sizes(strides)
    check_sizes((offset,))
    if len(sizes) != len(strides):
        raise PickleError("a tensor has other strides than axes")
    last = offset + sum(
        (n - 1) * step for n, step in zip(sizes, strides, strict=True)
    )
    if not math.prod(sizes):
        # No element, wherever they might lie.
        offset, strides = 0, (0,) * len(sizes)
    elif last >= storage.count:
        raise PickleError("a tensor reaches beyond its storage")
    return _Tensor(storage, offset, sizes, strides)


def _rebuild_parameter(data, *_):
    if not isinstance(data, _Tensor):
        raise PickleError("a parameter is no tensor")
    return data


_TENSOR_NAMES = {
    ("collections", "OrderedDict"): Constructor(lambda: {}),
    ("torch._utils", "_rebuild_tensor_v2"): Constructor(_rebuild_tensor),
    ("torch._utils", "_rebuild_parameter"): Constructor(_rebuild_parameter),
    **{("torch", name): _StorageKind(name) for name in _DTYPES},
}


def _tensor_names(module, name):
    if (module, name) not in _TENSOR_NAMES:
        raise refused_name(module, name, "is no tensor of numbers")
    return _TENSOR_NAMES[module, name]


def _module_names(module, name):
    """As `_tensor_names`, and modules whatever their classes are called."""
    if module.split(".")[0] == "__torch__":
        return Constructor(_Module)
    if (module, name) == ("torch.jit._pickle", "build_intlist"):
        return Constructor(lambda integers: integers)
    return _tensor_names(module, name)
