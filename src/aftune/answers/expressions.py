"""Mathematics in LaTeX: `\\boxed{\\frac{3}{4}}`, sets, intervals, matrices, equations, relations.

What is equal as text, as a number or element by element is decided here (`equality`); the rest is compared by math-verify in a
worker process (`checker`), with limits on time, memory and length.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from aftune.answers import numbers
from aftune.answers.boxes import is_box, join_boxes
from aftune.answers.checker import Checker, shared_checker
from aftune.answers.equality import MAX_CHARACTERS, after_formulas, decide, formulas, pairs
from aftune.answers.statements import Statement, after_thinking, all_asked_for, any_format, before_next_question, shorten
from aftune.answers.structures import relation
from aftune.answers.verdicts import NOTHING, Format, Found, Reading

_SENTENCE_END = re.compile(r"(?<=[^\s.])[.!?](?=\s|$)|。")
_COPULA = re.compile(
    r"(?<![A-Za-z])(?:is|are|equals?|be|becomes?|was|were)(?![A-Za-z])(?:\s+(?:equal to|exactly|therefore|thus))?\s*:?",
    re.IGNORECASE,
)
_CONCLUDES = re.compile(r"^\W*(?:therefore|thus|hence|so|in total|finally|in conclusion|altogether)\b", re.IGNORECASE)
_POLITE = re.compile(r"\s*I hope (?:it|this) is correct\b.*$", re.IGNORECASE | re.DOTALL)
_COMMAND = re.compile(r"\\(?:text|textbf|mathrm|mbox|operatorname|begin|end)\s*\{[^{}]*\}|\\[A-Za-z]+")
_JOINED = re.compile(r"(?<![A-Za-z])(?:or|and)(?![a-z])")
_WORD = re.compile(r"[A-Za-z]{2,}")
_FORMULA_WORDS = frozenset(
    (
        *("sin", "cos", "tan", "cot", "sec", "csc", "arcsin", "arccos", "arctan", "log", "ln", "exp", "sqrt", "cbrt"),
        *("mod", "gcd", "lcm", "min", "max", "inf", "infinity", "oo", "pi", "alpha", "beta", "theta"),
    )
)
_WITH_UNIT = re.compile(r"\W*\d[\d.,/]*\s*(?:[A-Za-z%²³^\d.]+\s*){1,3}")
_WORDS_OF_PROSE = re.compile(
    r"\b(?:we|i|is|are|was|be|find|get|have|gives?|therefore|thus|so|hence|then|that|this|the|answer|solution|result|since|because|"
    r"equals?|a|an|here|it|value|final|after|now|just|about|how|many|of|what)\b",
    re.IGNORECASE,
)
_FINAL = re.compile(r"final\s*$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class MathKind:
    """Answers that are mathematics. `form`: what the prompt asks for. `checker`: what compares expressions, by default one
    that all comparisons share."""

    form: Format = "boxed"
    checker: Checker | None = field(default=None, compare=False)

    @property
    def name(self) -> str:
        return "math"

    def read(self, text: str, reading: Reading, options: Sequence[str] | None = None) -> Found:
        """The expression as written, without delimiters."""
        text = shorten(text)
        if reading == "strict":
            found = all_asked_for(text, self.form)
            return _of(join_boxes(text, found)[-1]) if found else NOTHING
        text = after_thinking(text)
        found = any_format(text, line_marker=False)
        for statement in reversed(_that_count(text, found)):
            result = _of(statement)
            if result.answer is None and statement.opens and text[statement.end :].strip():
                continue
            return result
        return _last_of(text)

    def equal(self, answer: str, gold: str, options: Sequence[str] | None = None) -> bool:
        """Raises TimedOut where the comparison did not finish within its limits, UsageError where math-verify is needed but
        missing."""
        if max(len(answer), len(gold)) > MAX_CHARACTERS:
            return answer == gold
        compared = [(left, right, decide(left, right)) for left, right in pairs(answer, _gold(gold))]
        if any(decided for _, _, decided in compared):
            return True
        checker = self.checker or shared_checker()
        return any(decided is None and checker.equal(left, right) for left, right, decided in compared)


def _gold(text: str) -> str:
    """A gold answer without the sentence around its boxes."""
    if not is_box(text):
        return text
    found = [statement for statement in any_format(text, line_marker=False) if statement.kind == "boxed"]
    return join_boxes(text, found)[-1].text if found else text


def _that_count(text: str, found: list[Statement]) -> list[Statement]:
    """The boxes, where there are any, and a "final answer" after them that holds a formula or a number."""
    boxes = [statement for statement in found if statement.kind == "boxed"]
    if not boxes:
        return found
    later = [
        statement
        for statement in found
        if statement.kind == "phrase"
        and statement.start > boxes[-1].end
        and _FINAL.search(text[max(0, statement.start - 8) : statement.start])
        and (re.search(r"\d", statement.text) or formulas(statement.text))
    ]
    return [*join_boxes(text, boxes), *later[-1:]]


def _of(statement: Statement) -> Found:
    text = statement.text.strip()
    if statement.kind != "boxed":
        text = _POLITE.sub("", text)
        text = _without_words(text)
    return _limited(_unquoted(text.strip(' *`"')))


def _unquoted(text: str) -> str:
    return text[1:-1] if len(text) > 2 and text[0] == text[-1] == "'" else text


def _without_words(text: str) -> str:
    """The formula or number of a statement: what follows "is", where it has one; of several, the first, or with "=" the last."""
    inside = formulas(text)
    outside = _masked(text)
    end = _SENTENCE_END.search(outside)
    copula = _COPULA.search(outside[: end.start() if end else None])
    if copula and text[copula.end() :].strip(" .*"):
        return _without_words(text[copula.end() :].strip())
    if inside:
        return text.strip() if _is_phrase(text, inside) else inside[-1] if "=" in text and len(inside) > 1 else inside[0]
    end = _SENTENCE_END.search(text)
    text = text[: end.start()] if end and end.start() else text
    if is_formula(text):
        return text
    return numbers.stated(text).answer or text if re.search(r"\d", text) else text


def _masked(text: str) -> str:
    """The text with its formulas blanked, of the same length."""
    for inside in formulas(text):
        for part in inside.split(", "):
            position = text.find(part)
            if position >= 0:
                text = text[:position] + " " * len(part) + text[position + len(part) :]
    return text


def _is_phrase(text: str, inside: list[str]) -> bool:
    """Whether the words around a formula belong to the answer: "odd $n$", "$x$, where $x > 0$"."""
    if len(inside) > 3 or "\n" in text:
        return False
    words = _WORD.findall(_masked(text))
    return 0 < len(words) <= 8 and not _WORDS_OF_PROSE.search(_masked(text)) and not re.fullmatch(r"[\d.,\s]+", inside[0])


def _limited(text: str) -> Found:
    if not text:
        return NOTHING
    if len(text) > MAX_CHARACTERS:
        return Found(None, "no answer", f"longer than {MAX_CHARACTERS:,} characters")
    return Found(text, "read")


def is_formula(text: str) -> bool:
    """Whether a text is mathematics and not a sentence: no words but names of functions, and those after a number (units)."""
    if not re.search(r"[^\W_]", text):
        return False
    if not text.isascii() and any(character.isalpha() and not "Ͱ" <= character <= "Ͽ" for character in text if character > "\x7f"):
        return False
    bare = _JOINED.sub(" , ", _COMMAND.sub(" ", text))
    words = [word for word in _WORD.findall(bare) if word.lower() not in _FORMULA_WORDS and not (word.isupper() and len(word) < 4)]
    if not words:
        return True
    return len(words) <= 3 and _WITH_UNIT.fullmatch(bare) is not None and not _WORDS_OF_PROSE.search(bare)


def _last_of(text: str) -> Found:
    """The whole text where it is nothing but a formula; else the last formula, or the number of a conclusion after it; else the
    last line where it is short; else its last number."""
    text = _POLITE.sub("", before_next_question(text, lambda before: bool(before.strip()))[-4000:]).strip()
    if not text:
        return NOTHING
    if "\\boxed" in text.rsplit("\n", 1)[-1]:
        return Found(None, "no answer", "nothing, or nothing complete, in \\boxed{}")
    inside = formulas(text)
    if len(text) <= 300 and (_is_phrase(text, inside) if inside else is_formula(text)):
        return _limited(_result(text))
    if inside:
        conclusion = next((part for part in reversed(_SENTENCE_END.split(after_formulas(text))) if part.strip()), "")
        if _CONCLUDES.match(conclusion) and re.search(r"\d", conclusion) and not re.search(r"[$\\]", conclusion):
            return numbers.NUMBER.read(conclusion, "flexible")
        return _limited(_result(inside[-1]))
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    last = lines[-1].rstrip(".")
    if re.search(r"\d|\\", last) and is_formula(last):
        return _limited(_result(last))
    if len(last.split()) <= 3 and (re.search(r"\d", last) or "\\" in last) and last.isascii():
        return _limited(last.rpartition("=")[2].strip() or last)
    return numbers.NUMBER.read(lines[-1], "flexible")


def _result(formula: str) -> str:
    """The result of a calculation (`3 + 4 = 7`, `x = 3 + 4 = 7`); the whole of an equation or a relation."""
    sides, signs = relation(formula)
    if not signs or any(sign != "=" for sign in signs) or not sides[-1]:
        return formula
    if len(signs) > 1 and not re.search(r"[,;]", formula):
        return sides[-1]
    without_letters = [not re.search(r"[A-Za-z]", re.sub(r"\\[A-Za-z]+", "", side)) for side in (sides[0], sides[-1])]
    named = re.fullmatch(r"[A-Za-z]", sides[0]) and without_letters[1]
    return sides[-1] if (without_letters[0] or named) and "," not in formula else formula


MATH = MathKind()
