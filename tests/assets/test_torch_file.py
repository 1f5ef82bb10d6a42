import collections
import io
import os
import pickle
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest

from keras_tim.assets.torch_file import (
    read_state_dict,
    read_torchscript_tensors,
)
from keras_tim.conversion import CheckpointError

ARRAYS = {
    "matrix": np.arange(6, dtype="float32").reshape(2, 3),
    "cube": np.arange(24, dtype="float64").reshape(2, 3, 4),
    "half": np.array([0.5, -2.0], "float16"),
    "steps": np.array(7, "int64"),
    "nothing": np.zeros((0, 3), "float32"),
}


@pytest.mark.parametrize("parameters", [False, True])
def test_reads_every_array(torch_files, tmp_path, parameters):
    path = torch_files.write_state_dict(
        tmp_path / "a.pth",
        ARRAYS,
        parameters=parameters,
        extra={"byteorder": "little", "version": "3"},
    )
    read = read_state_dict(path)
    assert read.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert read[name].dtype == array.dtype
        np.testing.assert_array_equal(read[name], array)


def test_finds_nested_weights(torch_files, tmp_path):
    path = torch_files.write_state_dict(
        tmp_path / "a.pth",
        {"module.bias": np.ones(3, "float32")},
        wrap=lambda tensors: {"epoch": 3, "state_dict": tensors},
    )
    read = read_state_dict(path)
    np.testing.assert_array_equal(read["bias"], [1, 1, 1])


@pytest.mark.parametrize(
    ("content", "key", "expected"),
    [
        ({"params": 1, "params_ema": 2}, None, 2),
        ({"params": 1, "params_ema": 2}, "params", 1),
        ({"state_dict": 3, "more": 4}, None, 3),
        ({"generator": 5, "epoch": "six"}, None, 5),
        ({"generator": 5, "discriminator": 6}, "discriminator", 6),
    ],
)
def test_weights_under_any_key(torch_files, tmp_path, content, key, expected):
    storage = torch_files.Storage(
        "0", "FloatStorage", np.arange(7.0, dtype="f4")
    )
    nested = {
        name: {"a": torch_files.Tensor(storage, (1,), (1,), offset=value)}
        if isinstance(value, int)
        else value
        for name, value in content.items()
    }
    path = torch_files.write(tmp_path / "nested.pth", nested, [storage])
    np.testing.assert_array_equal(
        read_state_dict(path, key=key)["a"], [expected]
    )
    with pytest.raises(CheckpointError, match=r"nested\.pth has no dictionary"):
        read_state_dict(path, key="other")


def test_several_dictionaries_need_a_key(torch_files, tmp_path):
    storage = torch_files.Storage("0", "FloatStorage", np.zeros(1, "float32"))
    tensor = torch_files.Tensor(storage, (1,), (1,))
    path = torch_files.write(
        tmp_path / "a.pth", {"g": {"a": tensor}, "d": {"a": tensor}}, [storage]
    )
    with pytest.raises(CheckpointError, match="holds no tensors"):
        read_state_dict(path)


def test_reads_from_open_files(torch_files, tmp_path):
    path = torch_files.write_state_dict(tmp_path / "a.pth", ARRAYS)
    stream = io.BytesIO(path.read_bytes())
    assert read_state_dict(stream, "it").keys() == ARRAYS.keys()
    with pytest.raises(CheckpointError, match=r"^it is not a PyTorch"):
        read_state_dict(io.BytesIO(b"text"), "it")
    with pytest.raises(FileNotFoundError):
        read_state_dict(tmp_path / "absent.pth")


def test_brain_floats_are_the_upper_half_of_floats(torch_files, tmp_path):
    bits = np.array([[0x3F80, 0xC000], [0x3EAB, 0x7F80]], "uint16")
    path = torch_files.write_state_dict(tmp_path / "a.pth", {"a": bits})
    found = read_state_dict(path)["a"]
    assert found.dtype == "float32"
    np.testing.assert_array_equal(found, [[1, -2], [0.333984375, np.inf]])


# Files of before PyTorch 1.6.


def test_reads_old_files(torch_files, tmp_path):
    path = torch_files.write_legacy(tmp_path / "old.pth", ARRAYS)
    read = read_state_dict(path)
    assert read.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert read[name].dtype == array.dtype
        np.testing.assert_array_equal(read[name], array)


