import os
import pathlib
import subprocess
import sys

import pytest

TESTS = """
import pytest

def test_left_out():
    pytest.skip("the weights cannot be had")

def test_folder_beside():
    pytest.skip("the folder is not part of the checkout")

@pytest.mark.xfail(reason="known")
def test_known():
    assert False

def test_run():
    pass
"""


@pytest.mark.parametrize(
    ("variable", "outcome"),
    [
        ({}, "1 passed, 3 skipped, 1 xfailed"),
        (
            {"KERAS_TIM_NO_SKIPS": "1"},
            "1 failed, 1 passed, 1 skipped, 1 xfailed, 1 error",
        ),
    ],
)
def test_skips_are_failures_where_all_is_there(variable, outcome, tmp_path):
    (tmp_path / "test_some.py").write_text(TESTS)
    (tmp_path / "test_whole.py").write_text(
        "import pytest\n\npytest.importorskip('no_such_package')\n"
    )
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTEST", "KERAS_TIM_NO_SKIPS"))
    }
    fixtures = str(pathlib.Path(__file__).parent / "fixtures")
    paths = [fixtures, environment.get("PYTHONPATH", "")]
    finished = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-p", "skips"),
            *("--continue-on-collection-errors", "--rootdir", str(tmp_path)),
            str(tmp_path),
        ],
        env={
            **environment,
            **variable,
            "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        },
        capture_output=True,
        check=False,
        cwd=tmp_path,
        text=True,
    )
    assert outcome in finished.stdout
    failed = "must not be skipped here" in finished.stdout
    assert failed == bool(variable)
