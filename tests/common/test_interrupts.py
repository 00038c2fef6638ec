"""Signals that ask the process to end."""

import os
import signal
from types import SimpleNamespace

import pytest

from aftune.common import interrupts


def send(number: int) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize(("number", "name", "status"), [(2, "SIGINT", 130), (15, "SIGTERM", 143), (10, "SIGUSR1", 138)])
def test_a_signal_ends_the_work_at_once(number: int, name: str, status: int) -> None:
    before = [signal.getsignal(one) for one in interrupts.HEARD]
    with pytest.raises(KeyboardInterrupt) as ended, interrupts.heard():
        send(number)
    assert isinstance(ended.value, interrupts.Interrupted)
    assert (ended.value.name, ended.value.exit_status) == (name, status)
    assert [signal.getsignal(one) for one in interrupts.HEARD] == before
    assert not interrupts.asked()


def test_a_waiting_block_ends_by_itself_and_a_second_signal_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes within a second of the first is the same one, passed on by a launcher."""
    now = [10.0]
    monkeypatch.setattr(interrupts, "time", SimpleNamespace(monotonic=lambda: now[0]))
    with interrupts.heard(), interrupts.waiting():
        assert not interrupts.asked()
        send(signal.SIGTERM)
        assert interrupts.asked()
        now[0] = 10.9
        send(signal.SIGTERM)
        now[0] = 11.0
        with pytest.raises(interrupts.Interrupted):
            send(signal.SIGINT)


def test_a_long_part_of_a_waiting_block_ends_at_once() -> None:
    with interrupts.heard(), interrupts.waiting():
        with pytest.raises(interrupts.Interrupted), interrupts.at_once():
            send(signal.SIGTERM)
        with pytest.raises(interrupts.Interrupted), interrupts.at_once():
            pytest.fail("it was asked for before")
