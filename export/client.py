"""Alternatives of a picture from a server, as PNG files; without TensorFlow.

    python client.py PICTURE.jpg --model=photos --count=8 --output=out
    python client.py PICTURE.jpg --model=photos --protocol=grpc \
        --server=localhost:8500

The protocols are TensorFlow Serving's REST (also KServe's V1) and gRPC, and
KServe's V2 gRPC. Every alternative is a request of its own: they come as they
are ready, several are worked on at once, and one that got lost is asked for
again, which is safe because the same seed and index give the same picture. A
server that still loads is waited for.
"""

import argparse
import base64
import concurrent.futures
import dataclasses
import http.client
import io
import itertools
import json
import logging
import os
import pathlib
import random
import sys
import time
import urllib.error
import urllib.request

SIGNATURE = "serving_default"
OUTPUT = "alternative_bytes"
SERVERS = {
    "rest": "http://localhost:8501",
    "grpc": "localhost:8500",
    "v2-grpc": "localhost:8081",
}
# Worth another try: the server is busy, starting, or out of reach.
RETRIED_STATUS = (408, 429, 500, 502, 503, 504)
RETRIED_CODES = ("UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED")
LONGEST_MESSAGE = 64 * 2**20
# Formats of pictures that are looked for in a file, whatever its name is. Not
# among them are those that Pillow has another program read.
FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "PPM")
WRITTEN_MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")


class RequestError(Exception):
    """The server refused the request; asking again would not help."""


class ServerError(Exception):
    """The server did not answer; asking again may help."""