def test_refuses_old_files_of_other_machines(torch_files, tmp_path):
    path = torch_files.write_legacy(
        tmp_path / "old.pth", ARRAYS, machine={"little_endian": False}
    )
    with pytest.raises(CheckpointError, match=r"old\.pth.*big-endian"):
        read_state_dict(path)


@pytest.mark.parametrize("lost", [1, 40, 300])
def test_refuses_old_files_that_end_too_early(torch_files, tmp_path, lost):
    path = torch_files.write_legacy(tmp_path / "old.pth", ARRAYS)
    path.write_bytes(path.read_bytes()[:-lost])
    with pytest.raises(CheckpointError, match=r"old\.pth is damaged"):
        read_state_dict(path)


def test_old_files_claim_no_memory(torch_files, tmp_path, memory):
    path = torch_files.write_legacy(
        tmp_path / "old.pth", {"a": np.arange(100, dtype="float32")}
    )
    content = path.read_bytes()
    # The number of elements in the pickle, the size, that of the storage.
    large = struct.pack("<i", 2**31 - 1)
    content = content.replace(b"Kd", b"J" + large)
    content = content.replace(struct.pack("<q", 100), large + bytes(4))
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"old\.pth is damaged"):
        read_state_dict(path)
    assert memory() < 2**20


# Sharing and hostile sizes.


@pytest.fixture
def memory():
    """Callable that gives the most memory that Python took, in bytes."""
    tracemalloc.start()
    yield lambda: tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()


def test_tensors_may_share_a_storage(torch_files, tmp_path):
    storage = torch_files.Storage(
        "0", "FloatStorage", np.arange(8, dtype="float32")
    )
    path = torch_files.write(
        tmp_path / "a.pth",
        {
            "row": torch_files.Tensor(storage, (2,), (1,), offset=6),
            "column": torch_files.Tensor(storage, (4,), (2,), offset=1),
            "repeated": torch_files.Tensor(storage, (3,), (0,), offset=5),
        },
        [storage],
    )
    read = read_state_dict(path)
    np.testing.assert_array_equal(read["row"], [6, 7])
    np.testing.assert_array_equal(read["column"], [1, 3, 5, 7])
    np.testing.assert_array_equal(read["repeated"], [5, 5, 5])


@pytest.mark.parametrize(
    ("shape", "strides", "offset"),
    [
        ((5,), (1,), 0),
        ((2,), (4,), 0),
        ((1,), (1,), 4),
        ((1,), (1,), -1),
        ((2,), (-1,), 3),
        ((2, 2), (1,), 0),
        ((-1,), (1,), 0),
        ((-2, -2), (1, 1), 0),
    ],
)
def test_refuses_tensors_beyond_their_storage(
    torch_files, tmp_path, shape, strides, offset
):
    storage = torch_files.Storage("0", "FloatStorage", np.zeros(4, "float32"))
    tensor = torch_files.Tensor(storage, shape, strides, offset)
    path = torch_files.write(tmp_path / "far.pth", {"a": tensor}, [storage])
    with pytest.raises(CheckpointError, match=r"far\.pth"):
        read_state_dict(path)


def test_refuses_tensors_of_tensors(torch_files, tmp_path):
    # Its rows would be counted as elements: read far beyond the end.
    storage = torch_files.Storage("0", "FloatStorage", np.zeros(16, "float32"))
    inner = torch_files.Tensor(storage, (4, 4), (4, 1))
    for thing in (
        torch_files.Tensor(inner, (12,), (1,), offset=3),
        torch_files.Tensor("0", (1,), (1,)),
        torch_files.Tensor(torch_files.Global("torch", "FloatStorage"), (), ()),
        torch_files.Parameter(storage),
        torch_files.Parameter([inner]),
    ):
        path = torch_files.write(tmp_path / "far.pth", {"a": thing}, [storage])
        with pytest.raises(CheckpointError, match=r"far\.pth is damaged"):
            read_state_dict(path)


