"""An exported model behind KServe's model server.

    pip install -r requirements-kserve.txt
    python kserve_server.py --model_name=photos --model_dir=models/photos

serves the highest version in the folder over REST as TensorFlow Serving would
(`POST /v1/models/photos:predict`), and over KServe's V2 protocol (REST and
gRPC; KServe's V2 REST takes no bytes that are not text, so that pictures go
there as floats, to the signature `sample`). Neither keras_tim nor Keras is
needed. KServe binds every interface: keep the ports behind a firewall. Its own
flags, such as --http_port and --grpc_port, are listed by --help.
"""

import argparse
import asyncio
import base64
import binascii
import concurrent.futures
import contextlib
import os
import re

# With oneDNN, TensorFlow 2.21 crashes or answers wrongly where requests run at
# once. It reads this when it is first imported.
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"

import kserve
import numpy as np
import tensorflow as tf
from kserve.errors import InvalidInput, ModelNotReady
from kserve.protocol.infer_type import InferOutput, InferRequest, InferResponse

DEFAULT_SIGNATURE = "serving_default"
V2_TYPES = {tf.string: "BYTES", tf.int64: "INT64", tf.float32: "FP32"}


class ExportedModel(kserve.Model):
    """A SavedModel of `keras-tim export`.

    Args:
        name: str, what requests call it.
        folder: str, the folder of its versions.
        threads: int, requests that are worked on at once.
        queue: int, requests that may wait for that; others are turned away,
            to be tried again later.
    """

    def __init__(self, name, folder, threads=2, queue=100):
        super().__init__(name)
        self.folder = folder
        self.capacity = threads + queue
        self.pending = 0
        self.pool = concurrent.futures.ThreadPoolExecutor(threads)
        self.signatures = {}

    def load(self):
        """Loads the highest version and has it answer a first request."""
        versions = [n for n in os.listdir(self.folder) if n.isdecimal()]
        if not versions:
            raise SystemExit(f"{self.folder} holds no version of a model")
        path = os.path.join(self.folder, max(versions, key=int))
        # The signatures alone would not keep what they are of.
        self.loaded = tf.saved_model.load(path)
        self.signatures = self.loaded.signatures
        self._warm_up()
        print(f"Serving {path} as {self.name}", flush=True)
        self.ready = True
        return self.ready

    def _warm_up(self):
        """One request of 16 x 16 black pixels, in which graphs get optimized.

        Limits that refuse even that are the exporter's business.
        """
        png = tf.io.encode_png(np.zeros([16, 16, 1], np.uint8)).numpy()
        request = {
            "picture_bytes": tf.constant([png]),
            "seed": tf.constant([0], tf.int64),
            "index": tf.constant([[0]], tf.int64),
        }
        with contextlib.suppress(InvalidInput):
            self._run(DEFAULT_SIGNATURE, request)

    async def predict(self, payload, headers=None):
        """Answers one request of either protocol."""
        if self.pending >= self.capacity:
            raise ModelNotReady(self.name, "Too many requests; try later.")
        self.pending += 1
        try:
            v2 = isinstance(payload, InferRequest)
            return await asyncio.get_running_loop().run_in_executor(
                self.pool, _answer_v2 if v2 else _answer_v1, self, payload
            )
        finally:
            self.pending -= 1

    def answer(self, name, arrays):
        """Runs a signature.

        Args:
            name: str.
            arrays: dict from input to array or nested lists.

        Returns:
            dict from output to array.

        Raises:
            InvalidInput: if the client is at fault.
        """
        if name not in self.signatures:
            raise InvalidInput(
                f"there is no signature {name!r}, only "
                f"{', '.join(sorted(self.signatures))}"
            )
        expected = self.signatures[name].structured_input_signature[1]
        if set(arrays) != set(expected):
            raise InvalidInput(
                f"the inputs of {name} are {', '.join(sorted(expected))}. "
                f"Received: {', '.join(sorted(map(str, arrays))) or 'none'}"
            )
        return self._run(
            name,
            {
                key: _tensor(key, arrays[key], specification)
                for key, specification in expected.items()
            },
        )

    def _run(self, name, tensors):
        try:
            outputs = self.signatures[name](**tensors)
        except tf.errors.InvalidArgumentError as error:
            raise InvalidInput(_sentence(error.message)) from None
        return {key: value.numpy() for key, value in outputs.items()}


