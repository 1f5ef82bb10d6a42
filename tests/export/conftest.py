import io
import json
import os
import pathlib
import runpy
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_tim import TIM
from keras_tim.export import export_saved_model

KIT = pathlib.Path(__file__).parents[2] / "export"
NAME = "photos"
LIMITS = {"output_pixels": 40_000, "alternatives": 12, "total_pixels": 200_000}
client = runpy.run_path(str(KIT / "client.py"))


def lively(tim):
    """Makes a fresh model's samples differ visibly."""
    for weight in tim.trainable_variables:
        if len(weight.shape) == 2 or weight.path.endswith("output/g"):
            weight.assign(5.0 * weight)
    return tim


@pytest.fixture(scope="session")
def nano():
    keras.utils.set_random_seed(0)
    return lively(TIM.from_preset("super_resolution_x4_nano"))


@pytest.fixture(scope="session")
def exported(nano, tmp_path_factory):
    """Folder of version 1 of the exported nano model."""
    path = tmp_path_factory.mktemp("export") / "photos"
    return export_saved_model(
        nano,
        path,
        limits=LIMITS,
        # None of its pictures is large enough for tiles, which take twice as
        # long to trace, load and optimise. `test_tiles.py` has them.
        tile=None,
        training={"data": "none", "steps": 0},
        measures=[
            {
                "name": "noise",
                "samples": {"lpips_alex_mean": 0.51234},
                "each": {"lpips_alex": [0.51234, 0.51234]},
                "num_samples": 8,
            }
        ],
    )


@pytest.fixture(scope="session")
def signatures(exported):
    loaded = tf.saved_model.load(exported)
    yield loaded.signatures
    # Its functions would go with it.
    del loaded


@pytest.fixture(scope="session")
def photo():
    """uint8 `[13, 18, 3]`: smooth, so that JPEG keeps it."""
    rows, columns = np.mgrid[0:13, 0:18]
    channels = (rows * 18, columns * 14, 250 - rows * 9 - columns * 4)
    return np.stack(channels, axis=-1).astype(np.uint8)


def encode(pixels, kind="PNG", mode=None, **options):
    image = Image.fromarray(pixels) if not hasattr(pixels, "save") else pixels
    image = image.convert(mode) if mode else image
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def decode(png):
    image = Image.open(io.BytesIO(png))
    assert (image.format, image.mode) == ("PNG", "RGB")
    return np.asarray(image)


def kserve_python():
    """An interpreter that has KServe, which wants packages of its own."""
    python = os.environ.get("KSERVE_PYTHON", sys.executable)
    found = subprocess.run(
        [
            python,
            "-c",
            "import importlib.util as u, sys;"
            "sys.exit(u.find_spec('kserve') is None)",
        ],
        capture_output=True,
    )
    if found.returncode:
        pytest.skip(
            "KServe is not installed: pip install -r "
            "export/requirements-kserve.txt in an environment of its own, and "
            "name its interpreter in KSERVE_PYTHON"
        )
    return python


def free_port():
    with socket.socket() as found:
        found.bind(("localhost", 0))
        return found.getsockname()[1]


class Server:
    def __init__(self, folder, log, *flags, http=None):
        python = kserve_python()
        self.http, self.grpc = http or free_port(), free_port()
        self.log = log
        with open(log, "w") as file:
            self.process = subprocess.Popen(
                [
                    *(python, KIT / "kserve_server.py"),
                    *(f"--model_name={NAME}", f"--model_dir={folder}"),
                    *(f"--http_port={self.http}", f"--grpc_port={self.grpc}"),
                    *flags,
                ],
                stdout=file,
                stderr=subprocess.STDOUT,
                # The server has to leave it off, whatever it is told.
                env={**os.environ, "TF_ENABLE_ONEDNN_OPTS": "1"},
            )
        self.url = f"http://localhost:{self.http}"
        # What it said of itself before it was ready.
        self.loading = set()
        deadline = time.monotonic() + 120
        try:
            while not self.ready():
                assert self.process.poll() is None, log.read_text()[-2000:]
                assert time.monotonic() < deadline, "does not get ready"
                time.sleep(0.2)
        except BaseException:
            self.stop()
            raise

    def ready(self):
        try:
            with urllib.request.urlopen(
                f"{self.url}/v2/health/ready", timeout=5
            ):
                return True
        except urllib.error.HTTPError as error:
            with error:
                self.loading.add(error.code)
            return False
        except OSError:
            return False

    def memory(self, which="VmRSS"):
        """Megabytes: VmRSS at present, VmHWM at the most so far."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        (line,) = [x for x in status.splitlines() if x.startswith(which)]
        return int(line.split()[1]) / 1024

    def transport(self, protocol):
        address = self.url
        if protocol != "rest":
            address = f"localhost:{self.grpc}"
        return client["make_transport"](protocol, address, NAME)

    def post(self, body, kind="application/json", name=NAME):
        """Status and answer of one raw request."""
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
        request = urllib.request.Request(
            f"{self.url}/v1/models/{name}:predict",
            body,
            {"Content-Type": kind},
        )
        try:
            with urllib.request.urlopen(request, timeout=300) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def processor_seconds(self):
        stat = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text()
        user, system = stat.rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@pytest.fixture(scope="session")
def server(exported, tmp_path_factory):
    log = tmp_path_factory.mktemp("server") / "log.txt"
    server = Server(pathlib.Path(exported).parent, log)
    yield server
    server.stop()
