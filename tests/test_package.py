import subprocess
import sys

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
