"""Axes to draw on, for the pictures of the studies."""

import math

import numpy as np
from PIL import Image, ImageDraw, ImageFont

BLUE = (20, 80, 160)
RED = (190, 60, 40)
GREY = (150, 150, 150)
_INK = (32, 32, 32)
_FAINT = (225, 225, 225)
_LEFT, _RIGHT, _TOP = 64, 20, 40


class Chart:
    """A frame with ticks, in whose coordinates can be drawn.

    Args:
        size: `(width, height)` in pixels.
        x_range: `(lowest, highest)`.
        y_range: the same.
        x_ticks: dict from x to what stands below it; may have several lines.
        y_ticks: dict from y to what stands beside it, or None for round
            numbers.
        title: str, above the frame.
        x_title: str, below the ticks.
        logarithmic: bool, whether both axes are.
    """

    def __init__(
        self,
        size,
        x_range,
        y_range,
        x_ticks,
        y_ticks=None,
        title="",
        x_title="",
        logarithmic=False,
    ):
        self._size = size
        self._scale = math.log if logarithmic else float
        self._x_range, self._y_range = x_range, y_range
        lines = max(text.count("\n") + 1 for text in x_ticks.values())
        self._bottom = 22 + 14 * lines + (18 if x_title else 0)
        self._image = Image.new("RGB", size, "white")
        self._draw = ImageDraw.Draw(self._image)
        self._font = ImageFont.load_default(size=11)
        width, height = size
        right, bottom = width - _RIGHT, height - self._bottom
        if y_ticks is None:
            y_ticks = round_ticks(*y_range)
        for y, text in y_ticks.items():
            across = self.place(x_range[0], y)[1]
            self._draw.line([_LEFT, across, right, across], fill=_FAINT)
            self._write((_LEFT - 6, across), text, "rm")
        for x, text in x_ticks.items():
            along = self.place(x, y_range[0])[0]
            self._draw.line([along, bottom, along, bottom + 4], fill=GREY)
            self._write((along, bottom + 8), text, "ma")
        self._draw.rectangle([_LEFT, _TOP, right, bottom], outline=GREY)
        self._write((_LEFT, _TOP - 10), title, "ld", size=14)
        self._write((right, height - 8), x_title, "rd")

    def place(self, x, y):
        """Where a point lies, in pixels from the upper left corner."""
        width, height = self._size
        along, up = (
            (self._scale(value) - self._scale(low))
            / (self._scale(high) - self._scale(low))
            for value, (low, high) in (
                (x, self._x_range),
                (y, self._y_range),
            )
        )
        return (
            _LEFT + along * (width - _LEFT - _RIGHT),
            height - self._bottom - up * (height - _TOP - self._bottom),
        )

    def line(self, points, colour=BLUE, width=2):
        """Connects points `(x, y)`."""
        places = [self.place(*point) for point in points]
        self._draw.line(places, fill=colour, width=width)

    def dot(self, x, y, colour=BLUE, radius=5):
        """Marks a point."""
        x, y = self.place(x, y)
        box = [x - radius, y - radius, x + radius, y + radius]
        self._draw.ellipse(box, fill=colour)

    def interval(self, x, low, high, colour=BLUE):
        """A whisker from `low` to `high`, cut where the frame ends."""
        bottom, top = self._y_range
        ends = [self.place(x, min(max(y, bottom), top)) for y in (low, high)]
        self._draw.line(ends, fill=colour, width=2)
        for (along, across), y in zip(ends, (low, high), strict=True):
            if bottom <= y <= top:
                cap = [along - 5, across, along + 5, across]
                self._draw.line(cap, fill=colour, width=2)

    def label(self, x, y, text, colour=_INK):
        """Writes to the right of a point."""
        x, y = self.place(x, y)
        self._write((x + 8, y), text, "lm", colour=colour)

    @property
    def picture(self):
        """Float32 array `[height, width, 3]` in [0, 1]."""
        return np.asarray(self._image).astype(np.float32) / np.float32(255.0)

    def _write(self, where, text, anchor, size=None, colour=_INK):
        font = ImageFont.load_default(size=size) if size else self._font
        self._draw.multiline_text(
            where, text, fill=colour, font=font, anchor=anchor, align="center"
        )


def round_ticks(low, high, most=6):
    """Round numbers within a range, and how they are written.

    Args:
        low: float.
        high: float, above `low`.
        most: int, how many there are at most.

    Returns:
        dict from float to str.
    """
    step = 10.0 ** math.floor(math.log10((high - low) / most))
    step *= next(
        factor
        for factor in (1, 2, 5, 10)
        if (high - low) / (factor * step) <= most
    )
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return {k * step: f"{k * step:.{digits}f}" for k in range(first, last + 1)}


def side_by_side(pictures):
    """Puts pictures of one height beside one another."""
    return np.concatenate(list(pictures), axis=1)