def _tensor(name, value, specification):
    """A tensor of the specified type and shape, or an error that says why."""
    dtype = specification.dtype
    if dtype != tf.string:
        try:
            value = np.asarray(value)
        except ValueError:
            raise InvalidInput(f"the rows of {name} differ in shape") from None
        # An empty list has no type of its own.
        integers = dtype.is_integer and value.size
        if value.dtype.kind not in ("iu" if integers else "iuf"):
            raise InvalidInput(
                f"{name} must hold {dtype.name}. Received: {value.dtype}"
            )
    try:
        tensor = tf.constant(value, dtype)
    except (ValueError, TypeError, OverflowError):
        raise InvalidInput(f"{name} must hold {dtype.name}") from None
    if not specification.shape.is_compatible_with(tensor.shape):
        raise InvalidInput(
            f"{name} must have shape {_readable(specification.shape)}. "
            f"Received: {_readable(tensor.shape)}"
        )
    return tensor


def _readable(shape):
    return str([-1 if side is None else side for side in shape])


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


# -- The protocol of TensorFlow Serving ------------------------------------


def _answer_v1(model, payload):
    rows = payload.get("instances") if isinstance(payload, dict) else None
    if not isinstance(rows, list) or not rows:
        raise InvalidInput('the request must have a list of "instances"')
    if not all(isinstance(row, dict) for row in rows):
        raise InvalidInput("every instance must name its inputs")
    if any(set(row) != set(rows[0]) for row in rows):
        raise InvalidInput("all instances must name the same inputs")
    outputs = model.answer(
        payload.get("signature_name", DEFAULT_SIGNATURE),
        {key: [_from_json(row[key]) for row in rows] for key in rows[0]},
    )
    columns = {
        key: [_to_json(row, key) for row in value]
        for key, value in outputs.items()
    }
    if len(columns) == 1:
        return {"predictions": next(iter(columns.values()))}
    return {
        "predictions": [
            dict(zip(columns, row, strict=True))
            for row in zip(*columns.values(), strict=True)
        ]
    }


def _from_json(value):
    if isinstance(value, dict):
        try:
            return base64.b64decode(value["b64"], validate=True)
        except (KeyError, TypeError, ValueError, binascii.Error):
            raise InvalidInput(
                'bytes must be given as {"b64": "..."} in base64'
            ) from None
    return value


def _to_json(row, name):
    if name.endswith("_bytes"):
        return [{"b64": base64.b64encode(x).decode()} for x in row]
    return row.tolist()


# -- KServe's V2 protocol --------------------------------------------------


def _answer_v2(model, request):
    arrays = {}
    for entry in request.inputs:
        try:
            array = entry.as_numpy()
        # Whatever goes wrong while bytes of the client are taken apart.
        except Exception as error:
            raise InvalidInput(
                f"the input {entry.name} cannot be read: {error}"
            ) from None
        arrays[entry.name] = array.tolist() if array.dtype == object else array
    outputs = model.answer(_signature_of(request), arrays)
    described = model.signatures[_signature_of(request)].structured_outputs
    answers = []
    for key, value in outputs.items():
        datatype = V2_TYPES[described[key].dtype]
        output = InferOutput(key, list(value.shape), datatype)
        output.set_data_from_numpy(value, binary_data=True)
        answers.append(output)
    return InferResponse(
        response_id=request.id or "",
        model_name=model.name,
        infer_outputs=answers,
        use_binary_outputs=True,
    )


def _signature_of(request):
    parameters = request.parameters or {}
    name = parameters.get("signature_name", DEFAULT_SIGNATURE)
    # Over gRPC it is a message.
    return getattr(name, "string_param", name)


def main():
    """Reads the command line and serves until stopped."""
    parser = argparse.ArgumentParser(
        parents=[kserve.model_server.parser], description=__doc__.split("\n")[0]
    )
    parser.add_argument("--model_dir", required=True)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--queue", type=int, default=100)
    arguments = parser.parse_args()
    model = ExportedModel(
        arguments.model_name,
        arguments.model_dir,
        arguments.threads,
        arguments.queue,
    )
    model.load()
    kserve.ModelServer().start([model])


if __name__ == "__main__":
    main()
