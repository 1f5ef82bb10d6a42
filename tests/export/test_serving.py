"""The serving kit against real engines."""

import base64
import concurrent.futures
import io
import json
import pathlib
import random
import struct
import subprocess
import sys
import time
import urllib.error
import urllib.request

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageCms

from .conftest import KIT, NAME, Server, client, decode, encode, free_port


@pytest.fixture(scope="module")
def png(photo):
    return encode(photo)


@pytest.fixture(scope="module")
def expected(signatures, png):
    """Alternatives 0 to 3 of seed 7, without a server."""
    return (
        signatures["serving_default"](
            picture_bytes=tf.constant([png]),
            seed=tf.constant([7], tf.int64),
            index=tf.constant([[0, 1, 2, 3]], tf.int64),
        )["alternative_bytes"]
        .numpy()[0]
        .tolist()
    )


@pytest.mark.parametrize("protocol", ["rest", "v2-grpc"])
def test_same_seed_same_bytes(server, protocol, png, expected):
    transport = server.transport(protocol)
    made = dict(client["alternatives"](transport, png, 7, range(4)))
    assert [made[index] for index in range(4)] == expected
    assert len(set(expected)) == 4
    assert decode(expected[0]).shape == (52, 72, 3)


def row(file, seed=1, index=(0,)):
    return {
        "picture_bytes": {"b64": base64.b64encode(file).decode()},
        "seed": seed,
        "index": list(index),
    }


def test_several_pictures_of_different_sizes(server, photo):
    rows = [row(encode(photo)), row(encode(photo[:6], "JPEG"), 2)]
    status, answer = server.post({"instances": rows})
    assert status == 200
    sizes = [
        decode(base64.b64decode(first["b64"])).shape
        for (first,) in answer["predictions"]
    ]
    assert sizes == [(52, 72, 3), (24, 72, 3)]


def test_other_signatures(server, nano):
    picture = np.random.RandomState(0).rand(4, 5, 3).astype(np.float32)
    rows = [{"picture": picture.tolist(), "seed": 3, "index": [0, 2]}]
    status, answer = server.post(
        {"signature_name": "sample", "instances": rows}
    )
    assert status == 200
    expected = nano.sample(picture[None], num_samples=3, seed=3)[0, [0, 2]]
    # JSON keeps all digits of a float32.
    np.testing.assert_array_equal(
        np.float32(answer["predictions"][0]), expected
    )
    rows = [{"seed": 3, "index": [0, 2], "size": [4, 5]}]
    status, codes = server.post(
        {"signature_name": "draw_codes", "instances": rows}
    )
    assert status == 200
    (codes,) = codes["predictions"]
    status, answer = server.post(
        {
            "signature_name": "decode",
            "instances": [{"picture": picture.tolist(), **codes}],
        }
    )
    assert status == 200
    np.testing.assert_array_equal(
        np.float32(answer["predictions"][0]), expected
    )


def test_16_clients_at_once(server, png, expected):
    def ask(number):
        protocol = ("rest", "v2-grpc")[number % 2]
        transport = server.transport(protocol)
        retries = client["Retries"](count=0)
        order = random.Random(number).sample(range(4), 4)
        return dict(
            client["alternatives"](transport, png, 7, order, 2, retries)
        )

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        for made in pool.map(ask, range(16)):
            assert [made[index] for index in range(4)] == expected


GREY = Image.fromarray(np.arange(80, dtype=np.uint8).reshape(8, 10))
ANIMATED = encode(
    GREY,
    "GIF",
    save_all=True,
    append_images=[GREY.transpose(Image.Transpose.FLIP_LEFT_RIGHT)],
)


def bomb(side=20_000):
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + header


