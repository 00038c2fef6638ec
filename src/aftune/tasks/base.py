"""What a task is: problems, how they are asked, and when an answer is right. A task knows no tokenizer and no model."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Literal

from aftune.answers import NUMBER, AnswerKind, Reading, judge
from aftune.errors import DataError, UsageError
from aftune.prompts import PLAIN_PROMPT
from aftune.records import Feedback, Problem
from aftune.tasks import splits


class Task(ABC):
    """One benchmark. `version` changes when its prompts or verdicts change."""

    name: ClassVar[str]
    version: ClassVar[int]
    split_names: ClassVar[tuple[str, ...]]
    published_sizes: ClassVar[dict[str, int]] = {}  # for estimates where the data is not here
    prompt_template: ClassVar[str] = PLAIN_PROMPT
    default_feedback: ClassVar[Literal["binary", "ranking"]] = "binary"  # what alignment compares candidates by
    answer_kind: ClassVar[AnswerKind] = NUMBER

    @abstractmethod
    def split_size(self, split: str) -> int:
        """Number of problems in a split."""

    @abstractmethod
    def problems(self, split: str, start: int, stop: int) -> Iterator[Problem]:
        """Problems `start` to `stop` (exclusive) of a split; raises DataError with the place of a bad record."""

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

    def question_text(self, problem: Problem) -> str:
        """What is asked, options included; a prompt of any style is built around it."""
        return problem.question

    def prompt(self, problem: Problem) -> str:
        """The text that a response follows in a plain prompt without examples; stages ask with an `aftune.encoding.Prompter`."""
        return self.prompt_template.format(question=self.question_text(problem))

    def reference_response(self, problem: Problem) -> str | None:
        """The response that fine-tuning imitates."""
        return problem.rationale

    def verdict(self, problem: Problem, text: str, reading: Reading = "strict") -> Feedback:
        """Whether a response is right: quality 1 or 0, with the answer that was read and the reason."""
        verdict = judge(self.answer_kind, text, problem.gold_answer, reading, problem.options)
        return Feedback(answer=verdict.answer, quality=float(verdict.right), reason=verdict.reason)

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
