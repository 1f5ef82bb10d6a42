"""Pictures in: folders, TFDS, sample photos -> (input, target) batches."""

from typing import TYPE_CHECKING

from keras_tim.lazy import lazy_names

if TYPE_CHECKING:
    from keras_tim.data.by_task import dataset
    from keras_tim.data.class_files import read_classes
    from keras_tim.data.colourization import (
        colorization_dataset,
        colorization_pair,
        colourization_dataset,
        colourization_pair,
    )
    from keras_tim.data.crops import crop_dataset, whole_photos
    from keras_tim.data.decompression import (
        decompression_dataset,
        decompression_pair,
    )
    from keras_tim.data.layouts import (
        held_out_layouts,
        layout_dataset,
        layout_pair,
        list_layouts,
        sample_layouts,
    )
    from keras_tim.data.mnist import (
        digits_as_pictures,
        held_out_digits,
        mnist_dataset,
        mnist_digits,
    )
    from keras_tim.data.paired_images import (
        paired_images_dataset,
        paired_images_pair,
    )
    from keras_tim.data.photos import sample_photos
    from keras_tim.data.rarity import Rarity, compute_rarity, load_rarity
    from keras_tim.data.super_resolution import (
        held_out_pictures,
        super_resolution_dataset,
        super_resolution_pair,
    )
    from keras_tim.images.jpeg import compressed
    from keras_tim.images.labels import read_labels
    from keras_tim.tasks.classes import Classes
    from keras_tim.tasks.colourization import grey_picture
    from keras_tim.tasks.components import PrincipalComponents
    from keras_tim.tasks.layout_synthesis import one_hot_layout

__all__ = [
    "Classes",
    "PrincipalComponents",
    "Rarity",
    "colorization_dataset",
    "colorization_pair",
    "colourization_dataset",
    "colourization_pair",
    "compressed",
    "compute_rarity",
    "crop_dataset",
    "dataset",
    "decompression_dataset",
    "decompression_pair",
    "digits_as_pictures",
    "grey_picture",
    "held_out_digits",
    "held_out_layouts",
    "held_out_pictures",
    "layout_dataset",
    "layout_pair",
    "list_layouts",
    "load_rarity",
    "mnist_dataset",
    "mnist_digits",
    "one_hot_layout",
    "paired_images_dataset",
    "paired_images_pair",
    "read_classes",
    "read_labels",
    "sample_layouts",
    "sample_photos",
    "super_resolution_dataset",
    "super_resolution_pair",
    "whole_photos",
]

# Commands name them before TensorFlow is there.
__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "keras_tim.data.by_task": ["dataset"],
        "keras_tim.data.class_files": ["read_classes"],
        "keras_tim.data.colourization": [
            "colorization_dataset",
            "colorization_pair",
            "colourization_dataset",
            "colourization_pair",
        ],
        "keras_tim.data.crops": ["crop_dataset", "whole_photos"],
        "keras_tim.data.decompression": [
            "decompression_dataset",
            "decompression_pair",
        ],
        "keras_tim.data.layouts": [
            "held_out_layouts",
            "layout_dataset",
            "layout_pair",
            "list_layouts",
            "sample_layouts",
        ],
        "keras_tim.data.mnist": [
            "digits_as_pictures",
            "held_out_digits",
            "mnist_dataset",
            "mnist_digits",
        ],
        "keras_tim.data.paired_images": [
            "paired_images_dataset",
            "paired_images_pair",
        ],
        "keras_tim.data.photos": ["sample_photos"],
        "keras_tim.data.rarity": ["Rarity", "compute_rarity", "load_rarity"],
        "keras_tim.data.super_resolution": [
            "held_out_pictures",
            "super_resolution_dataset",
            "super_resolution_pair",
        ],
        "keras_tim.images.jpeg": ["compressed"],
        "keras_tim.images.labels": ["read_labels"],
        "keras_tim.tasks.classes": ["Classes"],
        "keras_tim.tasks.colourization": ["grey_picture"],
        "keras_tim.tasks.components": ["PrincipalComponents"],
        "keras_tim.tasks.layout_synthesis": ["one_hot_layout"],
    },
)