JPEG = encode(GREY, "JPEG")
WRONG = {
    "no JSON": (b"{", "request format"),
    "another JSON": ([1, 2], "instances"),
    "nothing asked": ({"instances": []}, "instances"),
    "a row that is none": ({"instances": [5]}, "name its inputs"),
    "no picture": ({"instances": [row(b"")]}, "PNG or JPEG"),
    "text": ({"instances": [row(b"hello")]}, "PNG or JPEG"),
    "truncated": ({"instances": [row(JPEG[:90])]}, "JPEG"),
    "GIF": ({"instances": [row(encode(GREY, "GIF"))]}, "PNG or JPEG"),
    "animated GIF": ({"instances": [row(ANIMATED)]}, "PNG or JPEG"),
    "0 x 0": ({"instances": [row(bomb(0) + bytes(40))]}, "at least 1 x 1"),
    "bomb": ({"instances": [row(bomb() + bytes(40))]}, "40,000 pixels"),
    "no base64": (
        {"instances": [{**row(JPEG), "picture_bytes": {"b64": "?"}}]},
        "base64",
    ),
    "text for bytes": (
        {"instances": [{**row(JPEG), "picture_bytes": 5}]},
        "picture_bytes must hold string",
    ),
    "no index": ({"instances": [row(JPEG, index=())]}, "1 to 12"),
    "missing index": (
        {"instances": [{"picture_bytes": {"b64": ""}, "seed": 1}]},
        "inputs of serving_default are index, picture_bytes, seed",
    ),
    "a million": ({"instances": [row(JPEG, index=range(10**6))]}, "1000000"),
    "wrong rank": ({"instances": [row(JPEG, seed=[1])]}, "seed must have sh"),
    "wrong type": ({"instances": [row(JPEG, seed=1.5)]}, "seed must hold int"),
    "too large": ({"instances": [row(JPEG, seed=2**70)]}, "seed must hold"),
    "ragged": (
        {"instances": [row(JPEG), row(JPEG, index=(1, 2))]},
        "index differ",
    ),
    "no such signature": (
        {"signature_name": "paint", "instances": [row(JPEG)]},
        "there is no signature 'paint'",
    ),
    "NaN": (
        b'{"signature_name": "sample", "instances": [{"picture": [[[NaN,1,1'
        b']]], "seed": 1, "index": [0]}]}',
        "request format",
    ),
    "out of range": (
        {
            "signature_name": "sample",
            "instances": [{"picture": [[[9, 0, 0]]], "seed": 1, "index": [0]}],
        },
        "must lie in [0, 1]",
    ),
}


@pytest.mark.parametrize("kind", sorted(WRONG))
def test_bad_requests_are_the_clients_errors(server, kind):
    body, message = WRONG[kind]
    status, answer = server.post(body)
    assert status == 400, answer
    assert message in answer["error"]
    assert "{{" not in answer["error"]


# What a sample's request needs beyond the client's own messages.
V2_MESSAGES = {
    **client["V2"],
    "Contents": [
        *client["V2"]["Contents"],
        ("fp32_contents", 6, "repeated float"),
    ],
    "Parameter": [("string_param", 3, "string")],
    "ModelInferRequest": [
        *client["V2"]["ModelInferRequest"],
        ("parameters", 4, "map Parameter"),
    ],
}
V2_RIGHT = {
    "picture": ("FP32", [1, 2, 2, 3], [0.5] * 12),
    "seed": ("INT64", [1], [1]),
    "index": ("INT64", [1, 1], [0]),
}
V2_WRONG = {
    "NaN": ({"picture": ("FP32", [1, 1, 1, 3], [float("nan"), 0, 1])}, "NaN"),
    "rank": ({"seed": ("INT64", [1, 1], [1])}, "seed must have shape"),
    "type": ({"seed": ("FP32", [1], [1.0])}, "seed must hold int64"),
    "shape of less": ({"picture": ("FP32", [1, 9, 9, 3], [0.5])}, "picture"),
    "no index": ({"index": ("INT64", [1, 0], [])}, "index"),
    "unknown input": ({"size": ("INT64", [1], [1])}, "inputs of sample are"),
}


