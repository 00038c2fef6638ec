"""Users' own files, read as rows: JSON Lines, a JSON array, or a table (CSV, TSV) with the names of its columns in line 1.

The format is detected from the content, whatever the file's name ends in; the file may be gzipped. Each row comes with its place,
`file:line`; one that cannot be read has a DataError instead of a value, so that a reader that only checks can go on.
"""

import csv
import json
import re
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from aftune.common.errors import DataError
from aftune.common.json_text import check_value, json_trouble, parse_json
from aftune.common.text_files import text_lines
from aftune.common.wording import counted, cut_short

# The endings that a file of rows may have, the preferred one first.
ENDINGS = (".jsonl", ".json", ".csv", ".tsv")

_DELIMITERS = "\t,;"
_MAX_NAME = 80  # characters in a column's name
_SPACE = re.compile(r"[ \t\r\n]*")


def read_rows(path: Path) -> Iterator[tuple[str, Any]]:
    """Place and value of every row; raises DataError for the first that cannot be read."""
    for place, row in scan_rows(path):
        if isinstance(row, DataError):
            raise row
        yield place, row


def scan_rows(path: Path) -> Iterator[tuple[str, Any]]:
    """Place and value of every row, a DataError for one that cannot be read.

    Raises DataError for a file that is missing or not UTF-8 text. Where the rest of a file cannot be split into rows, an error is
    the last row.
    """
    lines = text_lines(path, packed=True)
    first = next(lines, None)
    if first is None:
        return
    start = first[2].lstrip()
    delimiter = None if start.startswith(("{", "[")) else _delimiter(path, first[2])
    if start.startswith("["):
        yield from _array(path)
    elif delimiter is not None:
        yield from _table(path, delimiter)
    else:
        for number, _, text in chain([first], lines):
            place = f"{path}:{number}"
            if text.strip() == "{":
                advice = "write each object on its own line (jq -c . FILE), or all of them as one array"
                yield place, DataError(f"{place}: an object that continues on the next line; {advice}")
                return
            yield place, _attempt(text, place)


def _attempt(text: str, place: str) -> Any:
    try:
        return parse_json(text, place)
    except DataError as error:
        return error


def _array(path: Path) -> Iterator[tuple[str, Any]]:
    """The records of a file that is one JSON array."""
    text = "".join(line for _, _, line in text_lines(path, blank=True, packed=True))
    decoder = json.JSONDecoder()
    position, line = _next(text, text.index("[") + 1, 0, 1)
    number = 0
    while text[position : position + 1] != "]":
        number += 1
        place = f"{path}:{line}: record {number}"
        try:
            value, end = decoder.raw_decode(text, position)
            check_value(text[position:end], value, place)
        except DataError as error:
            value = error
        except (RecursionError, ValueError) as error:
            yield place, DataError(f"{path}: {json_trouble(error)}, in record {number} of an array; correct the file")
            return
        yield place, value
        position, line = _next(text, end, position, line)
        if text[position : position + 1] == ",":
            position, line = _next(text, position + 1, position, line)
        elif text[position : position + 1] != "]":
            yield place, DataError(f"{path}:{line}: the array breaks off after record {number}; get or write the file again")
            return
    position, line = _next(text, position + 1, position, line)
    if position < len(text):
        expected = "expected one array of objects, or one object per line"
        yield f"{path}:{line}", DataError(f"{path}:{line}: more follows the array; {expected}")


def _next(text: str, position: int, counted: int, line: int) -> tuple[int, int]:
    """The position of the next character that is not white space, and its line; `line` is the line at `counted`."""
    match = _SPACE.match(text, position)
    end = match.end() if match else position
    return end, line + text.count("\n", counted, end)


def _delimiter(path: Path, line: str) -> str | None:
    """What separates the columns of a table; None where the file is not a table."""
    for delimiter in sorted(_DELIMITERS, key=line.count, reverse=True):
        try:
            names = next(csv.reader([line], delimiter=delimiter, strict=True))
        except (csv.Error, StopIteration):
            continue
        if len(names) > 1 and len(set(names)) == len(names) and all(map(_is_name, names)):
            return delimiter
    return "," if path.suffix == ".csv" else "\t" if path.suffix == ".tsv" else None


def _is_name(text: str) -> bool:
    """Whether a text can be a column's name: a broken line of JSON is not a list of names."""
    return bool(text.strip()) and len(text) <= _MAX_NAME and not set(text) & set('{}"')


def _table(path: Path, delimiter: str) -> Iterator[tuple[str, Any]]:
    rows = scan_table(path, delimiter)
    place, names = next(rows)
    if isinstance(names, DataError):
        yield place, names
        return
    names = [name.strip() for name in names]
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated is not None:
        what = f"are called {cut_short(repeated)!r}" if repeated else "have no name"
        yield place, DataError(f"{place}: {names.count(repeated)} columns {what}; give each a name of its own, or remove it")
        return
    for place, fields in rows:
        if isinstance(fields, DataError):
            yield place, fields
        elif len(fields) != len(names):
            expected = f"expected {len(names)} as in the first line ({cut_short(', '.join(names), 300)})"
            count = f"{counted(len(fields), 'field')}, {expected}"
            yield place, DataError(f"{place}: {count}; correct this row, or quote fields that hold a separator")
        else:
            yield place, {name: field if field.strip() else None for name, field in zip(names, fields, strict=True)}


def scan_table(path: Path, delimiter: str = ",") -> Iterator[tuple[str, Sequence[str] | DataError]]:
    """Place and fields of every non-blank row of a table, a DataError for one that cannot be read.

    A row may span several lines; its place is the first of them. Raises what `text_lines` raises.
    """
    reader = csv.reader((text for _, _, text in text_lines(path, blank=True, packed=True)), delimiter=delimiter, strict=True)
    while True:
        place = f"{path}:{reader.line_num + 1}"
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            what = str(error).partition(" - ")[0]  # what follows is for programmers
            yield place, DataError(f"{place}: not valid CSV ({what}); correct this row")
            continue
        if fields:
            yield place, fields
