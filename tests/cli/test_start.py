"""Help and refusals come before Keras and TensorFlow are imported."""

import os
import re
import subprocess
import sys

import pytest

from keras_tim.cli.main import COMMANDS

HEAVY = {"keras", "tensorflow", "jax", "keras_cv", "tensorflow_datasets"}

ANSWERED = [
    (["--help"], 0, "usage: keras-tim"),
    (["--version"], 0, "keras-tim 0."),
    *[([name, "--help"], 0, f"keras-tim {name}:") for name in sorted(COMMANDS)],
    (["smaple", "x.png"], 2, "Did you mean 'sample'?"),
    (["zzz"], 2, "there is no command 'zzz'\n"),
    (["sample", "--sedes=1", "x.png"], 2, "Did you mean: seeds"),
    (["sample", "--reduce=half", "x.png"], 2, "reduce"),
    (["sample", "--seeds=9-1", "x.png"], 1, "--seeds"),
    (["sample", "--model=nowhere", "x.png"], 1, "no model at nowhere"),
    (["sample", "--task=paired_images", "x.png"], 1, "No trained preset"),
    (["train"], 2, "--run"),
    (["train", "--run=x", "--task=origami"], 2, "task"),
    (["train", "--run=x", "--preset=mnist_nano"], 1, "`preset` must be"),
    (["train", "--run=x", "--num_samples=4,many"], 1, "4,many"),
    (["train", "--run=x", "photos"], 1, "only flags"),
    (["evaluate", "--model=nowhere"], 1, "no model at nowhere"),
    (["evaluate", "--model=x", "--bandwidths=wide"], 1, "wide"),
    (["evaluate", "--model=x", "--nets=resnet"], 1, "`nets` must name"),
    (["export", "--model=x", "--output=x.tflite"], 1, "--size must be given"),
    (["export", "--model=nowhere", "--output=x"], 1, "no model at nowhere"),
    (
        ["rarity", "--data=x", "--labels=x", "--output=x"],
        1,
        "must end in .npz",
    ),
    (["demo", "--steps=3"], 1, "--steps needs --train"),
    (["weights", "--fetch=resnet"], 1, "no weights 'resnet'"),
]


def run(program, argv):
    """The finished process, and which packages it imported."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *program, *argv],
        capture_output=True,
        text=True,
    )
    imported = r"^import time:.*\| +(\S+)$\n?"
    names = re.findall(imported, done.stderr, flags=re.MULTILINE)
    done.stderr = re.sub(imported, "", done.stderr, flags=re.MULTILINE)
    return done, {name.split(".")[0] for name in names}


@pytest.mark.parametrize(
    ("argv", "status", "message"), ANSWERED, ids=lambda x: str(x)[:40]
)
def test_answers_come_without_keras(argv, status, message):
    done, packages = run(["-m", "keras_tim.cli.main"], argv)
    assert done.returncode == status, done.stderr
    assert message in done.stdout + done.stderr
    assert "absl" in packages  # what is imported is seen
    assert not packages & HEAVY


def test_the_console_script_is_known_by_its_name(tmp_path):
    script = tmp_path / "keras-tim"
    script.write_text(
        "import sys\nfrom keras_tim.cli.main import main\nsys.exit(main())\n"
    )
    done, packages = run([os.fspath(script)], ["train", "--help"])
    assert done.returncode == 0, done.stderr
    assert "--images_per_selection" in done.stdout
    assert not packages & HEAVY
