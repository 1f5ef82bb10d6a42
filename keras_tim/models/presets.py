"""Named sizes of the model: `TASK_SIZE`, such as `super_resolution_x4_nano`.

A preset is an architecture and the settings that it is meant to be trained
with: `PRESETS` and `TRAINING` have the same keys. Trained presets, which come
with weights, are folders that hold both, see `keras_tim.models.pretrained`.
"""

from keras_tim.models.pretrained import read_preset, shipped_presets
from keras_tim.task_names import spelled_here

PAPER_RESIDUAL_CHANNELS = (128, 64, 64, 64)
PAPER_GROWTH_CHANNELS = (256, 192, 128, 64)

# Small budgets need the skip from the input: without it the colours take
# longer to settle than a nano model is trained for. For the same reason nano
# has less noise to learn to use, and hands its features on at full strength.
SIZES = {
    "nano": {
        "residual_channels": (32, 32, 32, 32),
        "growth_channels": (16, 16, 16, 16),
        "num_blocks": 1,
        "noise_channels": 2,
        "feature_scale": 1.0,
        "style_dim": 32,
        "mapping_width": 64,
        "mapping_depth": 2,
        "mapping_learning_rate_multiplier": 1.0,
        "input_skip": True,
    },
    "small": {
        "residual_channels": (64, 64, 64, 48),
        "growth_channels": (48, 48, 32, 32),
        "num_blocks": 3,
        "style_dim": 64,
        "mapping_width": 128,
        "mapping_depth": 4,
        "mapping_learning_rate_multiplier": 0.1,
        "input_skip": True,
    },
    "paper": {
        "residual_channels": PAPER_RESIDUAL_CHANNELS,
        "growth_channels": PAPER_GROWTH_CHANNELS,
        "num_blocks": 6,
    },
}

# The predecessor's two models (HyperRIM), with the widths of the options files
# published with its code. Super-resolution has the tower of the paper's model,
# also level by level selected and supervised, and learns at 1.25e-4 with
# |S| = 320. Repair has a single level and learns at 1e-4 with |S| = 320.
HYPERRIM = {
    "super_resolution_x16_hyperrim": {
        **SIZES["paper"],
        "task": "super_resolution",
        "architecture": "hyperrim",
    },
    "decompression_hyperrim": {
        "task": "decompression",
        "architecture": "hyperrim",
        "residual_channels": (64,),
        "growth_channels": (64,),
        "num_blocks": 6,
    },
}

SUPER_RESOLUTION_LEVELS = {4: 2, 8: 3, 16: 4}


def _presets(prefix, task, num_levels, changes):
    """A task's presets `PREFIX_SIZE`.

    Args:
        prefix: str.
        task: str.
        num_levels: dict from size to the number of levels.
        changes: dict from size to arguments that differ from the size's own.
    """
    presets = {}
    for size, levels in num_levels.items():
        arguments = {**SIZES[size], "task": task, **changes.get(size, {})}
        for name in ("residual_channels", "growth_channels"):
            arguments[name] = arguments[name][:levels]
        presets[f"{prefix}_{size}"] = arguments
    return presets


def _super_resolution_presets():
    presets = {}
    for scale, levels in SUPER_RESOLUTION_LEVELS.items():
        presets |= _presets(
            f"super_resolution_x{scale}",
            "super_resolution",
            dict.fromkeys(SIZES, levels),
            {},
        )
    return presets


# Layouts have a channel per class and one for "other": those of Cityscapes and
# GTA5, until the data say otherwise. They are no pictures that an output could
# be added to.
SMALL_LAYOUTS = {"input_channels": 20, "input_skip": False}
# The published 221.5 million parameters are those of a fifth level.
PAPER_LAYOUTS = {
    "input_channels": 20,
    "noise_channels": 10,
    "residual_channels": (*PAPER_RESIDUAL_CHANNELS, 64),
    "growth_channels": (*PAPER_GROWTH_CHANNELS, 64),
}


def _full_size_nano(levels):
    """What differs in nano models whose last level works at the full size.

    Half the width there keeps it from taking most of the time. Few, strong
    codes: of a few candidates the best says little more than one or two
    things, such as warm or cold, and a style that passes through no mapping
    network is seen from the first step on.
    """
    return {
        "residual_channels": (*(32,) * (levels - 1), 16),
        "growth_channels": (*(16,) * (levels - 1), 8),
        "style_dim": 4,
        "mapping_network": False,
    }


