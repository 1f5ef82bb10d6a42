"""Reading models, under its first name."""

from keras_tim.models.model_file import ModelFileError, load_tim

__all__ = ["ModelFileError", "load_tim"]
