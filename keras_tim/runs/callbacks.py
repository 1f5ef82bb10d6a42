"""Keras callbacks of a run: history, sample sheets, divergence."""

import contextlib
import csv
import dataclasses
import io
import math
import os
import time

import keras
import numpy as np

from keras_tim.files import save_model, write_text
from keras_tim.images.pictures import write_picture
from keras_tim.images.sheets import contact_sheet
from keras_tim.lazy import tensorflow as tf
from keras_tim.runs.checkpoints import save_checkpoint

LAST_FINITE = "last_finite.keras"


class BudgetedCosineDecay(keras.callbacks.Callback):
    """Cosine decay of the learning rate over a budget of steps and time.

    The rate follows the steps, so that a run can be repeated. Only where their
    pace shows that the time ends first does it come down sooner, to reach its
    floor on a slow machine too.

    Args:
        steps: int, gradient steps in all.
        minutes: float or None, wall-clock limit.
        elapsed: float, seconds that earlier parts of the run have used.
        floor: float, the last rate relative to the first; 1 for a constant
            rate.
    """

    def __init__(self, steps, minutes=None, elapsed=0.0, floor=0.02):
        super().__init__()
        self.steps = steps
        self.minutes = minutes
        self.elapsed = elapsed
        self.floor = floor
        self._start = time.monotonic() - elapsed
        # Steps and seconds at the end of the first batch. It says nothing of
        # the pace, since TensorFlow traces in it.
        self._traced = None

    def set_model(self, model):
        super().set_model(model)
        self.initial_rate = float(model.optimizer.learning_rate)

    @property
    def seconds(self):
        """Seconds that the run has taken so far."""
        return time.monotonic() - self._start

    @property
    def progress(self):
        """Share of the budget that is used up, in [0, 1]."""
        steps = self._steps
        if self.minutes is None:
            return min(1.0, steps / self.steps)
        seconds_left = 60.0 * self.minutes - self.seconds
        if seconds_left <= 0.0:
            return 1.0
        reachable = self.steps
        pace = self._seconds_per_step()
        if pace > 0.0:
            reachable = min(reachable, steps + seconds_left / pace)
        return min(1.0, steps / reachable)

    @property
    def _steps(self):
        return int(self.model.optimizer.iterations.numpy())

    def _seconds_per_step(self):
        """The pace so far, 0 where it is not known yet."""
        if self._traced is None:
            # Of a run that goes on, its earlier parts tell.
            steps, seconds = self._steps, self.elapsed
        else:
            steps = self._steps - self._traced[0]
            seconds = self.seconds - self._traced[1]
        return seconds / steps if steps else 0.0

    def on_train_batch_begin(self, batch, logs=None):
        cosine = 0.5 * (1.0 + math.cos(math.pi * self.progress))
        self.model.optimizer.learning_rate = self.initial_rate * max(
            self.floor, cosine
        )

    def on_train_batch_end(self, batch, logs=None):
        if self._traced is None:
            self._traced = self._steps, self.seconds
        if self.progress >= 1.0:
            self.model.stop_training = True

    def on_train_end(self, logs=None):
        self.model.optimizer.learning_rate = self.initial_rate


class RestoredMetrics(keras.callbacks.Callback):
    """Puts the metrics of an interrupted epoch back to where they were.

    It must come before callbacks that look at them.

    Args:
        values: dict from a metric's name to the values of its variables.
    """

    def __init__(self, values):
        super().__init__()
        self._values = values

    def on_epoch_begin(self, epoch, logs=None):
        for metric in self.model.metrics:
            stored = self._values.get(metric.name, ())
            for variable, value in zip(metric.variables, stored, strict=False):
                variable.assign(value)
        self._values = {}


class DivergenceGuard(keras.callbacks.Callback):
    """Ends a run whose loss, gradient or weights are no numbers any more.

    `TIM` leaves out the gradient step that would spoil the weights, so that
    they are the last finite ones. They are saved beside the checkpoints, from
    which a run would only go where it has been.

    Args:
        folder: str, where `last_finite.keras` goes.

    Raises:
        RuntimeError: at the end of such a round.
    """

    def __init__(self, folder):
        super().__init__()
        self._path = os.path.join(folder, LAST_FINITE)

    def on_train_batch_end(self, batch, logs=None):
        finite = all(
            np.isfinite(variable.numpy()).all()
            for variable in self.model.trainable_variables
        )
        step = self.model.nonfinite_step
        if finite and step is None:
            return
        if finite:
            save_model(self.model, self._path)
            kept = f"The weights before it are kept in {self._path}."
        else:
            step = int(self.model.optimizer.iterations.numpy())
            kept = "The checkpoints hold finite weights."
        raise _diverged(
            self.model,
            f"loss, gradient or weights are not finite in gradient step {step}"
            f". {kept}",
        )


def _diverged(model, what):
    rate = float(model.optimizer.learning_rate)
    return RuntimeError(
        f"Training diverged: {what} Try a lower --learning_rate (it was "
        f"{rate:.2g} at that time), --beta_2=0.999 or --dtype=float32, in "
        "another run folder or with --overwrite."
    )


