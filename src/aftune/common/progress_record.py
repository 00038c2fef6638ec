"""How far the work is, in a small file that another terminal can read. Written by the bars of `progress`, seldom and cheaply."""

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

_EVERY = 2.0  # seconds between two writings
KNOWN_AFTER = 3.0  # seconds, before which nobody is told a rate: the first of many responses come fast


@dataclass(frozen=True)
class Record:
    """Where a stage is. begun, noted: seconds since 1970; first: what was done already when the bar began; part: where the work
    within it is that has a bar of its own, such as the validation of a training."""

    stage: str
    begun: float
    noted: float
    title: str = ""
    unit: str = ""
    first: int = 0
    done: int = 0
    total: int = 0
    part: str = ""

    @property
    def left(self) -> float | None:
        """Seconds that the bar still takes at its rate so far, as of now; None while no rate is known."""
        moved, taken = self.done - self.first, self.noted - self.begun
        if moved <= 0 or taken < KNOWN_AFTER:
            return None
        return max(0.0, (self.total - self.done) * taken / moved - (time.time() - self.noted))


_place: tuple[Path, str] | None = None  # where the bars of this process are recorded, and the stage that they belong to
_open: list[Record] = []  # of the bars that are shown, the outermost first


@contextmanager
def recording(path: Path, stage: str) -> Iterator[None]:
    """Within the block, bars are recorded at `path`. The file is removed when the block has ended well, else it stays."""
    global _place
    before, _place = _place, (path, stage)
    now = time.time()
    _write(path, Record(stage, now, now))
    try:
        yield
    finally:
        _place = before
    with suppress(OSError):
        path.unlink(missing_ok=True)


@contextmanager
def recorded(title: str, total: int, unit: str, done: int) -> Iterator[Callable[[int], None]]:
    """Within the block a bar is shown: gives what takes the number done so far. It does nothing where nothing is recorded. A bar
    within another is a part of it."""
    if _place is None:
        yield lambda count: None
        return
    path, stage = _place
    now, depth = time.time(), len(_open)
    _open.append(Record(stage, now, now, title, unit, done, done, total))
    _write_open(path)
    written = time.monotonic()

    def note(count: int) -> None:
        nonlocal written
        _open[depth] = replace(_open[depth], done=count, noted=time.time())
        if time.monotonic() - written >= _EVERY:
            written = time.monotonic()
            _write_open(path)

    try:
        yield note
    finally:
        del _open[depth:]
        if _open:
            _write_open(path)


def _write_open(path: Path) -> None:
    outer, *_, inner = [*_open, _open[-1]]
    part = f"{inner.title}: {inner.done:,} of {inner.total:,} {inner.unit}" if inner is not outer else ""
    _write(path, replace(outer, part=part))


def read_record(path: Path) -> Record | None:
    """None where there is no record, or one of another aftune."""
    try:
        return Record(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _write(path: Path, record: Record) -> None:
    """Whole or not at all. Work goes on where it cannot be written: it is a convenience, not a result."""
    temporary = path.with_name(f"{path.name}.tmp")
    with suppress(OSError):
        temporary.write_text(json.dumps(asdict(record)), encoding="utf-8")
        os.replace(temporary, path)
