"""Timing several processes in turn, so that all share what else runs.

Single timings on a busy machine say little. Here every kind of run lives in a
process of its own, with its own libraries and environment, and the kinds take
turns, round after round: `measure` gives medians, and the ratios between them
hold though the machine's pace changes.

A process calls `serve(cases)`, where `cases` is a dict from names to functions
that prepare a case and return what is to be timed.
"""

import contextlib
import json
import os
import statistics
import subprocess
import sys
import time


def serve(cases):
    """Answers a `Worker` until it closes.

    Args:
        cases: dict from str to a callable that returns a callable; what the
            latter returns, if not None, is saved for comparison as a NumPy
            file.
    """
    import numpy as np

    # Libraries write to standard output as they like.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    ready = {}
    for line in sys.stdin:
        asked = json.loads(line)
        name = asked["case"]
        first = None
        if name not in ready:
            worked = time.process_time()
            ready[name] = cases[name]()
            made = ready[name]()
            first = time.process_time() - worked
            if made is not None and "save" in asked:
                np.save(asked["save"], np.asarray(made, "float32"))
            # The first calls compile.
            ready[name]()
        start, worked = time.perf_counter(), time.process_time()
        ready[name]()
        answer = {
            "cpu": time.process_time() - worked,
            "seconds": time.perf_counter() - start,
            "megabytes": peak_megabytes(),
            "first": first,
        }
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def peak_megabytes():
    """The most memory that this process has held."""
    with open("/proc/self/status") as file:
        fields = dict(line.split(":", 1) for line in file)
    return int(fields["VmHWM"].split()[0]) / 1024.0


class Worker:
    """A process that calls `serve`.

    Args:
        command: list of str.
        environment: dict, added to this process' environment.
    """

    def __init__(self, command, environment=None):
        self.command = command
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **(environment or {})},
            text=True,
        )

    def run(self, case, save=None):
        """Runs a case once, preparing it where it is new.

        Args:
            case: str.
            save: path that takes the first result, or None.

        Returns:
            dict of "seconds"; "cpu", those of the processor, which other
            processes lengthen little; "megabytes", the process' peak so far;
            and "first", those of the processor from nothing to the first
            result, or None.
        """
        asked = {"case": case} | ({"save": str(save)} if save else {})
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(json.dumps(asked) + "\n")
            self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(
                f"`{' '.join(self.command)}` ended while it ran {case}, see "
                "above"
            )
        return json.loads(line)

    def close(self):
        """Ends the process."""
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


def measure(turns, rounds):
    """Runs cases in turn.

    Args:
        turns: dict from a name to a pair of `Worker` and case.
        rounds: int, 2 or more.

    Returns:
        dict from the names to dicts of the medians "seconds" and "cpu";
        "spread", the distance between the quartiles of the latter as a share
        of it; and "megabytes", see `Worker.run`.
    """
    answers = {name: [] for name in turns}
    for _ in range(rounds):
        for name, (worker, case) in turns.items():
            answers[name].append(worker.run(case))
    measured = {}
    for name, found in answers.items():
        low, middle, high = statistics.quantiles(
            [answer["cpu"] for answer in found], n=4
        )
        measured[name] = {
            "cpu": middle,
            "seconds": statistics.median(x["seconds"] for x in found),
            "spread": (high - low) / middle,
            "megabytes": found[-1]["megabytes"],
        }
    return measured
