"""The tower, its presets, and pictures made with it."""

from typing import TYPE_CHECKING

from keras_tim.lazy import lazy_names

if TYPE_CHECKING:
    from keras_tim.tim import TIM

__all__ = ["TIM"]

# Names of presets are known without Keras.
__getattr__, __dir__ = lazy_names(__name__, {"keras_tim.tim": ["TIM"]})