@pytest.mark.parametrize(
    ("shape", "strides"),
    [
        ((3_000_000_000,), (0,)),
        ((2**20, 2**20, 2**20), (0, 0, 0)),
        ((2**39,) * 16, (0,) * 16),
        ((2**20,) * 3 + (0, 2**39), (0,) * 5),
        ((1,) * 20, (1,) * 20),
        ([2], [1]),
        ((2.0,), (1,)),
        ((True,), (1,)),
        (2, 1),
    ],
)
def test_refuses_impossible_sizes(
    torch_files, tmp_path, memory, shape, strides
):
    storage = torch_files.Storage("0", "FloatStorage", np.zeros(4, "float32"))
    tensor = torch_files.Tensor(storage, shape, strides)
    path = torch_files.write(tmp_path / "big.pth", {"a": tensor}, [storage])
    with pytest.raises(CheckpointError, match=r"big\.pth is damaged"):
        read_state_dict(path)
    assert memory() < 2**20


def test_refuses_many_copies_of_a_storage(torch_files, tmp_path, memory):
    values = np.zeros(2**18, "float32")
    storage = torch_files.Storage("0", "FloatStorage", values)
    tensors = {
        str(i): torch_files.Tensor(storage, (2**18,), (1,)) for i in range(80)
    }
    path = torch_files.write(tmp_path / "many.pth", tensors, [storage])
    tracemalloc.reset_peak()
    before = memory()
    with pytest.raises(CheckpointError, match="claim 83886080 bytes"):
        read_state_dict(path)
    assert memory() - before < 2**20


def test_storages_of_many_lengths_are_read_once(torch_files, tmp_path, memory):
    values = np.zeros(2**18, "float32")
    tensors = {}
    for i in range(80):
        storage = torch_files.Storage("0", "FloatStorage", values[i:])
        tensors[str(i)] = torch_files.Tensor(storage, (1,), (1,))
    whole = torch_files.Storage("0", "FloatStorage", values)
    path = torch_files.write(tmp_path / "many.pth", tensors, [whole])
    tracemalloc.reset_peak()
    before = memory()
    assert len(read_state_dict(path)) == 80
    assert memory() - before < 4 * values.nbytes


def test_refuses_storages_that_unpack_to_more_than_they_are(
    torch_files, tmp_path, memory
):
    storage = torch_files.Storage("0", "FloatStorage", np.zeros(1, "float32"))
    tensor = torch_files.Tensor(storage, (1,), (1,))
    path = torch_files.write(tmp_path / "bomb.pth", {"a": tensor})
    with zipfile.ZipFile(
        path, "a", zipfile.ZIP_DEFLATED, compresslevel=1
    ) as archive:
        archive.writestr("archive/data/0", bytes(100 * 2**20))
    tracemalloc.reset_peak()
    before = memory()
    with pytest.raises(CheckpointError, match=r"bomb\.pth.*allowed"):
        read_state_dict(path)
    assert memory() - before < 2**20


def pickled(content):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("archive/data.pkl", content)
        archive.writestr("archive/data/0", bytes(16))
    return stream


REBUILD = b"ctorch._utils\n_rebuild_tensor_v2\n"
STORAGE = (
    b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000NK\x04tQ"
)


@pytest.mark.parametrize(
    "content",
    [
        # Attributes of a function, of a storage, of a tensor.
        REBUILD + b"}X\x08\x00\x00\x00__code__K\x01sb.",
        STORAGE + b"}X\x05\x00\x00\x00countK\x09sb.",
        REBUILD + b"(" + STORAGE + b"K\x00))tR}X\x01\x00\x00\x00aK\x01sb.",
        # A storage that is called, a function called with no storage.
        STORAGE + b")R.",
        b"ctorch\nFloatStorage\n)R.",
        b"ccollections\nOrderedDict\nK\x03\x85R.",
        b"ccollections\nOrderedDict\n]\x85R.",
        REBUILD + b")R.",
        # Identities of something else than a storage.
        b"K\x01Q.",
        b")Q.",
        STORAGE[:-2] + b"NNtQ.",
        STORAGE[:-2] + b"K\x01tQ.",
        STORAGE.replace(b"storage", b"modules") + b".",
        STORAGE.replace(b"K\x04", b"J\xff\xff\xff\xff") + b".",
        STORAGE.replace(b"X\x01\x00\x00\x000", b"K\x00") + b".",
        # Only TorchScript has modules.
        b"c__torch__.net\nNet\n)\x81}b.",
    ],
)
def test_refuses_forged_objects(content):
    with pytest.raises(CheckpointError, match=r"^it "):
        read_state_dict(pickled(b"\x80\x02" + content), "it")


