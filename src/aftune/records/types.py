"""The records that stages hand on, and their JSON Lines files.

Every line carries `schema_version`; a line that does not fit is an error that names `file:line`, never a skipped line.
"""

import codecs
import gzip
import json
import math
import os
import re
import sys
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TextIO, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from aftune.common.errors import DataError, RepeatedIdError


class Record(BaseModel):
    """Base of all records: unknown fields are errors, and the schema version travels with each line."""

    model_config = ConfigDict(extra="forbid", cache_strings="keys")
    schema_version: Literal[1] = 1


# Where an importer puts the verdict that was published with a candidate.
PUBLISHED_VERDICT = "published_is_correct"

# The rank of a right response by the rule of aftune.tasks.ranking, and the least that a reference has among ranks.
BEST_RANK = 2.0

# Reasons of a verdict (aftune.answers) that says neither right nor wrong.
UNDECIDED = ("ambiguous", "timed out")

AnyRecord = TypeVar("AnyRecord", bound=Record)
_BLOCK = 2**16  # bytes

_GZIP = b"\x1f\x8b"
# How files begin that are often given in place of a text, and what to do with those that need more than unpacking.
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
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


class Problem(Record):
    """A question with a checkable answer. `rationale` is the reference response, final answer line included."""

    id: str = Field(min_length=1)
    task: str
    question: str = Field(min_length=1)
    gold_answer: str = Field(min_length=1)
    rationale: str | None = None
    options: list[str] | None = None
    metadata: dict[str, Any] = Field(default_factory=dict)


class Candidate(Record):
    """A response to a problem. `token_ids` has no end-of-sequence token: `finish_reason` tells whether one followed."""

    problem_id: str
    index: int = Field(ge=0)
    text: str
    token_ids: list[int] | None = None
    finish_reason: Literal["stop", "length"] = "stop"
    seed: int | None = None
    settings: dict[str, Any] = Field(default_factory=dict)


class Feedback(Record):
    """What is known of a candidate's quality: 1 right and 0 wrong, or any finite number of which larger is better.

    reason: of a verdict `matched`, `different`, `no answer`, `ambiguous` or `timed out`; detail: more of it for a person.
    rank: a finer number of the same kind, for ranking feedback; None where none is known.
    """

    answer: str | None = None
    quality: float
    reason: str
    detail: str | None = None
    rank: float | None = None

    @property
    def undecided(self) -> bool:
        """Whether the verdict is no evidence that the response is wrong: its answer has several readings, or took too long."""
        return self.reason in UNDECIDED

    @model_validator(mode="after")
    def _numbers_are_finite(self) -> "Feedback":
        for name, value in (("quality", self.quality), ("rank", self.rank)):
            if value is not None and not math.isfinite(value):
                raise ValueError(f"{name} is {value}, expected a finite number")
        return self


class Group(Record):
    """A problem with its labelled candidates; `feedback[i]` belongs to `candidates[i]`."""

    problem: Problem
    candidates: list[Candidate]
    feedback: list[Feedback]

    @model_validator(mode="after")
    def _one_feedback_each(self) -> "Group":
        if len(self.candidates) != len(self.feedback):
            raise ValueError(f"{len(self.candidates)} candidates but {len(self.feedback)} feedback entries")
        return self

    @property
    def qualities(self) -> list[float]:
        return [feedback.quality for feedback in self.feedback]

    @property
    def ranks(self) -> list[float]:
        """Raises DataError where a candidate has none."""
        ranks = [feedback.rank for feedback in self.feedback if feedback.rank is not None]
        if len(ranks) < len(self.feedback):
            first = next(i for i, feedback in enumerate(self.feedback) if feedback.rank is None)
            raise DataError(
                f"{self.problem.id}: candidate {self.candidates[first].index} has no rank; "
                "label the candidates again with a task that ranks them, or use binary feedback"
            )
        return ranks

    @property
    def has_pairs(self) -> bool:
        """Whether any candidate is better than another, so that the group teaches the alignment loss something."""
        return len(set(self.qualities)) > 1


