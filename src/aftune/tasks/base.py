"""What a task is: problems, how they are asked, and when an answer is right. A task knows no tokenizer and no model."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Literal

from aftune.answers import Reading
from aftune.errors import DataError, UsageError
from aftune.prompts import PLAIN_PROMPT
from aftune.records import Feedback, Problem
from aftune.tasks import splits

FeedbackKind = Literal["binary", "ranking"]


class Task(ABC):
    """One benchmark. `version` changes when its prompts or verdicts change."""

    name: ClassVar[str]
    version: ClassVar[int]
    split_names: ClassVar[tuple[str, ...]]
    published_sizes: ClassVar[dict[str, int]] = {}  # for estimates where the data is not here
    prompt_template: ClassVar[str] = PLAIN_PROMPT
    default_feedback: FeedbackKind = "binary"  # what alignment compares candidates by
    problems_of: ClassVar[str | None] = None  # the task whose name its problems carry, where that is another one

    @abstractmethod
    def split_size(self, split: str) -> int:
        """Number of problems in a split."""

    @abstractmethod
    def problems(self, split: str, start: int, stop: int) -> Iterator[Problem]:
        """Problems `start` to `stop` (exclusive) of a split; raises DataError with the place of a bad record.

        All carry the same task name (`problem_task`).
        """

    @abstractmethod
    def extract(self, text: str, reading: Reading) -> str | None:
        """The final answer that a response gives, or None where it gives none."""

    @abstractmethod
    def is_right(self, answer: str, problem: Problem) -> bool:
        """Whether an extracted answer equals the gold one."""

    @classmethod
    def problem_task(cls) -> str:
        """The task name that its problems carry."""
        return cls.problems_of or cls.name

    @classmethod
    def ranks(cls) -> bool:
        """Whether it knows a ranking."""
        return cls.rank is not Task.rank

    @classmethod
    def parse_slice(cls, split_slice: str) -> splits.SplitSlice:
        """Raises UsageError for what is no slice, and for a split that this task does not have."""
        wanted = splits.parse(split_slice)
        if wanted.split not in cls.split_names:
            raise UsageError(f"task {cls.name} has no split {wanted.split!r}; it has {', '.join(cls.split_names)}")
        return wanted

    def load(self, split_slice: str) -> list[Problem]:
        """The problems of a slice in memory; raises what `stream` raises."""
        return list(self.stream(split_slice))

    def stream(self, split_slice: str) -> Iterator[Problem]:
        """The problems of a slice such as `train[:1000]`, one at a time.

        Raises UsageError for an unknown split and DataError for a slice without problems or a problem without answer.
        """
        wanted = self.parse_slice(split_slice)
        start, stop = wanted.bounds(self.split_size(wanted.split))
        empty = True
        for problem in self.problems(wanted.split, start, stop):
            yield problem
            empty = False
        if empty:
            raise DataError(f"task {self.name}: {split_slice} holds no problems; choose a slice that does")

    def prompt(self, problem: Problem) -> str:
        """The text that a response follows."""
        return self.prompt_template.format(question=problem.question)

    def reference_response(self, problem: Problem) -> str | None:
        """The response that fine-tuning imitates."""
        return problem.rationale

    def verdict(self, problem: Problem, text: str, reading: Reading = "strict") -> Feedback:
        """Whether a response is right: quality 1 or 0, with the answer that was read and the reason."""
        answer = self.extract(text, reading)
        if answer is None:
            return Feedback(answer=None, quality=0.0, reason="no answer")
        right = self.is_right(answer, problem)
        return Feedback(answer=answer, quality=float(right), reason="matched" if right else "different")

    def rank(self, problem: Problem, text: str, reading: Reading = "strict") -> float | None:
        """How good a response is among those to its problem: finite, larger is better; None: this task knows no ranking."""
        return None


def data_folder(task: str, data: Path | None) -> Path | None:
    """The folder with a task's files, checked; None means: load from the Hub."""
    if data is None:
        return None
    if not data.is_dir():
        raise DataError(f"data: {data} is not a folder; give the folder that holds the files of task {task}")
    return data
