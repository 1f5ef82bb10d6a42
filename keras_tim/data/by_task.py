"""Batches of any task."""

from keras_tim.data.colourization import colourization_dataset
from keras_tim.data.decompression import decompression_dataset
from keras_tim.data.layouts import layout_dataset
from keras_tim.data.mnist import mnist_dataset
from keras_tim.data.paired_images import paired_images_dataset
from keras_tim.data.super_resolution import super_resolution_dataset
from keras_tim.task_names import task_name

_DATASETS = {
    "super_resolution": super_resolution_dataset,
    "colourization": colourization_dataset,
    "decompression": decompression_dataset,
    "layout_synthesis": layout_dataset,
    "mnist": mnist_dataset,
    "paired_images": paired_images_dataset,
}


def dataset(task, source=None, **options):
    """Batches of inputs and targets of a task.

    Args:
        task: The task's name, such as `"super_resolution"`.
        source: A folder of pictures, `"tfds:NAME"`, or `None` for what the
            task comes with.
        **options: Those of the task's own function, such as `batch_size`:
            `super_resolution_dataset`, `colourization_dataset`,
            `decompression_dataset`, `layout_dataset`, which needs `labels`,
            `mnist_dataset`, or `paired_images_dataset`, which needs `inputs`.

    Returns:
        A `tf.data.Dataset`, which `TIM.fit` takes.

    Raises:
        ValueError: If there is no such task, or an argument is not as that
            function describes.

    Example:
    ```python
    tim = keras_tim.TIM.from_preset("colourization_nano")
    options = tim.data_settings("colourization_nano")
    tim.fit(keras_tim.data.dataset(tim.task, "PHOTOS", **options))
    ```
    """
    return _DATASETS[task_name(task)](source, **options)