# After so many clipped digits have the given coordinates but for 0.003 of their
# standard deviations; after a single one for 0.09.
MNIST_ROUNDS = 20

# What a digit is depends on all of the input at once. Plain kernels and
# stronger residual branches learn that in about a third of the time.
SMALL_MNIST = {
    "consistency": MNIST_ROUNDS,
    "weight_norm": False,
    "residual_scale": 0.5,
    "input_skip": False,
}

# Most is decided at 7 x 7 pixels, where width costs least.
NANO_MNIST = {
    "residual_channels": (48, 32, 16),
    "growth_channels": (24, 16, 8),
    "style_dim": 8,
    "noise_channels": 1,
}

PRESETS = {
    **_super_resolution_presets(),
    **_presets(
        "colourization",
        "colourization",
        {"nano": 3, "small": 4, "paper": 4},
        {
            # The input has no colours to add to.
            "nano": {
                **_full_size_nano(3),
                "noise_channels": 1,
                "input_skip": False,
            },
            "small": {"input_skip": False},
        },
    ),
    **_presets(
        "decompression",
        "decompression",
        # At an eighth of the size a block of JPEG is a single pixel.
        dict.fromkeys(SIZES, 4),
        {"nano": _full_size_nano(4)},
    ),
    **_presets(
        "paired_images",
        "paired_images",
        dict.fromkeys(SIZES, 4),
        {
            # An output may be as far from its input as black from white, which
            # is further than a residual reaches.
            "nano": {**_full_size_nano(4), "input_skip": False},
            "small": {"input_skip": False},
        },
    ),
    **_presets(
        "layout_synthesis",
        "layout_synthesis",
        {"nano": 3, "small": 4, "paper": 5},
        {
            "nano": SMALL_LAYOUTS,
            "small": SMALL_LAYOUTS,
            "paper": PAPER_LAYOUTS,
        },
    ),
    # 7, 14 and 28 pixels.
    **_presets(
        "mnist",
        "mnist",
        dict.fromkeys(SIZES, 3),
        {
            "nano": {**SMALL_MNIST, **NANO_MNIST},
            "small": SMALL_MNIST,
            "paper": {"consistency": MNIST_ROUNDS},
        },
    ),
    **HYPERRIM,
}


# What a task trains where nothing else is asked for.
PRESET_OF_TASK = {
    "super_resolution": "super_resolution_x4_nano",
    "colourization": "colourization_nano",
    "decompression": "decompression_nano",
    "layout_synthesis": "layout_synthesis_nano",
    "mnist": "mnist_nano",
    "paired_images": "paired_images_nano",
}


# The paper's ablations: the constructor arguments by which a model does without
# a part (section 4.3; how codes are selected is up to `compile`), and the two
# methods that do without several of them.
PARTS = {
    "hierarchical_sampling": {},
    "mapping_network": {"mapping_network": False},
    "intermediate_supervision": {"intermediate_supervision": False},
    "weight_norm": {"weight_norm": False},
    "codes": {"stochastic": False},
}
VANILLA_WITHOUT = tuple(name for name in PARTS if name != "codes")
REGRESSION_WITHOUT = ("codes",)


# What a few minutes suffice for; found with super-resolution at 4x. The names
# are those of `keras_tim.runs.RunSettings`.
SHORT_TRAINING = {
    "downsample": 1,
    "crop_size": 96,
    "enlarged": 0.0,
    "steps": 1000,
    "learning_rate": 1e-3,
    "last_rate": 0.02,
    "beta_2": 0.99,
    "epsilon": 1e-7,
    "distance": "lpips_alex",
    "num_candidates": 4,
    "images_per_selection": 32,
    "steps_per_selection": 12,
    "mini_batch_size": 8,
    "candidate_chunk": 32,
    "pixel_weight": 0.5,
}

# As published: 20 rounds of Algorithm 1 with m = 120 candidates per level,
# |S| = 400 images and M = 10,000 steps on single images, at a constant rate of
# Adam as PyTorch has it. Pictures are of 256 pixels. How many candidates are
# made at a time changes nothing but the memory.
PAPER_TRAINING = {
    **SHORT_TRAINING,
    "crop_size": 256,
    "steps": 200_000,
    "learning_rate": 1e-4,
    "last_rate": 1.0,
    "beta_2": 0.999,
    "epsilon": 1e-8,
    "distance": "lpips_vgg",
    "num_candidates": 120,
    "images_per_selection": 400,
    "steps_per_selection": 10_000,
    "mini_batch_size": 1,
    "candidate_chunk": 4,
    "pixel_weight": 0.0,
}

