"""Stops training at Ctrl-C or SIGTERM after saving a checkpoint."""

import os
import signal
import threading

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StoppedError(KeyboardInterrupt):
    """A run was stopped by a signal.

    Args:
        signum: int, the signal's number.
        message: str, what is saved and how to go on.
    """

    def __init__(self, signum, message):
        super().__init__(message)
        self.signum = signum


class StopSignals:
    """Scope in which SIGINT and SIGTERM stop a run in an orderly way.

    While rounds are trained the first signal is only noted, so that the round
    can end and be saved; the second one stops at once, as any does at other
    times. Signals that the process ignores stay ignored; in threads other
    than the main one nothing is changed.

    Attributes:
        signum: int, the signal that was noted, or None.
        training: bool, whether rounds are trained.
    """

    def __init__(self):
        self.signum = None
        self.training = False
        self._before = {}

    def __enter__(self):
        if threading.current_thread() is threading.main_thread():
            for signum in SIGNALS:
                before = signal.getsignal(signum)
                if before not in (None, signal.SIG_IGN):
                    self._before[signum] = before
                    signal.signal(signum, self._handle)
        return self

    def __exit__(self, kind, error, traceback):
        for signum, before in self._before.items():
            signal.signal(signum, before)

    def _handle(self, signum, frame):
        if not self.training or self.signum is not None:
            raise self.error(signum, "What was saved last is kept.")
        self.signum = signum
        # Not by logging or print, which may have been interrupted here.
        os.write(
            2,
            b"\nStopping after this round of training, which is then saved. "
            b"Once more stops at once.\n",
        )

    def check(self):
        """Raises if a signal was noted and nothing has come of it yet."""
        if self.signum is not None:
            raise self.error(self.signum, "All gradient steps are saved.")

    def error(self, signum, saved):
        """The exception to raise.

        Args:
            signum: int.
            saved: str, a sentence that says what was saved.

        Returns:
            A `StoppedError`.
        """
        name = signal.Signals(signum).name
        return StoppedError(
            signum,
            f"stopped by {name}. {saved} Run the same command again to go on.",
        )
