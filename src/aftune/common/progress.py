"""A progress bar for everything that takes time: what is done, the rate, the time left. In a log it is a line now and then."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
from rich.table import Column
from rich.text import Text

from aftune.common.progress_record import KNOWN_AFTER, recorded

console = Console(highlight=False)

# When a log gets a line: after this share of the work, but no sooner and no later than this many seconds after the last one.
_STEP = 0.05
_SHORTEST, _LONGEST = 10.0, 60.0


class _Done(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.completed:,.0f} of {task.total or 0:,.0f} {task.fields['unit']}", style="green")


class _Rate(ProgressColumn):
    """The rate, and the time left at it, once enough was done to know one."""

    max_refresh = 1.0  # seconds

    def render(self, task: Task) -> Text:
        speed = task.speed
        if not speed or (task.elapsed or 0.0) < KNOWN_AFTER or task.total is None:
            return Text("")
        rate = f"{speed:,.1f}/s" if speed >= 1 else f"{1 / speed:,.1f} s each"
        return Text(f"{rate}, {time_left((task.total - task.completed) / speed)} left", style="cyan")


@contextmanager
def progress_bar(title: str, total: int, unit: str, done: int = 0) -> Iterator[Callable[[int], None]]:
    """Shows a bar, or in a log a line now and then, while the block runs; gives a function that takes the number done so far, and
    records it for other terminals where a run asks for that."""
    with recorded(title, total, unit, done) as note, _shown(title, total, unit, done) as show:

        def update(count: int) -> None:
            show(count)
            note(count)

        yield update


@contextmanager
def waiting(title: str) -> Iterator[None]:
    """Shows at a terminal that something is under way whose length is not known, such as importing torch."""
    if _is_terminal():
        with console.status(title):
            yield
    else:
        yield


def _is_terminal() -> bool:
    """FORCE_COLOR, which Jupyter sets, makes rich see a terminal in a pipe."""
    return console.is_terminal and console.file.isatty()


@contextmanager
def _shown(title: str, total: int, unit: str, done: int) -> Iterator[Callable[[int], None]]:
    if not _is_terminal():
        yield _Log(title, total, unit, done)
        return
    columns = (
        TextColumn("  {task.description}"),
        BarColumn(12),
        _Done(table_column=Column(no_wrap=True)),
        _Rate(table_column=Column(no_wrap=True)),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(title, total=total, completed=done, unit=unit)
        yield lambda count: progress.update(task, completed=count)


class _Log:
    """Lines for a console that is not a terminal: one every few per cent, neither too often nor too seldom."""

    def __init__(self, title: str, total: int, unit: str, done: int) -> None:
        self.title, self.total, self.unit, self.start = title, total, unit, done
        self.started = self.said_at = time.monotonic()
        self.said = done

    def __call__(self, count: int) -> None:
        now = time.monotonic()
        silent = now - self.said_at
        far = count - self.said >= _STEP * self.total
        if count >= self.total or silent < _SHORTEST or not (far or silent >= _LONGEST):
            return
        self.said, self.said_at = count, now
        rate = (count - self.start) / (now - self.started)
        left = f", {time_left((self.total - count) / rate)} left" if rate > 0 else ""
        share = f"{100 * count / self.total:.0f} %"
        how = f"{count:,} of {self.total:,} {self.unit} ({share}), {_rate(rate, self.unit)}{left}"
        console.print(f"  {self.title}: {how}", soft_wrap=True, markup=False)


def _rate(rate: float, unit: str) -> str:
    return f"{rate:,.1f} {unit}/s" if rate >= 1 or rate == 0 else f"{1 / rate:,.1f} s each"


def time_left(seconds: float) -> str:
    """`40 s`, `12 min`, `3.1 h`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
