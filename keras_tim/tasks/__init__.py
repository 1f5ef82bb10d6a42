"""Tasks: what the inputs are and how an output becomes a picture."""

from keras_tim.task_names import task_name
from keras_tim.tasks.colourization import Colourization
from keras_tim.tasks.decompression import Decompression
from keras_tim.tasks.layout_synthesis import LayoutSynthesis
from keras_tim.tasks.mnist import Mnist
from keras_tim.tasks.paired_images import PairedImages
from keras_tim.tasks.super_resolution import SuperResolution
from keras_tim.tasks.task import Task

TASKS = {
    task.name: task
    for task in (
        SuperResolution(),
        Colourization(),
        Decompression(),
        LayoutSynthesis(),
        Mnist(),
        PairedImages(),
    )
}


def get_task(name):
    """The task of that name.

    Args:
        name: str, a key of `TASKS`.

    Returns:
        The `Task`.

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
    "PairedImages",
    "SuperResolution",
    "Task",
    "get_task",
]
