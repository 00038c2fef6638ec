"""ECQA: CommonsenseQA (Talmor et al. 2019, arXiv 1811.00937) with explanations of its answers (Aggarwal et al. 2021, ACL).

ECQA gives ids of CommonsenseQA's questions for its own splits, and explanations. Its splits share ids: a question of test is
left out of validation and training, one of validation out of training, and so is a training question without an explanation.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from aftune.answers import CHOICE
from aftune.common.data_files import scan_rows
from aftune.common.errors import DataError, UsageError
from aftune.common.text_files import text_lines
from aftune.records import Problem
from aftune.records.questions import LETTERS, question_key
from aftune.tasks.base import LeftOut, Sources, data_folder, with_answer
from aftune.tasks.multiple_choice import ChoiceTask
from aftune.tasks.published_files import find_file, flan_table, hub_rows, named_files, need_file
from aftune.tasks.task_options import TaskOptions

_ID_FILES = {"train": "train_ids.txt", "validation": "val_ids.txt", "test": "test_ids.txt"}
_HUB = "tau/commonsense_qa"
_QUESTION_FILES = ("train_rand_split.jsonl", "dev_rand_split.jsonl")
_PLACES = ("", "ecqa/", "author_split/", "commonsenseqa/", "cqa/")


class Ecqa(ChoiceTask):
    """Reads ECQA's ids and explanations (`ecqa.jsonl`, or FLAN's `flan_train.tsv` for training) from a folder, with
    CommonsenseQA's files beside them or in `commonsenseqa/`; without those the questions come from `tau/commonsense_qa`."""

    name = "ecqa"
    version = 1
    split_names = ("train", "validation", "test")
    published_sizes: ClassVar[dict[str, int]] = {"train": 7598, "validation": 1090, "test": 2194}
    source = "dair-iitd/ECQA-Dataset: ids, ecqa.jsonl; questions: CommonsenseQA's files or Hub tau/commonsense_qa"

    def __init__(self, data: Path | None = None, seed: int = 0) -> None:
        self.data = data_folder(self.name, data)
        self._id_lists: dict[str, list[tuple[str, str]]] = {}
        self._questions: dict[str, Problem] | None = None
        self._explanations: dict[str, str] | None = None
        self._id_sets: dict[str, frozenset[str]] = {}
        self._numbers: dict[str, str] = {}  # ids by question and options
        self._errors: list[tuple[str, DataError]] = []  # in the files that all splits share

    @classmethod
    def sources(cls, data: Path | None, options: TaskOptions) -> Sources:
        if data is None:
            return Sources()
        questions = [find_file(data, *_anywhere(name)) for name in _QUESTION_FILES]
        ids = [find_file(data, *_anywhere(name)) for name in _ID_FILES.values()]
        explanations = find_file(data, *_anywhere("ecqa.jsonl")) or find_file(data, *_anywhere("flan_train.tsv"))
        files = named_files(data, [*questions, *ids, explanations])
        return Sources(files, () if any(questions) else (_HUB,))

    def entries(self, split: str, index: int, place: str, row: str) -> Iterator[Problem | LeftOut]:
        questions = self._load_questions()
        if row not in questions:
            raise DataError(f"{place}: {row} is not an id of CommonsenseQA's train and dev questions; get the files again")
        problem = questions[row].model_copy(update={"id": f"ecqa/{split}/{row}"})
        other = next((name for name in _held_out_from(split) if row in self._ids_of(name)), None)
        if other is not None:
            yield LeftOut(problem.id, f"the same id is in {other}")
            return
        explanation = self._load_explanations().get(row)
        if explanation is None and split == "train":
            yield LeftOut(problem.id, "no explanation")
            return
        if explanation is not None:
            problem = problem.model_copy(update={"rationale": with_answer(CHOICE, problem, explanation)})
        yield problem

    def rows(self, split: str) -> Iterator[tuple[str, Any]]:
        """The ids; before them whatever is wrong in the files that all splits share."""
        self._load_questions()
        self._load_explanations()
        for name in _held_out_from(split):
            self._ids_of(name)
        yield from self._errors
        yield from self._ids(split)

    def _folder(self) -> Path:
        if self.data is None:
            raise UsageError(
                "task ecqa: ECQA's ids and explanations are not on the Hub; give data=FOLDER with train_ids.txt, val_ids.txt, "
                "test_ids.txt and ecqa.jsonl of dair-iitd/ECQA-Dataset"
            )
        return self.data

    def _ids(self, split: str) -> list[tuple[str, str]]:
        """Places and ids of a split."""
        if split not in self._id_lists:
            path = need_file(self.name, self._folder(), *_anywhere(_ID_FILES[split]))
            self._id_lists[split] = [(f"{path}:{number}", line.strip()) for number, _, line in text_lines(path)]
        return self._id_lists[split]

    def _ids_of(self, split: str) -> frozenset[str]:
        if split not in self._id_sets:
            self._id_sets[split] = frozenset(number for _, number in self._ids(split))
        return self._id_sets[split]

    def _load_questions(self) -> Mapping[str, Problem]:
        if self._questions is None:
            self._questions = {}
            for place, row in self._question_rows():
                with self._noting(place):
                    problem = parse_row(row, place)
                    self._questions[problem.id] = problem
        return self._questions

    def _question_rows(self) -> Iterator[tuple[str, Any]]:
        paths = [find_file(self._folder(), *_anywhere(name)) for name in _QUESTION_FILES]
        if all(path is None for path in paths):
            for split in ("train", "validation"):
                yield from hub_rows(self.name, _HUB, None, split)
            return
        for name in _QUESTION_FILES:
            yield from scan_rows(need_file(self.name, self._folder(), *_anywhere(name)))

    def _load_explanations(self) -> Mapping[str, str]:
        """Explanations by the id of their question."""
        if self._explanations is None:
            own = find_file(self._folder(), *_anywhere("ecqa.jsonl"))
            self._explanations = {}
            for place, row in self._flan_rows() if own is None else scan_rows(own):
                with self._noting(place):
                    number, explanation = self._of_flan(row, place) if own is None else _own_explanation(row, place)
                    if explanation:
                        self._explanations[number] = explanation
        return self._explanations

    def _flan_rows(self) -> Iterator[tuple[str, Any]]:
        """FLAN's table of training questions with options, answer and ECQA's positive facts; without ids."""
        return flan_table(need_file(self.name, self._folder(), *_anywhere("flan_train.tsv")), "facts")

    def _of_flan(self, row: Any, place: str) -> tuple[str, str]:
        """Id and facts of a row of FLAN's table."""
        if isinstance(row, DataError):
            raise row
        if not self._numbers:
            self._numbers = {_key(problem): number for number, problem in self._load_questions().items()}
        question, _, options = row[0].partition("\nOptions:\n- ")
        number = self._numbers.get(question_key(question, options.split("\n- ")))
        if number is None:
            raise DataError(f"{place}: no question of CommonsenseQA has this text and these options; get the files again")
        return number, row[2].strip()

    @contextmanager
    def _noting(self, place: str) -> Iterator[None]:
        """Keeps what is wrong with a row of the files that all splits share, and goes on."""
        try:
            yield
        except DataError as error:
            self._errors.append((place, error))


