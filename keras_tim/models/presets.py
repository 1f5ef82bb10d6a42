"""Named sizes of the model: `TASK_SIZE`, such as `super_resolution_x4_nano`."""

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


PRESETS = {
    **_super_resolution_presets(),
}


def preset_arguments(name):
    """Constructor arguments of a preset.

    Args:
        name: str, a key of `PRESETS`.

    Returns:
        dict of arguments of `keras_tim.TIM`.

    Raises:
        ValueError: if there is no such preset.
    """
    if name not in PRESETS:
        raise ValueError(
            f"`name` must be one of the presets {sorted(PRESETS)}. Received: "
            f"name={name!r}"
        )
    return dict(PRESETS[name])
