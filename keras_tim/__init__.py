"""Many plausible outputs for one input: TIM trained by conditional IMLE."""

from keras_tim import conversion, data, layers, metrics
from keras_tim.models.tim import TIM
from keras_tim.perceptual import LPIPS

__version__ = "0.1.0"

__all__ = ["LPIPS", "TIM", "conversion", "data", "layers", "metrics"]