def test_forged_members_of_a_state_dict_are_left_out_or_refused():
    # A file that is right, but for its attributes and a name.
    tensor = REBUILD + b"(" + STORAGE + b"K\x00K\x04\x85K\x01\x85\x89}tR"
    content = (
        b"\x80\x02ccollections\nOrderedDict\n)R"
        b"X\x01\x00\x00\x00a" + tensor + b"sK\x05NsX\x01\x00\x00\x00b]s"
        b"}X\x09\x00\x00\x00_metadataNsb."
    )
    assert list(read_state_dict(pickled(content), "it")) == ["a"]


def test_refuses_short_and_missing_storages(torch_files, tmp_path):
    storage = torch_files.Storage("0", "FloatStorage", np.zeros(4, "float32"))
    tensor = torch_files.Tensor(storage, (4,), (1,))
    path = torch_files.write(tmp_path / "none.pth", {"a": tensor})
    with pytest.raises(CheckpointError, match=r"none\.pth"):
        read_state_dict(path)
    path = torch_files.write(
        tmp_path / "short.pth", {"a": tensor}, extra={"data/0": b"1234"}
    )
    with pytest.raises(CheckpointError, match=r"short\.pth.*too short"):
        read_state_dict(path)


class Malicious:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def test_runs_no_code(tmp_path):
    path, mark = tmp_path / "evil.pth", tmp_path / "ran"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(
            "archive/data.pkl", pickle.dumps({"a": Malicious(mark)})
        )
    with pytest.raises(CheckpointError, match=r"evil\.pth.*system"):
        read_state_dict(path)
    assert not mark.exists()


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("builtins", "eval"),
        ("torch", "load"),
        ("torch.jit", "load"),
        ("collections", "namedtuple"),
        ("numpy", "load"),
    ],
)
def test_refuses_other_globals(torch_files, tmp_path, module, name):
    path = torch_files.write(
        tmp_path / "odd.pth", {"a": torch_files.Global(module, name)}
    )
    with pytest.raises(CheckpointError, match=rf"asks for {module}\.{name}"):
        read_state_dict(path)


def test_refuses_big_endian_files(torch_files, tmp_path):
    path = torch_files.write_state_dict(
        tmp_path / "big.pth", ARRAYS, extra={"byteorder": "big"}
    )
    with pytest.raises(CheckpointError, match=r"big\.pth.*big-endian"):
        read_state_dict(path)


@pytest.mark.parametrize(
    "thing", [[1, 2], {}, {"epoch": 3}, collections.OrderedDict()]
)
def test_refuses_files_without_tensors(torch_files, tmp_path, thing):
    path = torch_files.write(tmp_path / "none.pth", thing)
    with pytest.raises(CheckpointError, match=r"none\.pth holds"):
        read_state_dict(path)


def test_refuses_archives_without_a_pickle(tmp_path):
    path = tmp_path / "empty.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "nothing here")
    with pytest.raises(CheckpointError, match=r"empty\.pth.*0 files"):
        read_state_dict(path)


@pytest.mark.parametrize(
    "content", [b"", b"\x80", b"\x80\x02}q\x00X", b".", b"(((", b"\x80\x02Q."]
)
def test_refuses_broken_pickles(tmp_path, content):
    path = tmp_path / "broken.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", content)
    with pytest.raises(CheckpointError, match=r"broken\.pth"):
        read_state_dict(path)


# TorchScript.


@pytest.fixture
def storage(torch_files):
    return torch_files.Storage(
        "0", "FloatStorage", np.arange(6, dtype="float32")
    )


