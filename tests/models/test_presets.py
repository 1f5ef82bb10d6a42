import keras
import numpy as np
import pytest
from keras import ops

from keras_tim import TIM
from keras_tim.data import read_classes
from keras_tim.models.presets import (
    PRESETS,
    TRAINING,
    preset_arguments,
    preset_training,
)
from keras_tim.models.pretrained import shipped_presets

# The field calls super-resolution's 209 M.
PUBLISHED = {
    "super_resolution_x16_paper": 209_050_072,
    "super_resolution_x16_hyperrim": 209_050_072,
    # One channel in, two out: 18 and 9 weights fewer for every residual
    # channel (320 in all), and 2 for every level.
    "colourization_paper": 209_050_072 - 27 * 320 - 8,
    # The last level goes without two convolutions of 64 to 64 channels.
    "decompression_paper": 209_050_072 - 2 * (9 * 64 * 64 + 2 * 64),
    "decompression_hyperrim": 12_380_870,
    # The field calls it 221.5 M; for 19 classes and "other".
    "layout_synthesis_paper": 221_543_838,
}
# Of inputs and outputs.
CHANNELS = {
    "super_resolution": (3, 3),
    "colourization": (1, 2),
    "decompression": (3, 3),
    "layout_synthesis": (20, 3),
    "paired_images": (3, 3),
}


def convolution(channels, filters):
    return 9 * channels * filters + 2 * filters  # v, g and bias


def dense(inputs, units):
    return inputs * units + units


def dense_block(channels, growth):
    growing = sum(convolution(channels + i * growth, growth) for i in range(4))
    return growing + convolution(channels + 4 * growth, channels)


def parameters(
    task,
    residual_channels,
    growth_channels,
    num_blocks,
    style_dim=128,
    mapping_width=512,
    mapping_depth=8,
    mapping_network=True,
    noise_channels=5,
    architecture="camnet",
    input_skip=False,
    **_,
):
    """Parameters of the tower, counted from the paper's figure 3."""
    given, made = CHANNELS[task]
    total = 0
    seen = given + noise_channels
    last = len(residual_channels) - 1
    for level, (residual, growth) in enumerate(
        zip(residual_channels, growth_channels, strict=True)
    ):
        style = style_dim
        if mapping_network:
            total += dense(style_dim, mapping_width)
            total += (mapping_depth - 1) * dense(mapping_width, mapping_width)
            style = mapping_width
        total += convolution(seen, residual)
        total += num_blocks * (
            3 * dense_block(residual, growth) + dense(style, 2 * residual)
        )
        total += convolution(residual, residual)  # at the body's end
        resized = not (
            task in ("decompression", "paired_images")
            and architecture == "camnet"
            and level == last
        )
        total += 2 * resized * convolution(residual, residual)
        total += convolution(residual, made)
        seen = given + noise_channels + residual
        if input_skip and task == "decompression":
            seen += made  # the previous output
    return total


@pytest.mark.parametrize("name", sorted(n for n in PRESETS if "nano" in n))
def test_nano_presets_build(name):
    tim = TIM.from_preset(name)
    for argument, value in PRESETS[name].items():
        assert getattr(tim, argument) == value
    if tim.task == "super_resolution":
        assert f"_x{tim.scale}_" in name
    if tim.task in CHANNELS:
        assert tim.count_params() == parameters(**PRESETS[name])


@pytest.mark.parametrize("scale", [4, 8, 16])
def test_every_scale_comes_in_every_size(scale):
    for size in ("nano", "small", "paper"):
        arguments = preset_arguments(f"super_resolution_x{scale}_{size}")
        assert 2 ** len(arguments["residual_channels"]) == scale


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_of_the_published_models(name):
    count = parameters(**preset_arguments(name))
    assert count == PUBLISHED[name]
    if name.endswith("_paper"):
        field = 221.5 if "layout" in name else 209
        assert round(count / 1e6, 1) == pytest.approx(field, abs=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("name", PUBLISHED)
def test_published_models_build_and_sample(name):
    tim = TIM.from_preset(name)
    assert tim.count_params() == PUBLISHED[name]
    inputs = np.full((1, 16, 16, tim.input_channels), 0.5, "float32")
    (sample,) = tim.sample(inputs, num_samples=1)[0]
    side = 16 * tim.output_factor
    assert sample.shape == (side, side, 3)
    assert np.isfinite(sample).all()


def mean_difference(pictures, targets):
    return ops.mean(ops.abs(pictures - targets), axis=(1, 2, 3))


@pytest.mark.parametrize(
    "name",
    [
        "super_resolution_x4_nano",
        "colourization_nano",
        "decompression_nano",
        "decompression_hyperrim",
        "layout_synthesis_nano",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in (
                "colourization_small",
                "decompression_small",
                "layout_synthesis_small",
            )
        ),
    ],
)
def test_train_steps_are_finite(name):
    keras.utils.set_random_seed(0)
    tim = TIM.from_preset(name)
    tim.compile(
        optimizer=keras.optimizers.Adam(1e-4),
        distance=mean_difference,
        num_samples=2,
        candidate_chunk=2,
        # One step takes less than to trace it.
        run_eagerly=True,
    )
    rng = np.random.default_rng(0)
    inputs = rng.random((1, 8, 8, tim.input_channels), dtype="float32")
    side = 8 * tim.output_factor
    target = rng.random((1, side, side, 3), dtype="float32")
    logs = tim.train_on_batch(inputs, target, return_dict=True)
    assert all(np.isfinite(value) for value in logs.values())
    assert logs["gradient_norm"] > 0
    for weight in tim.trainable_variables:
        assert np.isfinite(weight).all(), weight.path


