"""Warm-up requests: what TensorFlow Serving sends itself before the users do.

The first request of a signature is slow, because TensorFlow optimizes the graph
then. Serving reads `assets.extra/tf_serving_warmup_requests` beside a model and
answers what is in it before it takes requests.

The file is a TFRecord of `tensorflow.serving.PredictionLog`. Of these protocol
buffers a few nested fields are all that is needed, and all of them are of the
kind "length-delimited"; they are written here directly, so that export does
not depend on tensorflow-serving-api.
"""

import os

import numpy as np
import tensorflow as tf

WARMUP_FILE = os.path.join("assets.extra", "tf_serving_warmup_requests")
_SMALL_SIDE = 16


def small_side(tim):
    """Side of the small pictures that a model is checked and warmed up with.

    Args:
        tim: a `TIM`.

    Returns:
        int, pixels.
    """
    if tim.fixed_size:
        return tim.fixed_size[0]
    return -(-_SMALL_SIDE // tim.input_multiple) * tim.input_multiple


def warmup_requests(generator):
    """A small request of every signature.

    Args:
        generator: the `Generator` of the export.

    Returns:
        List of `(signature name, dict from input name to array)`.
    """
    side = small_side(generator.tim)
    seed, index = np.zeros([1], np.int64), np.zeros([1, 1], np.int64)
    # Grey levels and numbers of classes both.
    png = tf.io.encode_png(np.zeros([side, side, 1], np.uint8)).numpy()
    picture = np.zeros(
        [1, side, side, generator.tim.input_channels], np.float32
    )
    codes, pairs = (
        {
            name: np.zeros([1, count, *shape], np.float32)
            for name, shape in zip(
                generator.code_names(),
                generator.code_shapes(side, side),
                strict=True,
            )
        }
        for count in (1, 2)
    )
    amount = np.zeros([1, generator.tim.num_levels], np.float32)
    masks = np.ones([1, 2, side, side], np.float32)
    return [
        (
            "serving_default",
            {"picture_bytes": [png], "seed": seed, "index": index},
        ),
        ("sample", {"picture": picture, "seed": seed, "index": index}),
        ("decode", {"picture": picture, **codes}),
        ("vary", {"seed": index, "amount": amount, **codes}),
        ("interpolate", {"t": np.zeros([1, 1], np.float32), **pairs}),
        ("combine", {"masks": masks, **pairs}),
        (
            "draw_codes",
            {
                "seed": seed,
                "index": index,
                "size": np.array([[side, side]], np.int64),
            },
        ),
    ]


def write_warmup(folder, requests, model_name):
    """Writes the warm-up file of a SavedModel.

    Args:
        folder: str, the SavedModel's folder.
        requests: list of `(signature name, dict from input name to array)`.
        model_name: str, under which the model will be served.
    """
    path = os.path.join(folder, WARMUP_FILE)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with tf.io.TFRecordWriter(path) as writer:
        for signature, inputs in requests:
            writer.write(_prediction_log(model_name, signature, inputs))


def _prediction_log(model_name, signature, inputs):
    # ModelSpec: name = 1, signature_name = 3.
    model = _field(1, model_name.encode()) + _field(3, signature.encode())
    # PredictRequest: model_spec = 1, inputs = 2, a map whose entries have
    # key = 1 and value = 2.
    request = _field(1, model)
    for name, value in inputs.items():
        tensor = tf.make_tensor_proto(value).SerializeToString()
        request += _field(2, _field(1, name.encode()) + _field(2, tensor))
    # PredictionLog: predict_log = 6. PredictLog: request = 1.
    return _field(6, _field(1, request))


def _field(number, content):
    """A length-delimited field of a protocol buffer."""
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value):
    """Seven bits per byte, the lowest first; all but the last are marked."""
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
