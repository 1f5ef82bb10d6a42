import os

import numpy as np
import pytest
import tensorflow as tf

from keras_tim.export.warmup import WARMUP_FILE, write_warmup


def records(folder):
    path = os.path.join(folder, WARMUP_FILE)
    return [x.numpy() for x in tf.data.TFRecordDataset(path)]


def test_wire_format_by_hand(tmp_path):
    tensor = tf.make_tensor_proto(np.array([7], np.int64))
    value = tensor.SerializeToString()
    write_warmup(tmp_path, [("sample", {"seed": np.array([7])})], "m")
    model = b"\x0a\x01m" + b"\x1a\x06sample"
    entry = b"\x0a\x04seed" + b"\x12" + bytes([len(value)]) + value
    request = (
        *(b"\x0a", bytes([len(model)]), model),
        *(b"\x12", bytes([len(entry)]), entry),
    )
    request = b"".join(request)
    log = b"\x0a" + bytes([len(request)]) + request
    assert records(tmp_path) == [b"\x32" + bytes([len(log)]) + log]


def test_requests_replay(exported, signatures):
    """What TensorFlow Serving does with them, with its own messages."""
    logs = pytest.importorskip(
        "tensorflow_serving.apis.prediction_log_pb2",
        reason="tensorflow-serving-api is not installed",
    )
    replayed = []
    for record in records(exported):
        request = logs.PredictionLog.FromString(record).predict_log.request
        assert request.model_spec.name == "photos"
        name = request.model_spec.signature_name
        answers = signatures[name](
            **{
                key: tf.constant(tf.make_ndarray(value))
                for key, value in request.inputs.items()
            }
        )
        assert all(x.shape[0] == 1 for x in answers.values())
        replayed.append(name)
    assert sorted(replayed) == sorted(signatures)
