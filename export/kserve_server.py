"""An exported model behind KServe's model server.

    pip install -r requirements-kserve.txt
    python kserve_server.py --model_name=photos --model_dir=models/photos

serves the highest version in the folder over REST as TensorFlow Serving would
(`POST /v1/models/photos:predict`), and over KServe's V2 protocol (REST and
gRPC; over V2 REST encoded pictures go as binary data behind the JSON). Neither
keras_tim nor Keras is needed. It answers whoever reaches it, and so binds
127.0.0.1 unless --host says otherwise; README.md says what belongs in front.

While the model loads, /v2/health/live answers and /v2/health/ready does not.
Work for a client that has gone, or that takes longer than allowed, ends with
the alternative in the making.
"""

import argparse
import asyncio
import concurrent.futures
import contextlib
import gc
import json
import os
import pathlib
import re
import signal
import threading

# With oneDNN, TensorFlow 2.21 crashes or answers wrongly where requests run at
# once. It reads this when it is first imported.
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"

import kserve
import kserve.logging
import numpy as np
import tensorflow as tf
from kserve.protocol.infer_type import InferOutput, InferResponse
from kserve_doors import serve
from kserve_requests import (
    DEFAULT_SIGNATURE,
    Input,
    RefusedError,
    answer_v1,
    text_size,
)

V2_TYPES = {"string": "BYTES", "int64": "INT64", "float32": "FP32"}
# Signatures whose alternatives are made one after another.
SAMPLING = ("serving_default", "sample", "decode")
# Bytes that the floats of one answer may take, as text or as they are.
LONGEST_ANSWER = 256 * 2**20


