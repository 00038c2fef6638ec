"""The records that stages hand on, and their JSON Lines files.

Every line carries `schema_version`; a line that does not fit is an error that names `file:line`, never a skipped line.
"""

import json
import math
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TextIO, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from aftune.errors import DataError


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
        return parse_record(_json_value(path, number, text), record_type, f"{path}:{number}")


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
        yield f"{path}:{number}", _json_value(path, number, text)


def text_lines(path: Path) -> Iterator[tuple[int, int, str]]:
    """Number (from 1), byte offset and text of every line that is not blank.

    Raises DataError for a missing file and for bytes that are not UTF-8.
    """
    number = offset = 0
    try:
        # Lines are decoded one by one: a text file is decoded in blocks, and an error would name the wrong line.
        with open(path, "rb") as file:
            for number, line in enumerate(file, 1):
                text = line.decode("utf-8")
                if not text.isspace():
                    yield number, offset, text
                offset += len(line)
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; check the path or run the stage that writes it") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}:{number}: not UTF-8 text; save the file as UTF-8") from error


def _json_value(path: Path, number: int, text: str) -> Any:
    try:
        return json.loads(text.rstrip("\r\n"))
    except json.JSONDecodeError as error:
        cut = "" if text.endswith("\n") else ", the line is cut off"
        raise DataError(f"{path}:{number}: not valid JSON at column {error.colno}{cut}; correct or remove this line") from error


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
