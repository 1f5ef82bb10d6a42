"""Batch inference with Apache Beam's direct runner."""

import os
import pathlib
import subprocess
import sys

import pytest
import tensorflow as tf

from .conftest import encode

SCRIPT = pathlib.Path(__file__).parents[2] / "export" / "beam_batch.py"


@pytest.fixture(scope="module")
def beam_python():
    """An interpreter that has Beam, which wants packages of its own."""
    python = os.environ.get("BEAM_PYTHON", sys.executable)
    command = "import importlib.util as u, sys; sys.exit(not u.find_spec('{}'))"
    found = subprocess.run([python, "-c", command.format("apache_beam")])
    if found.returncode:
        pytest.skip(
            "Apache Beam is not installed: pip install -r "
            "export/requirements-beam.txt in an environment of its own, and "
            "name its interpreter in BEAM_PYTHON"
        )
    return python


def test_a_folder(beam_python, exported, signatures, photo, tmp_path):
    pictures = tmp_path / "photos"
    (pictures / "pets").mkdir(parents=True)
    files = {
        "hill.png": encode(photo),
        "pets/cat.jpg": encode(photo[:6], "JPEG"),
        "broken.jpg": encode(photo, "JPEG")[:100],
        "notes.txt": b"no picture",
    }
    for name, content in files.items():
        (pictures / name).write_bytes(content)
    output = tmp_path / "out"
    command = [
        *(beam_python, SCRIPT, f"--model={exported}", "--count=10"),
        *(f"--input={pictures}/**", f"--output={output}", "--seed=4"),
    ]
    subprocess.run(command, check=True)
    refused = [x.read_text() for x in output.glob("refused-*.txt")]
    lines = "".join(refused).splitlines()
    assert sorted(x.split("\t")[0] for x in lines) == [
        f"{pictures}/broken.jpg",
        f"{pictures}/notes.txt",
    ]
    assert "PNG or JPEG" in "".join(refused)
    made = {
        str(path.relative_to(output)): path.read_bytes()
        for path in output.rglob("*")
        if path.is_file() and not path.name.startswith("refused")
    }
    expected = {}
    for name in ("hill.png", "pets/cat.jpg"):
        answer = signatures["serving_default"](
            picture_bytes=tf.constant([files[name]]),
            seed=tf.constant([4], tf.int64),
            index=tf.constant([list(range(10))], tf.int64),
        )["alternative_bytes"].numpy()[0]
        for index, png in enumerate(answer):
            expected[f"{name}_4_{index:04d}.png"] = png
    assert made == expected