class RestTransport:
    """TensorFlow Serving's REST protocol, which is KServe's V1 as well.

    Args:
        server: str, such as "http://localhost:8501".
        model: str, the model's name.
        timeout: float, seconds that one request may take.
    """

    def __init__(self, server, model, timeout=300.0):
        self.url = f"{server.rstrip('/')}/v1/models/{model}:predict"
        self.timeout = timeout

    def alternative(self, picture, seed, index):
        """One alternative.

        Args:
            picture: bytes of a PNG or JPEG file.
            seed: int.
            index: int.

        Returns:
            bytes of a PNG file.

        Raises:
            RequestError: if the server refuses the request.
            ServerError: if it does not answer.
        """
        encoded = base64.b64encode(picture).decode()
        row = {
            "picture_bytes": {"b64": encoded},
            "seed": seed,
            "index": [index],
        }
        request = urllib.request.Request(
            self.url,
            json.dumps(
                {"signature_name": SIGNATURE, "instances": [row]}
            ).encode(),
            {"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(
                request, timeout=self.timeout
            ) as response:
                answer = json.load(response)
        except urllib.error.HTTPError as error:
            message = _error_of(error.read())
            if error.code in RETRIED_STATUS:
                raise ServerError(message) from None
            raise RequestError(message) from None
        # A connection that cannot be had, breaks off or takes too long.
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise ServerError(f"{self.url}: {error}") from None
        try:
            return base64.b64decode(answer["predictions"][0][0]["b64"])
        except (KeyError, IndexError, TypeError) as error:
            raise RequestError(
                f"{self.url} answered something else: {str(answer)[:200]}"
            ) from error


def _error_of(body):
    """The message in a server's JSON, or the start of what it said."""
    try:
        return str(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        return body[:200].decode(errors="replace") or "no message"


class GrpcTransport:
    """gRPC: TensorFlow Serving's, or KServe's V2.

    Args:
        server: str, such as "localhost:8500".
        model: str, the model's name.
        timeout: float, seconds that one request may take.
        v2: bool, whether the protocol is KServe's.
    """

    def __init__(self, server, model, timeout=300.0, v2=False):
        import grpc

        self.model = model
        self.timeout = timeout
        self.server = server
        self.messages = _messages(V2 if v2 else TENSORFLOW_SERVING)
        self.channel = grpc.insecure_channel(
            server,
            options=[
                ("grpc.max_receive_message_length", LONGEST_MESSAGE),
                ("grpc.max_send_message_length", LONGEST_MESSAGE),
            ],
        )
        method, answer = (
            ("/inference.GRPCInferenceService/ModelInfer", "ModelInferResponse")
            if v2
            else (
                "/tensorflow.serving.PredictionService/Predict",
                "PredictResponse",
            )
        )
        self.call = self.channel.unary_unary(
            method,
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=self.messages[answer].FromString,
        )
        self._request = self._v2_request if v2 else self._serving_request
        self._picture = _v2_picture if v2 else _serving_picture

    def alternative(self, picture, seed, index):
        """As `RestTransport.alternative`."""
        import grpc

        try:
            answer = self.call(
                self._request(picture, seed, index), timeout=self.timeout
            )
        except grpc.RpcError as error:
            message = f"{self.server}: {error.details()}"
            if error.code().name in RETRIED_CODES:
                raise ServerError(message) from None
            raise RequestError(message) from None
        return self._picture(answer)

    def _serving_request(self, picture, seed, index):
        request = self.messages["PredictRequest"]()
        request.model_spec.name = self.model
        request.model_spec.signature_name = SIGNATURE
        strings, integers = 7, 9
        for name, kind, shape in (
            ("picture_bytes", strings, [1]),
            ("seed", integers, [1]),
            ("index", integers, [1, 1]),
        ):
            request.inputs[name].dtype = kind
            for size in shape:
                request.inputs[name].tensor_shape.dim.add().size = size
        request.inputs["picture_bytes"].string_val.append(picture)
        request.inputs["seed"].int64_val.append(seed)
        request.inputs["index"].int64_val.append(index)
        return request

    def _v2_request(self, picture, seed, index):
        request = self.messages["ModelInferRequest"](model_name=self.model)
        for name, kind, shape in (
            ("picture_bytes", "BYTES", [1]),
            ("seed", "INT64", [1]),
            ("index", "INT64", [1, 1]),
        ):
            request.inputs.add(name=name, datatype=kind, shape=shape)
        request.inputs[0].contents.bytes_contents.append(picture)
        request.inputs[1].contents.int64_contents.append(seed)
        request.inputs[2].contents.int64_contents.append(index)
        return request


def _serving_picture(answer):
    return answer.outputs[OUTPUT].string_val[0]


def _v2_picture(answer):
    if answer.raw_output_contents:
        # Four bytes of length stand before every string.
        return answer.raw_output_contents[0][4:]
    return answer.outputs[0].contents.bytes_contents[0]


# Of the published protocols what is needed here: fields by message, as
# (name, number, kind), where a kind is a message, or a map to one.
TENSORFLOW_SERVING = {
    "Dim": [("size", 1, "int64")],
    "TensorShape": [("dim", 2, "repeated Dim")],
    "Tensor": [
        ("dtype", 1, "int32"),
        ("tensor_shape", 2, "TensorShape"),
        ("string_val", 8, "repeated bytes"),
        ("int64_val", 10, "repeated int64"),
    ],
    "ModelSpec": [("name", 1, "string"), ("signature_name", 3, "string")],
    "PredictRequest": [
        ("model_spec", 1, "ModelSpec"),
        ("inputs", 2, "map Tensor"),
    ],
    "PredictResponse": [("outputs", 1, "map Tensor")],
}
V2 = {
    "Contents": [
        ("int64_contents", 3, "repeated int64"),
        ("bytes_contents", 8, "repeated bytes"),
    ],
    "Tensor": [
        ("name", 1, "string"),
        ("datatype", 2, "string"),
        ("shape", 3, "repeated int64"),
        ("contents", 5, "Contents"),
    ],
    "ModelInferRequest": [
        ("model_name", 1, "string"),
        ("inputs", 5, "repeated Tensor"),
    ],
    "ModelInferResponse": [
        ("outputs", 5, "repeated Tensor"),
        ("raw_output_contents", 6, "repeated bytes"),
    ],
}


def _messages(protocol):
    """Classes of protocol buffers from a table of their fields."""
    from google.protobuf import (
        descriptor_pb2,
        descriptor_pool,
        message_factory,
    )

    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name="client.proto", package="client", syntax="proto3"
    )
    for name, fields in protocol.items():
        message = file.message_type.add(name=name)
        for key, number, kind in fields:
            *many, kind = kind.split()
            added = message.field.add(
                name=key,
                number=number,
                label=field.LABEL_REPEATED if many else field.LABEL_OPTIONAL,
            )
            if many == ["map"]:
                entry = message.nested_type.add(name=f"{key.title()}Entry")
                entry.options.map_entry = True
                _set_kind(entry.field.add(name="key", number=1), "string")
                _set_kind(entry.field.add(name="value", number=2), kind)
                kind = f"{name}.{entry.name}"
            _set_kind(added, kind)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(
            pool.FindMessageTypeByName(f"client.{name}")
        )
        for name in protocol
    }


