"""AQuA: algebra word problems with five options and rationales (Ling et al. 2017, arXiv 1705.04146).

A rationale is a reference where it leads to its gold letter: where it ends in that letter, or where the flexible reading finds it
(a letter, the text or the value of an option). A last line that only names the letter gives way to "The answer is (B).".
A training problem whose rationale does not lead there is left out; one of validation or test stays, without the rationale.
A training question that is also in validation or test is left out.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from aftune.answers import CHOICE, judge
from aftune.common.errors import DataError
from aftune.records import Problem
from aftune.records.questions import LETTERS
from aftune.tasks.base import LeftOut, Sources, data_folder
from aftune.tasks.multiple_choice import ChoiceTask, with_final_line, without_label
from aftune.tasks.published_files import find_file, flan_table, hub_rows, named_files, need_file, rows_of
from aftune.tasks.task_options import TaskOptions

_HUB = "deepmind/aqua_rat"
_FLAN = "flan_train.tsv"
_FILES = {"train": ("train.json", _FLAN), "validation": ("dev.json",), "test": ("test.json",)}
# How a rationale that names a letter ends: "Answer: B", "Correct answer - A", "ANSWER B", "D is the correct choice", "B".
_FINAL_LETTER = re.compile(
    r"(?P<line>(?:^|\n)[^\w\n]*)?(?P<said>\b(?:(?:so|hence|thus|therefore|the|correct|right|final|best)\b[\W_]*)*"
    r"\b(?:answer|ans|option|choice)s?\b[\W_]*(?:(?:is|be|option|choice)\b[\W_]*)*)?"
    r"\(?\b(?P<letter>[A-E])\b[\W_]*(?:is (?:the )?(?:correct|right|best)(?: (?:answer|option|choice))?\W*)?$",
    re.IGNORECASE,
)


class Aqua(ChoiceTask):
    """Reads `train.json` (or FLAN's selection `flan_train.tsv`), `dev.json` and `test.json` of a folder, or `deepmind/aqua_rat`."""

    name = "aqua"
    version = 1
    split_names = ("train", "validation", "test")
    published_sizes: ClassVar[dict[str, int]] = {"train": 97467, "validation": 254, "test": 254}
    source = "google-deepmind/AQuA: train.json, dev.json, test.json; Hub deepmind/aqua_rat"

    def __init__(self, data: Path | None = None, seed: int = 0) -> None:
        self.data = data_folder(self.name, data)
        self._hub: dict[str, list[tuple[str, Any]]] = {}
        self._held_out: dict[str, str] | None = None

    @classmethod
    def sources(cls, data: Path | None, options: TaskOptions) -> Sources:
        if data is None:
            return Sources(data_sets=(_HUB,))
        return Sources(named_files(data, (find_file(data, *names) for names in _FILES.values())))

    def has_split(self, split: str) -> bool:
        return self.data is None or find_file(self.data, *_FILES[split]) is not None

    def entries(self, split: str, index: int, place: str, row: Any) -> Iterator[Problem | LeftOut]:
        problem, rationale = parse_row(row, place, f"aqua/{split}/{index}")
        other = self._held_out_questions().get(_letters_only(problem.question)) if split == "train" else None
        if other is not None:
            yield LeftOut(problem.id, f"the same question is in {other}")
            return
        outcome = leads_to(rationale, problem)
        if outcome == "matched":
            reference = with_final_line(_without_final_letter(rationale), problem.gold_answer)
            yield problem.model_copy(update={"rationale": reference})
            return
        reason = f"the rationale does not lead to the gold letter ({outcome})"
        yield LeftOut(problem.id, reason, "problem" if split == "train" else "rationale")
        if split != "train":
            yield problem

    def rows(self, split: str) -> Iterator[tuple[str, Any]]:
        if self.data is None:
            if split not in self._hub:
                self._hub[split] = hub_rows(self.name, _HUB, "raw", split)
            return iter(self._hub[split])
        path = need_file(self.name, self.data, *_FILES[split])
        return _flan_rows(path) if path.name == _FLAN else rows_of(path)

    def _held_out_questions(self) -> dict[str, str]:
        """Questions of the other splits, if those are here; rows that cannot be read are errors of their own splits."""
        if self._held_out is None:
            self._held_out = {
                _letters_only(entry.question): split
                for split in ("validation", "test")
                if self.has_split(split)
                for entry in self.survey(split)
                if isinstance(entry, Problem)
            }
        return self._held_out


def parse_row(row: Any, place: str, problem_id: str) -> tuple[Problem, str]:
    """A problem without a reference, and its rationale; raises DataError that names `place`."""
    names = ("question", "rationale", "correct")
    if not isinstance(row, dict) or not all(isinstance(row.get(name), str) for name in names):
        raise DataError(f'{place}: expected an object with the texts "question", "rationale" and "correct"; correct this line')
    options = row.get("options")
    several = isinstance(options, list) and 2 <= len(options) <= len(LETTERS)
    if not isinstance(options, list) or not several or not all(isinstance(option, str) for option in options):
        raise DataError(f'{place}: "options" is not a list of 2 to {len(LETTERS)} texts; correct this line')
    gold = row["correct"].strip()
    if len(gold) != 1 or gold not in LETTERS[: len(options)]:
        raise DataError(
            f'{place}: "correct" is {row["correct"]!r:.80}, expected a letter A to {LETTERS[len(options) - 1]}; correct it'
        )
    if not row["question"].strip():
        raise DataError(f'{place}: "question" is empty; correct or remove this line')
    options = [without_label(option, index) for index, option in enumerate(options)]
    problem = Problem(id=problem_id, task="aqua", question=row["question"].strip(), gold_answer=gold, options=options)
    return problem, row["rationale"].strip()


def leads_to(rationale: str, problem: Problem) -> str:
    """`matched` where a rationale ends in the gold letter or gives its option, else the reason of the verdict."""
    final = _final_letter(rationale)
    if final is not None:
        return "matched" if CHOICE.equal(final["letter"].upper(), problem.gold_answer, problem.options) else "different"
    return judge(CHOICE, rationale, problem.gold_answer, "flexible", problem.options).reason


def _final_letter(rationale: str) -> re.Match[str] | None:
    """Only the end of the text is looked at; a bare letter counts only on a line of its own."""
    match = _FINAL_LETTER.search(rationale[-120:])
    return match if match and (match["said"] or match["line"] is not None) else None


def _without_final_letter(rationale: str) -> str:
    """The rationale without a last line or sentence that only names the letter; one that is nothing else stays."""
    final = _final_letter(rationale)
    if final is None:
        return rationale
    working = rationale[: max(0, len(rationale) - 120) + final.start()].rstrip()
    return working if working and (final["line"] is not None or working[-1] in ".;!") else rationale


def _letters_only(question: str) -> str:
    """Letters and digits, since copies of a question differ in white space and punctuation."""
    return "".join(character for character in question.casefold() if character.isalnum())


def _flan_rows(path: Path) -> Iterator[tuple[str, Any]]:
    """FLAN's table: question with options, answer, rationale."""
    for place, fields in flan_table(path, "rationale"):
        if isinstance(fields, DataError):
            yield place, fields
            continue
        question, separator, options = fields[0].partition("\nOptions:\n")
        if not separator:
            yield place, DataError(f'{place}: the question has no line "Options:"; correct this line')
            continue
        correct = fields[1].strip().strip("()")
        yield place, {"question": question, "options": options.split("\n"), "rationale": fields[2], "correct": correct}