def test_reads_the_tensors_of_nested_modules_in_order(
    torch_files, tmp_path, storage
):
    tensors = [
        torch_files.Tensor(storage, (2, 3), (3, 1)),
        torch_files.Tensor(storage, (2,), (2,), offset=1),
    ]
    layer = torch_files.Module(
        "Layer", {"training": False, "weight": tensors[0], "stride": 2}
    )
    net = torch_files.Module(
        "Net", {"training": True, "conv": layer, "bias": tensors[1]}
    )
    path = torch_files.write(
        tmp_path / "net.pt", net, [storage], {"constants.pkl": b"\x80\x02)."}
    )
    for file in (path, io.BytesIO(path.read_bytes())):
        found = read_torchscript_tensors(file, "net")
        assert list(found) == ["conv.weight", "bias"]
        np.testing.assert_array_equal(
            found["conv.weight"], [[0, 1, 2], [3, 4, 5]]
        )
        np.testing.assert_array_equal(found["bias"], [1, 3])


def test_torchscript_runs_no_code(torch_files, tmp_path):
    mark = tmp_path / "ran"
    with zipfile.ZipFile(tmp_path / "evil.pt", "w") as archive:
        archive.writestr("net/data.pkl", pickle.dumps(Malicious(mark)))
    with pytest.raises(CheckpointError, match=r"the file is .*system"):
        read_torchscript_tensors(tmp_path / "evil.pt", "the file")
    assert not mark.exists()
    for module, name in (("__torch", "net"), ("torch.jit", "load")):
        path = torch_files.write(
            tmp_path / "odd.pt", torch_files.Global(module, name)
        )
        with pytest.raises(
            CheckpointError, match=rf"asks for {module}\.{name}"
        ):
            read_torchscript_tensors(path, path)


def test_modules_may_hold_themselves(torch_files, tmp_path):
    def nested(levels, leaf):
        # Each twice within the next: 2**levels paths.
        module = leaf
        for _ in range(levels):
            module = torch_files.Module("Net", {"a": module, "b": module})
        return module

    storage = torch_files.Storage("0", "FloatStorage", np.zeros(1, "float32"))
    tensor = torch_files.Tensor(storage, (1,), (1,))
    leaf = torch_files.Module("Leaf", {"weight": tensor})
    path = torch_files.write_shared(
        tmp_path / "a.pt", nested(40, leaf), [storage]
    )
    found = read_torchscript_tensors(path, path)
    assert list(found) == ["a." * 40 + "weight"]
    path = torch_files.write_shared(
        tmp_path / "deep.pt", nested(100, leaf), [storage]
    )
    with pytest.raises(CheckpointError, match=r"deep\.pt.*without end"):
        read_torchscript_tensors(path, path)
    # A module that is its own attribute.
    content = b"\x80\x02c__torch__\nNet\n)\x81q\x00}X\x01\x00\x00\x00ah\x00sb."
    assert read_torchscript_tensors(pickled(content), "it") == {}


def test_long_names_within_long_names_are_refused():
    # A name that is stored once, in modules that are stored once.
    name = b"X" + struct.pack("<I", 900) + 900 * b"n"
    module = b"c__torch__\nNet\n)\x81"
    inner = module + b"}" + name + b"Nsb"
    content = b"\x80\x02" + module + b"}" + name + inner + b"sb."
    with pytest.raises(CheckpointError, match="name of a tensor is too long"):
        read_torchscript_tensors(pickled(content), "it")


@pytest.mark.parametrize("state", [b"N", b"K\x01", b"]", b")"])
def test_attributes_of_modules_are_dictionaries(state):
    content = b"\x80\x02c__torch__\nNet\n)\x81" + state + b"b."
    with pytest.raises(CheckpointError, match=r"^it is damaged"):
        read_torchscript_tensors(pickled(content), "it")


def test_other_files_are_no_torchscript(torch_files, tmp_path, storage):
    tensor = torch_files.Tensor(storage, (6,), (1,))
    path = torch_files.write(tmp_path / "a.pth", {"a": tensor}, [storage])
    with pytest.raises(CheckpointError, match="holds a dict, not a module"):
        read_torchscript_tensors(path, path)
    # And modules are no state dict.
    path = torch_files.write(
        tmp_path / "net.pt", torch_files.Module("Net", {"a": tensor}), [storage]
    )
    with pytest.raises(CheckpointError, match=r"asks for __torch__\.net\.Net"):
        read_state_dict(path)


def test_the_first_name_still_leads_here():
    from keras_tim.conversion import torch_file

    assert torch_file.read_state_dict is read_state_dict
    assert torch_file.read_torchscript_tensors is read_torchscript_tensors