def _set_kind(field, kind):
    scalar = getattr(type(field), f"TYPE_{kind.upper()}", None)
    if scalar is None:
        field.type = field.TYPE_MESSAGE
        field.type_name = f".client.{kind}"
    else:
        field.type = scalar


def make_transport(protocol, server, model, timeout=300.0):
    """The transport of a protocol.

    Args:
        protocol: "rest", "grpc" or "v2-grpc".
        server: str, or None for the protocol's usual port on this machine.
        model: str.
        timeout: float, seconds.

    Returns:
        An object with the method `alternative`.
    """
    server = server or SERVERS[protocol]
    if protocol == "rest":
        return RestTransport(server, model, timeout)
    return GrpcTransport(server, model, timeout, v2=protocol == "v2-grpc")


@dataclasses.dataclass(frozen=True)
class Retries:
    """How often and how patiently a request is tried again.

    Attributes:
        count: int, tries after the first one.
        wait: float, seconds before the first of them; every further one waits
            twice as long, and a random share less, so that many clients do
            not come back at once.
        longest: float, seconds that are waited at most.
        patience: float, seconds in which it is tried again however often that
            is: what a server may take to load.
    """

    count: int = 5
    wait: float = 0.5
    longest: float = 10.0
    patience: float = 0.0

    def call(self, function, *arguments):
        """Calls a function until it answers, or raises its last error."""
        start = time.monotonic()
        for done in itertools.count():
            try:
                return function(*arguments)
            except ServerError as error:
                if done >= self.count:
                    if time.monotonic() - start >= self.patience:
                        raise
                    logging.warning("still waiting for the server: %s", error)
                wait = min(self.wait * 2 ** min(done, 20), self.longest)
                time.sleep(wait * random.uniform(0.5, 1.0))
        raise AssertionError("unreachable")


def alternatives(transport, picture, seed, indices, parallel=4, retries=None):
    """Yields alternatives as they are ready.

    Args:
        transport: as from `make_transport`.
        picture: bytes of a PNG or JPEG file.
        seed: int.
        indices: sequence of int.
        parallel: int, requests at a time.
        retries: a `Retries`.

    Yields:
        Tuples `(index, bytes of a PNG file)` in the order of completion.

    Raises:
        RequestError: if the server refuses the request.
        ServerError: if it does not answer, however often it is asked.
    """
    retries = retries or Retries()
    with concurrent.futures.ThreadPoolExecutor(parallel) as pool:
        asked = {
            pool.submit(
                retries.call, transport.alternative, picture, seed, index
            ): index
            for index in indices
        }
        try:
            for done in concurrent.futures.as_completed(asked):
                yield asked[done], done.result()
        finally:
            for future in asked:
                future.cancel()


