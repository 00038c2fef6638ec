"""JSON Lines files of records, one per line. A line that does not fit is an error that names `file:line`; it is never skipped."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from aftune.common.errors import DataError
from aftune.common.json_text import parse_json
from aftune.common.text_files import text_lines, write_lines
from aftune.common.validation_errors import explain
from aftune.records.types import AnyRecord, Record


def read_records(path: Path, record_type: type[AnyRecord]) -> list[AnyRecord]:
    """All records of a JSON Lines file in memory; raises what `iter_records` raises."""
    return list(iter_records(path, record_type))


def iter_records(path: Path, record_type: type[AnyRecord]) -> Iterator[AnyRecord]:
    """The records of a JSON Lines file, one at a time.

    Raises DataError with `file:line` for a line that is not JSON or does not fit, and DataError for a missing or empty file.
    """
    empty = True
    for number, _, text in text_lines(path):
        yield parse_line(path, number, text, record_type)
        empty = False
    if empty:
        raise DataError(f"{path}: the file is empty, expected one {record_type.__name__} per line; write it again")


def parse_line(path: Path, number: int, text: str, record_type: type[AnyRecord]) -> AnyRecord:
    """The record on a line of a file; raises DataError with `file:line`."""
    try:
        return record_type.model_validate_json(text)
    except ValidationError:
        # Again with the parser of all other files: it says in which column a line breaks off, and takes deeper nesting.
        return parse_record(parse_json(text, f"{path}:{number}"), record_type, f"{path}:{number}")


def parse_record(value: Any, record_type: type[AnyRecord], place: str) -> AnyRecord:
    """One record from a parsed JSON value; `place` starts the message of the DataError."""
    try:
        return record_type.model_validate(value)
    except ValidationError as error:
        raise DataError(explain(error, record_type, place, f"{record_type.__name__}.")) from error


def write_records(path: Path, records: Iterable[Record]) -> None:
    """Writes a whole file, or nothing: the old file stays until the new one is complete."""
    write_lines(path, (record.model_dump_json(exclude_none=True) for record in records))