def parse_row(row: Any, place: str) -> Problem:
    """A question of CommonsenseQA's files or of the Hub, with its id; raises DataError that names `place`."""
    if isinstance(row, DataError):
        raise row
    if not isinstance(row, dict) or not isinstance(row.get("id"), str) or "question" not in row:
        raise DataError(f'{place}: expected an object with "id" and "question"; correct this line')
    question = row["question"]
    try:
        if isinstance(question, dict):
            stem, labels = question["stem"], [choice["label"] for choice in question["choices"]]
            options = [choice["text"] for choice in question["choices"]]
        else:
            stem, labels, options = question, row["choices"]["label"], row["choices"]["text"]
    except (KeyError, TypeError) as error:
        raise DataError(f"{place}: expected a question with its choices, each with label and text; correct this line") from error
    texts = isinstance(stem, str) and stem.strip() and all(isinstance(option, str) for option in options)
    if not texts or "".join(map(str, labels)) != LETTERS[: len(labels)] or len(labels) < 2:
        raise DataError(f"{place}: expected a question and choices labelled A, B, C and so on; correct this line")
    gold = row.get("answerKey")
    if not isinstance(gold, str) or gold not in labels:
        raise DataError(f'{place}: "answerKey" is {gold!r:.80}, expected one of {", ".join(labels)}; correct or remove this line')
    options = [option.strip() for option in options]
    return Problem(id=row["id"], task="ecqa", question=stem.strip(), gold_answer=gold, options=options)


def _own_explanation(row: Any, place: str) -> tuple[str, str]:
    """Id and explanation of a row of `ecqa.jsonl`, empty where it has none."""
    if isinstance(row, DataError):
        raise row
    if not isinstance(row, dict) or not isinstance(row.get("id"), str):
        raise DataError(f'{place}: expected an object with "id" and "explanation"; correct this line')
    explanation = row.get("explanation")
    return row["id"], explanation.strip() if isinstance(explanation, str) else ""


def _held_out_from(split: str) -> tuple[str, ...]:
    """The splits whose questions this one must not have."""
    return {"train": ("test", "validation"), "validation": ("test",)}.get(split, ())


def _anywhere(name: str) -> list[str]:
    return [place + name for place in _PLACES]


def _key(problem: Problem) -> str:
    return question_key(problem.question, problem.options)
