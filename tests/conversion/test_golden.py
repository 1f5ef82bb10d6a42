"""The published code's outputs of all towers, where they are at hand."""

import numpy as np
import pytest

from keras_tim.conversion import load_published_checkpoint

CHECKPOINTS = (
    "camnet_super_resolution",
    "camnet_colourization",
    "camnet_decompression",
    "camnet_image_synthesis",
    "hyperrim_super_resolution",
    "hyperrim_decompression",
)

by_name = pytest.mark.parametrize("name", CHECKPOINTS)


@pytest.fixture
def load(golden_dir, references):
    """Callable `(name, suffix)` that loads one of the checkpoints."""

    def loaded(name, suffix):
        arguments = dict(references.CHECKPOINTS[name])
        if suffix == ".npz":  # it says so itself
            arguments.pop("noise_channels", None)
        return load_published_checkpoint(
            golden_dir / f"{name}{suffix}", **arguments
        )

    return loaded


@pytest.fixture
def published(golden_dir, references):
    """Callable that gives a checkpoint's inputs, codes and outputs."""

    def reference(name):
        with np.load(golden_dir / f"{name}.npz") as file:
            arrays = {k: file[k] for k in file.files if "/" not in k}
        return references.tower(name, {}, arrays)

    return reference


@pytest.mark.parametrize("suffix", [".npz", ".pth"])
@by_name
def test_reproduces_the_published_code(load, published, name, suffix):
    tim = load(name, suffix)
    tower = published(name)
    for model in (tim, tim.folded()):
        outputs = model(tower.inputs, tower.codes)
        for output, wanted in zip(outputs, tower.outputs, strict=True):
            assert output.shape[1] != output.shape[2]
            np.testing.assert_allclose(output, wanted, atol=1e-5, rtol=0)


@by_name
def test_files_of_both_kinds_hold_the_same_weights(load, name):
    models = [load(name, suffix) for suffix in (".npz", ".pth")]
    assert len({str(m.get_config()["residual_channels"]) for m in models}) == 1
    for a, b in zip(*[m.get_weights() for m in models], strict=True):
        np.testing.assert_array_equal(a, b)
