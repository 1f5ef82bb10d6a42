"""The published code's outputs that are kept in the repository."""

import numpy as np
import pytest

from keras_tim.conversion import load_published_checkpoint

KEPT = (
    "camnet_super_resolution",
    "camnet_colourization",
    "hyperrim_decompression",
)
CHECKPOINTS = (
    *KEPT,
    "camnet_decompression",
    "camnet_image_synthesis",
    "hyperrim_super_resolution",
)
# 3e-7 was seen; other processors add up in other orders.
TOLERANCE = 2e-6


@pytest.fixture
def load(references, torch_files, tmp_path):
    """Callable `(name, parameters, suffix)` that makes a TIM of a file."""

    def loaded(name, parameters, suffix=".npz", **arguments):
        write = {
            ".npz": torch_files.write_npz,
            ".pth": torch_files.write_state_dict,
        }[suffix]
        return load_published_checkpoint(
            write(tmp_path / f"{name}{suffix}", parameters),
            **{**references.CHECKPOINTS[name], **arguments},
        )

    return loaded


@pytest.fixture
def seeded(references):
    """Callable that gives a tower whose weights follow from a seed."""
    with np.load(references.SEEDED) as file:
        stored = dict(file)
    return lambda name: references.seeded_tower(name, stored)


def assert_reproduced(tim, tower):
    for model in (tim, tim.folded()):
        outputs = model(tower.inputs, tower.codes)
        for output, wanted in zip(outputs, tower.outputs, strict=True):
            assert output.shape[1] != output.shape[2]
            # Neither a constant nor saturated.
            assert 0.05 < np.std(wanted) < 0.9
            np.testing.assert_allclose(output, wanted, atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("suffix", [".npz", ".pth"])
@pytest.mark.parametrize("name", KEPT)
def test_reproduces_the_published_code(references, load, name, suffix):
    tower = references.kept_tower(name)
    assert_reproduced(load(name, tower.parameters, suffix), tower)


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_reproduces_what_it_made_of_every_kind(seeded, load, name):
    tower = seeded(name)
    assert_reproduced(load(name, tower.parameters), tower)


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_pictures_decode_into_the_unit_range(seeded, load, name):
    tower = seeded(name)
    tim = load(name, tower.parameters)
    for picture in tim.decode(tower.inputs, tower.codes):
        assert picture.shape[-1] == 3
        assert np.min(picture) >= 0.0
        assert np.max(picture) <= 1.0


def test_every_checkpoint_is_here(references):
    assert set(CHECKPOINTS) == references.CHECKPOINTS.keys()
    assert set(KEPT) == set(references.KEPT)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("camnet_super_resolution", {"task": "colourization"}),
        ("camnet_super_resolution", {"task": "layout_synthesis"}),
        (
            "camnet_super_resolution",
            {"architecture": "hyperrim", "task": "decompression"},
        ),
        ("camnet_colourization", {"task": "decompression"}),
        (
            "camnet_image_synthesis",
            {"task": "colourization", "noise_channels": 3},
        ),
        (
            "hyperrim_decompression",
            {"architecture": "camnet", "task": "decompression"},
        ),
        (
            "camnet_decompression",
            {"architecture": "hyperrim", "task": "decompression"},
        ),
    ],
)
def test_refuses_checkpoints_of_another_kind(seeded, load, name, arguments):
    with pytest.raises(ValueError, match=name):
        load(name, seeded(name).parameters, ".pth", **arguments)
