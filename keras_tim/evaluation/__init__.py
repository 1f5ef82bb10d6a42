"""Evaluation: every measure that applies to a model's task, in one table."""

from keras_tim.evaluation.evaluation import EvaluationSettings, evaluate
from keras_tim.evaluation.measures import picture_measures

__all__ = ["EvaluationSettings", "evaluate", "picture_measures"]
