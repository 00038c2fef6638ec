"""What a console that is no terminal shows of long work."""

import io
import re

import pytest
from rich.console import Console

from aftune.common import progress


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """A console without a terminal, and a clock that only the tests move."""
    written = io.StringIO()
    monkeypatch.setattr(progress, "console", Console(file=written, highlight=False, force_terminal=False, width=60))
    return written


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(progress.time, "monotonic", lambda: self.now)


def test_a_line_every_few_per_cent(log: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    """1,000 steps of one second: a line for each 50, with what is done, the rate and the time left."""
    clock = Clock(monkeypatch)
    with progress.progress_bar("sft", 1000, "steps") as update:
        for step in range(1, 1001):
            clock.now += 1.0
            update(step)
    lines = log.getvalue().splitlines()
    assert lines[:2] == [
        "  sft: 50 of 1,000 steps (5 %), 1.0 steps/s, 16 min left",
        "  sft: 100 of 1,000 steps (10 %), 1.0 steps/s, 15 min left",
    ]
    assert len(lines) == 19  # the end is for the stage to say


def test_short_work_is_silent_and_fast_work_does_not_flood(log: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    with progress.progress_bar("verdicts", 100, "problems") as update:
        for step in range(1, 101):
            clock.now += 0.09
            update(step)
    assert log.getvalue() == ""
    with progress.progress_bar("verdicts", 100, "problems") as update:
        for step in range(1, 101):
            clock.now += 0.5  # 5 % take 2.5 s
            update(step)
    assert [line.split(" of")[0] for line in log.getvalue().splitlines()] == [f"  verdicts: {step}" for step in (20, 40, 60, 80)]


def test_colours_make_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Jupyter and some machines of continuous integration set FORCE_COLOR: a pipe there gets colours, but no moving bars."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    written = io.StringIO()
    monkeypatch.setattr(progress, "console", Console(file=written, width=60))
    assert progress.console.is_terminal
    with progress.waiting("loading"), progress.progress_bar("sft", 10, "steps") as update:
        update(10)
    assert written.getvalue() == ""


def test_slow_work_is_not_silent(log: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    """10,000 steps of half a minute: 5 % would be four hours; done before the start is no rate."""
    clock = Clock(monkeypatch)
    with progress.progress_bar("align", 10_000, "steps", done=5000) as update:
        for step in range(5001, 5006):
            clock.now += 30.0
            update(step)
    assert log.getvalue().splitlines() == [
        "  align: 5,002 of 10,000 steps (50 %), 30.0 s each, 41.6 h left",
        "  align: 5,004 of 10,000 steps (50 %), 30.0 s each, 41.6 h left",
    ]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_bar_stays_on_one_line_of_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the longest title and numbers there are; and no rate before three seconds have passed."""
    written, now = Terminal(), [0.0]
    monkeypatch.setattr(progress, "console", Console(file=written, force_terminal=True, width=80, get_time=lambda: now[0]))
    with progress.progress_bar("sample: candidates", 480_000, "candidates") as update:
        now[0] = 1.0
        update(100_000)
        update(110_000)
        progress_shown = written.getvalue()
        assert "/s" not in progress_shown
        for second in range(4, 60):
            now[0] = float(second)
            update(110_000 + 1000 * second)
    lines = [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line) for line in re.split(r"[\r\n]+", written.getvalue())]
    shown = [line for line in lines if "sample: candidates" in line]
    assert shown
    assert all("candidates" in line.split(" of ")[1] for line in shown)
    assert max(map(len, lines)) <= 80


def test_a_quiet_console_stays_quiet(log: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    progress.console.quiet = True  # as in the processes of a comparison
    with progress.progress_bar("sft", 10, "steps") as update:
        clock.now += 100.0
        update(5)
    assert log.getvalue() == ""
