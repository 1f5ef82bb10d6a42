"""What hostile, slow and vanishing clients can do to the kit's server."""

import base64
import concurrent.futures
import contextlib
import copy
import http.client
import json
import pathlib
import random
import re
import shutil
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from .conftest import KIT, NAME, Server, client, decode, encode, free_port

GREY = Image.fromarray(np.arange(80, dtype=np.uint8).reshape(8, 10))
JPEG = encode(GREY, "JPEG")
V1, V2 = f"/v1/models/{NAME}:predict", f"/v2/models/{NAME}/infer"
ROW = {
    "picture_bytes": {"b64": base64.b64encode(JPEG).decode()},
    "seed": 1,
    "index": [0],
}
# A server of little patience, whose limits are soon reached.
STRICT = (
    *("--threads=1", "--queue=1", "--body_megabytes=1"),
    *("--body_seconds=2", "--idle_seconds=2"),
)


def ask(server, path, body, headers=(), method="POST"):
    """Status, headers and content of one answer."""
    connection = http.client.HTTPConnection(
        # A busy machine takes its time for a first request.
        "127.0.0.1",
        server.http,
        timeout=300,
    )
    with contextlib.closing(connection):
        connection.request(method, path, body, dict(headers))
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()


def is_well(server):
    """Whether the server gives right answers, and had no error of its own."""
    status, _, content = ask(server, V1, json.dumps({"instances": [ROW]}))
    (row,) = json.loads(content)["predictions"]
    png = base64.b64decode(row[0]["b64"])
    return (
        status == 200
        and decode(png).shape == (32, 40, 3)
        and "Traceback" not in server.log.read_text()
    )


