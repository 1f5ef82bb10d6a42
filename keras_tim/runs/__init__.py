"""Runs: training into a folder, and what it says of the result."""

from keras_tim.runs.report import examples_report, report_table
from keras_tim.runs.settings import RunSettings, load_settings
from keras_tim.runs.training_run import load_run, train

__all__ = [
    "RunSettings",
    "examples_report",
    "load_run",
    "load_settings",
    "report_table",
    "train",
]
