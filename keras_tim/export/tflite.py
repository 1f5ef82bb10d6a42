"""TFLite: one picture and one code in, one alternative out, on a device.

TFLite has no random numbers that would be the same everywhere: the codes are
inputs, drawn by whoever runs the model. Sizes are fixed, which leaves nothing
but built-in operations.
"""

import os
import tempfile
import time
from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from keras_tim.checks import check_floating, check_unit_range, integers
from keras_tim.export.deployed import deployed
from keras_tim.export.quiet import quiet_exporters
from keras_tim.export.saved_model import write_signatures
from keras_tim.files import write_bytes

SIGNATURE = "decode"
# The largest difference from the model's own pictures that a converted model
# may show, and the bytes of a parameter.
PRECISIONS = {
    "float32": (1e-4, 4),
    "float16": (0.02, 2),
    "int8_weights": (0.2, 1),
    "int8": (0.5, 1),
}
TIMED_RUNS = 5
CODES_PER_PICTURE = 4
_NEEDS_LITERT = (
    "Checking a TFLite model needs ai-edge-litert: pip install "
    "'keras-tim[export]'"
)


def export_tflite(
    tim: keras.Model,
    path: str | os.PathLike,
    size: Sequence[int],
    precision: str = "float32",
    pictures: Sequence[np.ndarray] | None = None,
    distance: Callable | None = None,
) -> dict[str, float]:
    """Writes a TFLite model with the signature `decode`, and checks it.

    Its inputs are `picture` `[1, height, width, channels]` in [0, 1] and the
    codes `style_0` `[1, style_dim]`, `noise_0` `[1, height_0, width_0,
    noise_channels]`, `style_1`, ..., drawn from N(0, I); its output is
    `alternative` `[1, height', width', 3]`. All are float32, whatever the
    precision of the weights.

    Args:
        tim: a `TIM`.
        path: str, ending in `.tflite`.
        size: `(height, width)` of the pictures that the model is given.
        precision: "float32"; "float16" for weights of half the size;
            "int8_weights" for a quarter, with ranges of activations found
            while it runs, which stays close to the model; "int8" for
            integers from end to end, with ranges found beforehand, as
            accelerators want it.
        pictures: for "int8": what the ranges of values are found on, a
            list of arrays `[height, width, channels]`, such as the model
            will be given; a few dozen do. The model is checked on the first.
        distance: callable `(pictures, targets) -> [batch]` such as
            `keras_tim.LPIPS("alex")`, to measure the difference by as well.

    Returns:
        dict: `bytes`; `max_difference` and `mean_difference` from the model's
        own pictures, and `distance` where it was asked for; `seconds` that
        one picture takes here.

    Raises:
        ValueError: if an argument is out of range.
        RuntimeError: if the converted model is not the given one.
    """
    path = os.fspath(path)
    size = integers("size", size)
    _check_arguments(tim, path, size, precision, pictures)
    generator = deployed(tim, frozen=True)
    with tempfile.TemporaryDirectory() as folder, quiet_exporters():
        _write_saved_model(generator, size, folder)
        content = _converter(folder, generator, size, precision, pictures)()
    report = check_tflite(content, tim, precision, pictures, distance)
    write_bytes(path, content)
    logging.info(
        "Wrote %s: %.2f MB, %.3f s for a picture here. It differs from the "
        "model's own by %.1e on average, %.1e at most.",
        path,
        report["bytes"] / 1e6,
        report["seconds"],
        report["mean_difference"],
        report["max_difference"],
    )
    return report


def _check_arguments(tim, path, size, precision, pictures):
    if not path.endswith(".tflite"):
        raise ValueError(f"`path` must end in .tflite. Received: path={path!r}")
    if precision not in PRECISIONS:
        raise ValueError(
            f"`precision` must be one of {tuple(PRECISIONS)}. Received: "
            f"precision={precision!r}"
        )
    multiple = tim.input_multiple
    if len(size) != 2 or any(n % multiple for n in size):
        raise ValueError(
            f"`size` must be (height, width), positive multiples of "
            f"{multiple}. Received: size={size}"
        )
    if tim.fixed_size not in (None, tuple(size)):
        raise ValueError(
            f"`size` must be {tim.fixed_size}, what the model's components are "
            f"of. Received: size={size}"
        )
    if precision == "int8" and not pictures:
        raise ValueError(
            "`pictures` must be given for int8: the ranges of values are found "
            f"on them. Received: pictures={pictures}"
        )
    shape = (*size, tim.input_channels)
    wrong = [x.shape for x in pictures or () if tuple(x.shape) != shape]
    if wrong:
        raise ValueError(
            f"`pictures` must have shape {shape}. Received: {wrong[0]}"
        )
    for place, picture in enumerate(pictures or ()):
        check_floating(f"pictures[{place}]", picture)
        check_unit_range(f"pictures[{place}]", picture)


def _write_saved_model(generator, size, folder):
    def decode(picture, *code):
        return {"alternative": generator.decode_batch(picture, code)}

    inputs = [
        tf.TensorSpec([1, *shape], name=name)
        for name, shape in _inputs(generator, size).items()
    ]
    write_signatures(folder, generator, {SIGNATURE: (decode, inputs)})


