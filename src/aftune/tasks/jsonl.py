"""Your own questions: `train.jsonl`, `validation.jsonl` and `test.jsonl` of a folder (or `.json`, `.csv`, `.tsv`), or one file,
whose rows are the split `all`; the recipe names their columns.

    task:
      name: jsonl
      options: {question: prompt, answer: target, rationale: solution, answer_kind: math}

A grader is a function of your own, `module:function`, in place of the comparison with the gold answer. It is imported only when
a recipe names it, from Python's path or the working directory, and takes the problem and the response. It returns a `Verdict` of
aftune.answers, or True or False.
"""

import difflib
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from aftune.answers import ChoiceKind, Format, MathKind, NumberKind, Reading, TextKind, Verdict
from aftune.common.errors import DataError, UsageError
from aftune.common.time_limit import OutOfTimeError, time_limit
from aftune.common.wording import cut_short
from aftune.records import Feedback, Problem
from aftune.records.questions import LETTERS, question_key
from aftune.tasks.base import LeftOut, Sources, data_folder, state_answer, with_answer
from aftune.tasks.graders import grader_files, load_grader
from aftune.tasks.multiple_choice import without_label
from aftune.tasks.published_files import FileTask, find_file, named_files, need_file, row_files, rows_of
from aftune.tasks.task_options import TaskOptions

WHOLE_FILE = "all"
_FOLDER_SPLITS = ("train", "validation", "test")
_KINDS = {"number": NumberKind, "math": MathKind, "choice": ChoiceKind, "text": TextKind}