# How the short trainings of each task differ.
_SHORT = {
    # Without it the blurred background of a photo gets a grain.
    "super_resolution": {"enlarged": 0.4},
    "colourization": {
        # A crop has to show enough to tell what might be green or blue.
        "downsample": 2,
        "crop_size": 64,
        "steps": 540,
        # What chooses among colours is the one style of a few numbers.
        "num_candidates": 8,
        "candidate_chunk": 64,
        "pixel_weight": 0.3,
    },
    "decompression": {
        # What lies out of focus stays smooth.
        "enlarged": 0.4,
        # What JPEG leaves of colours is far off. This settles them.
        "pixel_weight": 1.0,
    },
    "layout_synthesis": {
        "steps": 480,
        # Light and colours are chosen at the first level, where candidates
        # cost little.
        "num_candidates": (32, 8, 4, 4),
        # What settles the colours, where no input could be added to.
        "pixel_weight": 1.0,
    },
    "mnist": {"distance": "mean_squared_error"},
    # What settles the colours, where no input is added to.
    "paired_images": {"pixel_weight": 1.0},
}

# Earlier names of settings, which files may hold.
_EARLIER = {"num_samples": "num_candidates"}

# What is asked of the data, where it is less than of photos.
_OF_DATA = {"layout_synthesis": {"downsample"}, "mnist": set()}

# How the published trainings differ from `PAPER_TRAINING`.
_PUBLISHED = {
    "decompression_paper": {"images_per_selection": 320},
    "super_resolution_x16_hyperrim": {
        "images_per_selection": 320,
        "learning_rate": 1.25e-4,
    },
    "decompression_hyperrim": {"images_per_selection": 320},
    # Digits are too small for LPIPS. How the paper's own illustration was
    # trained is not published.
    "mnist_paper": {"distance": "mean_squared_error"},
}


def _training(name):
    task = PRESETS[name]["task"]
    if name.endswith(("_paper", "_hyperrim")):
        training = {**PAPER_TRAINING, **_PUBLISHED.get(name, {})}
    else:
        training = {**SHORT_TRAINING, **_SHORT.get(task, {})}
        if isinstance(training["num_candidates"], tuple):
            levels = len(PRESETS[name]["residual_channels"])
            training["num_candidates"] = training["num_candidates"][:levels]
    of_photos = {"downsample", "crop_size", "enlarged"}
    for key in of_photos - _OF_DATA.get(task, of_photos):
        del training[key]
    return training


TRAINING = {name: _training(name) for name in PRESETS}


def named_as_now(settings):
    """Settings of training under their present names.

    Args:
        settings: dict, perhaps with names of earlier versions.

    Returns:
        dict.
    """
    return {_EARLIER.get(key, key): value for key, value in settings.items()}


def preset_training(name):
    """What a preset is meant to be trained with.

    Args:
        name: str, one of `preset_names()`.

    Returns:
        dict from settings of `keras_tim.runs.RunSettings` to their values.

    Raises:
        ValueError: if there is no such preset.
    """
    shipped, name = shipped_presets(), spelled_here(name)
    if name in shipped:
        stored = read_preset(shipped[name])["training"]
        return named_as_now(_with_tuples(stored))
    _check(name)
    return dict(TRAINING[name])


def preset_names():
    """Names of all presets, with and without trained weights, sorted."""
    return sorted({*PRESETS, *shipped_presets()})


def _with_tuples(values):
    # JSON has lists alone.
    return {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in values.items()
    }


def preset_arguments(name):
    """Constructor arguments of a preset.

    Args:
        name: str, one of `preset_names()`.

    Returns:
        dict of arguments of `keras_tim.TIM`.

    Raises:
        ValueError: if there is no such preset.
    """
    shipped, name = shipped_presets(), spelled_here(name)
    if name in shipped:
        return _with_tuples(read_preset(shipped[name])["model"])
    _check(name)
    return dict(PRESETS[name])


def _check(name):
    if name not in PRESETS:
        raise ValueError(
            f"`name` must be one of the presets {preset_names()}. Received: "
            f"name={name!r}"
        )
