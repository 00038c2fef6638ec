"""How far the work is, in a small file that another terminal can read. Written by the bars of `progress`, seldom and cheaply."""

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

_EVERY = 2.0  # seconds between two writings


@dataclass(frozen=True)
class Record:
    """Where a stage is. begun, noted: seconds since 1970; first: what was done already when the bar began."""

    stage: str
    begun: float
    noted: float
    title: str = ""
    unit: str = ""
    first: int = 0
    done: int = 0
    total: int = 0

    @property
    def left(self) -> float | None:
        """Seconds that the bar still takes at its rate so far, as of now; None while no rate is known."""
        moved, taken = self.done - self.first, self.noted - self.begun
        if moved <= 0 or taken <= 0:
            return None
        return max(0.0, (self.total - self.done) * taken / moved - (time.time() - self.noted))


_place: tuple[Path, str] | None = None  # where the bars of this process are recorded, and the stage that they belong to


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


def recorder(title: str, total: int, unit: str, done: int) -> Callable[[int], None]:
    """Takes the number done so far of a bar that begins now; it does nothing where nothing is recorded."""
    if _place is None:
        return lambda count: None
    path, stage = _place
    now = time.time()
    record = Record(stage, now, now, title, unit, done, done, total)
    _write(path, record)
    written = time.monotonic()

    def note(count: int) -> None:
        nonlocal written
        if time.monotonic() - written >= _EVERY:
            written = time.monotonic()
            _write(path, replace(record, done=count, noted=time.time()))

    return note


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
