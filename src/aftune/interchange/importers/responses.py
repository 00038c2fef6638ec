"""What every importer makes of a file: rows with responses, and which problem each row belongs to."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from aftune.common.errors import DataError
from aftune.common.wording import one_line
from aftune.records import Candidate, Problem, with_unique_ids
from aftune.records.questions import normalised

_DIGITS = re.compile(r"[0-9]{1,9}")
_MAX_INDEX = 10**9


@dataclass(frozen=True)
class Response:
    """A text with what is known about it. index: its place among the candidates of its problem, if the file gives it.

    unusable: why it cannot be a candidate, if so.
    """

    text: str
    finish_reason: Literal["stop", "length"] = "stop"
    index: int | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    unusable: str | None = None


@dataclass(frozen=True)
class Row:
    """Responses to one problem, named by its id, its question, or both. place: `file:line`."""

    place: str
    responses: Sequence[Response]
    problem_id: str | None = None
    question: str | None = None


NO_PROBLEM = "fits no problem"
CUT = 200  # characters of a text in what is left out


@dataclass(frozen=True)
class Imported:
    """candidates: in the order of the file. left_out: every row that fits no problem or has no response, and every unusable
    response, with the reason."""

    candidates: list[Candidate]
    left_out: list[dict[str, Any]]


def match(rows: Iterable[Row], problems: Sequence[Problem]) -> Imported:
    """The rows' responses as candidates of the problems, found by id, else by question (white space aside) if only one problem
    asks it: problems with other options are others, and a row does not name options.

    Candidates without an index of their own are numbered in the order in which they come. Raises DataError with the place
    of a row whose index is taken, RepeatedIdError for two problems with the same id.
    """
    ids: set[str] = set()
    by_question: dict[str, Problem | None] = {}  # None: several problems ask it
    for problem in with_unique_ids(problems, "problems"):
        ids.add(problem.id)
        first = by_question.setdefault(normalised(problem.question), problem)
        if first is not None and first.options != problem.options:
            by_question[normalised(problem.question)] = None
    used: dict[str, set[int]] = defaultdict(set)
    imported = Imported([], [])
    for row in rows:
        question = normalised(row.question or "")
        found = by_question.get(question)
        problem_id = row.problem_id if row.problem_id in ids else found.id if found else None
        if problem_id is None:
            reason = "fits several problems: name it by id" if question in by_question else NO_PROBLEM
            imported.left_out.append(_left_out(row, reason, problem_id=row.problem_id, question=row.question))
            continue
        if not row.responses:
            imported.left_out.append(_left_out(row, "no responses", problem_id=problem_id))
        for response in row.responses:
            if response.unusable is not None:
                imported.left_out.append(_left_out(row, response.unusable, problem_id=problem_id, text=response.text))
                continue
            imported.candidates.append(_candidate(row, problem_id, response, used[problem_id]))
    return imported


def _candidate(row: Row, problem_id: str, response: Response, used: set[int]) -> Candidate:
    index = max(used, default=-1) + 1 if response.index is None else response.index
    if index in used:
        raise DataError(f"{row.place}: {problem_id} already has a candidate {index}; give each its own index, or leave indices out")
    used.add(index)
    return Candidate(
        problem_id=problem_id, index=index, text=response.text, finish_reason=response.finish_reason, settings=response.settings
    )


def _left_out(row: Row, reason: str, **details: str | None) -> dict[str, Any]:
    return {"place": row.place, "reason": one_line(reason)} | {key: text[:CUT] for key, text in details.items() if text}


def index_of(place: str, value: Any, name: str) -> int | None:
    """A candidate's index, also if given as digits, as in a table; None stays None. Raises DataError for anything else."""
    number = int(value) if isinstance(value, str) and _DIGITS.fullmatch(value.strip()) else value
    if number is not None and (not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < _MAX_INDEX):
        raise DataError(
            f"{place}: {name} is {value!r:.80}, expected a whole number from 0 to {_MAX_INDEX - 1:,}; correct this line"
        )
    return number


def texts(place: str, value: Any, what: str) -> Iterator[str]:
    """The texts of a list; raises DataError for anything else."""
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise DataError(f"{place}: {what} is not a list of texts; correct this record")
    yield from value
