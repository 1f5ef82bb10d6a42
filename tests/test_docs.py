import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs").glob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
    paths = [x.partition("#")[0] for x in links if "://" not in x]
    assert [p for p in paths if not (page.parent / p).exists()] == []


def test_the_reference_is_made_of_docstrings(tmp_path):
    for package in ("mkdocs", "mkdocstrings_handlers"):
        pytest.importorskip(package)
    config = ROOT / "docs" / "site" / "mkdocs.yml"
    # Strict: a name that is gone, or a docstring that documents an argument
    # that is not there, is an error.
    build = [sys.executable, "-m", "mkdocs", "build", "--strict"]
    done = subprocess.run(
        [*build, f"--config-file={config}", f"--site-dir={tmp_path / 'site'}"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "site/api/index.html").read_text(encoding="utf-8")
    for name in (
        "keras_tim.TIM.sample",
        "keras_tim.data.by_task.dataset",
        "keras_tim.metrics.psnr",
        "keras_tim.runs.RunSettings",
        "keras_tim.evaluation.evaluate",
        "keras_tim.layers.RRDB",
    ):
        assert f'id="{name}"' in page, name
    assert "Peak signal-to-noise ratio of 8-bit images." in page
