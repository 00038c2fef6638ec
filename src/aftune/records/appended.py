"""Files that grow by batches of records. Beside each lies a file of checksums while it grows, by which damage is found.

A line of the checksums is written before the batch that it stands for: where the batch ends (in bytes), its CRC-32, and the CRC-32
of these two, which lines of an earlier aftune lack.
"""

import os
import re
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from aftune.common.errors import DataError
from aftune.common.text_files import drop_partial_line, write_lines
from aftune.records.types import Record

_ENDING = ".checksums"
_LINE = re.compile(rb"(([0-9]{1,18}) ([0-9a-f]{8}))(?: ([0-9a-f]{8}))?")


def append_records(path: Path, records: Iterable[Record]) -> None:
    """Adds lines and flushes them to disk, so that a killed run keeps them."""
    batch = "".join(record.model_dump_json(exclude_none=True) + "\n" for record in records).encode()
    if not batch:
        return
    with open(path, "ab") as file, open(_checksums(path), "ab") as checksums:
        _append(checksums, _line(file.tell() + len(batch), zlib.crc32(batch)).encode() + b"\n")
        _append(file, batch)


def _append(file: BinaryIO, data: bytes) -> None:
    file.write(data)
    file.flush()
    os.fsync(file.fileno())


def check_appended(path: Path) -> None:
    """Cuts off what a kill left half written. Raises DataError where the rest is not what was written; a file without checksums,
    of an earlier aftune, is taken as it is."""
    drop_partial_line(path)
    if not _checksums(path).exists():
        return
    size, whole, lines = path.stat().st_size, 0, []
    batches = list(_batches(path))
    if size > (batches[-1][0] if batches else 0):
        raise _damaged(path, f"tells of {batches[-1][0] if batches else 0:,} bytes, but {path.name} has {size:,}")
    with open(path, "rb") as file:
        for end, checksum in batches:
            if end > size:
                break
            if zlib.crc32(file.read(end - whole)) != checksum:
                raise DataError(
                    f"{path}: bytes {whole} to {end} are not what was written, so the disk or another program has changed them; "
                    "restore the file, or remove it to make it again"
                )
            whole = end
            lines.append(_line(end, checksum))
    cut(path, whole)
    write_lines(_checksums(path), lines)


def _batches(path: Path) -> Iterator[tuple[int, int]]:
    """End and checksum of each batch; the last line may be half written."""
    before = 0
    for line in _checksums(path).read_bytes().split(b"\n")[:-1]:
        found = _LINE.fullmatch(line)
        if found is None or (found[4] is not None and int(found[4], 16) != zlib.crc32(found[1])):
            raise _damaged(path, f"{line!r:.60} is not a line of checksums")
        if int(found[2]) <= before:
            raise _damaged(path, f"{line!r:.60} is out of order")
        before = int(found[2])
        yield before, int(found[3], 16)


def _line(end: int, checksum: int) -> str:
    line = f"{end} {checksum:08x}"
    return f"{line} {zlib.crc32(line.encode()):08x}"


def _damaged(path: Path, what: str) -> DataError:
    """The checksums are not those that were written, all of which are on disk before what they stand for."""
    remedy = f"restore it; or remove it alone to keep {path.name} unchecked, or both to make them again"
    return DataError(f"{_checksums(path)}: {what}, so the disk or another program has changed one of them; {remedy}")


def cut(path: Path, size: int) -> None:
    """Shortens a file to its first bytes."""
    if path.stat().st_size > size:
        with open(path, "r+b") as file:
            file.truncate(size)


def take_as_it_is(path: Path) -> None:
    """Begins the checksums again with what is in the file."""
    content = path.read_bytes()
    write_lines(_checksums(path), [_line(len(content), zlib.crc32(content))] if content else [])


def forget_checksums(path: Path) -> None:
    """For a file that grows no more."""
    _checksums(path).unlink(missing_ok=True)


def forget_all_checksums(folder: Path) -> None:
    """For all files below a folder."""
    for path in folder.rglob(f"*{_ENDING}"):
        path.unlink()


def _checksums(path: Path) -> Path:
    return path.with_name(path.name + _ENDING)
