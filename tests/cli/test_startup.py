"""What TensorFlow says of itself, and what else is not said."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from keras_tim.cli.startup import NOISE
from keras_tim.images import write_picture

# TensorFlow starts, and then there is something to say.
COMMAND = ["rarity", "--data=nowhere", "--labels=nowhere"]


def run(argv, **options):
    environment = {**os.environ, **options.pop("env", {})}
    environment.pop("TF_CPP_MIN_LOG_LEVEL", None)
    return subprocess.run(
        [sys.executable, *argv],
        capture_output=True,
        text=True,
        env=environment,
        **options,
    )


def command(*argv, **options):
    return run(["-m", "keras_tim.cli.main", *argv], **options)


def test_tensorflow_says_nothing_of_itself():
    done = command(*COMMAND)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("keras-tim rarity: error: ")
    assert "nowhere" in line
    assert done.stdout == ""


def test_verbosity_brings_it_back():
    said = command(*COMMAND, "--verbosity=1").stderr.splitlines()
    assert said[-1].startswith("keras-tim rarity: error: ")
    assert any(line.startswith("I0000") for line in said)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    picture = np.random.RandomState(0).rand(8, 8, 3).astype("float32")
    write_picture(folder / "small.png", picture)
    (folder / "broken.png").write_bytes(b"no picture")
    return folder


def test_quiet_prints_errors_alone(make_tim, pictures, tmp_path):
    make_tim(quick=True).save(tmp_path / "tim.keras")
    flags = ["--model=tim.keras", "--seeds=0", "--output=out"]
    sample = ["sample", *flags, os.fspath(pictures)]
    done = command(*sample, "--quiet", cwd=tmp_path)
    assert done.returncode == 3
    assert done.stdout == ""
    first, second = done.stderr.splitlines()
    assert first.startswith("error: pictures that could not be used (1)")
    assert second == os.fspath(pictures / "broken.png")
    done = command(*sample, cwd=tmp_path)
    assert done.returncode == 3
    assert "warning: Skipped a picture" in done.stderr
    assert "1 alternatives are in out" in done.stderr


STAMP = "0000 00:00:1795780319.5 3"
CU_INIT = f"E{STAMP} cuda_platform.cc:52] failed call to cuInit: INTERNAL: "


def test_noise_is_what_is_known_to_be_noise():
    silent = [
        f"I{STAMP} port.cc:153] oneDNN custom operations are on",
        "2026-01-01 10:00:00.123: I tensorflow/core/cpu_feature_guard.cc:210]",
        "WARNING: All log messages before absl::InitializeLog() is called",
        f"{CU_INIT}CUDA error: Failed call to cuInit: UNKNOWN ERROR (303)",
    ]
    said = [
        f"{CU_INIT}CUDA error: CUDA_ERROR_SYSTEM_DRIVER_MISMATCH (803)",
        f"W{STAMP} gpu_device.cc:2342] Cannot dlopen some GPU libraries",
        f"F{STAMP} cpu_feature_guard.cc:1] instructions missing",
        "Illegal instruction",
        "I am a warning of somebody else's",
    ]
    assert all(NOISE.match(line.encode()) for line in silent)
    assert not any(NOISE.match(line.encode()) for line in said)


def test_last_words_are_passed_on(tmp_path):
    """An interpreter that dies in the import, as on old processors."""
    (tmp_path / "tensorflow.py").write_text(
        "import os\n"
        "os.write(2, b'I0000 00:00:1795780319.5 1 port.cc:1] hello\\n')\n"
        "os.write(2, b'F0000 00:00:1795780319.5 1 guard.cc:1] no AVX\\n')\n"
        "os.abort()\n"
    )
    start = "from keras_tim.cli.startup import start_tensorflow as s; s()"
    program = f"import sys; sys.argv = ['keras-tim']; {start}"
    paths = [os.fspath(tmp_path), *filter(None, sys.path)]
    done = run(["-c", program], env={"PYTHONPATH": os.pathsep.join(paths)})
    assert done.returncode == -signal.SIGABRT
    assert "guard.cc:1] no AVX" in done.stderr
    assert "hello" not in done.stderr


@pytest.mark.parametrize(
    ("backend", "before", "after"),
    [("tensorflow", "hidden", "there"), ("jax", "there", "there")],
)
def test_jax_is_imported_where_keras_runs_on_it(
    tmp_path, backend, before, after
):
    """TensorFlow imports it wherever it is installed."""
    asks = (
        "import gc\n"
        "try:\n    import jax\nexcept ImportError:\n    jax = 'hidden'\n"
        "print(jax if jax == 'hidden' else 'there', end=' ')\n"
    )
    (tmp_path / "jax.py").write_text("")
    (tmp_path / "tensorflow.py").write_text(
        f"{asks}assert not gc.isenabled()\n"
        "class config:\n    list_physical_devices = list\n"
    )
    start = "from keras_tim.cli.startup import start_tensorflow as s; s()"
    program = f"import sys; sys.argv = ['keras-tim']; {start}\n{asks}"
    paths = [os.fspath(tmp_path), *filter(None, sys.path)]
    env = {"PYTHONPATH": os.pathsep.join(paths), "KERAS_BACKEND": backend}
    done = run(["-c", f"{program}assert gc.isenabled()"], env=env)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [before, after]


@pytest.mark.parametrize(
    ("command", "before", "after"),
    [("train", None, "1"), ("train", "0", "0"), ("sample", None, None)],
)
def test_training_uses_the_faster_kernels(
    tmp_path, monkeypatch, command, before, after
):
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)
    (tmp_path / "tensorflow.py").write_text(
        "import os, sys\n"
        "print('kernels', os.environ.get('TF_ENABLE_ONEDNN_OPTS'))\n"
        "sys.exit()\n"
    )
    flags = {"train": ["--run=run"], "sample": ["photo.png"]}[command]
    program = (
        "import sys; sys.argv = ['keras-tim']; "
        f"from keras_tim.cli.main import main; main([{command!r}, *{flags!r}])"
    )
    env = {"PYTHONPATH": os.pathsep.join([os.fspath(tmp_path), *sys.path])}
    if before:
        env["TF_ENABLE_ONEDNN_OPTS"] = before
    assert f"kernels {after}" in run(["-c", program], env=env).stdout