@pytest.mark.parametrize("kind", sorted(V2_WRONG))
def test_bad_requests_over_grpc(server, kind):
    grpc = pytest.importorskip("grpc", reason="grpcio is not installed")
    messages = client["_messages"](V2_MESSAGES)
    channel = grpc.insecure_channel(f"localhost:{server.grpc}")
    infer = channel.unary_unary(
        "/inference.GRPCInferenceService/ModelInfer",
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=messages["ModelInferResponse"].FromString,
    )

    def ask(inputs):
        request = messages["ModelInferRequest"](model_name=NAME)
        request.parameters["signature_name"].string_param = "sample"
        for name, (datatype, shape, values) in inputs.items():
            added = request.inputs.add(
                name=name, datatype=datatype, shape=shape
            )
            kind = {"FP32": "fp32", "INT64": "int64"}[datatype]
            getattr(added.contents, f"{kind}_contents").extend(values)
        return infer(request, timeout=60)

    changes, message = V2_WRONG[kind]
    with channel:
        with pytest.raises(grpc.RpcError) as caught:
            ask({**V2_RIGHT, **changes})
        assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert message in caught.value.details()
        assert len(ask(V2_RIGHT).raw_output_contents[0]) == 4 * 8 * 8 * 3


def test_v2_over_rest(server, nano):
    picture = np.random.RandomState(1).rand(1, 3, 5, 3).astype(np.float32)
    inputs = {
        "picture": ("FP32", picture),
        "seed": ("INT64", np.array([7])),
        "index": ("INT64", np.array([[0, 2]])),
    }
    described = [
        {
            "name": name,
            "datatype": datatype,
            "shape": list(value.shape),
            "data": value.ravel().tolist(),
        }
        for name, (datatype, value) in inputs.items()
    ]
    request = urllib.request.Request(
        f"{server.url}/v2/models/{NAME}/infer",
        json.dumps(
            {"parameters": {"signature_name": "sample"}, "inputs": described}
        ).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        content = answer.read()
        length = int(answer.headers["inference-header-content-length"])
    (output,) = json.loads(content[:length])["outputs"]
    assert output["name"] == "alternatives"
    made = np.frombuffer(content[length:], "<f4").reshape(output["shape"])
    expected = nano.sample(picture, num_samples=3, seed=7)[:, [0, 2]]
    np.testing.assert_array_equal(made, expected)


def test_conversions(server):
    kinds = {
        "CMYK": encode(GREY, "JPEG", mode="CMYK"),
        "alpha": encode(GREY, mode="LA"),
        "16 bits": tf.io.encode_png(np.zeros((8, 10, 1), np.uint16)).numpy(),
        "grey": encode(GREY),
    }
    status, answer = server.post(
        {"instances": [row(file) for file in kinds.values()]}
    )
    assert status == 200
    assert len(answer["predictions"]) == 4


def test_unknown_model(server):
    status, answer = server.post({"instances": [row(JPEG)]}, name="cats")
    assert status == 404
    assert "cats" in answer["error"]


@pytest.mark.parametrize("protocol", ["rest", "v2-grpc"])
def test_client_reports_refusals_at_once(server, protocol):
    start = time.monotonic()
    with pytest.raises(client["RequestError"], match="PNG or JPEG"):
        list(
            client["alternatives"](
                server.transport(protocol), b"no picture", 1, [0]
            )
        )
    assert time.monotonic() - start < 5


def fuzzed(number):
    """A request with something wrong in most cases."""
    random_ = random.Random(number)
    file = bytearray(
        random_.choice([encode(GREY), JPEG, encode(GREY, mode="RGBA")])
    )
    action = random_.randrange(4)
    if action == 0:
        for _ in range(random_.randrange(1, 9)):
            file[random_.randrange(len(file))] = random_.randrange(256)
    elif action == 1:
        file = file[: random_.randrange(len(file))]
    elif action == 2:
        file = file[:12] + random_.randbytes(random_.randrange(400))
    else:
        place = random_.randrange(len(file))
        file[place:place] = random_.randbytes(random_.randrange(40))
    strange = [0, -1, 2**63, 10**30, 1.5, None, "x", [], {}, [[0]], True]
    request = row(bytes(file))
    if random_.random() < 0.4:
        request[random_.choice(list(request))] = random_.choice(strange)
    if random_.random() < 0.1:
        del request[random_.choice(list(request))]
    body = json.dumps({"instances": [request]}).encode()
    if random_.random() < 0.1:
        body = body[: random_.randrange(len(body))]
    return body


def test_1000_fuzzed_requests(server, png, expected):
    counts = {200: 0, 400: 0}
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        bodies = [fuzzed(number) for number in range(1200)]
        # Memory that is used once is kept for later.
        for status, answer in pool.map(server.post, bodies[:200]):
            assert status in counts, answer
        before = server.memory()
        for status, answer in pool.map(server.post, bodies[200:]):
            assert status in counts, answer
            counts[status] += 1
    assert sum(counts.values()) == 1000
    assert counts[400] > 500
    assert counts[200] > 20
    assert server.memory() < before + 100
    transport = server.transport("rest")
    assert transport.alternative(png, 7, 0) == expected[0]


def test_large_requests_give_their_memory_back(server, png, expected):
    def ask(number):
        file = encode(GREY.resize((48, 50)))
        return server.post({"instances": [row(file, number, range(5))]})[0]

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert set(pool.map(ask, range(6))) == {200}
        before = server.memory()
        assert set(pool.map(ask, range(12))) == {200}
    assert server.memory() < before + 100


def test_busy_servers_turn_clients_away(exported, tmp_path, png, expected):
    """The client comes back until it has everything."""
    server = Server(
        pathlib.Path(exported).parent,
        tmp_path / "log.txt",
        *("--threads=1", "--queue=1"),
    )
    try:
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            rows = [row(png, index=range(12))] * 8
            statuses = set(
                pool.map(lambda x: server.post({"instances": [x]})[0], rows)
            )
        assert statuses == {200, 503}
        retries = client["Retries"](count=20, wait=0.1)
        made = dict(
            client["alternatives"](
                server.transport("rest"), png, 7, range(4), 4, retries
            )
        )
        assert [made[index] for index in range(4)] == expected
    finally:
        server.stop()


def test_command_of_the_client(server, png, expected, tmp_path):
    (tmp_path / "cat.png").write_bytes(png)
    command = [
        *(sys.executable, KIT / "client.py", tmp_path / "cat.png"),
        *(f"--model={NAME}", f"--server={server.url}", "--seed=7"),
        *("--count=3", "--first=1", f"--output={tmp_path / 'out'}"),
    ]
    printed = subprocess.run(
        command, check=True, capture_output=True, text=True
    ).stdout
    assert "3 of 3" in printed
    for index in (1, 2, 3):
        path = tmp_path / "out" / f"cat_7_{index:04d}.png"
        assert path.read_bytes() == expected[index]
    assert len(list((tmp_path / "out").iterdir())) == 3
    (tmp_path / "cat.png").write_bytes(b"nothing")
    failed = subprocess.run(command, capture_output=True, text=True)
    assert failed.returncode == 1


def test_client_needs_no_tensorflow():
    printed = subprocess.run(
        [
            *(sys.executable, "-c"),
            "import runpy, sys\n"
            f"client = runpy.run_path({str(KIT / 'client.py')!r})\n"
            "for protocol in ('rest', 'grpc', 'v2-grpc'):\n"
            "    client['make_transport'](protocol, None, 'photos')\n"
            "print([m for m in ('tensorflow', 'keras', 'numpy')"
            " if m in sys.modules])",
        ],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert printed.strip() == "[]"


def test_client_gives_up_on_a_server_that_is_not_there():
    transport = client["RestTransport"](f"http://localhost:{free_port()}", NAME)
    retries = client["Retries"](count=2, wait=0.01)
    with pytest.raises(client["ServerError"], match="refused"):
        list(client["alternatives"](transport, b"", 1, [0], 1, retries))


def test_client_turns_pictures_upright(tmp_path):
    image = Image.fromarray(np.uint8([[10, 20, 30], [40, 50, 60]]))
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "side.png", exif=exif)
    made = client["read_picture"](tmp_path / "side.png")
    upright = np.asarray(Image.open(io.BytesIO(made)))
    np.testing.assert_array_equal(upright, [[40, 10], [50, 20], [60, 30]])
    image.save(tmp_path / "plain.png")
    content = (tmp_path / "plain.png").read_bytes()
    assert client["read_picture"](tmp_path / "plain.png") == content


def grey_profile(gamma):
    """An ICC profile by hand: grey levels are light to the power of 1/gamma."""
    white = struct.pack(
        ">iii", *(round(x * 65536) for x in (0.9642, 1, 0.8249))
    )
    tags = {
        b"desc": b"desc" + struct.pack(">4xI", 2) + b"x\0" + bytes(78),
        b"wtpt": b"XYZ " + bytes(4) + white,
        b"kTRC": b"curv" + struct.pack(">4xIH", 1, round(gamma * 256)),
    }
    table, content = struct.pack(">I", len(tags)), b""
    for name, tag in tags.items():
        tag += bytes(-len(tag) % 4)
        start = 132 + 12 * len(tags) + len(content)
        table += name + struct.pack(">II", start, len(tag))
        content += tag
    head = struct.pack(">I4xI", 132 + 12 * len(tags) + len(content), 0x02400000)
    head += b"mntrGRAYXYZ " + bytes(12) + b"acsp"
    head = head.ljust(68, b"\0") + white
    return head.ljust(128, b"\0") + table + content


def test_client_converts_colour_profiles(tmp_path):
    levels = np.arange(0, 256, 5, np.uint8)[None]
    path = tmp_path / "dark.png"
    Image.fromarray(levels).save(path, icc_profile=grey_profile(1.8))
    with Image.open(io.BytesIO(client["read_picture"](path))) as made:
        assert "icc_profile" not in made.info
        made = np.asarray(made)
    light = (levels[..., None].repeat(3, -1) / 255) ** 1.8
    # The curve of sRGB.
    expected = np.where(
        light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055
    )
    np.testing.assert_allclose(made, 255 * expected, atol=1.5)
    # What is no profile, or sRGB's own, leaves the file as it is.
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for profile in (b"nonsense", grey_profile(1.8)[:140], srgb):
        Image.fromarray(levels).save(path, icc_profile=profile)
        assert client["read_picture"](path) == path.read_bytes()


def test_client_opens_pictures_alone(tmp_path):
    """Whatever they are called: Pillow has others read by other programs."""
    path = tmp_path / "a.png"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    with pytest.raises(OSError, match="cannot identify"):
        client["read_picture"](path)


def test_grpc_of_tensorflow_serving(signatures, png, expected):
    """Against the messages and the service that it publishes."""
    api = pytest.importorskip(
        "tensorflow_serving.apis.prediction_service_pb2_grpc",
        reason="tensorflow-serving-api is not installed",
    )
    import grpc
    from tensorflow_serving.apis import predict_pb2

    class Service(api.PredictionServiceServicer):
        def Predict(self, request, context):  # noqa: N802 (its name)
            assert request.model_spec.name == NAME
            inputs = {
                name: tf.constant(tf.make_ndarray(value))
                for name, value in request.inputs.items()
            }
            signature = signatures[request.model_spec.signature_name]
            try:
                outputs = signature(**inputs)
            except tf.errors.InvalidArgumentError as error:
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, error.message)
            answer = predict_pb2.PredictResponse()
            for name, value in outputs.items():
                answer.outputs[name].CopyFrom(
                    tf.make_tensor_proto(value.numpy())
                )
            return answer

    served = grpc.server(concurrent.futures.ThreadPoolExecutor(2))
    api.add_PredictionServiceServicer_to_server(Service(), served)
    port = served.add_insecure_port("localhost:0")
    served.start()
    try:
        transport = client["make_transport"]("grpc", f"localhost:{port}", NAME)
        made = dict(client["alternatives"](transport, png, 7, range(4)))
        assert [made[index] for index in range(4)] == expected
        with pytest.raises(client["RequestError"], match="PNG or JPEG"):
            transport.alternative(b"no picture", 1, 0)
    finally:
        served.stop(0).wait()
