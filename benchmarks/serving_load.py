"""Load test of an exported model behind KServe's model server.

    python benchmarks/serving_load.py --kserve_python=ENV/bin/python

exports a nano model, serves it with `export/kserve_server.py` and asks it from
many clients at once. Every answer is compared, byte for byte, with what the
model gives without a server. It prints latencies, throughput, what was wrong or
lost, and the server's memory as it goes. With --server it loads one that is
already there, which must serve the model in --model_dir.
"""

import argparse
import collections
import concurrent.futures
import os
import pathlib
import runpy
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

# As the server has it.
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"

import keras
import numpy as np

KIT = pathlib.Path(__file__).parents[1] / "export"
client = runpy.run_path(str(KIT / "client.py"))
NAME = "load"
# Different requests, asked in turn.
PICTURES, SEEDS, INDICES = 4, 4, 4


def main():
    """Reads the command line and runs the test."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--kserve_python", default=sys.executable)
    parser.add_argument("--model_dir", type=pathlib.Path)
    parser.add_argument("--server", help="such as http://localhost:8501")
    parser.add_argument("--protocol", choices=client["SERVERS"], default="rest")
    parser.add_argument("--preset", default="super_resolution_x4_nano")
    parser.add_argument("--side", type=int, default=16, help="of the pictures")
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--clients", type=int, default=16)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model_dir = arguments.model_dir or export(arguments.preset, folder)
        asked, expected = requests_of(model_dir, arguments.side)
        if arguments.server:
            load(arguments, arguments.server, asked, expected, None)
            return
        with Server(arguments.kserve_python, model_dir, folder) as server:
            address = server.address(arguments.protocol)
            load(arguments, address, asked, expected, server.memory)


def export(preset, folder):
    """Exports a fresh model whose samples differ; returns its folder."""
    from keras_tim import TIM

    keras.utils.set_random_seed(0)
    tim = TIM.from_preset(preset)
    for weight in tim.trainable_variables:
        if len(weight.shape) == 2:
            weight.assign(5.0 * weight)
    tim.export(pathlib.Path(folder) / "model", verbose=False)
    return pathlib.Path(folder) / "model"


def requests_of(model_dir, side):
    """Requests, and the answers of the model itself.

    Returns:
        Two lists: `(picture, seed, index)`, and the PNG files.
    """
    import tensorflow as tf

    version = max(
        (x for x in model_dir.iterdir() if x.name.isdecimal()),
        key=lambda x: int(x.name),
    )
    loaded = tf.saved_model.load(str(version))
    random = np.random.RandomState(0)
    pictures = [
        tf.io.encode_png(
            random.randint(0, 256, (side, side, 3)).astype(np.uint8)
        ).numpy()
        for _ in range(PICTURES)
    ]
    asked, expected = [], []
    for picture in pictures:
        for seed in range(SEEDS):
            answers = loaded.signatures["serving_default"](
                picture_bytes=tf.constant([picture]),
                seed=tf.constant([seed], tf.int64),
                index=tf.constant([list(range(INDICES))], tf.int64),
            )["alternative_bytes"].numpy()[0]
            asked += [(picture, seed, index) for index in range(INDICES)]
            expected += list(answers)
    return asked, expected


class Server:
    """KServe's model server in a process of its own.

    Args:
        python: str, an interpreter that has KServe.
        model_dir: the folder of versions.
        folder: where its log goes.
    """

    def __init__(self, python, model_dir, folder):
        self.http, self.grpc = free_port(), free_port()
        self.log = pathlib.Path(folder) / "server.log"
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(
                [
                    *(python, KIT / "kserve_server.py"),
                    *(f"--model_name={NAME}", f"--model_dir={model_dir}"),
                    *(f"--http_port={self.http}", f"--grpc_port={self.grpc}"),
                ],
                stdout=log,
                stderr=log,
            )

    def __enter__(self):
        while True:
            if self.process.poll() is not None:
                raise SystemExit(self.log.read_text()[-2000:])
            try:
                url = f"http://localhost:{self.http}/v2/health/ready"
                with urllib.request.urlopen(url, timeout=5):
                    return self
            except OSError:
                time.sleep(0.2)

    def __exit__(self, *error):
        self.process.terminate()
        self.process.wait()

    def address(self, protocol):
        """Where it is to be found."""
        if protocol == "rest":
            return f"http://localhost:{self.http}"
        return f"localhost:{self.grpc}"

    def memory(self):
        """Its resident memory in megabytes."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        (line,) = [x for x in status.splitlines() if x.startswith("VmRSS")]
        return int(line.split()[1]) / 1024


def free_port():
    """A port that is free now."""
    with socket.socket() as found:
        found.bind(("localhost", 0))
        return found.getsockname()[1]


def load(arguments, address, asked, expected, memory):
    """Asks, compares and prints."""
    local = threading.local()
    counts = collections.Counter()

    def ask(number):
        if not hasattr(local, "transport"):
            local.transport = client["make_transport"](
                arguments.protocol, address, NAME
            )
        place = number % len(asked)
        start = time.perf_counter()
        try:
            # Without another try: what is lost is to be seen.
            answer = local.transport.alternative(*asked[place])
        except (client["RequestError"], client["ServerError"]) as error:
            counts["lost"] += 1
            print(error, file=sys.stderr)
            return None
        counts["wrong"] += answer != expected[place]
        return time.perf_counter() - start

    print(
        f"{arguments.requests:,} requests for one alternative of "
        f"{arguments.side} x {arguments.side} pixels over "
        f"{arguments.protocol}, {arguments.clients} clients at once"
    )
    print("  requests    per s   p50 ms   p90 ms   p99 ms   max ms   memory MB")
    everything = []
    part = max(1, arguments.requests // 10)
    with concurrent.futures.ThreadPoolExecutor(arguments.clients) as pool:
        list(pool.map(ask, range(len(asked))))  # not measured
        for first in range(0, arguments.requests, part):
            numbers = range(first, min(first + part, arguments.requests))
            start = time.perf_counter()
            times = [x for x in pool.map(ask, numbers) if x is not None]
            print_row(
                numbers.stop,
                len(times) / (time.perf_counter() - start),
                times,
                memory() if memory else float("nan"),
            )
            everything += times
    print_row("all", float("nan"), everything, float("nan"))
    print(f"wrong answers: {counts['wrong']}, lost: {counts['lost']}")
    if counts["wrong"] or counts["lost"]:
        sys.exit(1)


def print_row(name, rate, times, memory):
    """One line of the table; what is not known stays empty."""
    percentiles = [
        np.percentile(times, p) * 1000 if times else float("nan")
        for p in (50, 90, 99, 100)
    ]
    cells = "".join(
        f"{'' if np.isnan(x) else format(x, '.1f'):>9}"
        for x in (rate, *percentiles, memory)
    )
    print(f"{name:>10}{cells}", flush=True)


if __name__ == "__main__":
    main()
