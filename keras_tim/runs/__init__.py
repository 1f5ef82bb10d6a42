"""Runs: training into a folder, and what it says of the result."""

from keras_tim.runs.report import report_table, super_resolution_report
from keras_tim.runs.training_run import RunSettings, load_run, train

__all__ = [
    "RunSettings",
    "load_run",
    "report_table",
    "super_resolution_report",
    "train",
]
