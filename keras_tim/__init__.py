"""Many plausible outputs for one input: TIM trained by conditional IMLE."""

import os
import sys

# TensorFlow has faster convolutions for CPUs (oneDNN) and leaves them off on
# processors without AVX-512. It reads this once, when it is first imported.
if "tensorflow" not in sys.modules:
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

from keras_tim import conversion, data, layers, metrics
from keras_tim.models.tim import TIM
from keras_tim.perceptual import LPIPS

__version__ = "0.1.0"

__all__ = ["LPIPS", "TIM", "conversion", "data", "layers", "metrics"]