class GroupScores(Record):
    """Scores of a group's candidates, nats per token, in the order of the group. Of the reference response, where there is one:
    its summed log-probability (nats) and its tokens."""

    problem_id: str
    scores: list[float] = Field(default_factory=list)
    reference_logprob: float | None = None
    reference_length: int | None = None


class GroupLogprobs(Record):
    """Summed log-probabilities (nats) and tokens of a group's reference response, if it has one, and its candidates.

    indices: whose each of them is, by the candidate's index, None for the reference; without them the order is all that tells.
    """

    problem_id: str
    sums: list[float] = Field(default_factory=list)
    lengths: list[int] = Field(default_factory=list)
    indices: list[int | None] | None = None


def with_unique_ids(problems: Iterable[Problem], place: str) -> Iterator[Problem]:
    """The problems, one at a time; raises RepeatedIdError, which starts with `place`, at the second of an id: candidates and
    verdicts find their problem by it."""
    numbers: dict[str, int] = {}
    for number, problem in enumerate(problems, 1):
        first = numbers.setdefault(problem.id, number)
        if first != number:
            raise RepeatedIdError(
                f"{place}: problems {first} and {number} have the same id {problem.id!r}; give each an id of its own"
            )
        yield problem


def read_records(path: Path, record_type: type[AnyRecord]) -> list[AnyRecord]:
    """All records of a JSON Lines file in memory; raises what `iter_records` raises."""
    return list(iter_records(path, record_type))


def iter_records(path: Path, record_type: type[AnyRecord]) -> Iterator[AnyRecord]:
    """The records of a JSON Lines file, one at a time.

    Raises DataError with `file:line` for a line that is no JSON or does not fit, and for a missing or empty file.
    """
    empty = True
    for number, _, text in text_lines(path):
        yield parse_line(path, number, text, record_type)
        empty = False
    if empty:
        raise DataError(f"{path}: the file is empty, expected one {record_type.__name__} a line; write it again")


def parse_line(path: Path, number: int, text: str, record_type: type[AnyRecord]) -> AnyRecord:
    """The record on a line of a file; raises DataError with `file:line`."""
    try:
        return record_type.model_validate_json(text)
    except ValidationError:
        # Once more with the parser of all other files: it says in which column a line breaks off, and takes deeper nesting.
        return parse_record(parse_json(text, f"{path}:{number}"), record_type, f"{path}:{number}")


def parse_record(value: Any, record_type: type[AnyRecord], place: str) -> AnyRecord:
    """One record from a parsed JSON value; `place` starts the message of the DataError."""
    try:
        return record_type.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or "record"
        raise DataError(f"{place}: {record_type.__name__}.{key}: {first['msg']}; correct this line") from error


def read_json_lines(path: Path) -> Iterator[tuple[str, Any]]:
    """`(file:line, value)` of every line that is not blank.

    Raises DataError for a missing file, for bytes that are not UTF-8 and for a line that is not valid JSON.
    """
    for number, _, text in text_lines(path):
        yield f"{path}:{number}", parse_json(text, f"{path}:{number}")


def text_lines(path: Path, *, blank: bool = False, packed: bool = False) -> Iterator[tuple[int, int, str]]:
    """Number (from 1), byte offset and text of every line that is not blank, or with `blank` of all; a mark of UTF-8 is skipped.

    packed: whether the file may be packed with gzip. Raises DataError for a missing file and for bytes that are not UTF-8 text,
    which says what they are where that is known.
    """
    offset = 0
    try:
        # Lines are decoded one by one: a text file is decoded in blocks, and an error would name the wrong line.
        with gzip.open(path) if packed and _is_gzip(path) else open(path, "rb") as file:
            for number, line in enumerate(file, 1):
                if number == 1:
                    _check_kind(path, line)
                    if line.startswith(codecs.BOM_UTF8):
                        offset, line = len(codecs.BOM_UTF8), line.removeprefix(codecs.BOM_UTF8)
                text = _decoded(path, number, line)
                if blank or text.strip():
                    yield number, offset, text
                offset += len(line)
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; check the path or run the stage that writes it") from error
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{path}: not a whole gzip archive ({error}); get it again") from error


