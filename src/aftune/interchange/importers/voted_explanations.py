"""`few_shot_explanations` of AllenAI (Wiegreffe et al. 2022, arXiv 2112.08674): CommonsenseQA questions, each with five
explanations of its answer and the votes of three people: real ranking feedback.

A row of `commonsenseqa_train.csv` or `commonsenseqa_test.csv` is one person's vote on one question: `Answer.acceptable` names
the explanations that this person accepts (`2|4|5`; empty: none of them). The rows of a question need not be adjacent.
"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from aftune.common.data_files import scan_table
from aftune.common.errors import DataError
from aftune.records import Candidate, Feedback, Group, Problem
from aftune.records.questions import LETTERS

NUM_EXPLANATIONS = 5
NUM_VOTES = 3

_NUMBERS = range(1, NUM_EXPLANATIONS + 1)
_QUESTION = ("Input.id", "Input.question", "Input.answer_choices", "Input.gold_label")
_VOTE = "Answer.acceptable"
_COLUMNS = (
    *_QUESTION,
    *(f"Input.{name}_{number}" for name in ("source_sample", "explanation", "nll") for number in _NUMBERS),
    _VOTE,
)


class VotedExplanations(NamedTuple):
    """groups: one per question, in the order of the file. left_out: every explanation that is in no group, with the reason.

    counts: `questions`, `kept` and, by reason, `empty`, `duplicate` and `contradiction` explanations; `votes` (rows), among
    them `votes_for_none`; `questions_without_three_votes`, which are kept with the votes that they have.
    """

    groups: list[Group]
    left_out: list[dict[str, object]]
    counts: dict[str, int]


def read_groups(path: Path) -> VotedExplanations:
    """The questions of a file with their explanations as candidates.

    Quality and rank of a candidate are the mean of its votes (1 accepted, 0 not), from 0 to 1 and a multiple of 1/3 where
    three people voted; the votes themselves are in `settings`, with who wrote the explanation (`greedy`, or the number of a
    sample) and its published negative log-likelihood. Empty explanations are left out, and so are repeated ones: the later
    one if the votes have the same mean (`duplicate`), both if not (`contradiction`).

    Raises DataError with `file:line` for missing columns, a row that does not fit, and rows of a question that differ in more
    than the vote.
    """
    questions: dict[str, tuple[dict[str, str], list[frozenset[int]]]] = {}
    counts: Counter[str] = Counter({"questions": 0, "kept": 0})
    for place, row in _rows(path):
        accepted = _accepted(place, row[_VOTE])
        first, votes = questions.setdefault(row["Input.id"], (row, []))
        differs = next((name for name in _COLUMNS if name != _VOTE and row[name] != first[name]), None)
        if differs is not None:
            raise DataError(f"{place}: {differs} is not the same as in an earlier row of {row['Input.id']:.80}; get the file again")
        votes.append(accepted)
        counts["votes"] += 1
        counts["votes_for_none"] += not accepted
    if not questions:
        raise DataError(f"{path}: the file holds no votes; get it again")
    groups: list[Group] = []
    left_out: list[dict[str, object]] = []
    for row, votes in questions.values():
        group, dropped = _group(row, votes)
        groups.append(group)
        left_out += dropped
        counts["questions"] += 1
        counts["kept"] += len(group.candidates)
        counts["questions_without_three_votes"] += len(votes) != NUM_VOTES
        counts.update(str(entry["reason"]) for entry in dropped)
    return VotedExplanations(groups, left_out, dict(counts))


def _group(row: dict[str, str], votes: Sequence[frozenset[int]]) -> tuple[Group, list[dict[str, object]]]:
    problem = Problem(
        id=f"commonsenseqa/{row['Input.id']}",
        task="commonsenseqa",
        question=row["Input.question"],
        gold_answer=row["Input.gold_label"],
        options=_options(row["Input.answer_choices"]),
    )
    texts = [row[f"Input.explanation_{number}"].strip() for number in _NUMBERS]
    means = [sum(number in accepted for accepted in votes) / len(votes) for number in _NUMBERS]
    group = Group(problem=problem, candidates=[], feedback=[])
    left_out: list[dict[str, object]] = []
    for index, (text, mean) in enumerate(zip(texts, means, strict=True)):
        mine = [int(index + 1 in accepted) for accepted in votes]
        reason = _reason_to_drop(texts, means, index)
        if reason is not None:
            left_out.append({"problem_id": problem.id, "index": index, "reason": reason, "votes": mine, "text": text})
            continue
        settings = {"source": row[f"Input.source_sample_{index + 1}"], "votes": mine, "nll": float(row[f"Input.nll_{index + 1}"])}
        group.candidates.append(Candidate(problem_id=problem.id, index=index, text=text, settings=settings))
        group.feedback.append(Feedback(quality=mean, rank=mean, reason=f"accepted by {sum(mine)} of {len(mine)}"))
    return group, left_out


def _reason_to_drop(texts: Sequence[str], means: Sequence[float], index: int) -> str | None:
    if not texts[index]:
        return "empty"
    same = [i for i, text in enumerate(texts) if text.split() == texts[index].split()]
    if len({means[i] for i in same}) > 1:
        return "contradiction"
    return "duplicate" if index > same[0] else None


def _rows(path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """`(file:line, row)` of all rows, each with all columns."""
    table = scan_table(path)
    _, names = next(table, ("", ()))
    if isinstance(names, DataError):
        raise names
    repeated = next((name for name in names if list(names).count(name) > 1), None)
    if repeated is not None:
        raise DataError(f"{path}:1: two columns are called {repeated!r:.80}; get the file again")
    missing = [name for name in _COLUMNS if name not in names]
    if missing:
        raise DataError(f"{path}:1: there is no column {missing[0]}; expected a commonsenseqa_*.csv with one vote per row")
    for place, fields in table:
        if isinstance(fields, DataError):
            raise fields
        if len(fields) != len(names):
            raise DataError(f"{place}: expected {len(names)} fields; correct this row")
        row = dict(zip(names, fields, strict=True))
        _check(place, row)
        yield place, row


def _check(place: str, row: dict[str, str]) -> None:
    empty = next((name for name in _QUESTION if not row[name].strip()), None)
    if empty is not None:
        raise DataError(f"{place}: {empty} is empty; correct or remove this row")
    if row["Input.gold_label"] not in _options(row["Input.answer_choices"]):
        raise DataError(
            f"{place}: Input.gold_label {row['Input.gold_label']!r:.80} is not one of {row['Input.answer_choices']!r:.300}; "
            "correct this row"
        )
    if len(_options(row["Input.answer_choices"])) > len(LETTERS):
        raise DataError(
            f"{place}: Input.answer_choices are more than {len(LETTERS)}, which is as many as have letters; correct this row"
        )
    for number in _NUMBERS:
        if not _is_finite(row[f"Input.nll_{number}"]):
            raise DataError(f"{place}: Input.nll_{number} is not a finite number; correct this row")


def _is_finite(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _options(text: str) -> list[str]:
    """The choices of `a, b, c, d, or e`."""
    *first, last = text.split(", ")
    return [*first, last.removeprefix("or ")]


def _accepted(place: str, vote: str) -> frozenset[int]:
    numbers = [number for number in vote.split("|") if number]
    if not all(number in map(str, _NUMBERS) for number in numbers):
        raise DataError(f"{place}: {_VOTE} is {vote!r:.80}, expected numbers from 1 to {NUM_EXPLANATIONS} joined by |; correct it")
    return frozenset(map(int, numbers))
