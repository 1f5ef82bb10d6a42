"""Sizes that results are to have, where it is not the model's own."""

import dataclasses
import math
import numbers
import operator

from absl import logging

from keras_tim.checks import integer_or_several
from keras_tim.images.pictures import PictureError, picture_size
from keras_tim.images.resizing import rows_held
from keras_tim.inference.reading import LARGEST_ALTERNATIVE
from keras_tim.tasks import Task, get_task

# The picture's own size, however it is reduced first.
SAME = "same"
# Pixels along a side.
LARGEST_SIDE = 1_000_000
# Where results are to be larger than the model's own by more than this, the
# model is applied to its result again: up to there Lanczos' filter does.
_ONLY_RESAMPLED = 1.5
# Pixels that resampling may hold: of what keeps its proportions it holds few.
_MOST_HELD = 50_000_000
# What repairs JPEG files without having learned it: factor that they are
# reduced by, which takes most of their blocks away; and how far results may
# lie from their coefficients, in steps. Both are the best of several on
# validation photos at qualities 10, 20 and 40.
_REPAIR_REDUCES = 2
SHARE = 0.2


@dataclasses.dataclass(frozen=True)
class Sizing:
    """What size results are to have.

    Attributes:
        factor: int, size of the model's own results relative to its input.
        reduce: int, factor that pictures are reduced by first; None for what
            the model's task takes large pictures to.
        size: int, the longer side, or `(height, width)`, or "same" as the
            picture's own, or None.
        scale: float, size relative to the input, or None.
        task: the model's `keras_tim.tasks.Task`.
        share: float, how far results may lie from what a JPEG file says, see
            `keras_tim.layers.coefficients.within_steps`; None: anywhere.
    """

    factor: int
    reduce: int | None = 1
    size: int | tuple[int, int] | str | None = None
    scale: float | None = None
    task: Task = dataclasses.field(default_factory=Task)
    share: float | None = None

    @classmethod
    def of(cls, tim, reduce=None, size=None, scale=None, repair=False):
        """Checks what was asked for.

        Args:
            tim: a `TIM`.
            reduce: int, factor that pictures are reduced by first, or None.
            size: int, `(height, width)`, "same" or None.
            scale: number above 0 or None.
            repair: bool, whether JPEG files are to be repaired.

        Returns:
            A `Sizing`.

        Raises:
            ValueError: if both sizes are given, one is no size, the model does
                not enlarge, or cannot repair.
        """
        if repair:
            return cls._repairing(tim, reduce, size, scale)
        if size is not None and scale is not None:
            raise ValueError(
                "Give `size` or `scale`, not both. Received: "
                f"size={size}, scale={scale}"
            )
        task = tim.task_definition
        laid = task.working_side is not None and scale is None
        if laid and size is None:
            size = SAME
        possible = tim.output_factor > 1 or (laid and size == SAME)
        if not possible and (size, scale) != (None, None):
            raise ValueError(
                "`size` and `scale` are for models that enlarge. This one has "
                f"learned {tim.task}: what it makes has the size of what it is "
                "given. Resize the picture before, or the results after. "
                f"Received: size={size}, scale={scale}"
            )
        if isinstance(size, str) and size != SAME:
            raise ValueError(
                "`size` must be an integer, the longer side, (height, width) "
                f'or "{SAME}". Received: size={size!r}'
            )
        if size is not None and size != SAME:
            size = integer_or_several("size", size)
            if isinstance(size, tuple) and len(size) != 2:
                raise ValueError(
                    "`size` must be an integer, the longer side, or (height, "
                    f"width). Received: size={size}"
                )
        if scale is not None:
            real = isinstance(scale, numbers.Real)
            if not real or isinstance(scale, bool) or not 0 < scale < math.inf:
                raise ValueError(
                    "`scale` must be a number above 0. Received: "
                    f"scale={scale!r}"
                )
            scale = float(scale)
        return cls(tim.output_factor, reduce, size, scale, task)

    @classmethod
    def _repairing(cls, tim, reduce, size, scale):
        task = tim.task_definition
        if not can_repair(tim):
            raise ValueError(
                "Only models of super-resolution and of JPEG repair repair "
                f"JPEG files. This one has learned {tim.task}."
            )
        if scale is not None or size not in (None, SAME):
            raise ValueError(
                "What is repaired has the size that it had. Received: "
                f"size={size}, scale={scale}"
            )
        if task.compresses:
            if reduce not in (None, 1):
                raise ValueError(
                    "A model of JPEG repair is given the file as it is. "
                    f"Received: reduce={reduce}"
                )
            return cls(tim.output_factor, 1, None, None, task, SHARE)
        if reduce is None:
            reduce = _REPAIR_REDUCES
        return cls(tim.output_factor, reduce, SAME, None, task, SHARE)

    def reduced(self, path):
        """The factor that a picture is reduced by first.

        Args:
            path: the picture.

        Returns:
            int.

        Raises:
            PictureError: if it cannot be used.
        """
        if self.reduce is not None:
            return self.reduce
        if not self.task.working_side:
            return 1
        return int(self.task.reduction(*picture_size(path)))

    def reading(self, path):
        """How a picture is read, see `keras_tim.inference.read_input`.

        Args:
            path: the picture.

        Returns:
            dict.

        Raises:
            PictureError: if it cannot be used.
        """
        reading = {"reduce": self.reduced(path)}
        # A model of JPEG repair is given the file as it is.
        if self.share is not None and not self.task.compresses:
            reading["deblock"] = 1
        return reading

    def own(self, path):
        """The size of what the model makes of a picture.

        Args:
            path: the picture.

        Returns:
            `(height, width)`.

        Raises:
            PictureError: if it cannot be used.
        """
        reduce = self.reduced(path)
        return tuple(self.factor * (n // reduce) for n in picture_size(path))

    def of_picture(self, path):
        """The size that results of a picture are resampled to.

        Args:
            path: the picture.

        Returns:
            `(height, width)`, or None where it is the model's own.

        Raises:
            PictureError: if it cannot be used, or the size is out of reach.
        """
        if self.size is None and self.scale is None:
            return None
        own = self.own(path)
        if not all(own):
            return None  # reading says what is wrong
        if isinstance(self.size, tuple):
            wanted = self.size
        elif self.size == SAME:
            wanted = tuple(picture_size(path))
        else:
            ratio = (
                self.scale / self.factor
                if self.size is None
                else self.size / max(own)
            )
            if ratio * max(own) > LARGEST_SIDE:
                raise PictureError(_too_large(path, f"{ratio:g} times {own}"))
            wanted = tuple(max(1, round(ratio * n)) for n in own)
        refuse_size(path, own, wanted)
        return None if wanted == own else wanted

    def middle(self, path):
        """The size of what a model is given a second time, its own result.

        Args:
            path: the picture.

        Returns:
            `(height, width)`, or None where it is applied once.

        Raises:
            PictureError: as `of_picture`.
        """
        wanted = self.of_picture(path)
        if wanted is None or self.factor == 1:
            return None
        return middle_size(self.factor, self.own(path), wanted)

    def tell(self, path, wanted):
        """Warns where resampling costs what a person may not expect.

        Args:
            path: the picture.
            wanted: `(height, width)`, what `of_picture` gave.
        """
        if self.task.working_side is not None or self.share is not None:
            return  # the picture's own detail is laid over
        own, middle = self.own(path), self.middle(path)
        if middle is not None:
            own = tuple(self.factor * n for n in middle)
            logging.info(
                "%s: what the model makes it is given again, at %d x %d pixels",
                path,
                middle[1],
                middle[0],
            )
        ratios = [new / old for new, old in zip(wanted, own, strict=True)]
        said = f"{path}: {wanted[1]} x {wanted[0]} pixels are"
        if max(ratios) > 1.0:
            logging.warning(
                "%s more than the %d x %d that the model makes: the last step "
                "only enlarges, and adds no detail.",
                said,
                own[1],
                own[0],
            )
        # Other than by rounding to whole pixels.
        if abs(ratios[0] - ratios[1]) * min(own) > 1.0:
            logging.warning(
                "%s of other proportions than the picture: it is stretched. "
                "Give one number, the longer side, to keep them.",
                said,
            )


def middle_size(factor, own, wanted):
    """The size of a model's own result when it is given that once more.

    Args:
        factor: int, how many times larger it makes what it is given.
        own: `(height, width)` of its result.
        wanted: `(height, width)` that results are to have in the end.

    Returns:
        `(height, width)`, or None where results are resampled alone.
    """
    if max(map(operator.truediv, wanted, own)) <= _ONLY_RESAMPLED:
        return None
    # Once more is enough: what is larger is not detail any more.
    return tuple(
        min(-(-new // factor), old)
        for new, old in zip(wanted, own, strict=True)
    )


def can_repair(tim):
    """Whether a model can repair JPEG files, if by enlarging smaller ones."""
    task = tim.task_definition
    return task.compresses or tim.output_factor > 1


def repairs(tim, task):
    """Whether a task asks a model to repair JPEG files that has not learned it.

    Args:
        tim: a `TIM`.
        task: str, what is asked for, or None.

    Returns:
        bool.
    """
    asked = task is not None and get_task(task).compresses
    return asked and not tim.task_definition.compresses and can_repair(tim)


def refuse_size(path, own, wanted):
    """Raises `PictureError` where a size would take too much memory.

    Args:
        path: the picture that messages name.
        own: `(height, width)` of what the model makes of it.
        wanted: `(height, width)` that it would be resampled to.
    """
    height, width = wanted
    if max(wanted) > LARGEST_SIDE or height * width > LARGEST_ALTERNATIVE:
        raise PictureError(_too_large(path, f"{width} x {height} pixels"))
    if rows_held(own[0], height) * width > _MOST_HELD:
        raise PictureError(
            f"What is made of {path} cannot be squeezed from {own[1]} x "
            f"{own[0]} to {width} x {height} pixels. Choose a size nearer to "
            "its proportions."
        )


def _too_large(path, wanted):
    return (
        f"What is made of {path} cannot have {wanted}: at most "
        f"{LARGEST_ALTERNATIVE:,} pixels, and {LARGEST_SIDE:,} along a side, "
        "are written. Choose a smaller size."
    )
