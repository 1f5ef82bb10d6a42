import collections
import io
import pickle
import struct
import types
import zipfile

import numpy as np
import pytest

# A two-level super-resolution CAM-Net, in the published code's names.
LEVELS = [
    {"residual": 4, "growth": 3, "seen": 3 + 2},
    {"residual": 3, "growth": 2, "seen": 3 + 2 + 4},
]
STYLE_DIM, MAPPING_WIDTH, MAPPING_DEPTH, NUM_BLOCKS = 5, 6, 2, 1


def convolution(rng, name, filters, channels):
    return {
        f"{name}.weight_v": rng.normal(size=(filters, channels, 3, 3)),
        f"{name}.weight_g": rng.uniform(0.5, 1.5, (filters, 1, 1, 1)),
        f"{name}.bias": rng.normal(0.0, 0.1, filters),
    }


def dense(rng, name, units, inputs):
    return {
        f"{name}.weight": rng.normal(0.0, 0.3, (units, inputs)),
        f"{name}.bias": rng.normal(0.0, 0.1, units),
    }


def state_of_level(rng, number, residual, growth, seen):
    prefix = f"level_{number}"
    state = {}
    inputs = STYLE_DIM
    for index in range(MAPPING_DEPTH):
        name = f"{prefix}_map.{2 * index}"
        state |= dense(rng, name, MAPPING_WIDTH, inputs)
        inputs = MAPPING_WIDTH
    state |= convolution(rng, f"{prefix}_feat.0", residual, seen)
    body = f"{prefix}_style.sub"
    for block in range(NUM_BLOCKS):
        for i in range(1, 4):
            for j in range(1, 6):
                state |= convolution(
                    rng,
                    f"{body}.{block}.RDB{i}.conv{j}.0",
                    residual if j == 5 else growth,
                    residual + (j - 1) * growth,
                )
        name = f"{body}.transform_{block}"
        state |= dense(rng, name, 2 * residual, MAPPING_WIDTH)
    state |= convolution(rng, f"{body}.lr_conv.0", residual, residual)
    state |= convolution(rng, f"{prefix}_up.1", residual, residual)
    state |= convolution(rng, f"{prefix}_up.3", residual, residual)
    state |= convolution(rng, f"{prefix}_out.0", 3, residual)
    return state


@pytest.fixture
def state():
    rng = np.random.default_rng(0)
    arrays = {}
    for number, level in enumerate(LEVELS, start=1):
        arrays |= state_of_level(rng, number, **level)
    return {name: value.astype("float32") for name, value in arrays.items()}


class Storage:
    """Stands for a PyTorch storage while it is pickled."""

    def __init__(self, key, type_name, data):
        self.key, self.type_name, self.data = key, type_name, data


class Global:
    """Pickled as a bare reference to `torch.NAME`."""

    def __init__(self, module, name):
        self.module, self.name = module, name


class Tensor:
    """Pickled as PyTorch pickles a tensor."""

    def __init__(self, storage, shape, strides, offset=0):
        self.arguments = (
            storage,
            offset,
            shape,
            strides,
            False,
            collections.OrderedDict(),
        )


class Parameter:
    """Pickled as PyTorch pickles an `nn.Parameter`."""

    def __init__(self, tensor):
        self.tensor = tensor


class Module:
    """Pickled as TorchScript pickles a module."""

    def __init__(self, name, attributes):
        self.name, self.attributes = name, attributes


class TorchPickler(pickle._Pickler):
    """Writes what `torch.save` writes, without PyTorch."""

    dispatch = pickle._Pickler.dispatch.copy()
    legacy = False

    def persistent_id(self, thing):
        if not isinstance(thing, Storage):
            return None
        kind = Global("torch", thing.type_name)
        identity = ("storage", kind, thing.key, "cpu", thing.data.size)
        return (*identity, None) if self.legacy else identity

    def save_named(self, thing):
        line = f"{thing.module}\n{thing.name}\n"
        self.write(pickle.GLOBAL + line.encode())

    def save_call(self, function, arguments):
        self.save_named(function)
        self.save(arguments)
        self.write(pickle.REDUCE)

    def save_tensor(self, tensor):
        function = Global("torch._utils", "_rebuild_tensor_v2")
        self.save_call(function, tensor.arguments)

    def save_parameter(self, parameter):
        function = Global("torch._utils", "_rebuild_parameter")
        hooks = collections.OrderedDict()
        self.save_call(function, (parameter.tensor, False, hooks))

    def save_module(self, module):
        self.save_named(Global("__torch__.net", module.name))
        self.write(pickle.EMPTY_TUPLE + pickle.NEWOBJ)
        self.save(module.attributes)
        self.write(pickle.BUILD)

    dispatch[Global] = save_named
    dispatch[Tensor] = save_tensor
    dispatch[Parameter] = save_parameter
    dispatch[Module] = save_module


