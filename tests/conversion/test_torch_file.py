import collections
import io
import os
import pickle
import zipfile

import numpy as np
import pytest

from keras_tim.conversion import CheckpointError
from keras_tim.conversion.torch_file import (
    read_state_dict,
    read_torchscript_tensors,
)

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
