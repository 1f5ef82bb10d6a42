"""Files of a run, written whole or not at all."""

from keras_tim.files import read_json, save_model, write_json, write_text

__all__ = ["read_json", "save_model", "write_json", "write_text"]
