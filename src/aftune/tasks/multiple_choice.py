"""What tasks with options share: the letter as the gold answer, the line that references end in, answers by letter."""

import re

from aftune.answers import CHOICE, AnswerKind
from aftune.records.questions import LETTERS
from aftune.tasks.base import state_answer
from aftune.tasks.published_files import FileTask

_LABEL = re.compile(r"\s*\(?([A-Z])\)\.?\s*")


class ChoiceTask(FileTask):
    """Questions with options. A gold answer is a letter; responses end in "The answer is (B)."."""

    answer_kind: AnswerKind = CHOICE


def with_final_line(rationale: str, letter: str) -> str:
    """A reference: the reasoning, and the answer in the format that is asked for."""
    return f"{rationale}\n{state_answer(CHOICE, letter)}"


def without_label(option: str, index: int) -> str:
    """An option without the label of its place: `A)21`, `(A) 21`, `A).21` and `A)A)21` are 21."""
    match = _LABEL.match(option)
    while match and match[1] == LETTERS[index]:
        option = option[match.end() :]
        match = _LABEL.match(option)
    return option.strip()
