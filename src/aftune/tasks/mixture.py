"""Several tasks as one, for a training run over all of them that is evaluated on each.

Every problem carries the name of its task, which asks it and judges its responses: prompts, references, verdicts and ranks
are those of that task by itself.
"""

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from aftune.answers import Reading
from aftune.common.errors import DataError, UsageError
from aftune.records import Feedback, Problem
from aftune.tasks.base import FeedbackKind, LeftOut, Task


@dataclass(frozen=True)
class Part:
    """A task, and the slice that it gives to each split of the mixture; `key`: where the recipe names it, for errors."""

    key: str
    task: Task
    slices: Mapping[str, str]

    def bounds(self, split: str) -> tuple[int, int]:
        """Start and stop (exclusive) of its problems; raises DataError where there are none."""
        wanted = self.task.parse_slice(self.slices[split])
        start, stop = wanted.bounds(self.task.split_size(wanted.split))
        if start == stop:
            raise DataError(f"{self.key}.{split}: {self.slices[split]} of {self.task.name} holds no problems; choose another slice")
        return start, stop

    def problems(self, split: str, start: int, stop: int) -> Iterator[Problem]:
        return self.task.problems(self.task.parse_slice(self.slices[split]).split, start, stop)


class Mixture(Task):
    """Its splits hold the slices of its parts, evenly mixed: any stretch of a split has about the same share of each part.

    Raises what `check_parts` raises.
    """

    name = "mixture"
    version = 1
    split_names = ("train", "validation", "test")

    def __init__(self, parts: Sequence[Part]) -> None:
        classes = {part.key: type(part.task) for part in parts}
        check_parts(classes)
        self.parts = list(parts)
        self.default_feedback = shared_feedback(classes.values())
        self._by_name = {part.task.problem_task(): part.task for part in parts}

    def split_size(self, split: str) -> int:
        return sum(stop - start for start, stop in (part.bounds(split) for part in self.parts))

    def problems(self, split: str, start: int, stop: int) -> Iterator[Problem]:
        bounds = [part.bounds(split) for part in self.parts]
        turns = _turns([last - first for first, last in bounds])
        passed = list(islice(turns, start))
        streams = [
            part.problems(split, first + passed.count(place), last)
            for place, (part, (first, last)) in enumerate(zip(self.parts, bounds, strict=True))
        ]
        for place in islice(turns, stop - start):
            problem = next(streams[place])
            self._part(problem)
            yield problem

    def has_split(self, split: str) -> bool:
        return all(part.task.has_split(part.task.parse_slice(part.slices[split]).split) for part in self.parts)

    def left_out(self, split: str) -> list[LeftOut]:
        return [entry for part in self.parts for entry in part.task.left_out(part.task.parse_slice(part.slices[split]).split)]

    def prompt(self, problem: Problem) -> str:
        return self._part(problem).prompt(problem)

    def question_text(self, problem: Problem) -> str:
        return self._part(problem).question_text(problem)

    def heading(self, problem: Problem) -> str | None:
        return self._part(problem).heading(problem)

    def examples(self, problem: Problem) -> Sequence[Problem]:
        return self._part(problem).examples(problem)

    def reference_response(self, problem: Problem) -> str | None:
        return self._part(problem).reference_response(problem)

    def contradiction(self, problem: Problem) -> str | None:
        return self._part(problem).contradiction(problem)

    def gold_response(self, problem: Problem) -> str:
        return self._part(problem).gold_response(problem)

    def verdict(self, problem: Problem, text: str, reading: Reading = "strict") -> Feedback:
        return self._part(problem).verdict(problem, text, reading)

    @property
    def judging_threads(self) -> int:
        return max(part.judging_threads for part in self._by_name.values())

    def rank(self, problem: Problem, text: str, reading: Reading = "strict") -> float | None:
        return self._part(problem).rank(problem, text, reading)

    def _part(self, problem: Problem) -> Task:
        """The task of a problem; raises DataError where it is none of the parts."""
        if problem.task not in self._by_name:
            raise DataError(f"{problem.id}: its task is {problem.task!r}, but the parts are {', '.join(self._by_name)}")
        return self._by_name[problem.task]


def check_parts(classes: Mapping[str, type[Task]]) -> None:
    """Checks the tasks of a mixture, by the keys that name them: raises UsageError where there are none, where one is a mixture,
    and where two have the same problems."""
    if not classes:
        raise UsageError("task.parts: a mixture needs parts, and there are none; write for example [{name: arithmetic}]")
    keys: dict[str, str] = {}
    for key, task in classes.items():
        if issubclass(task, Mixture):
            raise UsageError(f"{key}.name: a mixture cannot be part of a mixture; name the parts of both in one list")
        other = keys.setdefault(task.problem_task(), key)
        if other != key:
            raise UsageError(f"{key}.name: {task.name} has the same problems as {other}, {classes[other].name}; remove one of them")


def shared_feedback(classes: Iterable[type[Task]]) -> FeedbackKind:
    """Ranking where it is the default of all tasks."""
    return "ranking" if all(task.default_feedback == "ranking" for task in classes) else "binary"


def _turns(sizes: Sequence[int]) -> Iterator[int]:
    """Whose problem comes next: number k of a part's n comes at (k + 1/2) / n of the way; in a tie the first part comes first."""

    def marks(place: int, size: int) -> Iterator[tuple[float, int]]:
        return (((number + 0.5) / size, place) for number in range(size))

    return (place for _, place in heapq.merge(*(marks(place, size) for place, size in enumerate(sizes))))