# The published recipes: |S|, Adam's rate.
RECIPES = {
    "super_resolution_x16_paper": (400, 1e-4),
    "colourization_paper": (400, 1e-4),
    "layout_synthesis_paper": (400, 1e-4),
    "decompression_paper": (320, 1e-4),
    "super_resolution_x16_hyperrim": (320, 1.25e-4),
    "decompression_hyperrim": (320, 1e-4),
}


@pytest.mark.parametrize("name", RECIPES)
def test_published_models_are_trained_as_published(name):
    arguments = TIM.training_settings(name)
    optimizer = arguments.pop("optimizer")
    group, rate = RECIPES[name]
    assert arguments == {
        "distance": "lpips_vgg",
        "num_candidates": 120,
        "images_per_selection": group,
        "steps_per_selection": 10_000,
        "mini_batch_size": 1,
        "candidate_chunk": 4,
        "pixel_weight": 0.0,
    }
    assert float(optimizer.learning_rate) == pytest.approx(rate)
    assert (optimizer.beta_1, optimizer.beta_2) == (0.9, 0.999)
    assert optimizer.epsilon == 1e-8
    data = {"batch_size": group, "downsample": 1}
    if "layout" not in name:
        data |= {"crop_size": 256, "enlarged": 0.0}
    assert TIM.data_settings(name) == data


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_comes_with_its_training(name):
    training = preset_training(name)
    counts = training["num_candidates"]
    if isinstance(counts, tuple):
        assert len(counts) == len(PRESETS[name]["residual_channels"])
    multiple = 2 ** len(PRESETS[name]["residual_channels"])
    assert training.get("crop_size", multiple) % multiple == 0
    group = training["images_per_selection"]
    assert training["mini_batch_size"] <= group
    # All of a preset's settings, and no others.
    assert TRAINING.keys() == PRESETS.keys()
    used = {*TIM.training_settings(name), *TIM.data_settings(name)}
    of_the_optimizer = {"learning_rate", "beta_2", "epsilon"}
    assert training.keys() - used - of_the_optimizer == {"steps", "last_rate"}


def test_a_model_is_compiled_as_its_preset_says():
    tim = TIM.from_preset("mnist_nano")
    tim.compile(**TIM.training_settings("mnist_nano"))
    config = tim.get_compile_config()
    training = preset_training("mnist_nano")
    for name in ("steps_per_selection", "mini_batch_size"):
        assert config[name] == training[name]
    assert set(config["num_candidates"]) == {training["num_candidates"]}
    # What is given is the caller's own.
    preset_training("mnist_nano")["num_candidates"] = 99
    assert preset_training("mnist_nano") == training
    with pytest.raises(ValueError, match="'huge'"):
        TIM.training_settings("huge")


def test_overrides_replace_the_presets_values():
    tim = TIM.from_preset(
        "super_resolution_x4_nano", num_blocks=3, dtype="mixed_bfloat16"
    )
    assert tim.num_blocks == 3
    assert tim.style_dim == 32
    assert tim.dtype_policy.name == "mixed_bfloat16"


@pytest.mark.parametrize(
    "size", ["nano", pytest.param("small", marks=pytest.mark.slow)]
)
def test_classes_replace_the_presets_input_channels(size):
    name, classes = f"layout_synthesis_{size}", read_classes("camvid")
    tim = TIM.from_preset(name, classes=classes)
    assert tim.input_channels == classes.num_channels == 12
    with pytest.raises(ValueError, match=r"'other': 12\. Received.*=20"):
        TIM.from_preset(name, classes=classes, input_channels=20)
    assert TIM.from_preset(name, input_channels=7).input_channels == 7
    assert TIM.from_preset(name, classes=None).input_channels == 20


def test_presets_are_listed_and_protected():
    assert TIM.presets() == sorted({*PRESETS, *shipped_presets()})
    before = preset_arguments("super_resolution_x4_nano")
    preset_arguments("super_resolution_x4_nano")["num_blocks"] = 99
    assert preset_arguments("super_resolution_x4_nano") == before


def test_unknown_preset():
    with pytest.raises(ValueError, match=r"super_resolution_x4_nano.*'huge'"):
        TIM.from_preset("huge")