class JsonlOptions(TaskOptions):
    """question, answer, rationale, options, id: the columns; the last three may be missing from the file unless they are named
    here. Where answer and rationale are one column, the gold answer is the one that the rationale states in the form that is asked
    for. options: a column of lists, or a list of columns with an option each. form: how a response states its answer; by default
    that of the kind. shuffle: slices are of the rows in an order that their questions alone decide."""

    question: str = "question"
    answer: str = "answer"
    rationale: str | None = None
    options: str | Annotated[list[str], Field(min_length=2, max_length=len(LETTERS))] | None = None
    id: str | None = None
    answer_kind: Literal["number", "math", "choice", "text"] = "number"
    form: Format | None = None
    grader: str | None = Field(default=None, pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")
    grader_seconds: float = Field(default=60.0, gt=0)
    shuffle: bool = False


class Jsonl(FileTask):
    """A rationale that states no answer in the format that is asked for gets a last line that states the gold answer, unless it
    comes to another one (see `contradiction`)."""

    name = "jsonl"
    version = 2
    split_names = ("train", "validation", "test", WHOLE_FILE)
    source = f"your own files: train.jsonl, validation.jsonl, test.jsonl of a folder, or one file (split {WHOLE_FILE})"
    options_model = JsonlOptions

    def __init__(self, data: Path | None = None, seed: int = 0, options: JsonlOptions | None = None) -> None:
        self.options = options or JsonlOptions()
        self.data = data if data is not None and data.is_file() else data_folder(self.name, data)
        form = {} if self.options.form is None else {"form": self.options.form}
        self.answer_kind = _KINDS[self.options.answer_kind](**form)
        self._grader = None if self.options.grader is None else load_grader(self.options.grader)

    @classmethod
    def sources(cls, data: Path | None, options: TaskOptions) -> Sources:
        """The files of the splits, or the one file, and the code of the grader."""
        if data is None:
            files = {}
        elif data.is_file():
            files = {WHOLE_FILE: data}
        else:
            files = named_files(data, (find_file(data, *row_files(split)) for split in _FOLDER_SPLITS))
        grader = options.grader if isinstance(options, JsonlOptions) else None
        return Sources(files if grader is None else files | grader_files(grader))

    def has_split(self, split: str) -> bool:
        if self.data is None or self.data.is_file():
            return self.data is not None and split == WHOLE_FILE
        return split != WHOLE_FILE and find_file(self.data, *row_files(split)) is not None

    def rows(self, split: str) -> Iterator[tuple[str, Any]]:
        if self.data is None:
            raise UsageError("task jsonl: give data=FOLDER with train.jsonl, validation.jsonl and test.jsonl, or data=FILE")
        if self.data.is_file():
            if split != WHOLE_FILE:
                raise UsageError(
                    f"task jsonl: there is no split {split!r} in the single file {self.data}; its rows are the split {WHOLE_FILE}, "
                    f"to be sliced: {WHOLE_FILE}[:80%], {WHOLE_FILE}[80%:90%], {WHOLE_FILE}[90%:]"
                )
            return rows_of(self.data)
        if split == WHOLE_FILE:
            raise UsageError(
                f"task jsonl: {split} is the split of a single file, and data is the folder {self.data}; name the file there, or "
                f"take a split of the folder: {', '.join(_FOLDER_SPLITS)}"
            )
        return rows_of(need_file(self.name, self.data, *row_files(split)))

    def problems(self, split: str, start: int, stop: int) -> Iterator[Problem]:
        if not self.options.shuffle:
            return super().problems(split, start, stop)
        return iter(sorted(self._problems(split), key=_mixed)[start:stop])

    def entries(self, split: str, index: int, place: str, row: Any) -> Iterator[Problem | LeftOut]:
        problem, rationale = self._parse(row, place, f"jsonl/{split}/{index}")
        if rationale is not None:
            reference = rationale if self._grader else with_answer(self.answer_kind, problem, rationale)
            problem = problem.model_copy(update={"rationale": reference})
        yield problem

    def contradiction(self, problem: Problem) -> str | None:
        if self._grader is None or problem.rationale is None:
            return super().contradiction(problem)
        refused = self.verdict(problem, problem.rationale).reason == "different"
        return f"the grader {self.options.grader} rejects the rationale" if refused else None

    @property
    def judging_threads(self) -> int:
        return 1 if self._grader else super().judging_threads  # a grader need not be fit for threads

    def verdict(self, problem: Problem, text: str, reading: Reading = "strict") -> Feedback:
        if self._grader is None:
            return super().verdict(problem, text, reading)
        seconds = self.options.grader_seconds
        try:
            with time_limit(seconds):
                result = self._grader(problem, text)
        except OutOfTimeError as error:
            raise DataError(
                f"{problem.id}: task.options.grader {self.options.grader} took longer than {seconds:g} s for {text[:80]!r}; "
                "mend it, or set task.options.grader_seconds"
            ) from error
        except Exception as error:
            raise DataError(
                f"{problem.id}: task.options.grader {self.options.grader} raised {type(error).__name__}: {error}"
            ) from error
        if isinstance(result, Verdict):
            answer = result.answer or text.strip()[-80:] if result.right else result.answer
            return Feedback(answer=answer, quality=float(result.right), reason=result.reason, detail=result.detail or None)
        if not isinstance(result, bool):
            raise DataError(
                f"{problem.id}: task.options.grader {self.options.grader} gave {result!r}; expected a Verdict, True or False"
            )
        read = self.answer_kind.read(text, "flexible", problem.options).answer
        return Feedback(
            answer=read or text.strip()[-80:] or None, quality=float(result), reason="matched" if result else "different"
        )

    def _parse(self, row: Any, place: str, default_id: str) -> tuple[Problem, str | None]:
        names = self.options
        if not isinstance(row, dict):
            raise DataError(f"{place}: expected an object; correct this line")
        question, gold = (_text(row, name, place) for name in (names.question, names.answer))
        rationale = None if names.rationale is None else _text(row, names.rationale, place)
        problem_id = default_id if names.id is None else _text(row, names.id, place)
        options = None if names.options is None else _options(row, names.options, place)
        if names.rationale == names.answer:
            gold = self._stated(gold, options, place)
        if self.options.answer_kind == "choice":
            gold = _letter(gold, options, place, names.answer)
        options = options and _unlabelled(options)
        problem = Problem(id=problem_id, task=self.name, question=question, gold_answer=gold, options=options)
        if self.options.answer_kind == "number" and not self.answer_kind.equal(gold, gold):
            raise DataError(f'{place}: "{names.answer}" is {gold[:80]!r}, expected a number; correct it or set answer_kind')
        return problem, rationale

    def _stated(self, rationale: str, options: list[str] | None, place: str) -> str:
        """The answer that a rationale states."""
        found = self.answer_kind.read(rationale, "strict", options).answer
        if found is None:
            form = state_answer(self.answer_kind, "ANSWER")
            raise DataError(f'{place}: "{self.options.answer}" states no answer as {form!r}; correct this line or set form')
        return found


def _mixed(problem: Problem) -> bytes:
    """Where a problem comes in a shuffled split. Equal questions stay together, so that hardly any are on two sides of a cut."""
    return sha256(question_key(problem.question, problem.options).encode()).digest()


def _options(row: dict[str, Any], names: str | list[str], place: str) -> list[str]:
    """The options of a row: a list, or the texts of several columns, of which the last ones may be empty."""
    if isinstance(names, list):
        filled = [name for name in names if name not in row or row[name] is not None]
        if filled != names[: len(filled)]:
            empty = next(name for name in names if name not in filled)
            raise DataError(f'{place}: "{empty}" is empty, and a later option is not; correct this line')
        options = [_text(row, name, place) for name in filled]
        if len(options) < 2:
            raise DataError(f"{place}: expected two or more options in {', '.join(names)}, found {len(options)}; correct this line")
        return options
    listed = row.get(names)
    texts = isinstance(listed, list) and 2 <= len(listed) <= len(LETTERS)
    if not texts or not all(isinstance(option, str) for option in listed or ()):
        raise DataError(f'{place}: "{names}" is not a list of 2 to {len(LETTERS)} texts; correct this line')
    return list(listed or ())


def _unlabelled(options: list[str]) -> list[str]:
    """Options without the labels of their places (`A)21`, `(A) 21`), where all have one: a prompt has its own."""
    bare = [without_label(option, index) for index, option in enumerate(options)]
    return bare if all(text and text != option for text, option in zip(bare, options, strict=True)) else options


def _text(row: dict[str, Any], name: str, place: str) -> str:
    """A column's text or number, as text."""
    if name not in row:
        columns = cut_short(", ".join(map(str, row)), 300)
        close = difflib.get_close_matches(name, list(map(str, row)), n=1)
        hint = f'did you mean "{close[0]}"?' if close else "set task.options"
        raise DataError(f'{place}: there is no column "{name}", only {columns}; {hint}')
    value = row[name]
    if value is None or value == "":
        raise DataError(f'{place}: "{name}" is empty; fill it in, or delete the line')
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not value.strip():
        raise DataError(f'{place}: "{name}" is {value!r:.80}, expected a text; correct this line')
    return value.strip()


def _letter(gold: str, options: list[str] | None, place: str, name: str) -> str:
    """The letter of a gold answer that is a letter or the text of an option."""
    if options is None:
        raise UsageError("task.options: answer_kind choice needs the column of the options; set options: COLUMN")
    if gold in options and options.count(gold) == 1:
        return LETTERS[options.index(gold)]
    if len(gold) == 1 and gold.upper() in LETTERS[: len(options)]:
        return gold.upper()
    raise DataError(
        f'{place}: "{name}" is {gold[:80]!r}, expected a letter A to {LETTERS[len(options) - 1]} or an option; correct it'
    )
