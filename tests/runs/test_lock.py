import os
import signal
import subprocess
import sys

import pytest

from keras_tim.runs.lock import locked

pytest.importorskip("fcntl")

HOLD = (
    "import sys, time; sys.argv[0] = 'keras-tim'  # imports little\n"
    "from keras_tim.runs.lock import locked\n"
    "with locked(sys.argv[1]):\n"
    "    print('held', flush=True)\n"
    "    time.sleep(600)\n"
)


def test_one_process_at_a_time(tmp_path):
    folder = tmp_path / "run"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE
    ) as holder:
        try:
            assert holder.stdout.readline() == b"held\n"
            with (
                pytest.raises(RuntimeError, match=f"{holder.pid}.*another"),
                locked(folder),
            ):
                pass
            # What it refuses it leaves as it is.
            assert os.listdir(folder) == [".lock"]
        finally:
            holder.send_signal(signal.SIGKILL)
    # The lock of a process that was killed is free, its file lies about.
    with locked(folder):
        (folder / "model.keras").touch()
    assert os.listdir(folder) == ["model.keras"]


def test_a_folder_that_stays_empty_is_removed_where_it_was_made(tmp_path):
    with pytest.raises(ValueError, match="refused"), locked(tmp_path / "run"):
        raise ValueError("refused")
    assert not (tmp_path / "run").exists()
    with locked(tmp_path):
        assert os.listdir(tmp_path) == [".lock"]
    assert tmp_path.exists()


def test_it_can_be_taken_again_and_again(tmp_path):
    for _ in range(2):
        with locked(tmp_path), pytest.raises(RuntimeError), locked(tmp_path):
            pass