class ExportedModel(kserve.Model):
    """A SavedModel of `keras-tim export`.

    Args:
        name: str, what requests call it.
        folder: `pathlib.Path` of the version to serve.
        threads: int, requests that are worked on at once.
        queue: int, requests that may wait for that; others are turned away,
            to be tried again later.
        seconds: float, how long a request may wait and be worked on.
    """

    def __init__(self, name, folder, threads=2, queue=64, seconds=600.0):
        super().__init__(name, return_response_headers=True)
        self.folder = folder
        self.capacity = threads + queue
        self.seconds = seconds
        self.pending = 0
        self.counting = threading.Lock()
        self.pool = concurrent.futures.ThreadPoolExecutor(threads)
        # One, so that one request at a time takes the memory of its JSON.
        self.reader = concurrent.futures.ThreadPoolExecutor(1)
        card = json.loads((folder / "card.json").read_text("utf-8"))
        self.limits = card["limits_of_a_request"]

    def load(self):
        """Loads the model and has it answer a first request."""
        # The signatures alone would not keep what they are of.
        self.loaded = tf.saved_model.load(self.folder)
        self.signatures = self.loaded.signatures
        self.inputs = {
            name: {
                key: Input(expected.dtype.name, tuple(_sides(expected.shape)))
                for key, expected in signature.structured_input_signature[
                    1
                ].items()
            }
            for name, signature in self.signatures.items()
        }
        self._warm_up()
        print(f"Serving {self.folder} as {self.name}", flush=True)
        self.ready = True
        return self.ready

    def _warm_up(self):
        """One request of 16 x 16 black pixels, in which graphs get optimized.

        Limits that refuse even that are the exporter's business.
        """
        png = tf.io.encode_png(np.zeros([16, 16, 1], np.uint8)).numpy()
        arrays = {
            "picture_bytes": np.array([png], object),
            "seed": np.array([0]),
            "index": np.array([[0]]),
        }
        with contextlib.suppress(RefusedError):
            self._run(DEFAULT_SIGNATURE, arrays)

    def check_ready(self):
        """Raises a `RefusedError` while the model is being loaded."""
        if not self.ready:
            raise RefusedError("The model is being loaded; try later.", 503)

    def get_input_types(self):
        return [
            _described(name, expected.dtype, expected.shape)
            for name, expected in self.inputs[DEFAULT_SIGNATURE].items()
        ]

    def get_output_types(self):
        outputs = self.signatures[DEFAULT_SIGNATURE].structured_outputs
        return [
            _described(name, output.dtype.name, _sides(output.shape))
            for name, output in outputs.items()
        ]

    async def preprocess(self, payload, headers=None):
        """Reads a request beside the loop that serves the others.

        Args:
            payload: function from the inputs of all signatures to a
                `kserve_requests.Question`.
            headers: those of the request.

        Returns:
            The question.
        """

        def read():
            # There are no cycles in JSON. Looking for some among millions of
            # new lists would take most of the time.
            gc.disable()
            try:
                return payload(self.inputs)
            finally:
                gc.enable()

        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.reader, read)

    async def predict(self, payload, headers=None, response_headers=None):
        """Answers one checked request.

        Args:
            payload: a `kserve_requests.Question`.
            headers: those of the request.
            response_headers: dict, to be filled.

        Returns:
            bytes of JSON, or an `InferResponse` of the V2 protocol.
        """
        stopped = threading.Event()
        work = self._submit(self._answer, payload, stopped)
        try:
            async with asyncio.timeout(self.seconds):
                answer = await asyncio.wrap_future(work)
        except TimeoutError:
            raise RefusedError(
                f"The request was not answered within {self.seconds:g} "
                "seconds; ask for fewer alternatives at a time, or later.",
                503,
            ) from None
        finally:
            # Nobody waits for it any more.
            stopped.set()
        if not payload.is_v2:
            response_headers["content-type"] = "application/json"
        return answer

    def _submit(self, function, *arguments):
        """Has a thread work, unless too many requests wait already."""

        def finish(future):
            with self.counting:
                self.pending -= 1

        with self.counting:
            if self.pending >= self.capacity:
                raise RefusedError("Too many requests; try later.", 503)
            self.pending += 1
        future = self.pool.submit(function, *arguments)
        # When the work has ended, which is after its client has gone.
        future.add_done_callback(finish)
        return future

    def _answer(self, question, stopped):
        outputs = self._outputs(question, stopped)
        _check_size(sum(_size(x, question) for x in outputs.values()))
        if not question.is_v2:
            return answer_v1(outputs)
        answers = []
        for name, value in outputs.items():
            datatype = "BYTES" if value.dtype == object else "FP32"
            output = InferOutput(name, list(value.shape), datatype)
            output.set_data_from_numpy(value, binary_data=True)
            answers.append(output)
        return InferResponse(
            response_id=question.id,
            model_name=self.name,
            infer_outputs=answers,
            use_binary_outputs=True,
        )

    def _outputs(self, question, stopped):
        """What a signature gives, made in pieces so that it can be stopped.

        An alternative is the same whatever is asked for beside it. What the
        graph would refuse as a whole it is given as a whole.
        """
        name, arrays = question.signature, question.arrays
        # What there is one of per alternative, and not just per row.
        single = {
            x for x in arrays if x.startswith(("index", "style", "noise"))
        }
        rows = {len(array) for array in arrays.values()}
        columns = {arrays[key].shape[1] for key in single}
        asked = max(rows) * max(columns)
        if (
            name not in SAMPLING
            or len(rows) > 1
            or len(columns) > 1
            or not 0 < asked <= self.limits["alternatives"]
        ):
            return self._run(name, arrays)
        made, pixels = None, 0
        for column in range(max(columns)):
            for row in range(max(rows)):
                if stopped.is_set():
                    raise RefusedError("The request was given up.", 503)
                piece = {
                    key: array[row : row + 1, column : column + 1]
                    if key in single
                    else array[row : row + 1]
                    for key, array in arrays.items()
                }
                ((output, value),) = self._run(name, piece).items()
                if column == 0:
                    pixels += _pixels(value)
                    if pixels * max(columns) > self.limits["total_pixels"]:
                        return self._run(name, arrays)
                if made is None:
                    _check_size(asked * _size(value, question))
                    shape = [max(rows), max(columns), *value.shape[2:]]
                    made = np.empty(shape, value.dtype)
                made[row, column] = value[0, 0]
        return {output: made}

    def _run(self, name, arrays):
        expected = self.inputs[name]
        try:
            outputs = self.signatures[name](
                **{
                    key: tf.constant(array, expected[key].dtype)
                    for key, array in arrays.items()
                }
            )
        except tf.errors.InvalidArgumentError as error:
            raise RefusedError(_sentence(error.message)) from None
        except tf.errors.ResourceExhaustedError:
            raise RefusedError(
                "There is not enough memory now; try later.", 503
            ) from None
        return {key: value.numpy() for key, value in outputs.items()}


