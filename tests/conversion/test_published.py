import json

import numpy as np
import pytest

from keras_tim.conversion import CheckpointError, load_published_checkpoint


def leaky_relu(x):
    return np.where(x > 0, x, 0.2 * x)


def test_architecture_is_worked_out_from_the_arrays(
    state, torch_files, tmp_path
):
    tim = load_published_checkpoint(
        torch_files.write_npz(tmp_path / "tiny.npz", state)
    )
    assert tim.residual_channels == (4, 3)
    assert tim.growth_channels == (3, 2)
    assert tim.num_blocks == 1
    assert tim.style_dim == 5
    assert tim.noise_channels == 2
    assert (tim.mapping_width, tim.mapping_depth) == (6, 2)
    assert tim.weight_norm
    assert tim.mapping_network
    assert not tim.input_skip
    assert tim.count_params() == sum(x.size for x in state.values())


def test_both_kinds_of_file_give_the_same_model(state, torch_files, tmp_path):
    npz = load_published_checkpoint(
        torch_files.write_npz(tmp_path / "tiny.npz", state)
    )
    torch = load_published_checkpoint(
        torch_files.write_state_dict(tmp_path / "tiny.pth", state)
    )
    pictures = np.random.default_rng(0).random((2, 3, 5, 3), "float32")
    for a, b in zip(npz.get_weights(), torch.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(
        npz.sample(pictures, num_samples=2),
        torch.sample(pictures, num_samples=2),
    )


def test_weights_come_out_in_the_layout_of_keras(state, torch_files, tmp_path):
    tim = load_published_checkpoint(
        torch_files.write_state_dict(tmp_path / "tiny.pth", state)
    )
    module = tim.tower[1]
    v = state["level_2_feat.0.weight_v"]
    np.testing.assert_array_equal(module.head.v, v.transpose(2, 3, 1, 0))
    np.testing.assert_array_equal(
        module.head.g, state["level_2_feat.0.weight_g"][:, 0, 0, 0]
    )
    np.testing.assert_array_equal(
        module.modulations[0].dense.kernel,
        state["level_2_style.sub.transform_0.weight"].T,
    )
    # The mapping network, by hand.
    style = np.random.default_rng(1).normal(size=(3, 5)).astype("float32")
    expected = style
    for i in (0, 2):
        weight = state[f"level_2_map.{i}.weight"]
        expected = expected @ weight.T + state[f"level_2_map.{i}.bias"]
        expected = leaky_relu(expected)
    np.testing.assert_allclose(module.mapping(style), expected, atol=1e-5)


def test_checkpoints_without_weight_norm(state, torch_files, tmp_path):
    plain = {}
    for name, value in state.items():
        if name.endswith("weight_g"):
            continue
        if name.endswith("weight_v"):
            g = state[name[:-1] + "g"]
            norm = np.sqrt((value**2).sum(axis=(1, 2, 3), keepdims=True))
            name, value = name[: -len("_v")], g * value / norm
        plain[name] = value
    tim = load_published_checkpoint(
        torch_files.write_npz(tmp_path / "normed.npz", state)
    )
    folded = load_published_checkpoint(
        torch_files.write_npz(tmp_path / "plain.npz", plain)
    )
    assert not folded.weight_norm
    pictures = np.random.default_rng(0).random((1, 3, 5, 3), "float32")
    codes = tim.draw_codes(pictures, num_samples=1, seed=0)
    for a, b in zip(tim(pictures, codes), folded(pictures, codes), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def layout_state(state):
    # Five channels seen by the first level: classes and noise.
    state["level_2_feat.0.weight_v"] = np.ones((3, 5 + 4, 3, 3), "float32")
    return state


@pytest.mark.parametrize("in_config", [True, False])
def test_noise_channels_of_layouts(state, torch_files, tmp_path, in_config):
    config = json.dumps({"code_nc": 3}).encode() if in_config else b"{}"
    path = torch_files.write_npz(
        tmp_path / "layout.npz",
        layout_state(state),
        config=np.frombuffer(config, "uint8"),
    )
    given = None if in_config else 3
    tim = load_published_checkpoint(
        path, task="layout_synthesis", noise_channels=given
    )
    assert (tim.input_channels, tim.noise_channels) == (2, 3)
    assert tim.feature_scale == 1.0


def test_layouts_need_the_number_of_noise_channels(
    state, torch_files, tmp_path
):
    path = torch_files.write_npz(tmp_path / "l.npz", layout_state(state))
    with pytest.raises(CheckpointError, match="sees 5 channels"):
        load_published_checkpoint(path, task="layout_synthesis")


def test_feature_scale_is_handed_on(state, torch_files, tmp_path):
    path = torch_files.write_npz(tmp_path / "tiny.npz", state)
    assert load_published_checkpoint(path).feature_scale == 0.1
    tim = load_published_checkpoint(path, feature_scale=0.7)
    assert tim.feature_scale == 0.7


# What can be wrong.


@pytest.mark.parametrize("suffix", [".npz", ".pth"])
def test_missing_file(tmp_path, suffix):
    path = tmp_path / f"nothing{suffix}"
    with pytest.raises(FileNotFoundError, match=f"nothing{suffix}"):
        load_published_checkpoint(path)


def test_folder_in_place_of_a_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="no checkpoint at"):
        load_published_checkpoint(tmp_path)


@pytest.mark.parametrize("part", [0.0, 0.1, 0.5, 0.99])
@pytest.mark.parametrize("suffix", [".npz", ".pth"])
def test_truncated_file(state, torch_files, tmp_path, suffix, part):
    write = (
        torch_files.write_npz
        if suffix == ".npz"
        else torch_files.write_state_dict
    )
    path = write(tmp_path / f"cut{suffix}", state)
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    with pytest.raises(CheckpointError, match=f"cut{suffix}"):
        load_published_checkpoint(path)


@pytest.mark.parametrize("suffix", [".npz", ".pth"])
def test_damaged_file(state, torch_files, tmp_path, suffix):
    write = (
        torch_files.write_npz
        if suffix == ".npz"
        else torch_files.write_state_dict
    )
    path = write(tmp_path / f"hurt{suffix}", state)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 64] = bytes(64)
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=f"hurt{suffix}"):
        load_published_checkpoint(path)


