"""MMLU: multiple choice in 57 subjects (Hendrycks et al. 2021, arXiv 2009.03300), with its dev examples in the prompt.

Answers are generated here ("The answer is (B)."); `letter_question` is for the usual evaluation by likelihoods. A question of
test is left out of validation and dev, one of validation out of dev: no example in a prompt is a question that is measured.
Repetitions within a split stay.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from pydantic import Field

from aftune.common.data_files import scan_table
from aftune.common.errors import DataError, MissingFileError
from aftune.common.wording import counted
from aftune.records import Problem
from aftune.records.questions import LETTERS, question_key
from aftune.tasks.base import LeftOut, Sources, data_folder
from aftune.tasks.multiple_choice import ChoiceTask
from aftune.tasks.published_files import hub_rows, named_files
from aftune.tasks.task_options import TaskOptions

_HUB = "cais/mmlu"
_FOLDERS = {"dev": "dev", "validation": "val", "test": "test"}
_HELD_OUT_FROM = {"dev": ("test", "validation"), "validation": ("test",), "test": ()}


class MmluOptions(TaskOptions):
    """shots: how many dev examples of the subject come before a question."""

    shots: int = Field(default=5, ge=0, le=5)


class _Row(NamedTuple):
    subject: str
    number: int  # within the subject, from 0
    question: str
    options: list[str]
    gold: str

    @property
    def key(self) -> str:
        return question_key(self.question, self.options)


class Mmlu(ChoiceTask):
    """Reads `dev/`, `val/` and `test/` of a folder, with a CSV file without a header for each subject, or `cais/mmlu`."""

    name = "mmlu"
    version = 1
    split_names = ("dev", "validation", "test")
    published_sizes: ClassVar[dict[str, int]] = {"dev": 285, "validation": 1531, "test": 14042}
    source = "hendrycks/test: dev/, val/, test/; Hub cais/mmlu"
    options_model = MmluOptions

    def __init__(self, data: Path | None = None, seed: int = 0, options: MmluOptions | None = None) -> None:
        self.data = data_folder(self.name, data)
        self.options = options or MmluOptions()
        self._loaded: dict[str, list[tuple[str, _Row | DataError]]] = {}
        self._asked: dict[str, frozenset[str]] = {}
        self._examples: dict[str, list[Problem]] | None = None

    @classmethod
    def sources(cls, data: Path | None, options: TaskOptions) -> Sources:
        if data is None:
            return Sources(data_sets=(_HUB,))
        return Sources(named_files(data, (path for split in cls.split_names for path in _paths(data, split))))

    def entries(self, split: str, index: int, place: str, row: _Row) -> Iterator[Problem | LeftOut]:
        problem_id = f"mmlu/{split}/{row.subject}/{row.number}"
        other = next((name for name in _HELD_OUT_FROM[split] if row.key in self._keys(name)), None)
        if other is not None:
            yield LeftOut(problem_id, f"the same question is in {other}")
            return
        yield Problem(
            id=problem_id,
            task=self.name,
            question=row.question,
            gold_answer=row.gold,
            options=row.options,
            metadata={"subject": row.subject},
        )

    def rows(self, split: str) -> Iterator[tuple[str, _Row | DataError]]:
        for name in _HELD_OUT_FROM[split]:
            self._keys(name)  # a folder that is missing is reported once, not for every row
        return iter(self._load(split))

    def heading(self, problem: Problem) -> str:
        subject = problem.metadata["subject"].replace("_", " ")
        return f"The following are multiple choice questions (with answers) about {subject}."

    def letter_question(self, problem: Problem) -> str:
        """The question as Hendrycks et al. ask it."""
        options = "".join(f"{letter}. {option}\n" for letter, option in zip(LETTERS, problem.options or (), strict=False))
        return f"{problem.question}\n{options}Answer:"

    def examples(self, problem: Problem) -> list[Problem]:
        """The dev examples of the problem's subject."""
        if not self.options.shots:
            return []
        if self._examples is None:
            self._examples = {}
            for example in self._problems("dev"):
                self._examples.setdefault(example.metadata["subject"], []).append(example)
        examples = self._examples.get(problem.metadata["subject"], [])
        return [example for example in examples if example.id != problem.id][: self.options.shots]

    def _keys(self, split: str) -> frozenset[str]:
        """The questions of a split that can be read."""
        if split not in self._asked:
            self._asked[split] = frozenset(row.key for _, row in self._load(split) if not isinstance(row, DataError))
        return self._asked[split]

    def _load(self, split: str) -> list[tuple[str, _Row | DataError]]:
        if split not in self._loaded:
            self._loaded[split] = list(_hub(split) if self.data is None else _files(self.data, split))
        return self._loaded[split]


def _files(data: Path, split: str) -> Iterator[tuple[str, _Row | DataError]]:
    """The rows of all subjects, in the order of their names."""
    folder, ending = data / _FOLDERS[split], f"_{_FOLDERS[split]}.csv"
    paths = _paths(data, split)
    if not paths:
        raise MissingFileError(f"data: {folder} holds no files *{ending}; give the folder with dev/, val/ and test/ of MMLU")
    for path in paths:
        yield from _read_subject(path, path.name.removesuffix(ending))


def _paths(data: Path, split: str) -> list[Path]:
    return sorted((data / _FOLDERS[split]).glob(f"*_{_FOLDERS[split]}.csv"))


def _read_subject(path: Path, subject: str) -> Iterator[tuple[str, _Row | DataError]]:
    for index, (place, fields) in enumerate(scan_table(path)):
        if isinstance(fields, DataError):
            yield place, fields
        elif len(fields) != 6:
            count = f"{counted(len(fields), 'field')}, expected question, A, B, C, D and a letter"
            yield place, DataError(f"{place}: {count}; correct this row")
        else:
            yield place, _row(place, subject, index, fields[0], fields[1:5], fields[5])


def _hub(split: str) -> Iterator[tuple[str, _Row | DataError]]:
    counts: dict[str, int] = {}
    for place, row in hub_rows("mmlu", _HUB, "all", split):
        index = counts.get(row["subject"], 0)
        counts[row["subject"]] = index + 1
        yield place, _row(place, row["subject"], index, row["question"], list(row["choices"]), LETTERS[row["answer"]])


def _row(place: str, subject: str, index: int, question: Any, options: Sequence[Any], gold: Any) -> _Row | DataError:
    if not question.strip():
        return DataError(f"{place}: the question is empty; correct or remove this row")
    if gold not in ("A", "B", "C", "D"):
        return DataError(f"{place}: the answer is {gold!r:.80}, expected a letter A to D; correct this row")
    return _Row(subject, index, question.strip(), [option.strip() for option in options], gold)
