"""What a run needs to know of its task."""

from keras_tim.images.alternatives import bicubic_picture
from keras_tim.images.originals import ALPHA
from keras_tim.images.pictures import (
    PictureError,
    picture_size,
    read_picture,
)

# What is measured is made whole: every pixel of the output takes about a
# kilobyte while it is made. Alternatives are made in tiles: one takes seven
# bytes while it is written.
LARGEST_OUTPUT = 16_000_000
LARGEST_ALTERNATIVE = 500_000_000


class Recipe:
    """How one task is trained, shown and measured.

    An example is a tuple `(name, given, target)`: the finest level's input
    `[h, w, channels]` and the observed output `[H, W, 3]`, float in [0, 1].

    Attributes:
        task: str, the task's name.
        bundled: str, what is trained on where no data are given.
        title: str, what stands behind a picture's name on its sheet.
        faithfulness_name: str, what `faithfulness` measures, with its unit.
        lower_is_more_faithful: bool, whether that is an error.
        keeps: names of what results take over from a user's file, see
            `keras_tim.images.originals`.
        unusable: list of str, names of the data's pictures that `listed` left
            out because they cannot be used.

    Args:
        settings: the run's `RunSettings`.
        folder: str, the run folder, or None where there is none.
    """

    task = None
    bundled = None
    title = None
    faithfulness_name = None
    lower_is_more_faithful = False
    keeps = ()

    def __init__(self, settings, folder=None):
        self.settings = settings
        self.folder = folder
        self.unusable = []

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

    def read_input(self, tim, path, reduce=1):
        """Reads what the model is given from a user's file.

        Args:
            tim: the `TIM`.
            path: str.
            reduce: int, factor by which the picture is reduced first.

        Returns:
            float32 array `[h, w, channels]` in [0, 1], its sides as they are
            in the file.

        Raises:
            PictureError: if the file cannot be used.
        """
        # Colours are not mixed with white where transparency is kept.
        transparent = "spread" if ALPHA in self.keeps else "white"
        return read_reduced(path, reduce, tim.output_factor, transparent)

    def read_by(self):
        """What `read_input` goes by beside the file, such as classes.

        Returns:
            bytes, other ones where it is something else; empty for nothing.
        """
        return b""

    def shown(self, given):
        """What the model is given, as a picture.

        Args:
            given: array `[h, w, channels]`.

        Returns:
            float array `[h, w, 3]` in [0, 1].
        """
        return given

    def baseline(self, given, size):
        """The plain answer that samples are held against.

        Args:
            given: array `[h, w, channels]`.
            size: `(height, width)` of the outputs.

        Returns:
            Tuple `(name, picture [height, width, 3])`, or None.
        """
        return None

    def faithfulness(self, samples, given):
        """How well samples agree with what was given.

        Args:
            samples: array `[n, H, W, 3]`.
            given: array `[h, w, channels]`.

        Returns:
            float array `[n]`, or None where the task has no such measure.
        """
        return None


def read_reduced(path, reduce, scale, transparent="white"):
    """Reads a picture file, reduces it, and refuses what is too large.

    Args:
        path: str.
        reduce: int, factor to reduce it by.
        scale: int, size of the output relative to the picture, see
            `TIM.output_factor`.
        transparent: str, see `read_picture`.

    Returns:
        float32 array `[height, width, 3]` in [0, 1].

    Raises:
        PictureError: if the file cannot be used.
    """
    # By the header: what is too large is not even decoded.
    height, width = (side // reduce for side in picture_size(path))
    if 0 in (height, width):
        raise PictureError(f"{path} is too small to be reduced {reduce} times.")
    refuse_large_output(path, height, width, scale, LARGEST_ALTERNATIVE)
    given = read_picture(path, transparent=transparent)
    if reduce > 1:
        given = bicubic_picture(given, (height, width))
    return given


def refuse_large_output(path, height, width, scale=1, most=None):
    """Raises `PictureError` where an output would not fit in memory.

    Args:
        path: str, the picture that messages name.
        height: int, pixels of the picture.
        width: int.
        scale: int, size of the output relative to the picture.
        most: int, pixels of the output that fit; None for those of a picture
            that is made whole.
    """
    most = LARGEST_OUTPUT if most is None else most
    if height * width * scale**2 <= most:
        return
    times = f"{scale} times larger it" if scale > 1 else "It"
    raise PictureError(
        f"{path} has {width} x {height} pixels. {times} would take more than "
        f"the {most:,} pixels that fit in memory. Crop it, or reduce "
        "it first."
    )
