"""Published PyTorch checkpoints as Keras models."""

from keras_tim.conversion.errors import CheckpointError
from keras_tim.conversion.published import load_published_checkpoint

__all__ = ["CheckpointError", "load_published_checkpoint"]
