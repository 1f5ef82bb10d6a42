"""What clients of kserve_server.py ask: taken apart and checked.

All of it comes from strangers. Type, rank and size of every value are checked
here, before TensorFlow sees any of them. What is wrong is refused; what is left
are arrays of the types and shapes that a signature takes.
"""

import base64
import binascii
import dataclasses
import itertools
import math

import numpy as np
import orjson

DEFAULT_SIGNATURE = "serving_default"
# Of KServe's V2 protocol: the type of every kind of number, and the field that
# has it in a gRPC message.
NUMBERS = {
    "INT8": ("<i1", "int_contents"),
    "INT16": ("<i2", "int_contents"),
    "INT32": ("<i4", "int_contents"),
    "INT64": ("<i8", "int64_contents"),
    "UINT8": ("<u1", "uint_contents"),
    "UINT16": ("<u2", "uint_contents"),
    "UINT32": ("<u4", "uint_contents"),
    "UINT64": ("<u8", "uint64_contents"),
    "FP32": ("<f4", "fp32_contents"),
    "FP64": ("<f8", "fp64_contents"),
}
# Half a number has no field of its own.
RAW_NUMBERS = {**NUMBERS, "FP16": ("<f2", None)}


class RefusedError(Exception):
    """Why a request is not answered.

    Args:
        message: str, for the client; cut where it is long.
        status: int, of HTTP: 4xx if the client is at fault.
    """

    def __init__(self, message, status=400):
        super().__init__(
            message if len(message) < 1000 else message[:997] + "..."
        )
        self.status = status


@dataclasses.dataclass(frozen=True)
class Input:
    """What a signature takes under one name.

    Attributes:
        dtype: "string", "int64" or "float32".
        shape: tuple of int, -1 where any size will do.
    """

    dtype: str
    shape: tuple


@dataclasses.dataclass(frozen=True)
class Question:
    """A request that has been checked.

    Attributes:
        signature: str.
        arrays: dict from input to array of the right type and shape; of
            strings it holds bytes as objects.
        is_v2: bool, whether the answer goes out as KServe's V2 protocol.
        id: str, what the client calls the request.
    """

    signature: str
    arrays: dict
    is_v2: bool = False
    id: str = ""


# -- The protocol of TensorFlow Serving ------------------------------------


def read_v1(body, signatures):
    """Reads a request of TensorFlow Serving's REST protocol.

    Args:
        body: bytes.
        signatures: dict from signature to dict from input to `Input`.

    Returns:
        A `Question`.

    Raises:
        RefusedError: if anything is wrong with it.
    """
    payload = _read_json(body)
    rows = payload.get("instances") if type(payload) is dict else None
    if type(rows) is not list or not rows:
        raise RefusedError('the request must have a list of "instances"')
    if not all(type(row) is dict for row in rows):
        raise RefusedError("every instance must name its inputs")
    name = payload.get("signature_name", DEFAULT_SIGNATURE)
    inputs = _inputs_of(name, signatures)
    for row in rows:
        _check_names(name, row, inputs)
    return Question(
        name,
        {
            key: _from_lists(key, [row[key] for row in rows], expected)
            for key, expected in inputs.items()
        },
    )


def _from_lists(name, value, expected):
    values, shape = _flattened(name, value, expected.shape)
    _check_shape(name, shape, expected)
    if expected.dtype == "string":
        array = _objects([_from_base64(name, x) for x in values])
    else:
        array = _numbers(name, values, expected.dtype)
    return array.reshape(shape)


def _from_base64(name, value):
    if type(value) is not dict:
        raise RefusedError(
            f"{name} must hold string. Received: {_kind(value)}; bytes must be "
            'given as {"b64": "..."}'
        )
    try:
        if set(value) != {"b64"}:
            raise ValueError
        return base64.b64decode(value["b64"], validate=True)
    except (TypeError, ValueError, binascii.Error):
        raise RefusedError(
            'bytes must be given as {"b64": "..."} in base64'
        ) from None


