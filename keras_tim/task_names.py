"""Names of the tasks and their folders, which are known without Keras."""

TASK_NAMES = (
    "super_resolution",
    "colourization",
    "decompression",
    "layout_synthesis",
    "mnist",
    "paired_images",
)
# Settings that name a folder of what belongs to the pictures of `data`, and
# what it holds. A task takes one of them, or none.
BESIDE = {"inputs": "input pictures", "labels": "label maps"}
# Other spellings, which are understood wherever a task or a preset is named.
SPELLINGS = {"colorization": "colourization"}


def task_name(name):
    """The name of a task, however it is spelled.

    Args:
        name: str.

    Returns:
        str, one of `TASK_NAMES`.

    Raises:
        ValueError: if there is no such task.
    """
    name = spelled_here(name)
    if name not in TASK_NAMES:
        raise ValueError(
            f"`task` must be one of {sorted(TASK_NAMES)}. Received: "
            f"task={name!r}"
        )
    return name


def spelled_here(name):
    """The name of a task or a preset as it is spelled here.

    Args:
        name: str, such as "colorization_nano". Anything else passes.

    Returns:
        str, such as "colourization_nano".
    """
    if not isinstance(name, str):
        return name
    for other, own in SPELLINGS.items():
        if name == other or name.startswith(f"{other}_"):
            return own + name.removeprefix(other)
    return name
