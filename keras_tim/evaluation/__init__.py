"""Evaluation: every measure that applies to a model's task, in one table."""

from typing import TYPE_CHECKING

from keras_tim.lazy import lazy_names

if TYPE_CHECKING:
    from keras_tim.evaluation.evaluation import evaluate
    from keras_tim.evaluation.measures import picture_measures
    from keras_tim.evaluation.settings import EvaluationSettings

__all__ = ["EvaluationSettings", "evaluate", "picture_measures"]

# Settings are known without Keras.
__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "keras_tim.evaluation.evaluation": ["evaluate"],
        "keras_tim.evaluation.measures": ["picture_measures"],
        "keras_tim.evaluation.settings": ["EvaluationSettings"],
    },
)