def answer_v1(outputs):
    """The answer of TensorFlow Serving's REST protocol.

    Args:
        outputs: dict from name to array, with a row per instance.

    Returns:
        bytes of JSON.
    """
    columns = {
        name: [_to_json(row, name) for row in np.ascontiguousarray(value)]
        for name, value in outputs.items()
    }
    predictions = next(iter(columns.values()))
    if len(columns) > 1:
        predictions = [
            dict(zip(columns, row, strict=True))
            for row in zip(*columns.values(), strict=True)
        ]
    return orjson.dumps(
        {"predictions": predictions}, option=orjson.OPT_SERIALIZE_NUMPY
    )


def text_size(array):
    """About how many bytes an array's floats take as text."""
    return 11 * array.size


def _to_json(row, name):
    if name.endswith("_bytes"):
        return [{"b64": base64.b64encode(x).decode()} for x in row]
    return row


# -- KServe's V2 protocol --------------------------------------------------


@dataclasses.dataclass(frozen=True)
class _Tensor:
    """One input as the protocol has it, with the values in one of two forms."""

    name: str
    datatype: str
    shape: list
    values: object = None
    raw: object = None


def read_v2(body, json_length, signatures):
    """Reads a request of KServe's V2 REST protocol.

    Args:
        body: bytes: JSON, and behind it the values that are not in it.
        json_length: str, what the header says of the JSON's length, or None
            if all is JSON.
        signatures: as for `read_v1`.

    Returns:
        A `Question`.

    Raises:
        RefusedError: if anything is wrong with it.
    """
    length = len(body)
    if json_length is not None:
        # Other scripts have digits too, and numbers may be endless.
        if not (json_length.isascii() and json_length.isdecimal()) or (
            len(json_length) > 12 or int(json_length) > length
        ):
            raise RefusedError(
                "Inference-Header-Content-Length must be a number of bytes "
                f"within the body's {length}. Received: {json_length[:40]!r}"
            )
        length = int(json_length)
    payload = _read_json(body[:length])
    if type(payload) is not dict:
        raise RefusedError("the request must be an object with inputs")
    described = _typed(payload, "inputs", list, "the request")
    identity = _typed(payload, "id", str, "the request", "")
    parameters = _typed(payload, "parameters", dict, "the request", {})
    tensors = []
    for entry in described:
        if type(entry) is not dict:
            raise RefusedError(
                f"every input must be an object, not {_kind(entry)}"
            )
        tensor, length = _described(entry, body, length)
        tensors.append(tensor)
    if length != len(body):
        raise RefusedError(
            f"the body has {len(body) - length} bytes that no input's "
            "binary_data_size speaks of"
        )
    name = parameters.get("signature_name", DEFAULT_SIGNATURE)
    return _question(name, tensors, signatures, identity)


def _described(entry, body, start):
    """A tensor described in JSON, and where its values in the body end."""
    name = _typed(entry, "name", str, "every input")
    parameters = _typed(entry, "parameters", dict, name, {})
    tensor = _Tensor(
        name,
        _typed(entry, "datatype", str, name),
        _typed(entry, "shape", list, name),
        _typed(entry, "data", list, name, None),
    )
    size = _typed(parameters, "binary_data_size", int, name, None)
    if (size is None) == (tensor.values is None):
        raise RefusedError(
            f"{name[:80]} must have either data or binary_data_size"
        )
    if size is None:
        return tensor, start
    if not 0 <= size <= len(body) - start:
        raise RefusedError(
            f"{name[:80]} must have a binary_data_size within the body. "
            f"Received: {size}"
        )
    end = start + size
    return dataclasses.replace(tensor, raw=body[start:end]), end


