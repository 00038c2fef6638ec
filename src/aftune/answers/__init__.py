"""Reading the final answer out of a response and comparing it with the gold one. Answers are parsed, never evaluated.

A new kind of answer is a file here. May import records and common.
"""

from aftune.answers.choices import CHOICE, ChoiceKind
from aftune.answers.expressions import MATH, MathKind
from aftune.answers.numbers import NUMBER, NumberKind, extract_number, numbers_equal, parse_number
from aftune.answers.texts import TEXT, TextKind
from aftune.answers.verdicts import AnswerKind, Format, Found, Reading, Reason, TimedOut, Verdict, judge, judge_both

__all__ = [
    "CHOICE",
    "MATH",
    "NUMBER",
    "TEXT",
    "AnswerKind",
    "ChoiceKind",
    "Format",
    "Found",
    "MathKind",
    "NumberKind",
    "Reading",
    "Reason",
    "TextKind",
    "TimedOut",
    "Verdict",
    "extract_number",
    "judge",
    "judge_both",
    "numbers_equal",
    "parse_number",
]