@pytest.mark.parametrize("suffix", [".npz", ".pth", ""])
def test_not_an_archive(tmp_path, suffix):
    path = tmp_path / f"text{suffix}"
    path.write_text("a letter to the editor")
    with pytest.raises(CheckpointError, match=f"text{suffix}"):
        load_published_checkpoint(path)


def test_npz_of_something_else(tmp_path):
    path = tmp_path / "other.npz"
    np.savez(path, pictures=np.zeros(3))
    with pytest.raises(CheckpointError, match=r"other\.npz holds no arrays"):
        load_published_checkpoint(path)


def test_npz_with_an_unreadable_config(state, torch_files, tmp_path):
    path = torch_files.write_npz(
        tmp_path / "odd.npz", state, config=np.frombuffer(b"{", "uint8")
    )
    with pytest.raises(CheckpointError, match=r"odd\.npz"):
        load_published_checkpoint(path)


def test_npz_with_pickled_objects(state, torch_files, tmp_path):
    state["level_1_feat.0.bias"] = np.array([{}], dtype=object)
    path = torch_files.write_npz(tmp_path / "objects.npz", state)
    with pytest.raises(CheckpointError, match=r"objects\.npz"):
        load_published_checkpoint(path)


def test_state_dict_of_another_network(torch_files, tmp_path):
    path = torch_files.write_npz(
        tmp_path / "vgg.npz", {"features.0.weight": np.zeros((2, 3, 3, 3))}
    )
    with pytest.raises(CheckpointError, match=r"vgg\.npz.*no checkpoint of"):
        load_published_checkpoint(path)


@pytest.mark.parametrize(
    "name",
    [
        "level_2_feat.0.weight_v",
        "level_1_style.sub.0.RDB2.conv3.0.bias",
        "level_1_style.sub.transform_0.weight",
        "level_2_map.2.bias",
        "level_2_up.3.weight_g",
        "level_1_out.0.bias",
    ],
)
def test_missing_array(state, torch_files, tmp_path, name):
    del state[name]
    path = torch_files.write_npz(tmp_path / "hole.npz", state)
    with pytest.raises(CheckpointError, match=r"hole\.npz"):
        load_published_checkpoint(path)


def test_array_of_a_wrong_shape(state, torch_files, tmp_path):
    name = "level_2_style.sub.lr_conv.0"
    state[f"{name}.bias"] = np.zeros(7, "float32")
    path = torch_files.write_npz(tmp_path / "odd.npz", state)
    with pytest.raises(CheckpointError, match=rf"odd\.npz: arrays of {name}"):
        load_published_checkpoint(path)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite(state, torch_files, tmp_path, value):
    state["level_2_out.0.bias"][1] = value
    path = torch_files.write_npz(tmp_path / "nan.npz", state)
    with pytest.raises(CheckpointError, match=r"nan\.npz.*NaN or infinity"):
        load_published_checkpoint(path)


def test_unknown_architecture_and_task(state, torch_files, tmp_path):
    path = torch_files.write_npz(tmp_path / "tiny.npz", state)
    with pytest.raises(ValueError, match="architecture='unet'"):
        load_published_checkpoint(path, architecture="unet")
    with pytest.raises(ValueError, match="task='denoising'"):
        load_published_checkpoint(path, task="denoising")


def test_wrong_task(state, torch_files, tmp_path):
    path = torch_files.write_npz(tmp_path / "tiny.npz", state)
    with pytest.raises(CheckpointError, match=r"tiny\.npz"):
        load_published_checkpoint(path, task="colourization")


def test_wrong_number_of_noise_channels(state, torch_files, tmp_path):
    path = torch_files.write_npz(tmp_path / "tiny.npz", state)
    with pytest.raises(CheckpointError, match=r"tiny\.npz.*noise"):
        load_published_checkpoint(path, noise_channels=5)
