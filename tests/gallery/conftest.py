import contextlib
import importlib.util
import os
import pathlib
import socket
import subprocess
import sys
import time

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))


@pytest.fixture(scope="session")
def python():
    """An interpreter with Gradio."""
    if python := os.environ.get("GALLERY_PYTHON"):
        return python
    if importlib.util.find_spec("gradio") is None:
        pytest.skip(
            "needs pip install '.[gallery]', here or in an environment whose "
            "interpreter GALLERY_PYTHON names"
        )
    return sys.executable


@pytest.fixture(scope="session")
def serve(python):
    """Callable that serves the page: a context of its process and port."""

    @contextlib.contextmanager
    def served(folder, *arguments):
        log = pathlib.Path(folder, "log")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        with open(log, "w") as file:
            process = subprocess.Popen(
                [
                    *(python, "-m", "keras_tim.cli.main", "gallery"),
                    *("--nobrowser", f"--port={port}", *arguments),
                ],
                env={
                    **os.environ,
                    "TMPDIR": str(folder),
                    "PYTHONPATH": ROOT,
                },
                stdout=file,
                stderr=file,
            )
        try:
            # A busy machine takes its time.
            until = time.monotonic() + 900
            while "The page is at" not in log.read_text():
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < until, log.read_text()
                time.sleep(0.2)
            yield process, port
        finally:
            process.kill()
            process.wait()

    return served
