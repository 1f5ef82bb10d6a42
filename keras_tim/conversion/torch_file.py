"""Reads the tensors in a PyTorch file without PyTorch.

Such a file is a zip archive of a pickle and of one raw file per storage.
Pickles can run any code; this reader knows tensors of numbers, ordered
dictionaries and, in a TorchScript file, modules that hold them, and refuses
everything else. The code in a TorchScript file is not looked at.
"""

import collections
import contextlib
import math
import pickle
import zipfile

import numpy as np

from keras_tim.conversion.errors import CheckpointError

_DTYPES = {
    "DoubleStorage": np.dtype("<f8"),
    "FloatStorage": np.dtype("<f4"),
    "HalfStorage": np.dtype("<f2"),
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
    "ShortStorage": np.dtype("<i2"),
    "CharStorage": np.dtype("i1"),
    "ByteStorage": np.dtype("u1"),
    "BoolStorage": np.dtype("?"),
}


def read_state_dict(path):
    """Reads a state dict as NumPy arrays.

    Args:
        path: str or path of a `.pth` file as PyTorch 1.6 and later save it.

    Returns:
        dict from parameter name to array, in PyTorch's layout.

    Raises:
        CheckpointError: if the file is damaged, is no such archive, or holds
            anything but tensors.
    """
    with _errors_explained(path), zipfile.ZipFile(path) as archive:
        return _state_dict(_load(archive, path, _TensorUnpickler), path)


def read_torchscript_tensors(file, name):
    """Reads the parameters of a TorchScript file as NumPy arrays.

    Args:
        file: path or binary file of a module saved by `torch.jit.save`.
        name: what error messages call the file.

    Returns:
        dict from dotted parameter name to array, in PyTorch's layout and in
        the order in which the module holds them.

    Raises:
        CheckpointError: if the file is damaged, is no such archive, or holds
            anything but modules of tensors.
    """
    with _errors_explained(name), zipfile.ZipFile(file) as archive:
        module = _load(archive, name, _ModuleUnpickler)
        if not isinstance(module, _Module):
            raise CheckpointError(
                f"{name} holds a {type(module).__name__}, not a module."
            )
        return dict(module.tensors())


@contextlib.contextmanager
def _errors_explained(path):
    """Turns what reading a damaged file raises into a `CheckpointError`."""
    try:
        yield
    except zipfile.BadZipFile as error:
        raise CheckpointError(
            f"{path} is not a PyTorch checkpoint of version 1.6 or later, or "
            "it is damaged. An older one can be saved anew with "
            "torch.save(torch.load(path), path)."
        ) from error
    except (
        pickle.UnpicklingError,
        AttributeError,
        EOFError,
        IndexError,
        KeyError,
        TypeError,
        ValueError,
    ) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(
            f"{path} is damaged or holds no plain tensors: {error}"
        ) from error


def _load(archive, path, unpickler):
    pickles = [n for n in archive.namelist() if n.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise CheckpointError(
            f"{path} is not a PyTorch checkpoint: it holds {len(pickles)} "
            "files named data.pkl, not one."
        )
    folder = pickles[0].removesuffix("data.pkl")
    if f"{folder}byteorder" in archive.namelist():
        order = archive.read(f"{folder}byteorder")
        if order != b"little":
            raise CheckpointError(
                f"{path} was saved on a {order.decode()}-endian machine, "
                "which is not supported."
            )
    with archive.open(pickles[0]) as stream:
        return unpickler(stream, archive, folder).load()


def _state_dict(state, path):
    # Training scripts often nest the weights.
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]
    if not isinstance(state, dict):
        raise CheckpointError(
            f"{path} holds a {type(state).__name__}, not a state dict."
        )
    arrays = {
        str(name).removeprefix("module."): value
        for name, value in state.items()
        if isinstance(value, np.ndarray)
    }
    if not arrays:
        raise CheckpointError(f"{path} holds no tensors.")
    return arrays


class _TensorUnpickler(pickle.Unpickler):
    """Unpickles tensors; any other object is refused."""

    def __init__(self, stream, archive, folder):
        super().__init__(stream, encoding="utf-8")
        self._archive = archive
        self._folder = folder

    def find_class(self, module, name):
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild_tensor
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return _rebuild_parameter
        if module == "torch" and name in _DTYPES:
            return _DTYPES[name]
        raise pickle.UnpicklingError(
            f"it asks for {module}.{name}, which is no tensor of numbers"
        )

    def persistent_load(self, identity):
        kind, dtype, key, _, count = identity
        if kind != "storage" or not isinstance(dtype, np.dtype):
            raise pickle.UnpicklingError(f"unknown storage {identity!r}")
        data = self._archive.read(f"{self._folder}data/{key}")
        if len(data) < count * dtype.itemsize:
            raise pickle.UnpicklingError(f"storage {key} is too short")
        return np.frombuffer(data, dtype=dtype, count=count)


class _Module:
    """What is left of a TorchScript module: its attributes."""

    def __init__(self):
        self._attributes = {}

    def __setstate__(self, attributes):
        self._attributes = dict(attributes)

    def tensors(self, prefix=""):
        """Yields `(dotted name, array)` of this module and those in it."""
        for name, value in self._attributes.items():
            if isinstance(value, _Module):
                yield from value.tensors(f"{prefix}{name}.")
            elif isinstance(value, np.ndarray):
                yield f"{prefix}{name}", value


class _ModuleUnpickler(_TensorUnpickler):
    """Unpickles modules of tensors, whatever their classes are called."""

    def find_class(self, module, name):
        if module.split(".")[0] == "__torch__":
            return _Module
        if (module, name) == ("torch.jit._pickle", "build_intlist"):
            return list
        return super().find_class(module, name)


def _rebuild_tensor(storage, offset, size, stride, *_):
    last = offset + sum(
        (n - 1) * step for n, step in zip(size, stride, strict=True)
    )
    inside = offset >= 0 and min(stride, default=0) >= 0
    if math.prod(size) and not (inside and last < storage.size):
        raise pickle.UnpicklingError("a tensor reaches beyond its storage")
    view = np.lib.stride_tricks.as_strided(
        storage[offset:],
        shape=size,
        strides=[step * storage.itemsize for step in stride],
    )
    return view.copy()


def _rebuild_parameter(data, *_):
    return data
