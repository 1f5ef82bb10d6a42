"""Models."""

from keras_tim.models.tim import TIM

__all__ = ["TIM"]
