import pathlib
import re

import pytest

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"
NOTEBOOKS = sorted(EXAMPLES.glob("*.ipynb"))


def _read(path):
    nbformat = pytest.importorskip("nbformat")
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    return notebook


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_outputs_are_kept(path):
    notebook = _read(path)
    outputs = [
        output
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
    ]
    assert not [o for o in outputs if o.output_type == "error"]
    pictures = [
        kind
        for output in outputs
        for kind in output.get("data", {})
        if kind.startswith("image/")
    ]
    assert pictures
    # They are read where they lie, and come with every checkout.
    assert path.stat().st_size < 1_500_000


def _shortened(notebook):
    """The same notebook, its training cut to a single round."""
    for cell in notebook.cells:
        if cell.cell_type == "code" and ".fit(" in cell.source:
            cell.source, rounds = re.subn(
                r"steps_per_epoch=[^,]+", "steps_per_epoch=1", cell.source
            )
            cell.source, epochs = re.subn(
                r"\bepochs=\d+", "epochs=1", cell.source
            )
            assert rounds == epochs == 1
    return notebook


# Trained in full, all of them would take half an hour; their kept outputs are
# those of whole runs.
@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs_from_top_to_bottom(path, lpips_weights):
    nbclient = pytest.importorskip("nbclient")
    nbclient.NotebookClient(
        _shortened(_read(path)),
        timeout=1200,
        kernel_name="python3",
        resources={"metadata": {"path": str(EXAMPLES)}},
    ).execute()
