"""Guessing from a file's rows which column is what, and the kind of answers: by the names that people use, then by the values."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from aftune.answers import MATH, NUMBER, Format
from aftune.answers.numbers import parse_whole
from aftune.records.questions import LETTERS

Kind = Literal["number", "math", "choice", "text"]
KINDS: tuple[Kind, ...] = ("number", "choice", "math", "text")

_QUESTIONS = ("question", "problem", "prompt", "query", "instruction", "input", "q", "task", "text")
_ANSWERS = ("answer", "final_answer", "gold", "gold_answer", "target", "label", "correct", "answerkey", "expected", "result", "a")
_SOLUTIONS = (
    "rationale",
    "solution",
    "explanation",
    "reasoning",
    "chain_of_thought",
    "cot",
    "steps",
    "working",
    "reference",
    "why",
)
_MORE_SOLUTIONS = ("response", "output", "completion", "generation")  # where none of those is there: some hold bare answers
_OPTIONS = ("options", "choices", "candidates", "alternatives")
_IDS = ("id", "uid", "uuid", "idx", "index", "row", "number", "no", "question_id", "problem_id")
_MOST = 0.9  # of the rows have to look so: the others may be the bad ones
_LATEX = ("\\", "^", "_{", "sqrt")


@dataclass(frozen=True)
class Columns:
    """The columns of a file by what they hold, None where that is not known; `options` is a column of lists or a list of columns.
    Where answer and rationale are the same column, the rationale states the answer."""

    question: str | None = None
    answer: str | None = None
    rationale: str | None = None
    options: str | list[str] | None = None
    kind: Kind = "text"
    form: Format | None = None

    def task_options(self) -> dict[str, Any]:
        """As `task.options` of a recipe has them, without what is not known."""
        named = {"question": self.question, "answer": self.answer, "rationale": self.rationale, "options": self.options}
        found = {name: value for name, value in named.items() if value is not None} | {"answer_kind": self.kind}
        return found if self.form is None else found | {"form": self.form}


def guess(rows: Sequence[Mapping[str, Any]], given: Columns | None = None, kind: Kind | None = None) -> Columns:
    """What the columns seem to be; what is `given` stays, and so does the kind of answers."""
    given = given or Columns()
    names = list(dict.fromkeys(name for row in rows for name in row))
    texts = [name for name in names if name.casefold() not in _IDS and _share(rows, name, _is_text)]
    options = given.options or _options(rows, names)
    taken = {given.question, given.answer, given.rationale, *(options if isinstance(options, list) else [options])}

    def free() -> list[str]:
        return [name for name in texts if name not in taken]

    def pick(*known: Sequence[str]) -> str | None:
        found = next((name for names in known if (name := _named(free(), names)) is not None), None)
        taken.add(found)
        return found

    question = given.question or pick(_QUESTIONS)
    answer = given.answer or pick(_ANSWERS)
    rationale = given.rationale or pick(_SOLUTIONS, _MORE_SOLUTIONS)
    if question is None:
        question = _longest(rows, free(), asks=True)
        taken.add(question)
    answer = answer or _stated(rows, free(), [name for name in texts if name != question]) or rationale
    if rationale is None and answer is not None:
        holds = [name for name in texts if name not in {*taken, answer} and _ends_in_answer(rows, name, answer)]
        rationale = _longest(rows, holds) or (answer if _form(rows, answer) else None)
    columns = Columns(question, answer, rationale, options)
    form = _form(rows, answer) if answer is not None and answer == rationale else None
    kind = kind or _kind(rows, columns, form)
    usual = "hashes" if kind == "number" else "boxed" if kind == "math" else "phrase"
    return Columns(
        question, answer, rationale, options if kind == "choice" else given.options, kind, None if form == usual else form
    )


def _named(free: Sequence[str], known: Sequence[str]) -> str | None:
    """The column that has the first of these names, whatever its case."""
    plain = {name.strip().casefold().replace(" ", "_"): name for name in reversed(free)}
    return next((plain[name] for name in known if name in plain), None)


def _is_text(value: Any) -> bool:
    return isinstance(value, str | int | float) and not isinstance(value, bool) and bool(str(value).strip())


def _share(rows: Sequence[Mapping[str, Any]], name: str, test: Callable[[Any], bool]) -> bool:
    """Whether at least half of the rows have this column, and most of those such a value in it."""
    values = [row[name] for row in rows if name in row]
    return 2 * len(values) >= len(rows) > 0 and sum(map(test, values)) >= _MOST * len(values)


def _texts(rows: Sequence[Mapping[str, Any]], name: str) -> list[str]:
    return [str(row[name]).strip() for row in rows if _is_text(row.get(name))]


def _mean_length(rows: Sequence[Mapping[str, Any]], name: str) -> float:
    texts = _texts(rows, name)
    return sum(map(len, texts)) / max(len(texts), 1)


def _longest(rows: Sequence[Mapping[str, Any]], names: Sequence[str], *, asks: bool = False) -> str | None:
    """The column with the longest texts; asks: of those that end in a question mark, where there are some."""
    asking = [name for name in names if asks and _share(rows, name, lambda value: str(value).strip().endswith("?"))]
    return max(asking or names, key=lambda name: _mean_length(rows, name), default=None)


def _stated(rows: Sequence[Mapping[str, Any]], names: Sequence[str], others: Sequence[str]) -> str | None:
    """The column with the shortest texts: one that texts of another column end in, where there is one, and the last resort is one
    that numbers the rows."""
    ending = {name for name in names if any(other != name and _ends_in_answer(rows, other, name) for other in others)}

    def rank(name: str) -> tuple[bool, bool, float]:
        return name not in ending, _numbers_rows(_texts(rows, name)), _mean_length(rows, name)

    return min(names, key=rank, default=None)


def _numbers_rows(texts: Sequence[str]) -> bool:
    """Whether these are the numbers from 0 or 1 upwards, as they stand in a column of row numbers."""
    return len(texts) > 2 and any(texts == [str(start + place) for place in range(len(texts))] for start in (0, 1))


def _options(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> str | list[str] | None:
    """A column of lists of texts, or columns that are called A, B, C, ... (or option_a, ...)."""
    lists = [name for name in names if _share(rows, name, _is_list_of_texts)]
    if lists:
        return _named(lists, _OPTIONS) or lists[0]
    for prefix in ("", "option_", "option ", "choice_", "option", "opt"):
        lettered = {name.casefold(): name for name in names if name.casefold().startswith(prefix)}
        found: list[str] = []
        for letter in LETTERS:
            if (name := lettered.get(prefix + letter.lower())) is None:
                break
            found.append(name)
        if len(found) >= 2:
            return found
    return None


def _is_list_of_texts(value: Any) -> bool:
    return isinstance(value, list) and 2 <= len(value) <= len(LETTERS) and all(isinstance(item, str) for item in value)


def _ends_in_answer(rows: Sequence[Mapping[str, Any]], name: str, answer: str) -> bool:
    """Whether texts of this column are longer than the answer, and most hold it in their last line."""
    pairs = [(str(row[name]), str(row[answer])) for row in rows if _is_text(row.get(name)) and _is_text(row.get(answer))]
    held = sum(len(text) > len(gold) and gold.strip() in text.strip().splitlines()[-1] for text, gold in pairs)
    return held >= 0.5 * len(pairs) > 0


def _form(rows: Sequence[Mapping[str, Any]], name: str) -> Format | None:
    """How the texts of a column state their answer, where most do."""
    marks: dict[Format, str] = {"hashes": "####", "boxed": "\\boxed"}
    return next((form for form, mark in marks.items() if _share(rows, name, partial(_holds, mark))), None)


def _holds(mark: str, value: Any) -> bool:
    return mark in str(value)


def _kind(rows: Sequence[Mapping[str, Any]], columns: Columns, form: Format | None) -> Kind:
    if columns.answer is None:
        return "text"
    answers = _texts(rows, columns.answer)
    if form is not None:
        kind = NUMBER if form == "hashes" else MATH
        answers = [found for text in answers if (found := kind.read(text, "strict").answer)]
    if columns.options is not None and form is None and _most(answers, lambda text: _is_choice(text, rows, columns)):
        return "choice"
    plain = sum(parse_whole(text) is not None for text in answers)
    # Beside plain numbers, those with a unit or a currency count too; they alone may be dates or names.
    if 2 * plain >= len(answers) and _most(answers, lambda text: NUMBER.equal(text, text)):
        return "number"
    return "math" if form == "boxed" or _is_mathematics(answers) else "text"


def _is_choice(text: str, rows: Sequence[Mapping[str, Any]], columns: Columns) -> bool:
    if len(text) == 1 and text.upper() in LETTERS:
        return True
    if isinstance(columns.options, list):
        return any(str(row.get(name)).strip() == text for row in rows for name in columns.options)
    return any(text in (row.get(columns.options or "") or ()) for row in rows)


def _is_mathematics(answers: Sequence[str]) -> bool:
    """Whether a tenth or more of the answers are written as formulas."""
    return 10 * sum(any(mark in text for mark in _LATEX) for text in answers) >= len(answers) > 0


def _most(answers: Sequence[str], test: Callable[[str], bool]) -> bool:
    return sum(map(test, answers)) >= _MOST * len(answers) > 0
