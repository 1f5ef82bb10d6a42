import pytest

from keras_tim import TIM
from keras_tim.models.presets import PRESETS, preset_arguments

# The field calls it 209 M.
PUBLISHED = 209_050_072


def convolution(channels, filters):
    return 9 * channels * filters + 2 * filters  # v, g and bias


def dense(inputs, units):
    return inputs * units + units


def dense_block(channels, growth):
    growing = sum(convolution(channels + i * growth, growth) for i in range(4))
    return growing + convolution(channels + 4 * growth, channels)


def super_resolution_parameters(
    residual_channels,
    growth_channels,
    num_blocks,
    style_dim=128,
    mapping_width=512,
    mapping_depth=8,
    noise_channels=5,
    **_,
):
    """Parameters of the tower, counted from the paper's figure 3."""
    total = 0
    seen = 3 + noise_channels
    for residual, growth in zip(
        residual_channels, growth_channels, strict=True
    ):
        total += dense(style_dim, mapping_width)
        total += (mapping_depth - 1) * dense(mapping_width, mapping_width)
        total += convolution(seen, residual)
        total += num_blocks * (
            3 * dense_block(residual, growth)
            + dense(mapping_width, 2 * residual)
        )
        total += 3 * convolution(residual, residual)  # body, two after up
        total += convolution(residual, 3)
        seen = 3 + noise_channels + residual
    return total


@pytest.mark.parametrize("name", sorted(n for n in PRESETS if "nano" in n))
def test_nano_presets_build(name):
    tim = TIM.from_preset(name)
    for argument, value in PRESETS[name].items():
        assert getattr(tim, argument) == value
    if tim.task == "super_resolution":
        assert f"_x{tim.scale}_" in name
        assert tim.count_params() == super_resolution_parameters(
            **PRESETS[name]
        )


@pytest.mark.parametrize("scale", [4, 8, 16])
def test_every_scale_comes_in_every_size(scale):
    for size in ("nano", "small", "paper"):
        arguments = preset_arguments(f"super_resolution_x{scale}_{size}")
        assert 2 ** len(arguments["residual_channels"]) == scale


def test_published_model_has_209_million_parameters():
    arguments = preset_arguments("super_resolution_x16_paper")
    count = super_resolution_parameters(**arguments)
    assert count == PUBLISHED
    assert round(count / 1e6) == 209


@pytest.mark.slow
def test_published_model_builds():
    tim = TIM.from_preset("super_resolution_x16_paper")
    assert tim.count_params() == PUBLISHED


def test_overrides_replace_the_presets_values():
    tim = TIM.from_preset(
        "super_resolution_x4_nano", num_blocks=3, dtype="mixed_bfloat16"
    )
    assert tim.num_blocks == 3
    assert tim.style_dim == 32
    assert tim.dtype_policy.name == "mixed_bfloat16"


def test_presets_are_listed_and_protected():
    assert TIM.presets() == sorted(PRESETS)
    before = preset_arguments("super_resolution_x4_nano")
    preset_arguments("super_resolution_x4_nano")["num_blocks"] = 99
    assert preset_arguments("super_resolution_x4_nano") == before


def test_unknown_preset():
    with pytest.raises(ValueError, match=r"super_resolution_x4_nano.*'huge'"):
        TIM.from_preset("huge")
