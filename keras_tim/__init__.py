"""Many plausible outputs for one input: TIM trained by conditional IMLE."""

import importlib

from keras_tim import conversion, layers
from keras_tim.models.tim import TIM
from keras_tim.perceptual import LPIPS

__version__ = "0.1.0"

__all__ = ["LPIPS", "TIM", "conversion", "data", "layers", "metrics"]

# These need TensorFlow, which takes seconds to import. Without them layers,
# models and LPIPS come up with whatever backend Keras is told to use.
_WITH_TENSORFLOW = ("data", "metrics")


def __getattr__(name):
    if name in _WITH_TENSORFLOW:
        return importlib.import_module(f"keras_tim.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *_WITH_TENSORFLOW})