def read_v2_message(request, signatures):
    """Reads a request of KServe's V2 gRPC protocol.

    Args:
        request: a `ModelInferRequest`.
        signatures: as for `read_v1`.

    Returns:
        A `Question`.

    Raises:
        RefusedError: if anything is wrong with it.
    """
    raw = request.raw_input_contents
    if raw and len(raw) != len(request.inputs):
        raise RefusedError(
            f"raw_input_contents must hold one entry per input. Received "
            f"{len(raw)} for {len(request.inputs)} inputs"
        )
    tensors = []
    for place, entry in enumerate(request.inputs):
        shape = list(entry.shape)
        if raw:
            if entry.HasField("contents"):
                raise RefusedError(
                    f"{entry.name[:80]} must not have contents beside "
                    "raw_input_contents"
                )
            values = {"raw": raw[place]}
        else:
            values = {"values": _contents(entry)}
        tensors.append(_Tensor(entry.name, entry.datatype, shape, **values))
    name = DEFAULT_SIGNATURE
    if "signature_name" in request.parameters:
        name = request.parameters["signature_name"].string_param
    return _question(name, tensors, signatures, request.id)


def _contents(entry):
    if entry.datatype == "BYTES":
        return list(entry.contents.bytes_contents)
    dtype, field = NUMBERS.get(entry.datatype, (None, None))
    if field is None:
        # What is wrong with the type is said where it is compared.
        return []
    values = getattr(entry.contents, field)
    # Fields are wider than small types; what would not fit is not cut.
    wide = {"i": np.int64, "u": np.uint64, "f": np.float64}[dtype[1]]
    return np.fromiter(values, wide, len(values))


def _question(name, tensors, signatures, identity):
    inputs = _inputs_of(name, signatures)
    given = {tensor.name: tensor for tensor in tensors}
    if len(given) != len(tensors):
        raise RefusedError("every input must be given once")
    _check_names(name, given, inputs)
    arrays = {
        key: _from_tensor(given[key], expected)
        for key, expected in inputs.items()
    }
    return Question(name, arrays, is_v2=True, id=identity)


def _from_tensor(tensor, expected):
    name, shape = tensor.name, tensor.shape
    if not all(type(side) is int and side >= 0 for side in shape):
        raise RefusedError(f"{name} must have a shape of integers from 0 on")
    _check_shape(name, shape, expected)
    is_number = tensor.datatype in RAW_NUMBERS
    if is_number == (expected.dtype == "string") or not (
        is_number or tensor.datatype == "BYTES"
    ):
        raise RefusedError(
            f"{name} must hold {expected.dtype}. Received: "
            f"{tensor.datatype[:40]}"
        )
    # As Python has it, no product is too large.
    count = math.prod(shape)
    if tensor.raw is not None:
        values = _from_raw(tensor, count)
    else:
        values = tensor.values
    if type(values) is list and values and type(values[0]) is list:
        values, nested = _flattened(name, values, expected.shape)
        if nested != shape:
            raise RefusedError(
                f"{name} has the shape {shape}, its data {nested}"
            )
    if len(values) != count:
        raise RefusedError(
            f"{name} must have the {count} values of its shape. Received: "
            f"{len(values)}"
        )
    if is_number:
        array = _numbers(name, values, expected.dtype)
    else:
        array = _objects([_encoded(name, x) for x in values])
    return array.reshape(shape)


def _from_raw(tensor, count):
    if tensor.datatype == "BYTES":
        return _split(tensor.name, tensor.raw, count)
    dtype = np.dtype(RAW_NUMBERS[tensor.datatype][0])
    if len(tensor.raw) != count * dtype.itemsize:
        raise RefusedError(
            f"{tensor.name} must have {count * dtype.itemsize} bytes for "
            f"{count} values. Received: {len(tensor.raw)}"
        )
    return np.frombuffer(tensor.raw, dtype)


