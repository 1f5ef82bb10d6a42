"""TensorFlow's start, without what it says of itself to everybody.

Before TensorFlow's log is set up it writes straight to standard error, whatever
its settings. While it is imported, a small process stands between: this file,
run as a script. What it does not know it passes on, even if this one dies.
"""

import contextlib
import gc
import json
import logging
import os
import re
import signal
import subprocess
import sys

NOISE = re.compile(
    # Information, by either of its two formats.
    rb"I\d{4} \d\d:\d\d:\d\d|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+: I |"
    rb"WARNING: All log messages before absl::InitializeLog|"
    # The second line of what it says of the processor.
    rb"To enable the following instructions: |"
    # No graphics card (100) or no driver (303) is no error. Others are.
    rb"E\d{4} .* failed call to cuInit: .*"
    rb"(no CUDA-capable device|CUDA_ERROR_NO_DEVICE|UNKNOWN ERROR \(303\))"
)


def start_tensorflow(errors_alone=False, talkative=False, faster_kernels=False):
    """Imports TensorFlow, and has it look for devices.

    Nothing happens where it is imported already.

    Args:
        errors_alone: bool, whether its later warnings are silent, too.
        talkative: bool, whether it says what it likes.
        faster_kernels: bool, whether to use its oneDNN kernels also on
            processors where it leaves them off by itself, unless the
            environment says otherwise.
    """
    if "tensorflow" in sys.modules:
        return
    if faster_kernels:
        os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    quiet = contextlib.nullcontext()
    if not talkative:
        level = "2" if errors_alone else "1"  # or "0" for information
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", level)
        quiet = _without_noise()
    with quiet, _unhindered():
        import tensorflow as tf

        tf.config.list_physical_devices()
    if errors_alone:
        logging.getLogger("tensorflow").setLevel(logging.ERROR)


@contextlib.contextmanager
def _unhindered():
    """The scope in which TensorFlow is imported without what is not needed.

    It makes a million objects that stay: looking for garbage among them, then
    and later, finds none. Where JAX and IPython are installed, TensorFlow and
    Keras import them for what no command does.
    """
    hidden = []
    if _keras_backend() == "tensorflow":
        hidden = [x for x in ("jax", "IPython") if x not in sys.modules]
    # As if they were not installed.
    sys.modules.update(dict.fromkeys(hidden))
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if collects:
            gc.enable()
        for name in hidden:
            del sys.modules[name]


def _keras_backend():
    """What Keras will run on, as far as that is told before it is imported."""
    if "KERAS_BACKEND" in os.environ:
        return os.environ["KERAS_BACKEND"]
    home = os.environ.get("KERAS_HOME") or os.path.expanduser("~/.keras")
    try:
        with open(os.path.join(home, "keras.json"), encoding="utf-8") as file:
            return json.load(file).get("backend", "tensorflow")
    except (OSError, ValueError, AttributeError):
        return "tensorflow"


@contextlib.contextmanager
def _without_noise():
    """The scope in which `NOISE` does not reach standard error."""
    if sys.stderr is None:  # it is closed
        yield
        return
    try:
        screen = os.dup(2)
        reader = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__], stdin=subprocess.PIPE
        )
    except (OSError, TypeError):
        # There is no interpreter to run, or none can be.
        yield
        return
    sys.stderr.flush()
    os.dup2(reader.stdin.fileno(), 2)
    reader.stdin.close()
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(screen, 2)
        os.close(screen)
        # What comes next comes after what was passed on.
        with contextlib.suppress(subprocess.TimeoutExpired):
            reader.wait(timeout=5)


def _pass_on():
    # Ctrl-C reaches both; this one ends with the other.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for line in sys.stdin.buffer:
        if not NOISE.match(line):
            sys.stderr.buffer.write(line)
            sys.stderr.buffer.flush()


if __name__ == "__main__":
    _pass_on()
