"""The SavedModel through TensorFlow's C interface.

`TF_LoadSessionFromSavedModel` loads models as TensorFlow Serving does: no
Python takes part in what happens between the tensors fed and those fetched.
"""

import ctypes
import os

import numpy as np
import pytest
import tensorflow as tf

from .conftest import decode, encode

INVALID_ARGUMENT = 3
STRING_SIZE = 24
CODES = {np.float32: 1, np.int64: 9}
STRING = 7
TYPES = {code: dtype for dtype, code in CODES.items()}


class Output(ctypes.Structure):
    """TF_Output."""

    _fields_ = (("operation", ctypes.c_void_p), ("index", ctypes.c_int))


class Buffer(ctypes.Structure):
    """TF_Buffer."""

    _fields_ = (
        ("data", ctypes.c_void_p),
        ("length", ctypes.c_size_t),
        ("deallocator", ctypes.c_void_p),
    )


def library():
    path = os.path.join(tf.sysconfig.get_lib(), "libtensorflow_cc.so.2")
    if not os.path.exists(path):
        pytest.skip(f"this TensorFlow comes without {path}")
    c = ctypes.CDLL(path)
    for name in (
        *("TF_NewStatus", "TF_NewGraph", "TF_NewSessionOptions"),
        *("TF_NewBuffer", "TF_LoadSessionFromSavedModel", "TF_TensorData"),
        *("TF_GraphOperationByName", "TF_AllocateTensor"),
        "TF_StringGetDataPointer",
    ):
        getattr(c, name).restype = ctypes.c_void_p
    c.TF_Message.restype = ctypes.c_char_p
    for name in ("TF_Dim", "TF_StringGetSize"):
        getattr(c, name).restype = ctypes.c_size_t
    return c


class Session:
    """A loaded SavedModel."""

    def __init__(self, folder):
        self.c = library()
        self.status = ctypes.c_void_p(self.c.TF_NewStatus())
        self.graph = ctypes.c_void_p(self.c.TF_NewGraph())
        described = ctypes.c_void_p(self.c.TF_NewBuffer())
        self.session = ctypes.c_void_p(
            self.c.TF_LoadSessionFromSavedModel(
                ctypes.c_void_p(self.c.TF_NewSessionOptions()),
                None,
                folder.encode(),
                (ctypes.c_char_p * 1)(b"serve"),
                1,
                self.graph,
                described,
                self.status,
            )
        )
        self.check()
        buffer = Buffer.from_address(described.value)
        meta_graph = tf.compat.v1.MetaGraphDef.FromString(
            ctypes.string_at(buffer.data, buffer.length)
        )
        self.signatures = meta_graph.signature_def

    def check(self):
        code = self.c.TF_GetCode(self.status)
        if code:
            message = self.c.TF_Message(self.status).decode()
            error = ValueError if code == INVALID_ARGUMENT else RuntimeError
            raise error(message)

    def run(self, signature, **inputs):
        signature = self.signatures[signature]
        names = sorted(signature.outputs)
        assert sorted(inputs) == sorted(signature.inputs)
        fed = [signature.inputs[name].name for name in inputs]
        fetched = [signature.outputs[name].name for name in names]
        results = (ctypes.c_void_p * len(names))()
        self.c.TF_SessionRun(
            self.session,
            None,
            self.places(fed),
            (ctypes.c_void_p * len(fed))(*map(self.tensor, inputs.values())),
            len(fed),
            self.places(fetched),
            results,
            len(names),
            *(None, 0, None),
            self.status,
        )
        self.check()
        return dict(zip(names, map(self.array, results), strict=True))

    def places(self, names):
        places = (Output * len(names))()
        for place, name in zip(places, names, strict=True):
            operation, index = name.split(":")
            place.operation = self.c.TF_GraphOperationByName(
                self.graph, operation.encode()
            )
            assert place.operation, name
            place.index = int(index)
        return places

    def tensor(self, array):
        strings = isinstance(array, list)
        shape = [len(array)] if strings else array.shape
        code = STRING if strings else CODES[array.dtype.type]
        size = STRING_SIZE * len(array) if strings else array.nbytes
        tensor = self.c.TF_AllocateTensor(
            code,
            (ctypes.c_int64 * len(shape))(*shape),
            len(shape),
            ctypes.c_size_t(size),
        )
        data = self.c.TF_TensorData(ctypes.c_void_p(tensor))
        if not strings:
            array = np.ascontiguousarray(array)
            ctypes.memmove(data, array.ctypes.data, size)
            return tensor
        for place, text in enumerate(array):
            string = ctypes.c_void_p(data + STRING_SIZE * place)
            self.c.TF_StringInit(string)
            self.c.TF_StringCopy(string, text, ctypes.c_size_t(len(text)))
        return tensor

    def array(self, tensor):
        tensor = ctypes.c_void_p(tensor)
        shape = [
            self.c.TF_Dim(tensor, axis)
            for axis in range(self.c.TF_NumDims(tensor))
        ]
        code = self.c.TF_TensorType(tensor)
        data = self.c.TF_TensorData(tensor)
        if code != STRING:
            array = np.empty(shape, TYPES[code])
            ctypes.memmove(array.ctypes.data, data, array.nbytes)
            return array
        texts = np.empty(int(np.prod(shape)), object)
        for place in range(texts.size):
            string = ctypes.c_void_p(data + STRING_SIZE * place)
            texts[place] = ctypes.string_at(
                self.c.TF_StringGetDataPointer(string),
                self.c.TF_StringGetSize(string),
            )
        return texts.reshape(shape)


