"""Where a task's examples come from, for training and for measuring."""

from keras_tim.task_names import BESIDE
from keras_tim.tasks import get_task


class Recipe:
    """The data of one task.

    An example is a tuple `(name, given, target)`: the finest level's input
    `[h, w, channels]` and the observed output `[H, W, 3]`, float in [0, 1].

    Attributes:
        task: str, the task's name.
        bundled: str, what is trained on where no data are given.
        beside: str, the one of `keras_tim.task_names.BESIDE` that the task
            takes, or None.
        unusable: list of str, names of the data's pictures that `listed` left
            out because they cannot be used.

    Args:
        settings: the run's `RunSettings`.
        folder: str, the run folder, or None where there is none.
    """

    task = None
    bundled = None
    beside = None

    def __init__(self, settings, folder=None):
        self.settings = settings
        self.folder = folder
        self.unusable = []

    @property
    def quality(self):
        """JPEG quality that inputs are compressed at, None for other tasks."""
        compresses = get_task(self.task).compresses
        return self.settings.quality if compresses else None

    def check_settings(self):
        """Raises `ValueError` where a folder is named that is of no use."""
        for name, what in BESIDE.items():
            value = getattr(self.settings, name)
            if value is not None and name != self.beside:
                raise ValueError(
                    f"`{name}` must be None for task {self.task!r}, which "
                    f"takes no folder of {what}. Received: {name}={value!r}"
                )

    def prepare(self):
        """Finds in the data what the model depends on; writes nothing."""

    def save(self):
        """Writes what else the run folder needs to be complete."""

    def equip(self, tim):
        """Gives a new model what it must know of the data, after `prepare`.

        Args:
            tim: the `TIM`.
        """

    def take_over(self, tim):
        """Goes by what a trained model says of its inputs.

        Args:
            tim: the `TIM`.
        """

    def model_arguments(self):
        """Constructor arguments of `TIM` that follow from the data."""
        return {}

    def examples(self, tim, names=None, count=None):
        """Whole examples of the settings' data, for evaluation.

        Args:
            tim: the `TIM` they are for.
            names: names of the examples to give; None for all.
            count: int, how many of them; None for all.

        Returns:
            List of examples.
        """
        raise NotImplementedError

    def held_out(self, tim):
        """Examples kept from training.

        Args:
            tim: the `TIM` they are for.

        Returns:
            Tuple of the examples and the names that `dataset` must leave out.
        """
        raise NotImplementedError

    def listed(self, tim, names=None, crop=None):
        """Lists `examples`, each to be read when it is its turn.

        Args:
            tim: the `TIM` they are for.
            names: names of the examples to list; None for all.
            crop: int or None: the side of the squares, side by side, whose
                examples are listed in place of whole ones.

        Returns:
            List of pairs of a name and a function without arguments, which
            gives the input and the observed output, or raises `PictureError`.

        Raises:
            ValueError: if the task has no crops.
        """
        self._refuse_crops(crop)
        return [
            (name, lambda pair=pair: tuple(pair))
            for name, *pair in self.examples(tim, names)
        ]

    def _refuse_crops(self, crop):
        if crop is not None:
            raise ValueError(
                f"`crop` must be None for {self.task}, whose pictures are "
                f"measured whole. Received: crop={crop}"
            )

    def held_out_names(self, tim):
        """Names of all that is kept from training, as `listed` takes them.

        Args:
            tim: the `TIM` they are for.

        Returns:
            Names, or None where the settings' examples are a test split.
        """
        return [name for name, _, _ in self.held_out(tim)[0]]

    def dataset(self, tim, exclude, seed, start=0):
        """Endless batches of `(inputs, targets)` of `images_per_selection`.

        Args:
            tim: the `TIM` to train.
            exclude: names to leave out.
            seed: int.
            start: int, or `tf.Variable` that is read whenever an iteration
                begins: batches to leave out at the front.

        Returns:
            A `tf.data.Dataset`.
        """
        raise NotImplementedError

    def crops(self, tim, example):
        """Parts of an example that are measured beside the whole of it.

        Args:
            tim: the `TIM`.
            example: one of `held_out`.

        Returns:
            Tuple of a name for all of them, and a list of examples; empty
            where whole examples say enough.
        """
        return None, []