@pytest.fixture(scope="module")
def strict(exported, tmp_path_factory):
    """A strict server, and a client that came before it."""
    folder = tmp_path_factory.mktemp("strict")
    (folder / "cat.jpg").write_bytes(JPEG)
    port = free_port()
    early = subprocess.Popen(
        [
            *(sys.executable, KIT / "client.py", folder / "cat.jpg"),
            *(f"--model={NAME}", f"--server=http://127.0.0.1:{port}"),
            *("--retries=0", "--count=2", f"--output={folder / 'out'}"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        # Where there is no KServe it skips.
        server = Server(
            pathlib.Path(exported).parent,
            folder / "log.txt",
            *STRICT,
            http=port,
        )
        server.early = early
        yield server
    finally:
        early.kill()
        early.communicate()
    server.stop()
    # It ends in good order, and does not have to be killed.
    assert server.process.returncode == 0


# -- Values ----------------------------------------------------------------


def nested(depth):
    return "[" * depth + '"x"' + "]" * depth


@pytest.mark.parametrize("depth", [1, 2, 255, 300, 900, 100_000])
@pytest.mark.parametrize("name", ["picture_bytes", "seed", "index"])
def test_nested_values(server, depth, name):
    body = json.dumps({"instances": [{**ROW, name: "?"}]})
    body = body.replace('"?"', nested(depth))
    status, _, content = ask(server, V1, body)
    assert status == 400, content
    assert json.loads(content)["error"]


def tensors(signatures):
    """Right inputs of every signature, as arrays."""
    seed, index = np.array([1]), np.array([[0, 2]])
    codes = signatures["draw_codes"](
        seed=tf.constant(seed),
        index=tf.constant(index),
        size=tf.constant([[2, 3]], tf.int64),
    )
    codes = {name: code.numpy() for name, code in codes.items()}
    picture = np.full([1, 2, 3, 3], 0.5, np.float32)
    return {
        "vary": {
            "seed": np.array([[5, -(2**63)]]),
            "amount": np.full([1, len(codes) // 2], 0.5, np.float32),
            **codes,
        },
        "interpolate": {"t": np.array([[0.0, 0.25, 1.0]], "float32"), **codes},
        "combine": {
            "masks": np.full([1, 2, 2, 3], 0.5, np.float32),
            **codes,
        },
        "serving_default": {
            "picture_bytes": np.array([JPEG], object),
            "seed": seed,
            "index": index,
        },
        "sample": {"picture": picture, "seed": seed, "index": index},
        "draw_codes": {
            "seed": seed,
            "index": index,
            "size": np.array([[2, 3]]),
        },
        "decode": {"picture": picture, **codes},
    }


@pytest.fixture(scope="module")
def right(signatures):
    return tensors(signatures)


def full(*shape, value=0.5):
    return np.full(shape, value, "float32")


HUGE = np.concatenate([full(1, 1, 32, value=x) for x in (3e38, -2e38)], 1)
# What a client may want of codes, by signature: one input that is wrong, and
# words of the answer, by whom it is refused: the server or the model.
WRONG_CHOICES = {
    "vary": [
        ({"seed": np.zeros([1, 0], int)}, "one seed per code"),
        ({"seed": np.zeros([1, 100_000], int)}, "one seed per code"),
        ({"seed": np.zeros([0, 2], int)}, "at least one input"),
        ({"seed": np.zeros([2, 2], int)}, "`style_0` must have one code"),
        ({"seed": np.zeros([2], int)}, "seed"),
        ({"amount": full(1, 2, value=np.nan)}, "amount`? must"),
        ({"amount": full(1, 2, value=-0.5)}, "`amount` must"),
        ({"amount": full(1, 2, value=1.5)}, "`amount` must"),
        ({"amount": full(2, 2)}, "`amount` must have one row per input"),
        ({"amount": full(1, 7)}, "amount"),
        ({"style_0": full(1, 2, 32, value=np.inf)}, "must hold finite"),
        ({"noise_0": full(1, 2, 9, 9, 2)}, "`noise_0` must have one code"),
        ({"noise_1": full(1, 2, 0, 0, 2)}, "at least 1 x 1 pixels"),
        ({"noise_1": full(1, 2, 1, 6, 2)}, "at least 1 x 1 pixels"),
        ({"noise_1": full(1, 2, 99, 2, 2)}, "`noise_0` must have one code"),
        ({"noise_1": full(1, 2, 999, 999, 2)}, "outputs of at most 40,000"),
    ],
    "interpolate": [
        ({"t": full(1, 1, value=np.nan)}, "t`? must hold"),
        ({"t": full(1, 1, value=1.001)}, "`t` must hold numbers from 0 to 1"),
        ({"t": full(1, 1, value=-1e-6)}, "`t` must hold numbers from 0 to 1"),
        ({"t": full(1, 0)}, "`t` must ask for 1 to 12"),
        ({"t": full(1, 100_000)}, "`t` must ask for 1 to 12"),
        ({"t": full(0, 3)}, "at least one input"),
        ({"t": full(3, 1)}, "`style_0` must have one code"),
        ({"style_1": full(1, 1, 32)}, "style_1"),
        ({"style_1": full(1, 3, 32)}, "style_1"),
        ({"style_0": HUGE}, "`style_0` holds numbers too large to be mixed"),
    ],
    "combine": [
        ({"masks": full(1, 2, 2, 3, value=0.0)}, "one above 0 for every"),
        ({"masks": full(1, 2, 2, 3, value=np.nan)}, "finite numbers"),
        ({"masks": full(1, 2, 2, 3, value=np.inf)}, "finite numbers"),
        ({"masks": full(1, 2, 2, 3, value=-1.0)}, "finite numbers from 0"),
        ({"masks": full(1, 2, 2, 3, value=3e38)}, "finite numbers from 0"),
        ({"masks": full(1, 2, 3, 2)}, "in the same proportion"),
        ({"masks": full(1, 2, 0, 0)}, "in the same proportion"),
        ({"masks": full(1, 2, 400, 601)}, "in the same proportion"),
        ({"masks": full(1, 0, 2, 3)}, "`masks` must ask for 1 to 12"),
        ({"masks": full(1, 3, 2, 3)}, "`style_0` must have one code"),
        ({"masks": full(1, 500, 2, 3)}, "`masks` must ask for 1 to 12"),
        ({"masks": full(0, 2, 2, 3)}, "at least one input"),
        ({"masks": full(3, 2, 2, 3)}, "`style_0` must have one code"),
        ({"masks": full(2, 2, 3)}, "masks"),
        ({"style_0": full(1, 2, 33)}, "style_0"),
    ],
}
WRONG_CHOICES = [
    (name, changes, words)
    for name, several in WRONG_CHOICES.items()
    for changes, words in several
]


def over_v2(signature, arrays):
    """A request whose values stand behind the JSON, NaN too."""
    inputs = [
        {
            "name": name,
            "datatype": datatype(value),
            "shape": list(value.shape),
            "parameters": {"binary_data_size": len(raw(value))},
        }
        for name, value in arrays.items()
    ]
    request = {"parameters": {"signature_name": signature}, "inputs": inputs}
    text = json.dumps(request).encode()
    behind = b"".join(raw(value) for value in arrays.values())
    headers = {"Inference-Header-Content-Length": str(len(text))}
    return V2, text + behind, headers


@pytest.mark.parametrize(("signature", "changes", "words"), WRONG_CHOICES)
def test_wrong_choices(signatures, right, signature, changes, words):
    """By the model itself, as servers in C++ ask it."""
    arrays = {**right[signature], **changes}
    with pytest.raises(
        (tf.errors.InvalidArgumentError, TypeError), match=words
    ):
        signatures[signature](
            **{name: tf.constant(value) for name, value in arrays.items()}
        )


def test_wrong_choices_over_rest(server, right):
    before = server.memory()
    for signature, changes, words in WRONG_CHOICES:
        arrays = {**right[signature], **changes}
        status, _, content = ask(server, *over_v2(signature, arrays))
        assert status == 400, (signature, changes, content)
        error = json.loads(content)["error"]
        assert re.search(words, error), (changes, content)
    assert is_well(server)
    assert server.memory() < before + 150


def test_what_is_refused_takes_no_memory(server, signatures, right):
    """Of 20,000 there would be gigabytes."""
    codes = signatures["draw_codes"](
        seed=tf.constant([0], tf.int64),
        index=tf.constant([[0]], tf.int64),
        size=tf.constant([[50, 50]], tf.int64),
    )
    codes = {name: code.numpy() for name, code in codes.items()}
    # The server's threads are to have what they need.
    assert is_well(server)
    before = server.memory("VmHWM")
    for signature, changes in (
        ("vary", {"seed": np.zeros([1, 20_000], int)}),
        ("combine", {"masks": full(1, 20_000, 1, 1)}),
        ("interpolate", {"t": full(1, 20_000)}),
    ):
        several = codes
        if signature == "interpolate":
            several = {k: np.repeat(v, 2, 1) for k, v in codes.items()}
        arrays = {**right[signature], **several, **changes}
        status, _, content = ask(server, *over_v2(signature, arrays))
        assert status == 400, content
        assert "must ask for 1 to 12" in json.loads(content)["error"]
    assert server.memory("VmHWM") < before + 150


def test_choices_of_extreme_numbers(server, right):
    """Unusual, and right."""
    codes = {k: v for k, v in right["combine"].items() if k != "masks"}
    zeros = {name: 0.0 * code for name, code in codes.items()}
    for signature, changes in (
        ("vary", {"seed": np.array([[-(2**63), 2**63 - 1]])}),
        ("vary", {"amount": full(1, 2, value=0.0), **zeros}),
        ("interpolate", {"t": full(1, 12, value=1.0)}),
        ("interpolate", zeros),
        ("combine", {"masks": full(1, 2, 2, 3, value=1e-30)}),
        ("combine", {"masks": full(1, 2, 400, 600)}),
        ("combine", zeros),
    ):
        arrays = {**right[signature], **changes}
        status, headers, content = ask(server, *over_v2(signature, arrays))
        assert status == 200, (signature, changes, content)
        # NaN and infinity are not to come out of what is finite.
        answer = content[int(headers["Inference-Header-Content-Length"]) :]
        assert np.isfinite(np.frombuffer(answer, "float32")).all()
    assert is_well(server)


STRANGE = [
    *(None, True, False, 0, -1, 1.5, 2**63, -(2**63) - 1, 10**400, 1e300),
    *("", "x", "ü€", "\x00", "INT64", "BYTES", "FP32", "UINT64", "FP16"),
    *([], {}, [[]], [{}], {"b64": 1}, {"b64": "?"}, {"b64": "AA==", "x": 1}),
    *({"a": []}, [1, "x"], [[1], [2, 3]], [[1], 2], [None], [0] * 3000),
]


def strange(dice):
    value = copy.deepcopy(dice.choice(STRANGE))
    for _ in range(dice.choice([0, 0, 0, 1, 3, 200])):
        value = [value]
    return value


def places(value, path=()):
    """Paths to all parts of nested lists and objects, few of long lists."""
    yield path
    if isinstance(value, dict):
        parts = value.items()
    elif isinstance(value, list):
        parts = list(enumerate(value))[:3]
    else:
        return
    for key, part in parts:
        yield from places(part, (*path, key))


def mutated(value, dice):
    """A copy of what becomes JSON, with something else in places."""
    value = copy.deepcopy(value)
    for _ in range(dice.choice([0, 1, 1, 1, 2])):
        *path, last = dice.choice([x for x in places(value) if x])
        holder = value
        for key in path:
            holder = holder[key]
        action = dice.randrange(6)
        if action == 0:
            del holder[last]
        elif action == 1 and isinstance(holder, dict):
            holder[dice.choice(["x", "id", "data", "inputs"])] = strange(dice)
        elif action == 2 and isinstance(holder, list):
            holder.append(copy.deepcopy(holder[last]))
        else:
            holder[last] = strange(dice)
    return value


def garbled(content, dice):
    """Bytes with some changed, or the end cut off, in a few cases."""
    content = bytearray(content)
    action = dice.randrange(12)
    if action == 0:
        content = content[: dice.randrange(len(content))]
    elif action < 3:
        for _ in range(dice.randrange(1, 5)):
            content[dice.randrange(len(content))] = dice.randrange(256)
    return bytes(content)


def as_text(value, dice):
    text = json.dumps(value)
    if dice.randrange(20) == 0:
        text = re.sub(
            r"\b0\b", dice.choice(["NaN", "-Infinity", "1e999"]), text
        )
    return garbled(text.encode(), dice)


def fuzzed_v1(right, dice):
    signature = dice.choice(sorted(right))
    row = {
        name: {"b64": base64.b64encode(value[0]).decode()}
        if value.dtype == object
        else value[0].tolist()
        for name, value in right[signature].items()
    }
    request = {"signature_name": signature, "instances": [row]}
    return V1, as_text(mutated(request, dice), dice), {}


def raw(array):
    if array.dtype == object:
        return b"".join(len(x).to_bytes(4, "little") + x for x in array.ravel())
    return array.tobytes()


def datatype(array):
    return {"O": "BYTES", "i": "INT64", "f": "FP32"}[array.dtype.kind]


def fuzzed_v2(right, dice):
    """Of JSON alone, or with the values behind it."""
    signature = dice.choice(sorted(right))
    is_raw = signature == "serving_default" or dice.random() < 0.5
    inputs, behind = [], b""
    for name, value in right[signature].items():
        entry = {
            "name": name,
            "datatype": datatype(value),
            "shape": list(value.shape),
        }
        if is_raw:
            content = raw(value)
            entry["parameters"] = {"binary_data_size": len(content)}
            behind += garbled(content, dice)
        else:
            entry["data"] = dice.choice([value.ravel(), value]).tolist()
        inputs.append(entry)
    request = {"parameters": {"signature_name": signature}, "inputs": inputs}
    text = as_text(mutated(request, dice), dice)
    headers = {}
    if is_raw or dice.random() < 0.1:
        length = len(text)
        if dice.random() < 0.2:
            length = dice.choice(
                ["", "x", "-1", "1e3", "9" * 5000, "0", "1.0", length - 1, "+7"]
            )
        headers["Inference-Header-Content-Length"] = str(length)
    if dice.random() < 0.2:
        headers["Content-Type"] = dice.choice(
            [
                "text/plain",
                "application/octet-stream",
                "multipart/form-data",
                "",
            ]
        )
    if dice.random() < 0.1:
        headers.update({"ce-id": "1", "ce-source": "x", "ce-specversion": "1"})
    return V2, text + behind, headers


def fuzz(server, right, count, first=0):
    """Statuses of fuzzed requests over REST."""

    def one(number):
        dice = random.Random(number)
        make = fuzzed_v1 if number % 2 else fuzzed_v2
        request = make(right, dice)
        status, _, content = ask(server, *request)
        assert status in (200, 400), (number, request, content)
        if status == 400:
            assert json.loads(content)["error"]
        return status

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        statuses = list(pool.map(one, range(first, first + count)))
    assert statuses.count(200) > count / 10
    assert statuses.count(400) > count / 10


def test_fuzzed_values(server, right):
    fuzz(server, right, 600)
    assert is_well(server)


@pytest.mark.slow
def test_many_fuzzed_values(server, right):
    fuzz(server, right, 500, 10_000)
    before = server.memory()
    fuzz(server, right, 10_000, 20_000)
    assert is_well(server)
    assert server.memory() < before + 150


PARAMETERS = [{}, {"signature_name": 1}, {"signature_name": []}, [], 5, "x"]


@pytest.mark.parametrize("parameters", PARAMETERS)
def test_names_of_signatures_that_are_none(server, parameters):
    request = {"inputs": [], "parameters": parameters}
    assert ask(server, V2, json.dumps(request))[0] == 400
    request = {"instances": [ROW], "signature_name": parameters}
    assert ask(server, V1, json.dumps(request))[0] == 400


def test_nan_over_v2(server):
    request = {
        "parameters": {"signature_name": "sample"},
        "inputs": [
            {
                "name": "picture",
                "datatype": "FP32",
                "shape": [1, 1, 1, 3],
                "data": [float("nan"), 0.0, 0.0],
            }
        ],
    }
    status, _, content = ask(server, V2, json.dumps(request))
    assert status == 400
    assert "request format" in json.loads(content)["error"]


# -- gRPC ------------------------------------------------------------------


V2_MESSAGES = {
    "Contents": [
        ("int_contents", 2, "repeated int32"),
        ("int64_contents", 3, "repeated int64"),
        ("fp32_contents", 6, "repeated float"),
        ("bytes_contents", 8, "repeated bytes"),
    ],
    "Tensor": client["V2"]["Tensor"],
    "Parameter": [("string_param", 3, "string")],
    "ModelInferRequest": [
        ("model_name", 1, "string"),
        ("parameters", 4, "map Parameter"),
        ("inputs", 5, "repeated Tensor"),
        ("raw_input_contents", 7, "repeated bytes"),
    ],
    "ModelInferResponse": client["V2"]["ModelInferResponse"],
    "Name": [("name", 1, "string")],
    "Described": [
        ("name", 1, "string"),
        ("datatype", 2, "string"),
        ("shape", 3, "repeated int64"),
    ],
    "ModelMetadataResponse": [
        ("inputs", 4, "repeated Described"),
        ("outputs", 5, "repeated Described"),
    ],
}
MESSAGES = client["_messages"](V2_MESSAGES)


@contextlib.contextmanager
def method_of(server, method):
    """A method of the service that takes and gives bytes."""
    grpc = pytest.importorskip("grpc", reason="grpcio is not installed")
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc}") as channel:
        call = channel.unary_unary(f"/inference.GRPCInferenceService/{method}")

        def code(content):
            try:
                return "OK", call(content, timeout=60)
            except grpc.RpcError as error:
                return error.code().name, error.details()

        yield code


def message(signature, arrays, is_raw):
    request = MESSAGES["ModelInferRequest"](model_name=NAME)
    request.parameters["signature_name"].string_param = signature
    for name, value in arrays.items():
        added = request.inputs.add(
            name=name, datatype=datatype(value), shape=value.shape
        )
        if is_raw:
            request.raw_input_contents.append(raw(value))
        else:
            field = {"O": "bytes", "i": "int64", "f": "fp32"}[value.dtype.kind]
            contents = getattr(added.contents, f"{field}_contents")
            contents.extend(value.ravel().tolist())
    return request


def fuzzed_message(right, dice):
    signature = dice.choice(sorted(right))
    request = message(signature, right[signature], dice.random() < 0.5)
    entry = dice.choice(request.inputs)
    action = dice.randrange(8)
    if action == 0:
        entry.datatype = dice.choice(
            ["", "INT32", "UINT64", "FP16", "FP64", "BOOL", "BYTES", "x"]
        )
    elif action == 1:
        entry.shape.append(dice.choice([0, 1, -1, 2**62]))
    elif action == 2:
        entry.shape[0] = dice.choice([0, 2, -1, 2**62])
    elif action == 3:
        entry.name = dice.choice(["", "seed", "index", "ü"])
    elif action == 4:
        entry.contents.int_contents.append(7)
    elif action == 5 and request.raw_input_contents:
        place = dice.randrange(len(request.raw_input_contents))
        content = request.raw_input_contents[place]
        request.raw_input_contents[place] = content[: dice.randrange(40)]
    elif action == 6:
        request.raw_input_contents.append(b"123456789")
    return garbled(request.SerializeToString(), dice)


def fuzz_grpc(server, right, numbers):
    known = ("OK", "INVALID_ARGUMENT", "NOT_FOUND")
    codes = []
    with method_of(server, "ModelInfer") as infer:
        for number in numbers:
            content = fuzzed_message(right, random.Random(number))
            code, answer = infer(content)
            assert code in known, (number, content, code, answer)
            codes.append(code)
    assert min(codes.count(code) for code in known[:2]) > len(codes) / 10


def test_fuzzed_messages(server, right):
    fuzz_grpc(server, right, range(300))
    assert is_well(server)


@pytest.mark.slow
def test_many_fuzzed_messages(server, right):
    fuzz_grpc(server, right, range(1000, 6000))
    assert is_well(server)


@pytest.mark.parametrize("is_raw", [False, True])
@pytest.mark.parametrize("signature", ["serving_default", "sample", "decode"])
def test_both_forms_of_messages(server, right, signatures, signature, is_raw):
    arrays = right[signature]
    with method_of(server, "ModelInfer") as infer:
        code, content = infer(
            message(signature, arrays, is_raw).SerializeToString()
        )
    assert code == "OK", content
    (expected,) = signatures[signature](
        **{name: tf.constant(value) for name, value in arrays.items()}
    ).values()
    answer = MESSAGES["ModelInferResponse"].FromString(content)
    (made,) = answer.raw_output_contents
    assert made == raw(expected.numpy())


def test_encoded_pictures_over_v2_rest(server, right, signatures):
    arrays = right["serving_default"]
    inputs, behind = [], b""
    for name, value in arrays.items():
        inputs.append(
            {
                "name": name,
                "datatype": datatype(value),
                "shape": list(value.shape),
                "parameters": {"binary_data_size": len(raw(value))},
            }
        )
        behind += raw(value)
    text = json.dumps({"inputs": inputs, "id": "mine"}).encode()
    headers = {"Inference-Header-Content-Length": str(len(text))}
    status, headers, content = ask(server, V2, text + behind, headers)
    assert status == 200, content
    length = int(headers["Inference-Header-Content-Length"])
    assert json.loads(content[:length])["id"] == "mine"
    expected = signatures["serving_default"](
        **{name: tf.constant(value) for name, value in arrays.items()}
    )["alternative_bytes"].numpy()
    assert content[length:] == raw(expected)


# -- Sizes and speeds ------------------------------------------------------


def test_bodies_that_are_too_large(strict):
    before = strict.memory()
    connection = http.client.HTTPConnection(
        "127.0.0.1", strict.http, timeout=10
    )
    with contextlib.closing(connection):
        # The claim alone is enough.
        connection.putrequest("POST", V1)
        connection.putheader("Content-Length", str(400_000_000))
        connection.endheaders()
        answer = connection.getresponse()
        assert answer.status == 413
        assert "1,048,576 bytes" in json.load(answer)["error"]
    # Or what comes, where nothing is claimed.
    assert ask(strict, V2, iter([b"x" * 2**19] * 4))[0] == 413
    with method_of(strict, "ModelInfer") as infer:
        assert infer(b"x" * 2**21)[0] == "RESOURCE_EXHAUSTED"
    assert strict.memory() < before + 20
    assert is_well(strict)


def received(connection, seconds=20):
    """What comes until the server ends the connection; None if it does not."""
    connection.settimeout(seconds)
    content = b""
    try:
        while part := connection.recv(2**16):
            content += part
    except ConnectionError:
        pass
    except TimeoutError:
        return None
    return content


BEGINNING = f"POST {V1} HTTP/1.1\r\nHost: x\r\n".encode()


def test_connections_without_a_request_are_dropped(strict):
    address = ("127.0.0.1", strict.http)
    with socket.create_connection(address) as silent:
        assert received(silent) == b""
    with socket.create_connection(address) as slow:
        slow.sendall(BEGINNING)
        start = time.monotonic()
        with contextlib.suppress(ConnectionError):
            while time.monotonic() - start < 20:
                slow.sendall(b"a")
                time.sleep(0.1)
        assert time.monotonic() - start < 15
    with socket.create_connection(address) as done:
        # Neither is one kept whose request has been answered.
        done.sendall(b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        assert received(done).startswith(b"HTTP/1.1 200")


def test_slow_bodies_are_not_waited_for(strict):
    with socket.create_connection(("127.0.0.1", strict.http)) as slow:
        slow.sendall(BEGINNING + b"Content-Length: 1000\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            for _ in range(30):
                slow.sendall(b" ")
                time.sleep(0.1)
        assert received(slow).startswith(b"HTTP/1.1 408")


def test_answers_that_are_not_taken_are_dropped(strict):
    """Of some 5 MB, more than the systems in between keep."""
    picture = np.full([40, 60, 3], 0.5).tolist()
    row = {"picture": picture, "seed": 1, "index": [0, 1, 2, 3]}
    body = json.dumps({"signature_name": "sample", "instances": [row]}).encode()
    length = f"Content-Length: {len(body)}\r\n\r\n".encode()
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect(("127.0.0.1", strict.http))
        slow.sendall(BEGINNING + length + body)
        time.sleep(12)
        content = received(slow)
    assert content.startswith(b"HTTP/1.1 200")
    (length,) = re.findall(rb"content-length: (\d+)", content)
    assert int(length) > 4_000_000
    assert len(content) < int(length)
    assert is_well(strict)


def test_nobody_works_for_clients_that_have_gone(strict):
    row = {**ROW, "index": list(range(12))}
    row["picture_bytes"] = {
        "b64": base64.b64encode(encode(GREY.resize((40, 25)))).decode()
    }
    body = json.dumps({"instances": [row]}).encode()
    length = f"Content-Length: {len(body)}\r\n\r\n".encode()

    def seconds_for(request):
        before = strict.processor_seconds()
        request()
        # Once this one is answered, what was there before it has ended.
        while ask(strict, V1, json.dumps({"instances": [ROW]}))[0] == 503:
            time.sleep(0.02)
        return strict.processor_seconds() - before

    def whole():
        assert ask(strict, V1, body)[0] == 200

    def cut():
        with socket.create_connection(("127.0.0.1", strict.http)) as gone:
            gone.sendall(BEGINNING + length + body)
            time.sleep(0.05)

    whole()
    assert seconds_for(cut) < 0.6 * seconds_for(whole)


# -- Who may do what -------------------------------------------------------


def test_nobody_can_unload_the_model(server):
    for action in ("unload", "load"):
        path = f"/v2/repository/models/{NAME}/{action}"
        assert ask(server, path, b"")[0] == 404
        assert ask(server, f"{path}/", b"")[0] == 404
        # Name of the model, the first field of either message.
        content = MESSAGES["Name"](name=NAME).SerializeToString()
        method = f"RepositoryModel{action.title()}"
        with method_of(server, method) as call:
            assert call(content)[0] == "UNIMPLEMENTED"
    assert ask(server, "/v2/repository/index", b"")[0] == 404
    assert ask(server, f"/v1/models/{NAME}:explain", b"{}")[0] == 404
    assert server.ready()
    assert is_well(server)


def test_only_this_machine_is_served(server):
    """By default: any other address of the machine is refused."""
    for port in (server.http, server.grpc):
        socket.create_connection(("127.0.0.1", port)).close()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.2", port))


def test_readiness_is_the_models(strict):
    """While it loads, the server is there and says that it is not ready."""
    assert strict.loading == {503}


def test_metadata(server):
    status, _, content = ask(server, f"/v2/models/{NAME}", None, method="GET")
    assert status == 200
    described = json.loads(content)
    inputs = {
        "picture_bytes": ("BYTES", [-1]),
        "seed": ("INT64", [-1]),
        "index": ("INT64", [-1, -1]),
    }
    outputs = {"alternative_bytes": ("BYTES", [-1, -1])}
    for key, expected in (("inputs", inputs), ("outputs", outputs)):
        assert expected == {
            x["name"]: (x["datatype"], x["shape"]) for x in described[key]
        }
    content = MESSAGES["Name"](name=NAME).SerializeToString()
    with method_of(server, "ModelMetadata") as call:
        code, content = call(content)
    assert code == "OK"
    described = MESSAGES["ModelMetadataResponse"].FromString(content)
    assert {x.name: (x.datatype, list(x.shape)) for x in described.inputs} == (
        inputs
    )
    assert [x.name for x in described.outputs] == list(outputs)
    extensions = json.loads(ask(server, "/v2", None, method="GET")[2])
    assert extensions["extensions"] == []


# -- As readers of the kit follow it ---------------------------------------


def test_curl_of_the_readme(server, tmp_path):
    if not (shutil.which("curl") and shutil.which("base64")):
        pytest.skip("curl or base64 is not installed")
    (tmp_path / "PICTURE.jpg").write_bytes(JPEG)
    text = (KIT / "README.md").read_text()
    (command,) = re.findall(r"^curl .*?(?<!\\)\n", text, re.M | re.S)
    assert "localhost:8501" in command
    answer = subprocess.run(
        ["bash", "-c", command.replace("localhost:8501", server.url[7:])],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    ).stdout
    (row,) = json.loads(answer)["predictions"]
    for alternative in row:
        assert decode(base64.b64decode(alternative["b64"])).shape == (32, 40, 3)


def test_clients_wait_for_a_server_that_loads(strict):
    printed, said = strict.early.communicate(timeout=60)
    assert strict.early.returncode == 0, said
    assert "2 of 2" in printed
    assert "still waiting for the server" in said
