"""Checkpoints of other projects as Keras models."""

from keras_tim.conversion.errors import CheckpointError
from keras_tim.conversion.esrgan import load_esrgan
from keras_tim.conversion.published import load_published_checkpoint

__all__ = ["CheckpointError", "load_esrgan", "load_published_checkpoint"]