def _sides(shape):
    return [-1 if side is None else side for side in shape]


def _described(name, dtype, shape):
    return {"name": name, "datatype": V2_TYPES[dtype], "shape": list(shape)}


def _pixels(value):
    """How many pixels a single alternative has, encoded or not."""
    if value.dtype != object:
        return value.shape[2] * value.shape[3]
    # Height and width stand in the header of a PNG file.
    header = value[0, 0]
    return int.from_bytes(header[16:20]) * int.from_bytes(header[20:24])


def _size(value, question):
    """Bytes that floats take in the answer."""
    if value.dtype == object:
        return 0
    return value.nbytes if question.is_v2 else text_size(value)


def _check_size(size):
    if size > LONGEST_ANSWER:
        raise RefusedError(
            f"The answer would have more than {LONGEST_ANSWER:,} bytes. Ask "
            f"for fewer alternatives at a time, or {DEFAULT_SIGNATURE}."
        )


def _sentence(message):
    """What a person needs of a graph's error."""
    lines = [
        line
        for line in message.splitlines()
        if line.strip() and not line.startswith("\t [[")
    ]
    text = lines[-1] if lines else message
    text = re.sub(r"\{\{.*?\}\} ?", "", text)
    match = re.search(r"assertion failed: \[(.*?)\](?: \[(.*)\])?$", text)
    return " ".join(part for part in match.groups() if part) if match else text


def _highest_version(folder):
    versions = [n for n in os.listdir(folder) if n.isdecimal()]
    if not versions:
        raise SystemExit(f"{folder} holds no version of a model")
    return pathlib.Path(folder) / max(versions, key=int)


def _define_flags(parser):
    parser.add_argument("--model_name", required=True)
    parser.add_argument("--model_dir", required=True)
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="the address to bind; 0.0.0.0 for all of them, where something "
        "in front decides who may ask",
    )
    parser.add_argument("--http_port", type=int, default=8080)
    parser.add_argument("--grpc_port", type=int, default=8081)
    parser.add_argument(
        "--threads",
        type=int,
        default=2,
        help="requests that are worked on at once, each on several cores and "
        "with memory of its own",
    )
    parser.add_argument(
        "--queue", type=int, default=64, help="requests that may wait for that"
    )
    parser.add_argument(
        "--request_seconds",
        type=int,
        default=600,
        help="how long a request may wait and be worked on",
    )
    parser.add_argument(
        "--body_megabytes",
        type=float,
        default=16.0,
        help="how large a request may be; threads and queue together may hold "
        "as many of them",
    )
    parser.add_argument(
        "--body_seconds",
        type=float,
        default=60.0,
        help="how long the sending of a request may take",
    )
    parser.add_argument(
        "--idle_seconds",
        type=int,
        default=65,
        help="how long a connection is kept without a request; longer than "
        "that of a proxy in front",
    )


def main():
    """Reads the command line and serves until stopped."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        # KServe reads the command line as well.
        allow_abbrev=False,
    )
    _define_flags(parser)
    arguments = parser.parse_args()
    model = ExportedModel(
        arguments.model_name,
        _highest_version(arguments.model_dir),
        arguments.threads,
        arguments.queue,
        arguments.request_seconds,
    )
    kserve.logging.configure_logging()
    for number in (signal.SIGINT, signal.SIGTERM):
        # uvicorn takes them first, and hands them on once it has stopped.
        signal.signal(number, lambda *_: None)
    asyncio.run(serve(model, arguments))


if __name__ == "__main__":
    main()
