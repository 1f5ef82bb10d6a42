"""Lower bounds of the number of parameters of a model to be built."""

from keras_tim.tasks import get_task

_LARGEST = 2**24


def least_parameters(config):
    """How many numbers the weights of a `TIM` take at least.

    For files that say which model they hold: they must hold its weights, too.
    Biases, and what modulates the convolutions behind an enlargement, are left
    out, a tenth of the smallest presets.

    Args:
        config: dict of constructor arguments of `TIM`, as in its
            `get_config`.

    Returns:
        int.

    Raises:
        ValueError: if an argument that sizes depend on is missing or is no
            such number.
    """
    task = config.get("task")
    # A list of names cannot be looked up.
    if not isinstance(task, str):
        raise ValueError(f"`task` must be a name. Received: task={task!r:.80}")
    task = get_task(task)
    widths, growths = (
        _integers(config, name)
        for name in ("residual_channels", "growth_channels")
    )
    num_blocks = _of_levels(config, "num_blocks", len(widths))
    plain_blocks = _of_levels(config, "plain_blocks", len(widths))
    modulated = config.get("modulated_head", False)
    if not isinstance(modulated, list | tuple):
        modulated = [modulated] * len(widths)
    noise_channels = _integer(config, "noise_channels", least=0)
    style_dim = _integer(config, "style_dim")
    mapping = 0
    if config.get("mapping_network"):
        width = _integer(config, "mapping_width")
        depth = _integer(config, "mapping_depth", least=0)
        if depth:
            mapping = style_dim * width + (depth - 1) * width**2
            style_dim = width
    # Files from before there was such an argument have two.
    config = {"num_resize_convolutions": 2, **config}
    resizing = _of_levels(config, "num_resize_convolutions", len(widths))
    wiring = task.wiring(len(widths), config.get("architecture"))
    resizing = [
        0 if way.resize == "none" else count
        for way, count in zip(wiring, resizing, strict=True)
    ]
    total, previous = 0, 0
    levels = zip(
        *(widths, growths, num_blocks, plain_blocks, resizing, modulated),
        strict=True,
    )
    for level, (width, growth, blocks, plain, behind, head) in enumerate(
        levels
    ):
        seen = _integer(config, "input_channels")
        if level and task.chained:
            seen = task.output_channels
        seen += noise_channels + previous
        dense_block = 9 * (width**2 + 8 * width * growth + 6 * growth**2)
        modulation = style_dim * 2 * width
        # Head and output, the body's end unless the head is modulated, and what
        # stands behind it.
        seen += task.output_channels + (0 if head else width)
        seen += behind * width
        total += mapping + 9 * width * seen
        total += blocks * 3 * dense_block
        total += max(blocks - plain, 1 if head else 0) * modulation
        previous = width
    return total


def _of_levels(config, name, num_levels):
    """An argument that is one integer, or one per level; 0 where it lacks."""
    value = config.get(name, 0)
    if isinstance(value, list | tuple):
        return [_integer({name: part}, name, least=0) for part in value]
    return [_integer({name: value}, name, least=0)] * num_levels


def _integers(config, name):
    values = config.get(name)
    if not isinstance(values, list | tuple):
        raise ValueError(
            f"`{name}` must be a list of integers. Received: "
            f"{name}={values!r:.80}"
        )
    return [_integer({name: value}, name) for value in values]


def _integer(config, name, least=1):
    value = config.get(name)
    if type(value) is not int or not least <= value <= _LARGEST:
        raise ValueError(
            f"`{name}` must be an integer from {least} to {_LARGEST}. "
            f"Received: {name}={value!r:.80}"
        )
    return value
