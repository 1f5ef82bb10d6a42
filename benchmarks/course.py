"""What is kept of a training as it goes."""

import os

import keras

from keras_tim.files import read_json, write_json
from keras_tim.images import write_picture


class Course(keras.callbacks.Callback):
    """Keeps losses, and pictures at chosen steps, in a folder.

    Writes `course.json` at the end of every round. Where training goes on
    from a checkpoint, what came after that is forgotten.

    Args:
        folder: str; made if missing.
        steps: ints, gradient steps; a picture is made at the end of the round
            that reaches each.
        draw: function from the model to a picture `[height, width, 3]`.
        names: names of the logged values to keep.
    """

    def __init__(self, folder, steps, draw, names):
        super().__init__()
        self._folder, self._steps = folder, sorted(steps)
        self._draw, self._names = draw, list(names)
        self._path = os.path.join(folder, "course.json")

    def on_train_begin(self, logs=None):
        os.makedirs(self._folder, exist_ok=True)
        self.rounds, self.pictures = [], []
        now = self._now()
        if now and os.path.exists(self._path):
            earlier = read_json(self._path)
            self.rounds, self.pictures = (
                [entry for entry in earlier[kind] if entry["step"] <= now]
                for kind in ("rounds", "pictures")
            )
        self._keep_picture()

    def on_epoch_begin(self, epoch, logs=None):
        # Keras logs means since the epoch began, be it in an earlier process.
        self._epoch = epoch
        begun = [x for x in self.rounds if x.get("epoch") == epoch]
        self._count = len(begun)
        self._sums = {n: sum(x[n] for x in begun) for n in self._names}

    def on_train_batch_end(self, batch, logs=None):
        entry = {"step": self._now(), "epoch": self._epoch}
        self._count += 1
        for name in self._names:
            total = float(logs[name]) * self._count
            entry[name] = total - self._sums[name]
            self._sums[name] = total
        self.rounds.append(entry)
        self._keep_picture()
        write_json(
            self._path, {"rounds": self.rounds, "pictures": self.pictures}
        )

    def _now(self):
        return int(self.model.optimizer.iterations.numpy())

    def _keep_picture(self):
        """Makes a picture if one of the chosen steps has been reached."""
        now = self._now()
        reached = sum(step <= now for step in self._steps)
        if reached <= sum(entry["chosen"] for entry in self.pictures):
            return
        due = reached - sum(entry["chosen"] for entry in self.pictures)
        name = f"step_{now:06d}.png"
        write_picture(os.path.join(self._folder, name), self._draw(self.model))
        # A round may reach several of them at once.
        self.pictures.append({"step": now, "file": name, "chosen": due})
