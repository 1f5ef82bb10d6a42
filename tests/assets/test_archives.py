import gzip
import io
import re
import struct
import tarfile
import tracemalloc
import zipfile

import numpy as np
import pytest

from keras_tim.assets.archives import (
    open_zip,
    read_member,
    read_tar_member,
)
from keras_tim.assets.npz import NpzError, read_npz

MEGABYTE = 2**20


@pytest.fixture
def memory():
    """Callable that gives the most memory that Python took, in bytes."""
    tracemalloc.start()
    yield lambda: tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()


def zipped(members, method=zipfile.ZIP_STORED):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method, compresslevel=1) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_members_come_out_as_they_went_in(method):
    members = {"a": b"", "folder/b": bytes(range(256)) * 1000}
    with open_zip(zipped(members, method)) as archive:
        for name, content in members.items():
            assert read_member(archive, name) == content
        with pytest.raises(KeyError, match="other"):
            read_member(archive, "other")


def test_small_archives_may_compress_well_and_large_ones_a_little(tmp_path):
    open_zip(zipped({"a": bytes(60 * MEGABYTE)}, zipfile.ZIP_DEFLATED))
    bomb = zipped(
        {str(i): bytes(30 * MEGABYTE) for i in range(3)}, zipfile.ZIP_DEFLATED
    )
    assert bomb.getbuffer().nbytes < MEGABYTE
    with pytest.raises(ValueError, match="unpack to 94371840 bytes"):
        open_zip(bomb)
    # Twice its size is enough for what is stored as it is.
    random = np.random.default_rng(0).bytes(70 * MEGABYTE)
    (tmp_path / "large.zip").write_bytes(zipped({"a": random}).getvalue())
    with open_zip(tmp_path / "large.zip") as archive:
        assert read_member(archive, "a") == random


def test_members_that_share_their_bytes_are_refused():
    # One member of 1 MB, a hundred times in the directory.
    content = zipped({"a": bytes(MEGABYTE)}).getvalue()
    end = content.index(b"PK\x01\x02")
    entry, tail = content[end:-22], bytearray(content[-22:])
    tail[8:16] = struct.pack("<HHI", 100, 100, 100 * len(entry))
    with pytest.raises(ValueError, match="unpack to 104857600 bytes"):
        open_zip(io.BytesIO(content[:end] + 100 * entry + tail))


def test_no_more_is_unpacked_than_the_directory_says(memory):
    # It says 10 bytes; 100 MB are compressed.
    content = bytearray(
        zipped({"a": bytes(100 * MEGABYTE)}, zipfile.ZIP_DEFLATED).getvalue()
    )
    size = struct.pack("<I", 100 * MEGABYTE)
    while size in content:
        place = content.index(size)
        content[place : place + 4] = struct.pack("<I", 10)
    tracemalloc.reset_peak()
    before = memory()
    with (
        open_zip(io.BytesIO(content)) as archive,
        pytest.raises(zipfile.BadZipFile),
    ):
        read_member(archive, "a")
    assert memory() - before < MEGABYTE


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_compressions_are_refused(method):
    with (
        open_zip(zipped({"a": b"content"}, method)) as archive,
        pytest.raises(zipfile.BadZipFile, match="another way than by deflate"),
    ):
        read_member(archive, "a")


def test_wrong_checksums_are_seen():
    content = zipped({"a": b"content"}).getvalue().replace(b"cont", b"cunt")
    with (
        open_zip(io.BytesIO(content)) as archive,
        pytest.raises(zipfile.BadZipFile, match="CRC"),
    ):
        read_member(archive, "a")


# Source archives.


def tarred(path, *entries, **arguments):
    with tarfile.open(path, "w:gz", compresslevel=1, **arguments) as archive:
        for entry, content in entries:
            archive.addfile(entry, io.BytesIO(content))
    return path


def entry(name, size=0, kind=tarfile.REGTYPE):
    made = tarfile.TarInfo(name)
    made.size, made.type = size, kind
    return made


def test_member_of_a_source_archive(tmp_path):
    path = tarred(
        tmp_path / "a.tar.gz",
        (entry("folder", kind=tarfile.DIRTYPE), b""),
        (entry("folder/other", 5), b"other"),
        (entry("folder/file", 4), b"file"),
    )
    assert read_tar_member(path, "folder/file") == b"file"


@pytest.mark.parametrize(
    "kind", [tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.FIFOTYPE]
)
def test_member_that_is_no_file(tmp_path, kind):
    path = tarred(tmp_path / "a.tar.gz", (entry("a", kind=kind), b""))
    with pytest.raises(ValueError, match="holds no file a"):
        read_tar_member(path, "a")


def test_source_archive_that_unpacks_to_too_much(tmp_path, memory):
    size = 100 * MEGABYTE
    path = tmp_path / "a.tar.gz"
    with gzip.open(path, "wb", 1) as file:
        file.write(entry("zeros", size).tobuf())
        for _ in range(100):
            file.write(bytes(MEGABYTE))
        file.write(entry("a", 1).tobuf() + bytes(1536))
    tracemalloc.reset_peak()
    for name in ("zeros", "a"):
        with pytest.raises(ValueError, match="bytes allowed"):
            read_tar_member(path, name)
    assert memory() < 80 * MEGABYTE


