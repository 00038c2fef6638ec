"""What a task is: problems, how they are asked, and when an answer is right. A task knows no tokenizer and no model."""

import json
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

from aftune.answers import NUMBER, AnswerKind, Reading, judge
from aftune.common.errors import DataError, MissingFileError, UsageError
from aftune.common.near import near
from aftune.prompts.formats import PLAIN_PROMPT, question_text
from aftune.records import Feedback, Problem
from aftune.tasks import splits
from aftune.tasks.contradictions import contradiction
from aftune.tasks.task_options import TaskOptions


@dataclass(frozen=True)
class LeftOut:
    """A record of the files that is not a problem of its split, or a problem whose rationale is not used; and why."""

    id: str
    reason: str
    what: Literal["problem", "rationale"] = "problem"


FeedbackKind = Literal["binary", "ranking"]


@dataclass(frozen=True)
class Sources:
    """What a task reads: files, by names that stay when their folder moves, and data sets of the Hub."""

    files: Mapping[str, Path] = field(default_factory=dict)
    data_sets: Sequence[str] = ()


class Task(ABC):
    """One benchmark. `version` changes when its prompts or verdicts change; `source`: where its data comes from.

    options_model: what `task.options` of a recipe may hold; a task that has some takes them as its argument `options`.
    """

    name: ClassVar[str]
    version: ClassVar[int]
    split_names: ClassVar[tuple[str, ...]]
    published_sizes: ClassVar[dict[str, int]] = {}  # for estimates where the data is not here
    prompt_template: ClassVar[str] = PLAIN_PROMPT
    default_feedback: FeedbackKind = "binary"  # what alignment compares candidates by
    problems_of: ClassVar[str | None] = None  # the task whose name its problems carry, if not its own
    answer_kind: AnswerKind = NUMBER
    source: ClassVar[str] = ""
    generated: ClassVar[bool] = False  # needs no data
    options_model: ClassVar[type[TaskOptions]] = TaskOptions

    @abstractmethod
    def split_size(self, split: str) -> int:
        """Number of problems in a split."""

    @abstractmethod
    def problems(self, split: str, start: int, stop: int) -> Iterator[Problem]:
        """Problems `start` to `stop` (exclusive) of a split; raises DataError with the place of a bad record.

        All carry the same task name (`problem_task`).
        """

    def has_split(self, split: str) -> bool:
        """Whether the data of a split is here; always True for data of the Hub."""
        return True

    def left_out(self, split: str) -> list[LeftOut]:
        """What the files of a split hold that `problems` does not give."""
        return []

    def survey(self, split: str) -> Iterator[Problem | LeftOut | DataError]:
        """All that a split holds: its problems in order, what is left out, and the error of each row that is neither. Raises no
        DataError: it goes on after a row that cannot be read, where the task can."""
        try:
            yield from self.problems(split, 0, self.split_size(split))
            yield from self.left_out(split)
        except DataError as error:
            yield error

    @classmethod
    def sources(cls, data: Path | None, options: TaskOptions) -> Sources:
        """What the task would read with this folder and these options; a change of it redoes a run. By default that is every file
        of the folder that is not hidden."""
        paths = [] if data is None else sorted(data.rglob("*"))
        return Sources({path.relative_to(data).as_posix(): path for path in paths if data and not path.name.startswith(".")})

    @classmethod
    def problem_task(cls) -> str:
        """The task name that its problems carry."""
        return cls.problems_of or cls.name

    @classmethod
    def ranks(cls) -> bool:
        """Whether the task knows a ranking."""
        return cls.rank is not Task.rank

    @classmethod
    def parse_slice(cls, split_slice: str) -> splits.SplitSlice:
        """The slice that a text names; raises UsageError for what is not a slice, and for a split that this task does not have."""
        wanted = splits.parse(split_slice)
        if wanted.split not in cls.split_names:
            raise UsageError(f"task {cls.name} has no split {wanted.split!r}; it has {', '.join(cls.split_names)}")
        return wanted

    def load(self, split_slice: str) -> list[Problem]:
        """The problems of a slice in memory; raises what `stream` raises."""
        return list(self.stream(split_slice))

    def stream(self, split_slice: str) -> Iterator[Problem]:
        """The problems of a slice such as `train[:1000]`, one at a time.

        Raises UsageError for an unknown split and DataError for a slice without problems or a problem without an answer.
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
        """The question, options included; a prompt of any style is built around it."""
        return question_text(problem)

    def prompt(self, problem: Problem) -> str:
        """The text that a response follows in a plain prompt without examples; stages ask with a `Prompter`."""
        return self.prompt_template.format(question=self.question_text(problem))

    def letter_question(self, problem: Problem) -> str:
        """A text after which the letter of an option is the answer, for `aftune.evaluation.letters.letter_accuracy`."""
        return self.prompt(problem).rstrip("\n")

    def heading(self, problem: Problem) -> str | None:
        """What a prompt of any style says before its examples and the question."""
        return None

    def examples(self, problem: Problem) -> Sequence[Problem]:
        """Solved problems that the task itself shows before a question, never the problem itself."""
        return ()

    def example_response(self, problem: Problem) -> str:
        """What is shown as the response to an example: its reference, else the shortest right one."""
        return self.reference_response(problem) or self.gold_response(problem)

    def reference_response(self, problem: Problem) -> str | None:
        """The response that fine-tuning imitates."""
        return problem.rationale

    def contradiction(self, problem: Problem) -> str | None:
        """Why a problem's rationale and its gold answer cannot both be right, as a sentence; None where nothing shows that."""
        return None if problem.rationale is None else contradiction(self.answer_kind, problem, problem.rationale)

    def sound_reference(self, problem: Problem) -> str | None:
        """The reference, unless it contradicts the gold answer: what may be imitated and shown as an example."""
        return None if self.contradiction(problem) else self.reference_response(problem)

    def gold_response(self, problem: Problem) -> str:
        """The shortest right response: the gold answer in the format that is asked for."""
        return state_answer(self.answer_kind, problem.gold_answer)

    def verdict(self, problem: Problem, text: str, reading: Reading = "strict") -> Feedback:
        """Whether a response is right: quality 1 or 0, with the answer that was read and the reason."""
        verdict = judge(self.answer_kind, text, problem.gold_answer, reading, problem.options)
        return Feedback(answer=verdict.answer, quality=float(verdict.right), reason=verdict.reason, detail=verdict.detail or None)

    @property
    def judging_threads(self) -> int:
        """How many threads give verdicts faster than one: as many as cores where processes of their own compare the answers."""
        return (os.cpu_count() or 1) if self.answer_kind.name == "math" else 1

    def rank(self, problem: Problem, text: str, reading: Reading = "strict") -> float | None:
        """How good a response is among those to its problem: finite, larger is better; None: this task knows no ranking."""
        return None


