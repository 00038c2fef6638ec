"""Code that may never end is ended."""

import itertools
import re
import signal
import threading
import time

import pytest

from aftune.common.time_limit import OutOfTimeError, time_limit


def test_endless_code_ends_and_what_is_in_time_does_not() -> None:
    """A loop, and an expression that takes hours; the alarm of others is put back."""
    before = signal.getsignal(signal.SIGALRM)
    with pytest.raises(OutOfTimeError), time_limit(0.05):
        all(True for _ in itertools.count())
    with pytest.raises(OutOfTimeError), time_limit(0.05):
        re.match(r"(a+)+$", "a" * 60 + "b")
    with time_limit(0.05):
        pass
    time.sleep(0.1)
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_a_limit_around_another_one_goes_on() -> None:
    """The inner one is in time; the outer one is not, though the inner one was set after it."""

    def work() -> None:
        with time_limit(5):
            time.sleep(0.05)
        time.sleep(5)

    with pytest.raises(OutOfTimeError), time_limit(0.1):
        work()


def test_another_thread_has_no_limit() -> None:
    done = []

    def work() -> None:
        with time_limit(0.01):
            time.sleep(0.05)
            done.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [True]
