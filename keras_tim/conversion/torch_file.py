"""The readers of PyTorch's files, under the name that they had at first."""

from keras_tim.assets.torch_file import (
    read_state_dict,
    read_torchscript_tensors,
)

__all__ = ["read_state_dict", "read_torchscript_tensors"]