def header(name, size_field, kind):
    made = bytearray(entry(name, 0, kind).tobuf())
    made[124:136] = size_field
    made[148:156] = b" " * 8
    made[148:156] = b"%06o\0 " % sum(made)
    return bytes(made)


@pytest.mark.parametrize(
    ("size_field", "kind"),
    [
        # Of a negative size, which leads back to itself.
        (b"\xff" * 10 + b"\xfe\x00", tarfile.REGTYPE),
        (b"\xff" * 10 + b"\xfe\x00", tarfile.XHDTYPE),
        (b"\xff" * 10 + b"\xfe\x00", tarfile.GNUTYPE_LONGNAME),
        # Of 8 exabytes.
        (b"\x80" + b"\x00" * 3 + b"\x7f" + b"\xff" * 7, tarfile.REGTYPE),
        (b"\x80" + b"\x00" * 3 + b"\x7f" + b"\xff" * 7, tarfile.XHDTYPE),
    ],
)
def test_headers_with_impossible_sizes(tmp_path, size_field, kind):
    path = tmp_path / "a.tar.gz"
    content = header("first", size_field, kind) + entry("a", 1).tobuf()
    path.write_bytes(gzip.compress(content + bytes(4096)))
    with pytest.raises((ValueError, OSError, tarfile.TarError)):
        read_tar_member(path, "a")


def test_sparse_files_are_no_files(tmp_path):
    # Nothing stored of a terabyte.
    made = bytearray(entry("a", 0, tarfile.GNUTYPE_SPARSE).tobuf())
    made[257:265] = b"ustar  \0"
    made[386:410] = b"%011o\0%011o\0" % (0, 0)
    made[483:495] = b"\x80" + (2**40).to_bytes(11, "big")
    made[148:156] = b" " * 8
    made[148:156] = b"%06o\0 " % sum(made)
    path = tmp_path / "a.tar.gz"
    path.write_bytes(gzip.compress(bytes(made) + bytes(1024)))
    with tarfile.open(path) as archive:
        assert archive.getmember("a").issparse()
    with pytest.raises(ValueError, match="holds no file a"):
        read_tar_member(path, "a")


# Arrays.

ARRAYS = {
    "matrix": np.arange(6, dtype="float32").reshape(2, 3),
    "turned": np.asfortranarray(np.arange(24.0).reshape(2, 3, 4)),
    "nothing": np.zeros((0, 3), "int64"),
    "scalar": np.array(7, "uint8"),
    "truth": np.array([True, False]),
    "text": np.array(["x", "naïve"]),
    "swapped": np.arange(3, dtype=">f8"),
}


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_come_out_as_they_went_in(tmp_path, save):
    path = tmp_path / "arrays.npz"
    save(path, **ARRAYS)
    found = read_npz(path)
    assert found.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert found[name].dtype == array.dtype
        assert found[name].shape == array.shape
        np.testing.assert_array_equal(found[name], array)
        found[name][...] = found[name]  # may be written to
    some = read_npz(io.BytesIO(path.read_bytes()), "it", keys=("text", "more"))
    assert list(some) == ["text"]


@pytest.mark.parametrize(
    "array",
    [
        np.array([{}]),
        np.zeros(2, "f4,f4"),
        np.array([1j]),
        np.array(["2020"], "datetime64[D]"),
    ],
)
def test_other_arrays_are_refused(tmp_path, array):
    path = tmp_path / "arrays.npz"
    np.savez(path, a=array)
    with pytest.raises(NpzError, match=r"arrays\.npz.*objects"):
        read_npz(path)


def npy(shape="(2,)", descr="'<f4'", data=b"12345678", version=1):
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}"
    text = text.encode() + b"\n"
    length = struct.pack("<H" if version == 1 else "<I", len(text))
    return b"\x93NUMPY" + bytes([version, 0]) + length + text + data


def test_handmade_array():
    for version in (1, 2, 3):
        stream = zipped({"a.npy": npy(version=version)})
        assert read_npz(stream, "it")["a"].tobytes() == b"12345678"


@pytest.mark.parametrize(
    "content",
    [
        npy("(3,)"),
        npy("(1,)"),
        npy("(3000000000,)"),
        npy("(-2,)"),
        npy("(2"),
        npy("(1, " * 20 + "2)"),
        npy(f"({'1, ' * 20})"),
        npy("(999999999999, 999999999999, 0)", data=b"1"),
        npy(descr="'<U0'"),
        npy(descr="'<f3'"),
        npy(descr="'|O'"),
        npy(descr="__import__('os').abort()"),
        npy(version=4),
        npy()[:9],
        b"",
        b"text",
    ],
)
def test_damaged_arrays_are_refused(content):
    with pytest.raises(NpzError, match=r"^it is damaged"):
        read_npz(zipped({"a.npy": content}), "it")


def test_claimed_sizes_cost_no_memory(memory):
    with pytest.raises(NpzError):
        read_npz(zipped({"a.npy": npy("(99999999999,)")}), "it")
    stream = zipped({"a.npy": bytes(80 * MEGABYTE)}, zipfile.ZIP_DEFLATED)
    tracemalloc.reset_peak()
    with pytest.raises(NpzError, match=re.escape("allowed")):
        read_npz(stream, "it")
    assert memory() < 2 * MEGABYTE