def _is_gzip(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(len(_GZIP)) == _GZIP


def _check_kind(path: Path, start: bytes) -> None:
    """Raises DataError for the start of a file that is known to be no UTF-8 text."""
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


def parse_json(text: str, place: str) -> Any:
    """The value of a line; raises DataError that starts with `place` for what is no JSON, or none that can be written again."""
    try:
        value = json.loads(text.rstrip("\r\n"))
    except json.JSONDecodeError as error:
        cut = "" if text.endswith("\n") else ", the line is cut off"
        raise DataError(f"{place}: not valid JSON at column {error.colno}{cut}; correct or remove this line") from error
    except (RecursionError, ValueError) as error:
        raise DataError(f"{place}: {json_trouble(error)}; correct or remove this line") from error
    check_text(text, value, place)
    return value


def json_trouble(error: Exception) -> str:
    """What is wrong with a JSON text that Python's parser gives up on, though its form may be right."""
    if isinstance(error, RecursionError):
        return "JSON that is nested too deeply"
    if isinstance(error, json.JSONDecodeError):
        return f"not valid JSON at line {error.lineno}, column {error.colno}"
    return f"JSON with an integer of more than {sys.get_int_max_str_digits():,} digits"


def check_text(text: str, value: Any, place: str) -> None:
    """Raises DataError where a value of a JSON text holds half of a surrogate pair: no file can hold that as UTF-8."""
    if _SURROGATE.search(text) is None:
        return
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        half = f"\\u{ord(error.object[error.start]):04x}"
        raise DataError(f"{place}: {half} is half of a surrogate pair, which is no character; correct this line") from error


def write_records(path: Path, records: Iterable[Record]) -> None:
    """Writes a whole file, or nothing: the old file stays until the new one is complete."""
    write_lines(path, (record.model_dump_json(exclude_none=True) for record in records))


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Text lines to a file, atomically."""
    with open_atomic(path) as file:
        for line in lines:
            file.write(line + "\n")


@contextmanager
def open_atomic(path: Path) -> Iterator[TextIO]:
    """A text file to write to that takes its place when the block ends without an error; until then the old one stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    with open(temporary, "w", encoding="utf-8") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def write_json(path: Path, value: Any) -> None:
    """One JSON document to a file, atomically."""
    write_lines(path, [json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)])


def read_json(path: Path, missing: Any = None) -> Any:
    """A JSON file of an earlier stage; `missing` where there is none and one is not needed."""
    if missing is not None and not path.exists():
        return missing
    return json.loads(path.read_text(encoding="utf-8"))


def append_records(path: Path, records: Iterable[Record]) -> None:
    """Adds lines and flushes them to disk, so that a killed run keeps them."""
    with open(path, "a", encoding="utf-8") as file:
        file.write("".join(record.model_dump_json(exclude_none=True) + "\n" for record in records))
        file.flush()
        os.fsync(file.fileno())


def drop_partial_line(path: Path) -> None:
    """Cuts off a last line that has no newline: what a kill in the middle of an append leaves."""
    if not path.exists():
        return
    with open(path, "r+b") as file:
        end = file.seek(0, os.SEEK_END)
        whole = 0  # bytes up to and with the last newline
        while end and not whole:
            start = max(end - _BLOCK, 0)
            file.seek(start)
            newline = file.read(end - start).rfind(b"\n")
            whole = start + newline + 1 if newline >= 0 else 0
            end = start
        file.truncate(whole)
