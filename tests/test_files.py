import errno
import json
import os
import signal
import stat
import subprocess
import sys
import threading

import pytest

from keras_tim import files
from keras_tim.files import (
    read_json,
    write_bytes,
    write_json,
    write_text,
    written,
)


def hidden(folder):
    return [name for name in os.listdir(folder) if name.startswith(".")]


@pytest.fixture(autouse=True)
def _swept_anew():
    files._remove_leftovers.cache_clear()


def test_content_replaces_what_was_there(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "first\n")
    write_text(path, "zweite Zeile: äöü\n")
    assert path.read_text(encoding="utf-8") == "zweite Zeile: äöü\n"
    write_bytes(path, b"\0\1")
    assert path.read_bytes() == b"\0\1"
    assert not hidden(tmp_path)


def test_json_comes_back(tmp_path):
    content = {"steps": 3, "names": ["ä", "b"], "none": None}
    write_json(tmp_path / "a.json", content)
    assert read_json(tmp_path / "a.json") == content


@pytest.mark.parametrize("content", ["{", "", "[" * 100_000])
def test_damaged_json_is_named(tmp_path, content):
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(ValueError, match=r"a\.json is damaged"):
        read_json(tmp_path / "a.json")


def test_a_relative_name_without_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_text("a.txt", "x")
    assert os.listdir() == ["a.txt"]


def test_a_name_that_is_no_utf8(tmp_path):
    write_text(tmp_path / "a.csv", os.fsdecode(b"caf\xe9.png"))
    assert (tmp_path / "a.csv").read_bytes() == b"caf\xe9.png"


def test_the_suffix_is_kept_for_writers_that_go_by_it(tmp_path):
    with written(tmp_path / "model.keras") as temporary:
        assert temporary.endswith(".keras")
        assert os.path.dirname(temporary) == str(tmp_path)


def test_a_name_of_255_bytes_fits(tmp_path):
    for name in ("n" * 251 + ".png", "a." + "n" * 253):
        write_bytes(tmp_path / name, b"x")
        assert (tmp_path / name).read_bytes() == b"x"


def test_permissions_follow_the_umask(tmp_path):
    mask = os.umask(0o027)
    try:
        write_text(tmp_path / "a.txt", "x")
    finally:
        os.umask(mask)
    assert stat.S_IMODE(os.stat(tmp_path / "a.txt").st_mode) == 0o640


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space"), KeyError])
def test_after_an_error_the_old_file_stays(tmp_path, error):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail():
        with written(path) as temporary, open(temporary, "w") as file:
            file.write("half")
            raise error

    with pytest.raises((OSError, KeyError)) as raised:
        fail()
    if raised.type is OSError:
        assert raised.value.errno == errno.ENOSPC
        assert f"Cannot write `{path}`: No space" in str(raised.value)
    assert path.read_text() == "old"
    assert not hidden(tmp_path)


def test_an_error_of_another_file_is_not_blamed_on_this_one(tmp_path):
    with (
        pytest.raises(FileNotFoundError, match=r"nowhere\.txt") as raised,
        written(tmp_path / "a.txt"),
    ):
        (tmp_path / "nowhere.txt").read_bytes()
    assert "Cannot write" not in str(raised.value)
    assert not os.listdir(tmp_path)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="Create"):
        write_text(tmp_path / "missing" / "a.txt", "x")


def test_a_folder_of_that_name_is_left_alone(tmp_path):
    (tmp_path / "a.txt").mkdir()
    with pytest.raises(OSError, match=r"Cannot write .*a\.txt"):
        write_text(tmp_path / "a.txt", "x")
    assert os.listdir(tmp_path) == ["a.txt"]


def test_what_a_killed_writer_left_goes_with_the_next_file(tmp_path):
    code = (
        "import sys, time; sys.argv[0] = 'keras-tim'  # imports little\n"
        "from keras_tim.files import written\n"
        "with written(sys.argv[1]) as path:\n"
        "    open(path, 'w').write('half'); print(path, flush=True)\n"
        "    time.sleep(100)"
    )
    writer = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "a.txt")],
        stdout=subprocess.PIPE,
        text=True,
    )
    temporary = writer.stdout.readline().strip()
    # While it lives nobody takes it away.
    write_text(tmp_path / "b.txt", "x")
    assert os.path.exists(temporary)
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    writer.stdout.close()
    assert os.path.exists(temporary)
    files._remove_leftovers.cache_clear()
    write_text(tmp_path / "b.txt", "y")
    assert os.listdir(tmp_path) == ["b.txt"]


def test_writers_of_one_file_do_not_mix(tmp_path):
    path = tmp_path / "a.json"
    contents = [[n] * 20_000 for n in range(8)]

    def write(content):
        for _ in range(10):
            write_json(path, content)

    threads = [threading.Thread(target=write, args=(c,)) for c in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert json.loads(path.read_text()) in contents
    assert not hidden(tmp_path)