def _split(name, raw, count):
    """Strings, in front of each of which stand four bytes of its length."""
    strings, start = [], 0
    while start < len(raw):
        end = start + 4 + int.from_bytes(raw[start : start + 4], "little")
        if end > len(raw) or start + 4 > len(raw) or len(strings) == count:
            raise RefusedError(
                f"{name} must have {count} strings, each behind four bytes of "
                "its length"
            )
        strings.append(bytes(raw[start + 4 : end]))
        start = end
    return strings


def _encoded(name, value):
    if type(value) not in (bytes, str):
        raise RefusedError(f"{name} must hold string. Received: {_kind(value)}")
    return value if type(value) is bytes else value.encode()


# -- Both ------------------------------------------------------------------


def _read_json(text):
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise RefusedError(f"Unrecognized request format: {error}") from None


def _typed(holder, key, kind, owner, *default):
    """An entry of an object whose type must be right; default if not there."""
    value = holder.get(key)
    if value is None and default:
        return default[0]
    if type(value) is not kind:
        raise RefusedError(
            f"{owner[:80]} must have {key} of type {kind.__name__}. Received: "
            f"{_kind(value)}"
        )
    return value


def _kind(value):
    return "nothing" if value is None else type(value).__name__


def _inputs_of(name, signatures):
    if type(name) is not str or name not in signatures:
        raise RefusedError(
            f"there is no signature {repr(name)[:80]}, only "
            f"{', '.join(sorted(signatures))}"
        )
    return signatures[name]


def _check_names(signature, given, inputs):
    if set(given) != set(inputs):
        names = ", ".join(sorted(name[:80] for name in given)) or "none"
        raise RefusedError(
            f"the inputs of {signature} are {', '.join(sorted(inputs))}. "
            f"Received: {names}"
        )


def _check_shape(name, shape, expected):
    if len(shape) != len(expected.shape) or not all(
        wanted in (-1, side)
        for side, wanted in zip(shape, expected.shape, strict=True)
    ):
        raise RefusedError(
            f"{name} must have shape {list(expected.shape)}. Received: "
            f"{str(shape)[:200]}"
        )


def _flattened(name, value, shape):
    """The elements of lists nested as deep as a shape, and their shape."""
    sizes, level = [], [value]
    for _ in shape:
        if not all(type(part) is list for part in level):
            raise RefusedError(
                f"{name} must have shape {list(shape)}. Received: a list that "
                f"is {len(sizes)} deep"
            )
        lengths = set(map(len, level))
        if len(lengths) > 1:
            raise RefusedError(f"the rows of {name} differ in shape")
        sizes.append(lengths.pop() if lengths else 0)
        level = list(itertools.chain.from_iterable(level))
    if level and type(level[0]) is list:
        raise RefusedError(
            f"{name} must have shape {list(shape)}. Received: a list that is "
            f"more than {len(shape)} deep"
        )
    return level, sizes


def _objects(values):
    """An array of one dimension, whatever is in it."""
    array = np.empty([len(values)], object)
    array[:] = values
    return array


def _numbers(name, values, dtype):
    """Finite numbers of a type, from a list or an array of one dimension."""
    if isinstance(values, np.ndarray):
        kinds = {float if values.dtype.kind == "f" else int}
    else:
        kinds = set(map(type, values))
    if not kinds <= ({int} if dtype == "int64" else {int, float}):
        raise RefusedError(
            f"{name} must hold {dtype}. Received: "
            f"{', '.join(sorted(kind.__name__ for kind in kinds))}"
        )
    try:
        if dtype == "int64":
            if isinstance(values, np.ndarray):
                # Unlike a list's, its numbers would be cut.
                values = values.tolist()
            return np.array(values, np.int64)
        # What is too large for it becomes infinite, which is refused.
        with np.errstate(over="ignore"):
            array = np.asarray(values, np.float64).astype(np.float32)
    except OverflowError:
        raise RefusedError(
            f"{name} must hold {dtype}. Received: numbers that do not fit"
        ) from None
    if not np.isfinite(array).all():
        raise RefusedError(f"{name} must hold finite numbers, without NaN")
    return array
