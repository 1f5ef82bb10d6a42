import os
import signal
import threading

import pytest

from keras_tim.runs.stopping import StoppedError, StopSignals


def handlers():
    return [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)]


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_round_can_end(signum, capfd):
    before = handlers()
    with StopSignals() as stop:
        stop.check()
        stop.training = True
        os.kill(os.getpid(), signum)
        assert stop.signum == signum
        with pytest.raises(StoppedError, match=f"by {signum.name}") as raised:
            stop.check()
        # A second one waits for nothing.
        with pytest.raises(StoppedError):
            os.kill(os.getpid(), signum)
    assert raised.value.signum == signum
    assert isinstance(raised.value, KeyboardInterrupt)
    assert "after this round" in capfd.readouterr().err
    assert handlers() == before


def test_between_trainings_it_stops_at_once():
    with (
        StopSignals(),
        pytest.raises(StoppedError, match=r"SIGTERM.*same command again"),
    ):
        os.kill(os.getpid(), signal.SIGTERM)


def test_what_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with StopSignals() as stop:
            os.kill(os.getpid(), signal.SIGINT)
            assert stop.signum is None
    finally:
        signal.signal(signal.SIGINT, before)


def test_other_threads_change_nothing():
    before, seen = handlers(), []

    def work():
        with StopSignals():
            seen.append(handlers())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]