@pytest.fixture(scope="module")
def session(exported):
    return Session(exported)


def test_samples_are_those_of_the_model(nano, session):
    picture = np.random.RandomState(0).rand(2, 9, 14, 3).astype(np.float32)
    made = session.run(
        "sample",
        picture=picture,
        seed=np.array([5, -3]),
        index=np.array([[0, 1], [0, 1]]),
    )["alternatives"]
    expected = nano.sample(picture, num_samples=2, seed=[5, -3])
    np.testing.assert_array_equal(made, expected)


def test_encoded_pictures(signatures, session, photo):
    files = [encode(photo), encode(photo[:5], "JPEG")]
    seed, index = np.array([1, 2]), np.array([[0, 3], [1, 1]])
    made = session.run(
        "serving_default", picture_bytes=files, seed=seed, index=index
    )["alternative_bytes"]
    expected = signatures["serving_default"](
        picture_bytes=tf.constant(files),
        seed=tf.constant(seed),
        index=tf.constant(index),
    )["alternative_bytes"].numpy()
    assert (made == expected).all()
    assert decode(made[1, 0]).shape == (20, 72, 3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"picture": np.zeros((4, 5, 3), "f")}, "`picture` must have shape"),
        ({"picture": np.zeros((1, 4, 5, 1), "f")}, "`picture` must have shape"),
        ({"picture": np.full((1, 4, 5, 3), np.nan, "f")}, "without NaN"),
        ({"picture": np.zeros((1, 4, 5, 3), "i8")}, "int64 is provided"),
        ({"index": np.zeros(1, "i8")}, r"`index` must have shape \[-1, -1\]"),
        ({"index": np.zeros((1, 10**6), "i8")}, "`index` must ask for 1 to 12"),
    ],
)
def test_wrong_requests_are_errors_of_the_client(session, changes, message):
    right = {
        "picture": np.zeros((1, 4, 5, 3), np.float32),
        "seed": np.zeros(1, np.int64),
        "index": np.zeros((1, 1), np.int64),
    }
    with pytest.raises(ValueError, match=message):
        session.run("sample", **{**right, **changes})
    made = session.run("sample", **right)["alternatives"]
    assert made.shape == (1, 1, 16, 20, 3)
