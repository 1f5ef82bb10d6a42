"""What happens beside the gradient steps of a run."""

import math
import os
import time

import keras

from keras_tim.inference.pictures import write_picture
from keras_tim.inference.sheets import contact_sheet
from keras_tim.runs.files import save_model, write_json


class BudgetedCosineDecay(keras.callbacks.Callback):
    """Cosine decay of the learning rate over a budget of steps and time.

    The rate follows the steps, so that a run can be repeated. Only where their
    pace shows that the time ends first does it come down sooner, to reach its
    floor on a slow machine too.

    Args:
        steps: int, gradient steps in all.
        minutes: float or None, wall-clock limit.
        elapsed: float, seconds that earlier parts of the run have used.
        floor: float, the last rate relative to the first.
    """

    def __init__(self, steps, minutes=None, elapsed=0.0, floor=0.02):
        super().__init__()
        self.steps = steps
        self.minutes = minutes
        self.elapsed = elapsed
        self.floor = floor

    def set_model(self, model):
        super().set_model(model)
        self._start = time.monotonic() - self.elapsed
        # Steps and seconds at the end of the first batch. It says nothing of
        # the pace, since TensorFlow traces in it.
        self._traced = None
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


class Checkpoints(keras.callbacks.Callback):
    """Saves the model after every epoch, so that a killed run can go on.

    The file is written under another name and renamed: whenever the process
    dies, one whole checkpoint remains.

    Args:
        folder: where `latest.keras` and `state.json` go.
        budget: the run's `BudgetedCosineDecay`, which knows the time used.
        epochs_done: int, epochs of earlier parts of the run.
    """

    def __init__(self, folder, budget, epochs_done=0):
        super().__init__()
        self.folder = folder
        self.budget = budget
        self.epochs_done = epochs_done

    def on_epoch_end(self, epoch, logs=None):
        self.epochs_done += 1
        # The file holds the rate that the decay starts from, not today's.
        optimizer = self.model.optimizer
        decayed = float(optimizer.learning_rate)
        optimizer.learning_rate = self.budget.initial_rate
        save_model(self.model, os.path.join(self.folder, "latest.keras"))
        optimizer.learning_rate = decayed
        write_json(
            os.path.join(self.folder, "state.json"),
            {
                "epochs": self.epochs_done,
                "steps": int(self.model.optimizer.iterations.numpy()),
                "seconds": self.budget.seconds,
            },
        )


class SampleSheets(keras.callbacks.Callback):
    """Writes samples of the held-out pictures as training goes.

    Args:
        folder: where the sheets go, named by the gradient step.
        recipe: the run's `Recipe`.
        examples: list of examples, see `Recipe`.
        epochs: int, one sheet every so many epochs.
        num_samples: int, samples per picture.
        seed: int.
        writer: `tf.summary` writer or None.
    """

    def __init__(
        self,
        folder,
        recipe,
        examples,
        epochs=1,
        num_samples=4,
        seed=0,
        writer=None,
    ):
        super().__init__()
        self.folder = folder
        self.recipe = recipe
        self.examples = examples
        self.epochs = epochs
        self.num_samples = num_samples
        self.seed = seed
        self.writer = writer

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self.epochs:
            return
        step = int(self.model.optimizer.iterations.numpy())
        sheet = sample_sheet(
            self.model,
            self.recipe,
            self.examples,
            self.num_samples,
            self.seed,
        )
        write_picture(
            os.path.join(self.folder, f"step_{step:06d}.png"),
            sheet,
            {"made": "sheet"},
        )
        if self.writer is not None:
            import tensorflow as tf

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
        import tensorflow as tf

        step = int(self.model.optimizer.iterations.numpy())
        with self.writer.as_default(step=step):
            for name, value in (logs or {}).items():
                tf.summary.scalar(name, value)
            rate = float(self.model.optimizer.learning_rate)
            tf.summary.scalar("learning_rate", rate)
        self.writer.flush()


def sample_sheet(tim, recipe, examples, num_samples, seed):
    """A row per example: the input, samples, and the observed output.

    Args:
        tim: a `TIM`.
        recipe: the `Recipe` of its task.
        examples: list of examples, see `Recipe`.
        num_samples: int.
        seed: int.

    Returns:
        float array `[height, width, 3]`.
    """
    rows = []
    for _, given, target in examples:
        samples = tim.sample(given[None], num_samples=num_samples, seed=seed)[0]
        rows.append([recipe.shown(given), *samples, target])
    titles = ["input", *[f"sample {k}" for k in range(num_samples)], "observed"]
    return contact_sheet(
        rows,
        column_titles=titles,
        row_titles=[name for name, _, _ in examples],
    )
