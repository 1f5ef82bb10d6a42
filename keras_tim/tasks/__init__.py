"""Tasks: what the inputs are and how an output becomes a picture."""

from keras_tim.task_names import task_name
from keras_tim.tasks.colourization import Colourization
from keras_tim.tasks.decompression import Decompression
from keras_tim.tasks.layout_synthesis import LayoutSynthesis
from keras_tim.tasks.mnist import Mnist
from keras_tim.tasks.super_resolution import SuperResolution

TASKS = {
    task.name: task
    for task in (
        SuperResolution(),
        Colourization(),
        Decompression(),
        LayoutSynthesis(),
        Mnist(),
    )
}


def get_task(name):
    """The task of that name.

    Args:
        name: str, a key of `TASKS`.

    Returns:
        The task: attributes `name`, `input_channels`, `output_channels`,
        `chained` (each level reads the previous output), `feature_scale`,
        `noise_channels`, `supports_input_skip`, and methods `wiring`,
        `to_output`, `to_picture`, `input_pyramid` where levels are not
        chained, and, where supported, `skip` and, without chaining,
        `beside_previous`.

    Raises:
        ValueError: if there is no such task.
    """
    return TASKS[task_name(name)]


__all__ = [
    "TASKS",
    "Colourization",
    "Decompression",
    "LayoutSynthesis",
    "Mnist",
    "SuperResolution",
    "get_task",
]
