"""Pictures in: folders, TFDS, sample photos -> (input, target) batches."""

from keras_tim.data.crops import crop_dataset, whole_photos
from keras_tim.data.photos import sample_photos
from keras_tim.data.super_resolution import (
    held_out_pictures,
    super_resolution_dataset,
    super_resolution_pair,
)

__all__ = [
    "crop_dataset",
    "held_out_pictures",
    "sample_photos",
    "super_resolution_dataset",
    "super_resolution_pair",
    "whole_photos",
]
