"""PyTorch's files under the name that their reader had before."""

from keras_tim.assets.torch_file import read_state_dict

__all__ = ["read_state_dict"]
