"""Many plausible outputs for one input: TIM trained by conditional IMLE."""

import importlib
from typing import TYPE_CHECKING

from keras_tim.lazy import is_command, lazy_names

if TYPE_CHECKING:
    from keras_tim import (
        conversion,
        data,
        evaluation,
        export,
        images,
        inference,
        layers,
        metrics,
        runs,
    )
    from keras_tim.perceptual.lpips import LPIPS
    from keras_tim.tim import TIM

__version__ = "0.1.0"

__all__ = [
    "LPIPS",
    "TIM",
    "conversion",
    "data",
    "evaluation",
    "export",
    "images",
    "inference",
    "layers",
    "metrics",
    "runs",
]

# Some of these need TensorFlow, which takes seconds to import. Without them
# layers, models and LPIPS come up with whatever backend Keras is told to use.
__getattr__, __dir__ = lazy_names(
    __name__,
    {"keras_tim.tim": ["TIM"], "keras_tim.perceptual.lpips": ["LPIPS"]},
    modules=[name for name in __all__ if name.islower()],
)

# Keras loads from files what is registered, which the import takes care of.
# The command imports what it needs once its flags are understood.
if not is_command():
    for _part in ("conversion", "layers", "tim", "perceptual.mixed"):
        importlib.import_module(f"{__name__}.{_part}")
