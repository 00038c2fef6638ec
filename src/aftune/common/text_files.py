"""Text files: lines read from UTF-8 with their places, also from gzip archives; files are written whole or not at all."""

import codecs
import gzip
import os
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from aftune.common import durable
from aftune.common.errors import DataError, MissingFileError
from aftune.common.near import near

_BLOCK = 2**16  # bytes
_LONGEST = 2**30  # bytes of a line
_GZIP = b"\x1f\x8b"

# The first bytes of files that are often given in place of a text, and what to do with those that need more than unpacking.
_NO_TEXT = {
    codecs.BOM_UTF32_LE: "UTF-32 text",
    codecs.BOM_UTF32_BE: "UTF-32 text",
    codecs.BOM_UTF16_LE: "UTF-16 text",
    codecs.BOM_UTF16_BE: "UTF-16 text",
    _GZIP: "a gzip archive",
    b"PK\x03\x04": "a zip archive or an Excel workbook",
    b"PAR1": "a Parquet file",
}
_NO_TEXT_REMEDY = dict.fromkeys(("UTF-16 text", "UTF-32 text"), "save the file as UTF-8")


def text_lines(path: Path, *, blank: bool = False, packed: bool = False) -> Iterator[tuple[int, int, str]]:
    """Number (from 1), byte offset and text of every line that is not blank, or with `blank` of all; a byte order mark is skipped.

    packed: whether the file may be gzipped. Raises DataError for a missing file and for bytes that are not UTF-8 text, saying what
    they are where that is known.
    """
    offset = 0
    try:
        # Lines are decoded one by one: Python decodes a text file in blocks, and an error would name the wrong line.
        with gzip.open(path) if packed and _is_gzip(path) else open(path, "rb") as file:
            for number, line in enumerate(iter(lambda: file.readline(_LONGEST + 1), b""), 1):
                if len(line) > _LONGEST:
                    raise DataError(f"{path}:{number}: a line of more than {_LONGEST:,} bytes; is this the right file?")
                if number == 1:
                    _check_kind(path, line)
                    if line.startswith(codecs.BOM_UTF8):
                        offset, line = len(codecs.BOM_UTF8), line.removeprefix(codecs.BOM_UTF8)
                text = _decoded(path, number, line)
                if blank or text.strip():
                    yield number, offset, text
                offset += len(line)
    except FileNotFoundError as error:
        hint = near(path) or "check the path; where a run writes it, run that stage"
        raise MissingFileError(f"{path}: no such file; {hint}") from error
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{path}: not a complete gzip archive ({error}); get it again") from error


def _is_gzip(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(len(_GZIP)) == _GZIP


def _check_kind(path: Path, start: bytes) -> None:
    """Raises DataError where the start of a file is known not to be UTF-8 text."""
    kind = next((kind for mark, kind in _NO_TEXT.items() if start.startswith(mark)), None)
    if kind is not None:
        raise DataError(f"{path}: {kind}, expected UTF-8 text; {_NO_TEXT_REMEDY.get(kind, 'unpack or convert it')}")


def _decoded(path: Path, number: int, line: bytes) -> str:
    if b"\0" in line:  # ASCII text in UTF-16 is valid UTF-8 with zeros
        raise DataError(f"{path}:{number}: holds zero bytes, as UTF-16 text does, expected UTF-8 text; save the file as UTF-8")
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}:{number}: not UTF-8 text; save the file as UTF-8") from error


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Writes text lines to a file, atomically."""
    with open_atomic(path) as file:
        for line in lines:
            file.write(line + "\n")


@contextmanager
def open_atomic(path: Path) -> Iterator[TextIO]:
    """A text file to write to, which replaces the one at `path` when the block ends without an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    with open(temporary, "w", encoding="utf-8") as file:
        yield file
    durable.rename(temporary, path)


def drop_partial_line(path: Path) -> None:
    """Cuts off a last line without a newline, which is what a kill in the middle of an append leaves."""
    if not path.exists():
        return
    with open(path, "r+b") as file:
        end = file.seek(0, os.SEEK_END)
        whole = 0  # bytes up to and including the last newline
        while end and not whole:
            start = max(end - _BLOCK, 0)
            file.seek(start)
            newline = file.read(end - start).rfind(b"\n")
            whole = start + newline + 1 if newline >= 0 else 0
            end = start
        file.truncate(whole)
