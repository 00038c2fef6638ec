"""Signals that ask this process to end: Ctrl-C, SIGTERM, and SIGUSR1, by which Slurm warns of its limit (`--signal=USR1@120`).

The first one ends the work at the next point from which it can be resumed; a second one ends it at once.
"""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

HEARD = [signal.SIGINT, signal.SIGTERM, *([signal.SIGUSR1] if hasattr(signal, "SIGUSR1") else [])]
_TWICE = 1.0  # seconds: sooner, a launcher has only passed on what came from the terminal too


class Interrupted(KeyboardInterrupt):
    """The work ends because a signal asked for it."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.name = signal.Signals(number).name
        self.told = "Ctrl-C" if number == signal.SIGINT else self.name
        self.exit_status = 128 + number


_asked: tuple[int, float] | None = None  # the first signal, and when it came
_raised: int | None = None  # the signal that Interrupted has been raised for wherever the work was
_waiting = [False]  # for each block within the others, whether it ends by itself


@contextmanager
def heard() -> Iterator[None]:
    """Within the block, the signals raise Interrupted. Python lets only the main thread hear signals."""
    global _asked, _raised
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, _hear) for number in HEARD}
    try:
        with kept():
            yield
    finally:
        _asked = _raised = None
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def kept() -> Iterator[None]:
    """Interrupted leaves the block as what it is, where a library has made an error of its own of it: torch's C++ makes a
    RuntimeError of any exception of Python, and whoever loads a model takes that for a damaged file."""
    try:
        yield
    except Exception as error:
        if _raised is not None:
            raise Interrupted(_raised) from error
        raise


@contextmanager
def waiting() -> Iterator[None]:
    """The block looks at `asked` itself, often, and ends by calling `end`."""
    _waiting.append(True)
    try:
        yield
    finally:
        _waiting.pop()


@contextmanager
def at_once() -> Iterator[None]:
    """A part of a waiting block that takes long and has nothing to save: a signal ends it like any other work."""
    if asked():
        end()
    _waiting.append(False)
    try:
        yield
    finally:
        _waiting.pop()


def asked() -> bool:
    """Whether a signal has come."""
    return _asked is not None


def end() -> None:
    """Raises Interrupted for the signal that has come; where it came to another process alone, as for Ctrl-C."""
    raise Interrupted(signal.SIGINT if _asked is None else _asked[0])


def _hear(number: int, frame: FrameType | None) -> None:
    global _asked, _raised
    now = time.monotonic()
    if _asked is None:
        _asked = number, now
        if _waiting[-1]:
            return
    elif now - _asked[1] < _TWICE:
        return
    _raised = number
    raise Interrupted(number)