def read_picture(path):
    """A picture as the server takes it: PNG or JPEG, upright, in sRGB.

    Args:
        path: a `pathlib.Path`.

    Returns:
        bytes: of the file itself if it is that already, or if Pillow is not
        installed, else of a PNG file.
    """
    content = path.read_bytes()
    try:
        from PIL import Image, ImageOps
    except ImportError:
        return content
    with Image.open(io.BytesIO(content), formats=FORMATS) as image:
        orientation = image.getexif().get(0x0112, 1)
        transform = _transform_to_srgb(image)
        # An MPO file is a JPEG file with more behind it.
        is_taken = image.format in ("PNG", "JPEG", "MPO")
        if is_taken and orientation == 1 and transform is None:
            return content
        upright = ImageOps.exif_transpose(image)
        if transform is not None:
            upright = transform(upright)
        elif upright.mode not in WRITTEN_MODES:
            upright = upright.convert("RGB")
        file = io.BytesIO()
        # Without the profile, which says nothing of it any more.
        upright.save(file, "PNG", icc_profile=None)
    return file.getvalue()


def _transform_to_srgb(image):
    """What brings a picture from its colour profile to sRGB, or None."""
    from PIL import ImageCms

    try:
        profile = ImageCms.ImageCmsProfile(
            io.BytesIO(image.info["icc_profile"])
        )
        if "sRGB" in ImageCms.getProfileDescription(profile):
            return None
        modes = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK"}
        mode = modes[profile.profile.xcolor_space]
        transform = ImageCms.buildTransform(
            profile,
            ImageCms.createProfile("sRGB"),
            mode,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    # There is none, or it is damaged or of an unusual kind: browsers take such
    # colours for sRGB too.
    except (KeyError, OSError, ImageCms.PyCMSError):
        return None

    def to_srgb(image):
        rgb = ImageCms.applyTransform(image.convert(mode), transform)
        if image.has_transparency_data:
            rgb.putalpha(image.convert("RGBA").getchannel("A"))
        return rgb

    # The profile must be of the picture's kind.
    return to_srgb if (mode == "CMYK") == (image.mode == "CMYK") else None


def write_whole(path, content):
    """Writes a file under a temporary name, then renames it."""
    partial = path.with_name(f".{path.name}.part")
    partial.write_bytes(content)
    os.replace(partial, path)


def main(argv=None):
    """Reads the command line and writes the alternatives.

    Returns:
        int, the exit status.
    """
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("picture", type=pathlib.Path)
    parser.add_argument("--model", required=True, help="the served name")
    parser.add_argument("--protocol", choices=SERVERS, default="rest")
    parser.add_argument(
        "--server", help=f"by default {', '.join(SERVERS.values())}"
    )
    parser.add_argument("--count", type=int, default=8)
    parser.add_argument("--first", type=int, default=0, help="first index")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path())
    parser.add_argument("--parallel", type=int, default=4)
    parser.add_argument("--retries", type=int, default=5)
    parser.add_argument(
        "--wait",
        type=float,
        default=300.0,
        help="seconds to go on trying for while the server loads or is busy",
    )
    parser.add_argument(
        "--timeout",
        type=float,
        default=300.0,
        help="seconds that one alternative may take",
    )
    arguments = parser.parse_args(argv)
    arguments.output.mkdir(parents=True, exist_ok=True)
    done = 0
    try:
        transport = make_transport(
            arguments.protocol,
            arguments.server,
            arguments.model,
            arguments.timeout,
        )
        for index, png in alternatives(
            transport,
            read_picture(arguments.picture),
            arguments.seed,
            range(arguments.first, arguments.first + arguments.count),
            arguments.parallel,
            Retries(arguments.retries, patience=arguments.wait),
        ):
            name = f"{arguments.picture.stem}_{arguments.seed}_{index:04d}.png"
            write_whole(arguments.output / name, png)
            done += 1
            print(f"{done} of {arguments.count}: {arguments.output / name}")
    except (RequestError, ServerError, OSError) as error:
        print(f"after {done} alternatives: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
