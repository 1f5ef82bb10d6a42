import io

import pytest

from keras_tim.inference import progress
from keras_tim.inference.progress import Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_time_left_goes_by_pixels(clock):
    terminal = Terminal()
    shown = Progress([100, 300, 0], 2, terminal)
    assert shown.seconds_left() is None
    clock[0] += 5
    shown.alternative_done()
    # 5 seconds for 100 pixels; 100 and 2 * 300 are left.
    assert shown.seconds_left() == pytest.approx(35)
    assert shown.line() == "1 of 6 alternatives, 35 s left"
    clock[0] += 5
    shown.alternative_done()
    shown.picture_done()
    assert shown.seconds_left() == pytest.approx(30)
    # One was there, which takes no time and says nothing of it.
    shown.leave_out(1)
    assert shown.line() == "3 of 6 alternatives, 15 s left"
    clock[0] += 15
    shown.alternative_done()
    shown.picture_done()
    shown.picture_done()  # skipped
    shown.end()
    assert shown.line() == "6 of 6 alternatives"
    lines = terminal.getvalue().split("\r")
    assert len(lines) == 4
    assert lines[-1].endswith("\n")


def test_parts_of_large_pictures_count(clock):
    terminal = Terminal()
    shown = Progress([100], 2, terminal)
    for _ in range(3):
        clock[0] += 10
        shown.part_done(0.25)
    assert shown.line() == "0 of 2 alternatives, 50 s left"
    assert len(terminal.getvalue().split("\r")) == 4
    clock[0] += 10
    shown.alternative_done()
    assert shown.line() == "1 of 2 alternatives, 40 s left"


def test_a_log_gets_a_line_per_picture(clock, caplog):
    caplog.set_level("INFO")
    file = io.StringIO()
    shown = Progress([100, 100], 1, file)
    clock[0] += 7200
    shown.alternative_done()
    shown.picture_done()
    assert file.getvalue() == ""
    assert "1 of 2 alternatives, 2.0 h left" in caplog.text
    assert caplog.text.count("alternatives") == 1


def test_what_was_skipped_before_counts_as_done(clock):
    shown = Progress([100, 100, 100], 2, Terminal())
    shown.picture_done()
    clock[0] += 300
    shown.alternative_done()
    assert shown.line() == "3 of 6 alternatives, 15 min left"
