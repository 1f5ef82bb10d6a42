"""Runs: training into a folder, and what it says of the result."""

from typing import TYPE_CHECKING

from keras_tim.lazy import lazy_names

if TYPE_CHECKING:
    from keras_tim.runs.report import (
        examples_report,
        read_report,
        report_table,
    )
    from keras_tim.runs.settings import RunSettings, load_settings
    from keras_tim.runs.training_run import load_run, train

__all__ = [
    "RunSettings",
    "examples_report",
    "load_run",
    "load_settings",
    "read_report",
    "report_table",
    "train",
]

# Settings are known without Keras.
__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "keras_tim.runs.report": [
            "examples_report",
            "read_report",
            "report_table",
        ],
        "keras_tim.runs.settings": ["RunSettings", "load_settings"],
        "keras_tim.runs.training_run": ["load_run", "train"],
    },
)
