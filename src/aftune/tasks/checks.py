"""`aftune validate`: every row of a task's data is checked before anything is trained on it."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from aftune.common.errors import DataError, RepeatedIdError
from aftune.common.progress import progress_bar
from aftune.common.wording import cut_short, one_line
from aftune.records import Problem
from aftune.records.questions import question_key
from aftune.tasks import LeftOut, Task

# What makes data unusable; everything else is for a person to judge.
FATAL = ("gold", "unreadable", "repeated_id")
# The kinds of findings, in the order of the table's rows.
FINDINGS = (
    "unreadable",
    "repeated_id",
    "gold",
    "contradiction",
    "rationale",
    "too_long",
    "duplicate",
    "overlap",
    "left_out",
    "rationale_left_out",
)

_QUESTION = 60  # characters of a question that are enough to find it

# By question: split and id of the first problem that asks it.
_Known = dict[str, tuple[str, str]]

# Why a problem is longer than a model's context, or None.
TooLong = Callable[[Problem], str | None]


@dataclass(frozen=True)
class SplitSummary:
    """problems: how many the task gives; references: how many of them have a sound one; findings: how many, by kind."""

    split: str
    problems: int = 0
    references: int = 0
    findings: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Validation:
    """findings: a row for each, with split, id, kind and reason, and the start of the question where it could be read."""

    splits: list[SplitSummary]
    findings: list[dict[str, Any]]

    @property
    def usable(self) -> bool:
        """Whether every row could be read, ids differ and every gold answer is accepted by the task's own verifier."""
        return not any(summary.findings[kind] for summary in self.splits for kind in FATAL)


def beginning(problem: Problem) -> str:
    """The start of a problem's question, in one line, by which it is found in a file."""
    return cut_short(one_line(problem.question), _QUESTION)


def validate(task: Task, too_long: TooLong = lambda problem: None) -> Validation:
    """Checks all splits of a task whose data is here: every row, gold answers (by both readings) and references (strict) against
    its verifier, rationales against their gold answers, lengths, questions that repeat within a split or between splits, and what
    the task leaves out.

    A row that cannot be read is a finding too, and the check goes on after it. Questions are the same only if their options are.
    """
    known: _Known = {}
    splits: list[SplitSummary] = []
    findings: list[dict[str, Any]] = []
    here = [split for split in task.split_names if task.has_split(split)]
    for split in reversed(here or task.split_names):  # the training problems last: they are the ones that overlap
        found: list[tuple[str, str, str, str]] = []
        num_problems = num_references = 0
        for entry in _shown(task, split):
            if isinstance(entry, Problem):
                asked = beginning(entry)
                found += [(entry.id, kind, reason, asked) for kind, reason in _checked(task, entry, too_long, split, known)]
                num_problems += 1
                num_references += task.sound_reference(entry) is not None
            elif isinstance(entry, LeftOut):
                found.append((entry.id, "left_out" if entry.what == "problem" else "rationale_left_out", entry.reason, ""))
            else:
                kind = "repeated_id" if isinstance(entry, RepeatedIdError) else "unreadable"
                found.append((f"{task.name}/{split}", kind, str(entry), ""))
        for name, kind, reason, asked in found:
            findings.append({"split": split, "id": name, "kind": kind, "reason": reason} | ({"question": asked} if asked else {}))
        splits.append(SplitSummary(split, num_problems, num_references, Counter(kind for _, kind, _, _ in found)))
    return Validation(splits[::-1], findings)


def _shown(task: Task, split: str) -> Iterator[Problem | LeftOut | DataError]:
    """What a split holds, with a progress bar."""
    total = task.split_size(split) if task.generated else sum(1 for _ in task.survey(split))
    with progress_bar(f"validate: {split}", total, "rows") as update:
        for number, entry in enumerate(task.survey(split), 1):
            yield entry
            update(number)


def _checked(task: Task, problem: Problem, too_long: TooLong, split: str, known: _Known) -> list[tuple[str, str]]:
    try:
        return list(_check(task, problem, too_long, split, known))
    except DataError as error:  # from a grader, or from examples that a prompt shows
        return [("unreadable", str(error))]


def _check(task: Task, problem: Problem, too_long: TooLong, split: str, known: _Known) -> Iterator[tuple[str, str]]:
    gold = task.gold_response(problem)
    for reading in ("strict", "flexible"):
        verdict = task.verdict(problem, gold, reading)
        if not verdict.quality:
            yield "gold", f"{reading} reading: {verdict.reason}: {gold[:200]!r}"
            break
    against = task.contradiction(problem)
    reference = task.reference_response(problem)
    if against is not None:
        yield "contradiction", against
    elif reference is not None:
        verdict = task.verdict(problem, reference, "strict")
        if not verdict.quality:
            yield "rationale", f"{verdict.reason}: {verdict.answer!r}, gold {problem.gold_answer!r}"
    reason = too_long(problem)
    if reason is not None:
        yield "too_long", reason
    first_split, first_id = known.setdefault(question_key(problem.question, problem.options), (split, problem.id))
    if first_id != problem.id:
        yield ("duplicate" if first_split == split else "overlap"), f"the same question as {first_id}"
