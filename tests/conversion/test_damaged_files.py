"""Every file that is read, damaged in thousands of ways.

A damaged file is read or ends in the documented error that names it: no other
error, no crash.
"""

import gzip
import io
import pickle
import tarfile
import zipfile

import numpy as np
import pytest

from keras_tim.assets import downloads
from keras_tim.assets.downloads import (
    SourceArchive,
    WeightsFile,
    read_weights,
)
from keras_tim.assets.npz import NpzError, read_npz
from keras_tim.assets.torch_file import (
    read_state_dict,
    read_torchscript_tensors,
)
from keras_tim.conversion import CheckpointError, load_published_checkpoint
from keras_tim.metrics import FeatureStatistics
from keras_tim.metrics.inception import folded_arrays
from keras_tim.models.model_file import load_tim
from keras_tim.perceptual import WeightsError
from keras_tim.perceptual.lpips_arrays import load_lpips_arrays

NUMBERS = [0, 1, 0x7F, 0xFF, 2**15, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1]


def damaged(content, random):
    """Some bytes with a few of them changed, moved, lost or doubled."""
    content = bytearray(content)
    for _ in range(random.integers(1, 4)):
        if not content:
            break
        start = int(random.integers(len(content)))
        stop = start + int(random.integers(1, 64))
        kind = random.integers(7)
        if kind == 0:
            content[start] ^= 1 << int(random.integers(8))
        elif kind == 1:
            content[start] = int(random.integers(256))
        elif kind == 2:
            size = int(random.choice([1, 2, 4, 8]))
            number = NUMBERS[random.integers(len(NUMBERS))] % 256**size
            content[start : start + size] = number.to_bytes(size, "little")
        elif kind == 3:
            del content[start:stop]
        elif kind == 4:
            content[start:start] = content[start:stop]
        elif kind == 5:
            other = int(random.integers(len(content)))
            content[start:stop] = content[other : other + stop - start]
        else:
            del content[start:]
    return bytes(content)


def damaged_zip(content, random):
    """A zip archive damaged in one member, whose checksum is right."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = list(members)[random.integers(len(members))]
    # Nearly all of a file is numbers, which may be any.
    for likely in ("data.pkl", "config.json"):
        names = [n for n in members if n.endswith(likely)]
        name = names[0] if names and random.random() < 0.7 else name
    members[name] = damaged(members[name], random)
    stream = io.BytesIO()
    method = zipfile.ZIP_DEFLATED if random.random() < 0.2 else 0
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, member in members.items():
            archive.writestr(name, member)
    return stream.getvalue()


def damaged_gzip(content, random):
    return gzip.compress(damaged(gzip.decompress(content), random), 1)


def check(path, content, read, error_class, count, inside=None):
    """Reads `count` damaged copies of a file."""
    read(path)
    random = np.random.default_rng(0)
    refused = 0
    for number in range(count):
        deep = inside is not None and number % 2
        path.write_bytes((inside if deep else damaged)(content, random))
        try:
            read(path)
        except Exception as error:
            documented = isinstance(error, error_class)
            if not documented or path.name not in str(error):
                raise AssertionError(f"number {number}: {error}") from error
            refused += 1
    assert refused > count // 4


def counts(quick, slow):
    return pytest.mark.parametrize(
        "count", [quick, pytest.param(slow, marks=pytest.mark.slow)]
    )


@counts(300, 5000)
def test_state_dicts(torch_files, state, tmp_path, count):
    small = {name: state[name] for name in list(state)[:6]}
    path = torch_files.write_state_dict(tmp_path / "state.pth", small)
    content = path.read_bytes()
    check(path, content, read_state_dict, CheckpointError, count, damaged_zip)


@counts(300, 5000)
def test_old_state_dicts(torch_files, state, tmp_path, count):
    small = {name: state[name] for name in list(state)[:6]}
    path = torch_files.write_legacy(tmp_path / "old.pth", small)
    content = path.read_bytes()
    check(path, content, read_state_dict, CheckpointError, count)


@counts(300, 5000)
def test_torchscript(torch_files, tmp_path, count):
    values = np.arange(1, 9, dtype="float32")
    storage = torch_files.Storage("0", "FloatStorage", values)
    tensors = {
        "weight": torch_files.Tensor(storage, (2, 3, 1, 1), (3, 1, 1, 1)),
        **{
            name: torch_files.Tensor(storage, (2,), (2,), offset=i)
            for i, name in enumerate(("beta", "mean", "var"))
        },
    }
    net = torch_files.Module("Net", {"a": torch_files.Module("A", tensors)})
    path = torch_files.write(tmp_path / "net.pt", net, [storage])

    def read(path):
        tensors = read_torchscript_tensors(path, path)
        folded_arrays(tensors, [(1, 1, 3, 2)], path)

    errors = (CheckpointError, WeightsError)
    check(path, path.read_bytes(), read, errors, count, damaged_zip)


@counts(15, 300)
@pytest.mark.parametrize("suffix", [".npz", ".pth"])
def test_published_checkpoints(torch_files, state, tmp_path, count, suffix):
    write = {
        ".npz": torch_files.write_npz,
        ".pth": torch_files.write_state_dict,
    }[suffix]
    path = write(tmp_path / f"published{suffix}", state)
    check(
        path,
        path.read_bytes(),
        load_published_checkpoint,
        CheckpointError,
        count,
        damaged_zip,
    )


@counts(300, 5000)
def test_npz(tmp_path, count):
    path = tmp_path / "arrays.npz"
    np.savez_compressed(
        path, a=np.arange(12.0).reshape(3, 4), b=np.array(["x", "yz"]), c=3
    )
    check(path, path.read_bytes(), read_npz, NpzError, count, damaged_zip)


@counts(200, 3000)
def test_statistics_of_features(tmp_path, count):
    path = tmp_path / "moments.npz"
    statistics = FeatureStatistics()
    statistics.update(np.random.default_rng(0).normal(size=(20, 3)))
    statistics.save(path)
    content = path.read_bytes()
    check(path, content, FeatureStatistics.load, ValueError, count, damaged_zip)


@pytest.fixture
def small_network(monkeypatch):
    """A backbone of 20 weights in AlexNet's place."""
    from keras_tim.perceptual.backbones import (
        BACKBONES,
        Backbone,
        Convolution,
        Stage,
    )

    backbone = Backbone((Stage((Convolution(2, size=1),)),), minimum_side=1)
    monkeypatch.setitem(BACKBONES, "alex", backbone)
    return {
        "AlexNet_0": {
            "Conv_0": {
                "kernel": np.ones((1, 1, 3, 2), "float32"),
                "bias": np.ones(2, "float32"),
            }
        },
        "NetLinLayer_0": {
            "Conv_0": {"kernel": np.ones((1, 1, 2, 1), "float32")}
        },
    }