def _converter(folder, generator, size, precision, pictures):
    converter = tf.lite.TFLiteConverter.from_saved_model(
        folder, signature_keys=[SIGNATURE]
    )
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    if precision != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if precision == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if precision == "int8":
        converter.representative_dataset = lambda: _representative(
            generator, size, pictures
        )
    return converter.convert


def _inputs(generator, size):
    """Shapes of all inputs without the batch axis, by name."""
    names = ["picture", *generator.code_names()]
    shapes = [
        [*size, generator.tim.input_channels],
        *generator.code_shapes(*size),
    ]
    return dict(zip(names, shapes, strict=True))


def _representative(generator, size, pictures):
    """Inputs on which the ranges of all values are found."""
    for seed, picture in enumerate(pictures):
        for index in range(CODES_PER_PICTURE):
            yield _arguments(generator, size, picture, seed, index)


def _arguments(generator, size, picture, seed, index):
    """Inputs of the converted model: a picture, and a sample's code."""
    code = generator.draw(
        tf.constant(seed, tf.int64), tf.constant(index, tf.int64), *size
    )
    return {
        name: np.asarray(value, np.float32)[None]
        for name, value in zip(
            _inputs(generator, size), [picture, *code], strict=True
        )
    }


def check_tflite(
    content, tim, precision="float32", pictures=None, distance=None
):
    """Holds a converted model against the one that it was made from.

    Args:
        content: bytes of the `.tflite` file.
        tim: the `TIM`.
        precision: str, that of the conversion.
        pictures: as for `export_tflite`; by default the model is checked on
            noise.
        distance: as for `export_tflite`.

    Returns:
        dict as from `export_tflite`.

    Raises:
        RuntimeError: if the weights are not in it, an operation is not a
            built-in one, or the pictures differ by more than the precision
            explains.
    """
    tolerance, bytes_per_parameter = PRECISIONS[precision]
    generator = deployed(tim)
    expected_bytes = generator.tim.count_params() * bytes_per_parameter
    if len(content) < expected_bytes:
        raise RuntimeError(
            f"The converted model has {len(content)} bytes, fewer than its "
            f"{generator.tim.count_params()} parameters take: the weights are "
            "missing."
        )
    run, shapes = load_tflite(content)
    foreign = custom_operations(content)
    if foreign:
        raise RuntimeError(
            "The converted model needs operations that TFLite does not have "
            f"built in: {', '.join(foreign)}."
        )
    if pictures is None:
        picture = np.random.RandomState(0).rand(*shapes["picture"][1:])
    else:
        picture = pictures[0]
    size = shapes["picture"][1:3]
    arguments = _arguments(generator, size, picture, seed=0, index=0)
    made = run(**arguments)
    # In full precision, whatever the model was trained in.
    expected = generator.tim.sample(
        arguments["picture"], num_samples=1, seed=0
    )[0]
    difference = np.abs(made - expected)
    if not difference.max() <= tolerance:
        raise RuntimeError(
            f"The converted model's pictures differ by {difference.max()} from "
            f"the given one's, more than {tolerance}."
        )
    start = time.perf_counter()
    for _ in range(TIMED_RUNS):
        run(**arguments)
    report = {
        "bytes": len(content),
        "max_difference": float(difference.max()),
        "mean_difference": float(difference.mean()),
        "seconds": (time.perf_counter() - start) / TIMED_RUNS,
    }
    if distance is not None:
        report["distance"] = float(np.asarray(distance(made, expected))[0])
    return report


def custom_operations(content):
    """What a converted model needs beyond TFLite's built-in operations.

    Args:
        content: bytes of the `.tflite` file.

    Returns:
        Sorted list of str, the operations' names; empty if all are built in.

    Raises:
        ImportError: if ai-edge-litert is not installed.
    """
    try:
        from ai_edge_litert import schema_py_generated as schema
    except ImportError as error:
        raise ImportError(_NEEDS_LITERT) from error
    model = schema.ModelT.InitFromPackedBuf(content)
    return sorted(
        code.customCode.decode()
        for code in model.operatorCodes
        if code.customCode is not None
    )


def load_tflite(content, threads=None):
    """Readies a converted model for use in this process.

    Args:
        content: bytes of the `.tflite` file.
        threads: int, how many it uses; by default one per processor.

    Returns:
        Tuple of a function from named float32 arrays to the picture
        `[1, height', width', 3]`, and the inputs' shapes by name.

    Raises:
        ImportError: if ai-edge-litert is not installed.
    """
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError as error:
        raise ImportError(_NEEDS_LITERT) from error
    interpreter = Interpreter(
        model_content=content, num_threads=threads or os.cpu_count()
    )
    runner = interpreter.get_signature_runner(SIGNATURE)
    shapes = {
        name: tuple(int(n) for n in details["shape"])
        for name, details in runner.get_input_details().items()
    }
    return lambda **inputs: runner(**inputs)["alternative"], shapes
