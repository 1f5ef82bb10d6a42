import pytest

from keras_tim import TIM
from keras_tim.models.presets import preset_arguments
from keras_tim.models.sizes import least_parameters


@pytest.mark.parametrize(
    "name", [name for name in TIM.presets() if name.endswith("_nano")]
)
def test_is_a_little_less_than_the_presets_have(name):
    tim = TIM.from_preset(name)
    count = tim.count_params()
    assert 0.9 * count < least_parameters(tim.get_config()) <= count


@pytest.mark.parametrize(
    "arguments",
    [
        {"num_blocks": 0},
        {"num_blocks": (2, 0), "modulated_head": (False, True)},
        {"num_blocks": 2, "plain_blocks": (2, 1)},
        {"mapping_network": False},
        {"mapping_depth": 0},
        {"weight_norm": False},
        {"input_skip": True},
        {"task": "decompression", "input_skip": True},
        {"task": "layout_synthesis", "input_channels": 40},
        {"task": "colourization"},
        {"task": "decompression", "architecture": "hyperrim"},
        {"task": "paired_images", "input_skip": True},
    ],
)
def test_is_never_too_much(make_tim, arguments):
    tim = make_tim(**arguments)
    count = tim.count_params()
    assert 0.5 * count < least_parameters(tim.get_config()) <= count


def test_published_model_by_hand():
    config = preset_arguments("super_resolution_x16_paper")
    config = {**config, "input_channels": 3, "noise_channels": 5}
    config |= {"style_dim": 128, "mapping_width": 512, "mapping_depth": 8}
    config |= {"num_blocks": 6, "mapping_network": True}
    # 209,050,072 with biases and the rest.
    assert 208e6 < least_parameters(config) < 209e6


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("task", None),
        ("task", ["super_resolution"]),
        ("task", "denoising"),
        ("residual_channels", 8),
        ("residual_channels", [8, "6"]),
        ("residual_channels", [8, 0]),
        ("residual_channels", [8]),
        ("growth_channels", [4, 2.5]),
        ("growth_channels", [4, True]),
        ("num_blocks", -1),
        ("num_blocks", 10**9),
        ("num_blocks", None),
        ("style_dim", "8"),
        ("noise_channels", 1e3),
        ("mapping_width", [8]),
        ("mapping_depth", -2),
        ("input_channels", 10**100),
    ],
)
def test_other_values_are_refused(make_tim, name, value):
    config = {**make_tim(quick=True).get_config(), "mapping_network": True}
    with pytest.raises(ValueError, match=r"Received|zip"):
        least_parameters({**config, name: value})