@counts(150, 2500)
@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_pickled_arrays(small_network, tmp_path, count, protocol):
    path = tmp_path / f"weights{protocol}.ckpt"
    content = pickle.dumps(small_network, protocol=protocol)
    path.write_bytes(content)
    check(
        path,
        content,
        lambda path: load_lpips_arrays("alex", path),
        WeightsError,
        count,
    )


@counts(300, 5000)
@pytest.mark.parametrize("suffix", [".tar.gz", ".whl"])
def test_source_archives(tmp_path, monkeypatch, count, suffix):
    path = tmp_path / f"archive{suffix}"
    member, content = "package/data/weights.ckpt", bytes(range(200))
    if suffix == ".whl":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("package/data/", "")
            archive.writestr(member, content)
    else:
        with tarfile.open(path, "w:gz", format=tarfile.PAX_FORMAT) as archive:
            folder = tarfile.TarInfo("package/data")
            folder.type = tarfile.DIRTYPE
            archive.addfile(folder)
            entry = tarfile.TarInfo(member)
            entry.size = len(content)
            entry.pax_headers = {"comment": "x" * 300}
            archive.addfile(entry, io.BytesIO(content))
    file = WeightsFile(
        archive=SourceArchive("package", "1", path.name, "0" * 64, 1),
        member=member,
        sha256="0" * 64,
        size=len(content),
        filename="weights.ckpt",
    )
    monkeypatch.setattr(downloads, "WEIGHTS", {"toy": file})
    assert read_weights("toy", path) == (content, path)
    check(
        path,
        path.read_bytes(),
        lambda path: read_weights("toy", path),
        WeightsError,
        count,
        damaged_zip if suffix == ".whl" else damaged_gzip,
    )


@counts(40, 500)
def test_models(make_tim, tmp_path, count):
    tim = make_tim(quick=True, residual_channels=(2,), growth_channels=(1,))
    tim.compile(optimizer="sgd", distance="mean_squared_error")
    path = tmp_path / "model.keras"
    tim.save(path)

    def read(path):
        load_tim(path, compile=True)

    check(path, path.read_bytes(), read, ValueError, count, damaged_zip)
