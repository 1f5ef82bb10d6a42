import os
import subprocess
import sys

import pytest

CHECK = """
import sys
import keras_tim
heavy = ["keras_cv", "tensorflow_datasets", "matplotlib", "skimage",
         "tensorboard"]
print([name for name in heavy if name in sys.modules])
"""


def test_import_is_light():
    printed = subprocess.run(
        [sys.executable, "-c", CHECK],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert printed.strip() == "[]"


ONEDNN = """
import os
{first}
import keras_tim
print(os.environ.get("TF_ENABLE_ONEDNN_OPTS"))
"""


@pytest.mark.parametrize(
    ("first", "given", "expected"),
    [
        ("", None, "1"),
        ("", "0", "0"),
        # Too late to change anything: the variable must not claim otherwise.
        ("import tensorflow", None, "None"),
    ],
)
def test_fast_cpu_kernels_are_asked_for(first, given, expected):
    environment = dict(os.environ)
    environment.pop("TF_ENABLE_ONEDNN_OPTS", None)
    if given is not None:
        environment["TF_ENABLE_ONEDNN_OPTS"] = given
    printed = subprocess.run(
        [sys.executable, "-c", ONEDNN.format(first=first)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert printed.strip() == expected
