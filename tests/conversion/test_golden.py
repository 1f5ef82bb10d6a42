import numpy as np
import pytest

from keras_tim.conversion import load_published_checkpoint

# File, arguments that the npz needs, and those that the .pth needs as well.
CHECKPOINTS = {
    "camnet_super_resolution": ({}, {}),
    "camnet_colourization": ({"task": "colourization"}, {}),
    "camnet_decompression": ({"task": "decompression"}, {}),
    "camnet_image_synthesis": (
        {"task": "layout_synthesis"},
        {"noise_channels": 3},
    ),
    "hyperrim_super_resolution": ({"architecture": "hyperrim"}, {}),
    "hyperrim_decompression": (
        {"architecture": "hyperrim", "task": "decompression"},
        {},
    ),
}

by_name = pytest.mark.parametrize("name", CHECKPOINTS)


def reference(golden_dir, name):
    with np.load(golden_dir / f"{name}.npz") as file:
        arrays = {k: file[k] for k in file.files if "/" not in k}
    levels = range(sum(k.startswith("output_") for k in arrays))
    inputs = [arrays[f"input_{i}"] for i in levels if f"input_{i}" in arrays]
    codes = [(arrays[f"map_code_{i}"], arrays[f"noise_{i}"]) for i in levels]
    outputs = [arrays[f"output_{i}"] for i in levels]
    if "colourization" in name:
        outputs = [x[..., 1:] for x in outputs]  # lightness comes first
    return inputs, codes, outputs


def load(golden_dir, name, suffix):
    arguments, torch_arguments = CHECKPOINTS[name]
    if suffix == ".pth":
        arguments = {**arguments, **torch_arguments}
    return load_published_checkpoint(
        golden_dir / f"{name}{suffix}", **arguments
    )


@pytest.mark.parametrize("suffix", [".npz", ".pth"])
@by_name
def test_reproduces_the_published_code(golden_dir, name, suffix):
    tim = load(golden_dir, name, suffix)
    inputs, codes, expected = reference(golden_dir, name)
    for model in (tim, tim.folded()):
        outputs = model(inputs, codes)
        assert len(outputs) == len(expected)
        for output, wanted in zip(outputs, expected, strict=True):
            assert output.shape[1] != output.shape[2]
            np.testing.assert_allclose(output, wanted, atol=1e-5, rtol=0)


@by_name
def test_files_of_both_kinds_hold_the_same_weights(golden_dir, name):
    models = [load(golden_dir, name, suffix) for suffix in (".npz", ".pth")]
    assert len({str(m.get_config()["residual_channels"]) for m in models}) == 1
    for a, b in zip(*[m.get_weights() for m in models], strict=True):
        np.testing.assert_array_equal(a, b)


@by_name
def test_pictures_decode_into_the_unit_range(golden_dir, name):
    tim = load(golden_dir, name, ".npz")
    inputs, codes, _ = reference(golden_dir, name)
    for picture in tim.decode(inputs, codes):
        assert picture.shape[-1] == 3
        assert np.min(picture) >= 0.0
        assert np.max(picture) <= 1.0


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
def test_refuses_checkpoints_of_another_kind(golden_dir, name, arguments):
    with pytest.raises(ValueError, match=name):
        load_published_checkpoint(golden_dir / f"{name}.pth", **arguments)