STORAGES = {
    "float32": "FloatStorage",
    "float64": "DoubleStorage",
    "float16": "HalfStorage",
    "int64": "LongStorage",
    # NumPy has no such type: tests give its bits.
    "uint16": "BFloat16Storage",
}


def as_tensor(array, key):
    array = np.asarray(array)
    # Like PyTorch, which keeps an order of its own: written transposed and
    # read back through the strides.
    data = np.array(array, order="F")
    strides = tuple(n // array.itemsize for n in data.strides)
    flat = data.ravel(order="K")
    storage = Storage(key, STORAGES[array.dtype.name], flat)
    return Tensor(storage, array.shape, strides), storage


def write_torch(path, thing, storages=(), extra=None):
    stream = io.BytesIO()
    TorchPickler(stream, protocol=2).dump(thing)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", stream.getvalue())
        for storage in storages:
            archive.writestr(
                f"archive/data/{storage.key}", storage.data.tobytes()
            )
        for name, content in (extra or {}).items():
            archive.writestr(f"archive/{name}", content)
    return path


def write_shared(path, thing, storages):
    """As `write_torch`, with what is met again written as a reference."""

    class Pickler(TorchPickler):
        dispatch = TorchPickler.dispatch.copy()

        def save_module(self, module):
            known = self.memo.get(id(module))
            if known is not None:
                self.write(self.get(known[0]))
                return
            super().save_module(module)
            self.memoize(module)

        dispatch[Module] = save_module

    stream = io.BytesIO()
    Pickler(stream, protocol=2).dump(thing)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", stream.getvalue())
        for storage in storages:
            archive.writestr(
                f"archive/data/{storage.key}", storage.data.tobytes()
            )
    return path


def write_legacy(path, arrays, machine=None):
    """Writes arrays as `torch.save` of before version 1.6 did."""
    tensors, storages = as_tensors(arrays)
    machine = machine or {"protocol_version": 1001, "little_endian": True}
    with open(path, "wb") as file:
        pickle.dump(0x1950A86A20F9469CFC6C, file, protocol=2)
        pickle.dump(1001, file, protocol=2)
        pickle.dump(machine, file, protocol=2)
        pickler = TorchPickler(file, protocol=2)
        pickler.legacy = True
        pickler.dump(tensors)
        pickle.dump([storage.key for storage in storages], file, protocol=2)
        for storage in storages:
            file.write(struct.pack("<q", storage.data.size))
            file.write(storage.data.tobytes())
    return path


def write_state_dict(path, arrays, wrap=None, parameters=False, extra=None):
    """Writes arrays as the `.pth` file `torch.save` would write."""
    tensors, storages = as_tensors(arrays, parameters)
    thing = tensors if wrap is None else wrap(tensors)
    return write_torch(path, thing, storages, extra)


def as_tensors(arrays, parameters=False):
    tensors, storages = collections.OrderedDict(), []
    for index, (name, array) in enumerate(arrays.items()):
        tensor, storage = as_tensor(array, str(index))
        tensors[name] = Parameter(tensor) if parameters else tensor
        storages.append(storage)
    return tensors, storages


def write_npz(path, arrays, **others):
    np.savez(path, **{f"param/{k}": v for k, v in arrays.items()}, **others)
    return path


@pytest.fixture(scope="session")
def torch_files():
    return types.SimpleNamespace(
        Global=Global,
        Parameter=Parameter,
        Module=Module,
        Storage=Storage,
        Tensor=Tensor,
        write=write_torch,
        write_legacy=write_legacy,
        write_shared=write_shared,
        write_state_dict=write_state_dict,
        write_npz=write_npz,
    )