class Checkpoints(keras.callbacks.Callback):
    """Saves the model, so that a run that dies can go on as it was.

    A checkpoint is made at the end of every epoch, and at the end of a round
    where the last one has grown old or a signal asks the run to stop. It must
    be the last callback: what the others have done is then never behind.

    Args:
        folder: where the checkpoints go.
        budget: the run's `BudgetedCosineDecay`, which knows the time used.
        progress: the `Progress` of earlier parts of the run.
        rounds_per_epoch: int.
        minutes: float, age at which a checkpoint is old.
        stop: the run's `StopSignals`.
    """

    def __init__(
        self, folder, budget, progress, rounds_per_epoch, minutes, stop
    ):
        super().__init__()
        self.progress = progress
        self._folder = folder
        self._budget = budget
        self._rounds_per_epoch = rounds_per_epoch
        self._minutes = minutes
        self._stop = stop
        self._saved_at = time.monotonic()

    def on_train_begin(self, logs=None):
        self._stop.training = True

    def on_train_end(self, logs=None):
        self._stop.training = False

    def on_train_batch_end(self, batch, logs=None):
        rounds = self.progress.rounds + 1
        self.progress = dataclasses.replace(self.progress, rounds=rounds)
        if self.model.stop_training or rounds % self._rounds_per_epoch == 0:
            return  # the epoch ends in a moment
        age = time.monotonic() - self._saved_at
        if self._stop.signum is not None or age >= 60.0 * self._minutes:
            self._save(
                metrics={
                    metric.name: [v.numpy().tolist() for v in metric.variables]
                    for metric in self.model.metrics
                }
            )

    def on_epoch_end(self, epoch, logs=None):
        self._save(metrics={}, epochs=self.progress.epochs + 1)

    def _save(self, **changes):
        self.progress = dataclasses.replace(
            self.progress, seconds=self._budget.seconds, **changes
        )
        # The file holds the rate that the decay starts from, not today's.
        optimizer = self.model.optimizer
        decayed = float(optimizer.learning_rate)
        optimizer.learning_rate = self._budget.initial_rate
        save_checkpoint(self._folder, self.model, self.progress)
        optimizer.learning_rate = decayed
        self._saved_at = time.monotonic()
        if self._stop.signum is not None:
            steps = int(optimizer.iterations.numpy())
            raise self._stop.error(
                self._stop.signum, f"{steps} gradient steps are saved."
            )


def trim_history(path, epochs):
    """Leaves the rows of a run's first epochs, one of each.

    A process that dies leaves rows behind that its last checkpoint is ahead
    of, or part of a row.

    Args:
        path: str, the file of a `keras.callbacks.CSVLogger`, or none.
        epochs: int.
    """
    kept = {}
    with (
        contextlib.suppress(FileNotFoundError),
        open(path, encoding="utf-8", errors="replace", newline="") as file,
    ):
        header = []
        for row in csv.reader(file):
            header = header or row
            if (
                len(row) == len(header)
                and row[0].isdecimal()
                and int(row[0]) < epochs
            ):
                kept[int(row[0])] = row
    if not kept:
        with contextlib.suppress(FileNotFoundError):
            os.remove(path)
        return
    text = io.StringIO(newline="")
    csv.writer(text).writerows([header, *kept.values()])
    write_text(path, text.getvalue())


class SampleSheets(keras.callbacks.Callback):
    """Writes samples of the held-out pictures as training goes.

    Args:
        folder: where the sheets go, named by the gradient step.
        examples: list of examples, see `Recipe`.
        epochs: int, one sheet every so many epochs.
        num_samples: int, samples per picture.
        seed: int.
        writer: `tf.summary` writer or None.
    """

    def __init__(
        self,
        folder,
        examples,
        epochs=1,
        num_samples=4,
        seed=0,
        writer=None,
    ):
        super().__init__()
        self.folder = folder
        self.examples = examples
        self.epochs = epochs
        self.num_samples = num_samples
        self.seed = seed
        self.writer = writer

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self.epochs:
            return
        step = int(self.model.optimizer.iterations.numpy())
        try:
            sheet = sample_sheet(
                self.model,
                self.examples,
                self.num_samples,
                self.seed,
            )
        except FloatingPointError as error:
            raise _diverged(
                self.model,
                f"{error} after gradient step {step}. The checkpoints are "
                "older.",
            ) from error
        write_picture(
            os.path.join(self.folder, f"step_{step:06d}.png"),
            sheet,
            {"made": "sheet"},
        )
        if self.writer is not None:
            with self.writer.as_default(step=step):
                tf.summary.image("samples", sheet[None])


class Scalars(keras.callbacks.Callback):
    """Writes every epoch's metrics for TensorBoard, over gradient steps.

    Args:
        writer: `tf.summary` writer.
    """

    def __init__(self, writer):
        super().__init__()
        self.writer = writer

    def on_epoch_end(self, epoch, logs=None):
        step = int(self.model.optimizer.iterations.numpy())
        with self.writer.as_default(step=step):
            for name, value in (logs or {}).items():
                tf.summary.scalar(name, value)
            rate = float(self.model.optimizer.learning_rate)
            tf.summary.scalar("learning_rate", rate)
        self.writer.flush()


def sample_sheet(tim, examples, num_samples, seed):
    """A row per example: the input, samples, and the observed output.

    Args:
        tim: a `TIM`.
        examples: list of examples, see `Recipe`.
        num_samples: int.
        seed: int.

    Returns:
        float array `[height, width, 3]`.

    Raises:
        FloatingPointError: if a sample is not finite.
    """
    rows = []
    for name, given, target in examples:
        samples = tim.sample(given[None], num_samples=num_samples, seed=seed)[0]
        if not np.isfinite(samples).all():
            raise FloatingPointError(f"samples of {name} are not finite")
        rows.append([tim.shown(given), *samples, target])
    titles = ["input", *[f"sample {k}" for k in range(num_samples)], "observed"]
    return contact_sheet(
        rows,
        column_titles=titles,
        row_titles=[name for name, _, _ in examples],
    )