def data_folder(task: str, data: Path | None, key: str = "data") -> Path | None:
    """The folder with a task's files, checked; None means that they come from the Hub. key: what the recipe calls it."""
    if data is None:
        return None
    if not data.exists():
        raise MissingFileError(f"{key}: {data}: no such file or folder; {near(data) or 'check the path'}")
    if not data.is_dir():
        raise MissingFileError(f"{key}: {data} is not a folder; give the folder that holds the files of task {task}")
    return data


def with_answer(kind: AnswerKind, problem: Problem, rationale: str) -> str:
    """A rationale, with a last line that states the gold answer where it states none in the format that is asked for; unchanged
    where it comes to another answer."""
    if contradiction(kind, problem, rationale) or judge(kind, rationale, problem.gold_answer).reason != "no answer":
        return rationale
    return f"{rationale}\n{state_answer(kind, problem.gold_answer)}"


def state_answer(kind: AnswerKind, answer: str) -> str:
    """An answer in the format that a strict reading knows: `#### 18`, `The answer is (B).`"""
    if kind.form == "phrase":
        return f"The answer is ({answer})." if kind.name == "choice" else f"The answer is {answer}."
    if kind.form == "json":
        return json.dumps({"answer": answer}, ensure_ascii=False)
    return f"#### {answer}" if kind.form == "hashes" else f"\\boxed{{{answer}}}"
