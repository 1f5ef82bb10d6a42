import json
import os
import sys

import numpy as np
import pytest

SCRIPT = """
import sys, time
sys.path.insert(0, {folder!r})
from interleaved import serve

def busy(seconds):
    def run():
        print("what libraries say")
        end = time.process_time() + seconds
        while time.process_time() < end:
            pass
        return [seconds, 2 * seconds]
    return run

def fail():
    raise ValueError("cannot")

serve({{
    "short": lambda: busy(0.02),
    "long": lambda: busy(0.06),
    "fail": fail,
}})
"""


@pytest.fixture
def interleaved(import_benchmark):
    return import_benchmark("interleaved")


@pytest.fixture
def worker(interleaved):
    folder = interleaved.__file__.removesuffix("interleaved.py")
    script = SCRIPT.format(folder=folder)
    worker = interleaved.Worker([sys.executable, "-c", script])
    yield worker
    worker.close()


def test_cases_take_turns_and_their_ratio_holds(interleaved, worker, tmp_path):
    first = worker.run("short", tmp_path / "made.npy")
    np.testing.assert_allclose(np.load(tmp_path / "made.npy"), [0.02, 0.04])
    assert first["first"] >= 0.02
    turns = {"a": (worker, "short"), "b": (worker, "long")}
    measured = interleaved.measure(turns, rounds=5)
    assert measured["a"]["cpu"] >= 0.02
    assert measured["b"]["cpu"] >= 0.06
    assert measured["a"]["cpu"] < measured["b"]["cpu"]
    assert measured["a"]["megabytes"] > 1
    assert measured["a"]["spread"] >= 0


def test_a_worker_that_dies_is_named(worker):
    with pytest.raises(RuntimeError, match="while it ran fail"):
        worker.run("fail")
    assert worker.process.wait(timeout=10) != 0


@pytest.mark.slow
def test_a_table_of_speed(run_benchmark, tmp_path, lpips_weights):
    printed = run_benchmark(
        "speed.py",
        "--rounds=2",
        "--only=nano 16",
        "--kinds=ours",
        f"--output={tmp_path / 'speed.json'}",
    )
    for case in ("forward nano 16", "sample 8 nano 16"):
        assert case in printed
    figures = json.loads((tmp_path / "speed.json").read_text())
    assert {len(kinds) for kinds in figures.values()} == {3}


@pytest.mark.slow
@pytest.mark.parametrize("model", ["nano 16", "trunk 32"])
def test_pytorch_makes_the_same_pictures(run_benchmark, tmp_path, model):
    """The script stops where one of them makes another picture."""
    python = os.environ.get("TORCH_PYTHON")
    if python is None:
        pytest.skip("TORCH_PYTHON names no interpreter with torch")
    run_benchmark(
        "speed.py",
        f"--torch_python={python}",
        "--rounds=2",
        f"--only=forward {model}",
        f"--output={tmp_path / 'speed.json'}",
    )
    figures = json.loads((tmp_path / "speed.json").read_text())
    assert len(figures[f"forward {model}"]) == 6


def test_every_precision_of_tflite_is_measured(import_benchmark):
    from keras_tim.export.tflite import PRECISIONS

    names = import_benchmark("speed").EXPORTS.values()
    assert {x["precision"] for x in names if "precision" in x} == {
        *PRECISIONS
    } - {"float32"}
