"""What lies beside a model in its folder, to be read, and of older runs needed.

Models keep the classes and components that they were trained on. Those that
were written before they did are completed from these files.
"""

import os

from keras_tim.data.class_files import read_classes
from keras_tim.models.pretrained import (
    CLASSES_FILE,
    COMPONENTS_FILE,
    preset_folder,
)
from keras_tim.tasks.components import PrincipalComponents


def complete(tim, path):
    """Gives a model the classes or components that lie beside it.

    Args:
        tim: a `TIM`; changed where it does not know them itself.
        path: str or path, what it was loaded from.

    Raises:
        ValueError: if a file is damaged, or does not belong to the model.
    """
    task = tim.task_definition
    if task.reads_labels and tim.classes is None:
        classes = _beside(path, CLASSES_FILE)
        if classes is not None:
            tim.set_classes(read_classes(classes))
    if task.known_shape is not None and tim.components is None:
        components = _beside(path, COMPONENTS_FILE)
        if components is not None:
            tim.set_components(PrincipalComponents.load(components))


def _beside(path, name):
    """A file's path, or None where there is none."""
    folder = os.fspath(path)
    folder = preset_folder(folder) or folder
    if os.path.isfile(folder):
        folder = os.path.dirname(folder)
    found = os.path.join(folder, name)
    return found if os.path.isfile(found) else None
