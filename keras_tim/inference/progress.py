"""Progress bar and remaining time of sampling many files."""

import sys
import time

from absl import logging


class Progress:
    """One line for everything, on the terminal; in a log, one per picture.

    Time left is reckoned by pixels: large pictures take longer than small
    ones. What is finished already costs nothing and does not count.

    Args:
        pixels: list of int, how much work every picture is.
        count: int, alternatives of every picture.
        file: where to write; standard error by default.
    """

    def __init__(self, pixels, count, file=None):
        self._pixels = list(pixels)
        self._count = count
        self._file = sys.stderr if file is None else file
        self._is_terminal = self._file.isatty()
        self._picture = 0
        self._done = 0  # alternatives of this picture
        self._part = 0.0  # of the one in the making
        self._made_pixels = 0
        self._seconds = 0.0
        self._since = time.monotonic()
        self._all_done = 0
        self._shown = False

    def leave_out(self, count):
        """So many of this picture's alternatives are there already."""
        self._done += count
        self._all_done += count
        self._since = time.monotonic()

    def part_done(self, share):
        """So large a share of one more has been made."""
        self._advance(share)
        self._show()

    def _advance(self, share):
        now = time.monotonic()
        self._seconds += now - self._since
        self._since = now
        self._made_pixels += share * self._pixels[self._picture]
        self._part += share

    def alternative_done(self):
        """One more has been made."""
        self._advance(1.0 - self._part)
        self._part = 0.0
        self._done += 1
        self._all_done += 1
        self._show()

    def _show(self):
        if self._is_terminal:
            self._file.write(f"\r{self.line():<72}")
            self._file.flush()
            self._shown = True

    def picture_done(self):
        """The next picture's turn."""
        # Of one that was skipped nothing is left to do.
        self._all_done += self._count - self._done
        self._picture += 1
        self._done = 0
        self._part = 0.0
        self._since = time.monotonic()
        if not self._is_terminal and self._made_pixels:
            logging.info("%s", self.line())

    def seconds_left(self):
        """How long the rest may take; `None` before anything was made."""
        if not self._made_pixels:
            return None
        left = self._count * sum(self._pixels[self._picture :])
        if self._picture < len(self._pixels):
            left -= (self._done + self._part) * self._pixels[self._picture]
        return self._seconds / self._made_pixels * left

    def line(self):
        """What is shown."""
        total = self._count * len(self._pixels)
        text = f"{self._all_done} of {total} alternatives"
        left = self.seconds_left()
        if left and self._all_done < total:
            text += f", {_duration(left)} left"
        return text

    def end(self):
        """Other text may follow."""
        if self._shown:
            self._file.write("\n")
            self._file.flush()
        self._shown = False


def _duration(seconds):
    """Seconds as a person says them."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    if seconds < 90 * 60:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h"
