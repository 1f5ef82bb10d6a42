"""ONNX: the bridge to other stacks, written by Keras' own exporter."""

import importlib.util
import os

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from keras_tim.export.deployed import deployed
from keras_tim.export.quiet import quiet_exporters
from keras_tim.files import written

NEEDED = ("onnx", "onnxruntime", "tf2onnx")
OPSET = 17
OUTPUT = "alternative"
TOLERANCE = 1e-4


def export_onnx(tim: keras.Model, path: str | os.PathLike) -> dict[str, float]:
    """Writes an ONNX model of pictures and codes, and checks it.

    Its inputs are `picture` `[batch, height, width, channels]` in [0, 1] and
    the codes `style_0` `[batch, style_dim]`, `noise_0` `[batch, height_0,
    width_0, noise_channels]`, `style_1`, ..., drawn from N(0, I); its output
    is `alternative` `[batch, height', width', 3]`. Batch, height and width are
    free.

    Args:
        tim: a `TIM`.
        path: str, ending in `.onnx`.

    Returns:
        dict: `bytes`, and `max_difference` from the model's own pictures as
        onnxruntime makes them.

    Raises:
        ImportError: if a package is missing.
        ValueError: if the path has another ending.
        RuntimeError: if the written model is not the given one.
    """
    path = os.fspath(path)
    if not path.endswith(".onnx"):
        raise ValueError(f"`path` must end in .onnx. Received: path={path!r}")
    missing = [name for name in NEEDED if not importlib.util.find_spec(name)]
    if missing:
        raise ImportError(
            f"ONNX needs {', '.join(missing)}: pip install 'keras-tim[export]'"
        )
    generator = deployed(tim)
    names = ["picture", *generator.code_names()]
    shapes = [[None, None, tim.input_channels], *generator.code_shapes()]
    specifications = [
        tf.TensorSpec([None, *shape], name=name)
        for name, shape in zip(names, shapes, strict=True)
    ]
    # The exporter takes the format from the ending, which is kept.
    with written(path) as temporary:
        with quiet_exporters():
            Decoder(generator).export(
                temporary,
                format="onnx",
                verbose=False,
                input_signature=[specifications],
                opset_version=OPSET,
            )
        _name_tensors(temporary)
        difference = _difference(temporary, generator, names)
        if not difference <= TOLERANCE:
            raise RuntimeError(
                f"The pictures of onnxruntime differ by {difference} from the "
                f"model's, more than {TOLERANCE}. Nothing was written."
            )
    size = os.path.getsize(path)
    logging.info(
        "Wrote %s: %.2f MB, differs from the model by %.1e at most.",
        path,
        size / 1e6,
        difference,
    )
    return {"bytes": size, "max_difference": difference}


class Decoder(keras.Model):
    """`Generator.decode_batch` as a Keras model, which the exporter takes.

    It lives while an export takes, and is never saved as a Keras model.
    """

    def __init__(self, generator):
        super().__init__(autocast=False)
        self.generator = generator
        self.tim = generator.tim
        self.built = True

    def call(self, inputs):
        return self.generator.decode_batch(inputs[0], inputs[1:])


def _name_tensors(path):
    """Names the output, and the free sides, which get numbers otherwise."""
    import onnx

    model = onnx.load(path)
    (output,) = model.graph.output
    for node in model.graph.node:
        for names in (node.input, node.output):
            for place, name in enumerate(names):
                if name == output.name:
                    names[place] = OUTPUT
    output.name = OUTPUT
    for value in (*model.graph.input, output):
        suffix = "" if value.name == "picture" else f"_of_{value.name}"
        names = ("batch", f"height{suffix}", f"width{suffix}")
        for side, name in zip(
            value.type.tensor_type.shape.dim, names, strict=False
        ):
            if side.dim_param:
                side.dim_param = name
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


def _difference(path, generator, names):
    """The largest difference between onnxruntime's and the model's samples."""
    import onnxruntime

    session = onnxruntime.InferenceSession(
        path, providers=["CPUExecutionProvider"]
    )
    multiple = generator.tim.input_multiple
    height, width = generator.tim.fixed_size or (5 * multiple, 7 * multiple)
    picture = np.random.RandomState(0).rand(
        2, height, width, generator.tim.input_channels
    )
    picture = picture.astype(np.float32)
    code = generator.tim.draw_codes(picture, num_samples=1, seed=3)
    parts = [np.asarray(part) for pair in code for part in pair]
    (made,) = session.run(
        [OUTPUT], dict(zip(names, [picture, *parts], strict=True))
    )
    expected = generator.tim.sample(picture, num_samples=1, seed=3)[:, 0]
    return float(np.abs(made - expected).max())
