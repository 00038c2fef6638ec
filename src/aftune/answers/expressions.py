"""Mathematics in LaTeX: `\\boxed{\\frac{3}{4}}`, sets, intervals, matrices, equations.

What is equal as text or as a number is decided here; the rest is compared by math-verify in a worker process (`checker`), with
limits on time, memory and length.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from aftune.answers import numbers
from aftune.answers.checker import Checker, shared_checker
from aftune.answers.cleaning import clean, plain
from aftune.answers.statements import Statement, any_format, asked_for, before_next_question, shorten
from aftune.answers.verdicts import NOTHING, Format, Found, Reading

MAX_CHARACTERS = 2_000  # of an answer
MAX_DEPTH = 40  # of brackets
_MAX_DIGITS = 300

_NORMAL = (
    (re.compile(r"\\(?:left|right|displaystyle|limits|bigl?|bigr?|Bigl?|Bigr?)(?![A-Za-z])"), ""),
    (re.compile(r"\\[dtc]frac(?![A-Za-z])"), r"\\frac"),
    (re.compile(r"\\frac\s*(\d)\s*(\d)"), r"\\frac{\1}{\2}"),
    (re.compile(r"\\frac\s*\{([^{}]*)\}\s*(\d)"), r"\\frac{\1}{\2}"),
    (re.compile(r"\\frac\s*(\d)\s*\{"), r"\\frac{\1}{"),
    (re.compile(r"\\sqrt\s*\(([^()]*)\)"), r"\\sqrt{\1}"),
    (re.compile(r"\\sqrt\s*([0-9A-Za-z])"), r"\\sqrt{\1}"),
    (re.compile(r"\\(?:mathrm|operatorname|mathbf|boldsymbol|bm)\s*\{([^{}]*)\}"), r"\1"),
    (re.compile(r"\\[!,;:> ]|~|\\quad|\\qquad"), " "),
    (re.compile(r"\\\$|\\%|\\&"), lambda match: match.group()[1:] if match.group() != "\\%" else r"\%"),
    (re.compile(r"\^\s*\{?\s*\\circ\s*\}?|\\degree|°"), ""),
    (re.compile(r"\\(?:cdots|ldots|dotsc?|dots)(?![A-Za-z])|…"), r"\\ldots"),
    (re.compile(r"\\(?:lbrace)(?![A-Za-z])"), r"\\{"),
    (re.compile(r"\\(?:rbrace)(?![A-Za-z])"), r"\\}"),
    (re.compile(r"\\neq(?![A-Za-z])"), r"\\ne"),
    (re.compile(r"\\varnothing(?![A-Za-z])|∅|^\\\{\s*\\\}$"), r"\\emptyset"),
    (re.compile(r"\\leq(?![A-Za-z])"), r"\\le"),
    (re.compile(r"\\geq(?![A-Za-z])"), r"\\ge"),
    (re.compile(r"≤"), r"\\le "),
    (re.compile(r"≥"), r"\\ge "),
    (re.compile(r"π"), r"\\pi "),
    (re.compile(r"∞"), r"\\infty "),
    (re.compile(r"√\s*\(([^()]*)\)"), r"\\sqrt{\1}"),
    (re.compile(r"√\s*(\w+)"), r"\\sqrt{\1}"),
    (re.compile(r"×"), r"\\times "),
    (re.compile(r"·|⋅"), r"\\cdot "),
    (re.compile(r"∪"), r"\\cup "),
    (re.compile(r"\{,\}"), ","),
    (re.compile(r"(?<![\d,(\[])(\d{1,3}(?:,\s?\d{3})+)(?![\d,])"), lambda match: re.sub(r",\s?", "", match[1])),
    (re.compile(r"(\d)\s+(?=\d{3}(?!\d))"), r"\1"),
)
_DELIMITERS = re.compile(
    r"^(?:\\\[|\\\(|\$\$?|\\begin\{(?:align|equation)\*?\})|(?:\\\]|\\\)|\$\$?|\\end\{(?:align|equation)\*?\})$"
)
_UNIT = re.compile(
    r"(?:\\(?:text|mathrm|mbox|textbf)\s*\{\s*(?:[^{}]*)\}(?:\^\{?[23]\}?)?|(?<=[\d}])\s*(?:dollars?|cents?|degrees?|units?|meters?|cm|km|mm|"
    r"inches|feet|miles|hours?|minutes?|seconds?|days?|years?|square units|cubic units|sq\.? units)(?:\^\{?[23]\}?)?)\s*\.?$"
)
_UNIT_COMMAND = re.compile(r"(?<=[\d}])(?:\s|\\[ ,;!])*\\(?:mathrm|operatorname)\s*\{[^{}]*[A-Za-z][^{}]*\}(?:\^\{?[23]\}?)?\s*$")
_REPEATING = re.compile(r"(-?)(\d*)\.(\d*)\\overline\s*\{?(\d{1,40})\}?")
_TEXT_ONLY = re.compile(r"^\\(?:text|textbf|mathrm|mbox|textit)\s*\{([^{}]*)\}$")
_ASSIGNED = re.compile(r"^\s*[A-Za-z](?:\s*\([a-z](?:,\s*[a-z])*\))?\s*(?:=|\\in(?![a-z]))\s*(?!.*=)")
_NOT_COMPARED = re.compile(r"\\ldots|\d\s*:\s*\d|\.\.\.")
_LETTERS_ONLY = re.compile(r"^\(?([A-Za-z][A-Za-z .'\-]*)\)?$")
_BASE = re.compile(r"^([0-9A-F]+)_\{?(\d{1,2})\}?$")
_MATH_SPAN = re.compile(r"\$\$(.+?)\$\$|\$([^$\n]+)\$|\\\[(.+?)\\\]|\\\((.+?)\\\)", re.DOTALL)
_SENTENCE_END = re.compile(r"(?<=[^\s.])[.!?](?=\s|$)")


@dataclass(frozen=True, slots=True)
class MathKind:
    """Answers that are mathematics. `form`: what the prompt asks for. `checker`: where to compare, by default one worker
    process that all comparisons share."""

    form: Format = "boxed"
    checker: Checker | None = field(default=None, compare=False)

    @property
    def name(self) -> str:
        return "math"

    def read(self, text: str, reading: Reading, options: Sequence[str] | None = None) -> Found:
        """The expression as written, without delimiters."""
        text = shorten(text)
        if reading == "strict":
            statement = asked_for(text, self.form)
            return _of(statement) if statement else NOTHING
        found = any_format(text, line_marker=False)
        boxes = [statement for statement in found if statement.kind == "boxed"]
        for statement in reversed(boxes or found):
            result = _of(statement)
            if result.answer is None and statement.opens and text[statement.end :].strip():
                continue
            return result
        return _last_of(text)

    def equal(self, answer: str, gold: str, options: Sequence[str] | None = None) -> bool:
        """Raises TimedOut where the comparison did not end within its limits, UsageError where math-verify is needed and
        missing."""
        decided = decide(answer, gold)
        if decided is not None:
            return decided
        checker = self.checker or shared_checker()
        return checker.equal(normal(answer), normal(gold))


def normal(text: str) -> str:
    """One spelling of what LaTeX spells in several ways; delimiters, sizes, spaces and units gone."""
    text = clean(text).strip().strip("`").replace("**", "") if "**" in text else clean(text).strip().strip("`")
    while (stripped := _DELIMITERS.sub("", text).strip().rstrip(".").strip()) != text:
        text = stripped
    text_only = _TEXT_ONLY.match(text)
    if text_only:
        return text_only[1].strip()
    text = _UNIT_COMMAND.sub("", text) or text
    for pattern, replacement in _NORMAL:
        text = pattern.sub(replacement, text)
    without_unit = _UNIT.sub("", text).strip()
    return (without_unit or text).strip().lstrip("$").strip()


def decide(answer: str, gold: str) -> bool | None:
    """Equality by text, by number or by form; None where the expressions must be compared."""
    if max(len(answer), len(gold)) > MAX_CHARACTERS:
        return answer == gold
    left, right = normal(answer), normal(gold)
    if not left or not right:
        return False
    if _squeeze(left) == _squeeze(right):
        return True
    assigned_left, assigned_right = _ASSIGNED.sub("", left, count=1), _ASSIGNED.sub("", right, count=1)
    if _squeeze(assigned_left) == _squeeze(right) or _squeeze(left) == _squeeze(assigned_right):
        return True
    if _NOT_COMPARED.search(left) or _NOT_COMPARED.search(right):
        return False
    bases = _BASE.match(left), _BASE.match(right)
    if any(bases):
        digits = [base[1] if base else value for base, value in zip(bases, (left, right), strict=True)]
        return digits[0] == digits[1] and not (all(bases) and bases[0][2] != bases[1][2])  # type: ignore[index]
    words = _LETTERS_ONLY.match(left), _LETTERS_ONLY.match(right)
    if all(words):
        a, b = (match[1].strip() if match else "" for match in words)
        return a == b if len(a) == 1 == len(b) else a.casefold() == b.casefold()
    if any(match is not None and len(match[1].strip()) > 3 for match in words):
        return False  # a word is no product of its letters
    a_number, b_number = _number(assigned_left), _number(assigned_right)
    if a_number is not None and b_number is not None:
        return numbers.same_number(a_number, b_number)
    if not (_is_small(left) and _is_small(right)):
        return False
    return None


def _squeeze(text: str) -> str:
    return re.sub(r"\s+|(?<=\{)\{|\}(?=\})", "", text) if text.count("{") == text.count("}") else re.sub(r"\s+", "", text)


def _number(text: str) -> numbers.Number | None:
    repeating = _REPEATING.fullmatch(text)
    if repeating:
        return _of_repeating(*repeating.groups())
    if not re.fullmatch(r"[-+\d.,/\s\\%$a-z{}×^]{1,80}", text) or re.search(r"\\(?!frac|%|times|\$)", text):
        return None
    spelled = plain(text).strip()
    if not re.fullmatch(r"[-+]?\s*\$?\s*\d[\d.,/\s]*(?:%|(?:\s?×\s?10\^-?\d+))?|[-+]?\s*\$?\.\d+%?", spelled) or re.search(
        r",(?!\d{3})", spelled
    ):
        return None
    return numbers.parse(spelled)


def _of_repeating(sign: str, whole: str, fixed: str, period: str) -> numbers.Number:
    """0.1\\overline{6} is (16 - 1) / 90."""
    start = whole + fixed
    value = Fraction(int(start + period) - int(start or "0"), (10 ** len(period) - 1) * 10 ** len(fixed))
    return numbers.Number(-value if sign else value, Fraction(1))


def _is_small(text: str) -> bool:
    """Whether an expression may be handed to a parser: no deep nesting, no endless digits, no unclosed braces."""
    depth = 0
    for character in re.sub(r"\\[{}]", "", text):
        if character in "{([":
            depth += 1
            if depth > MAX_DEPTH:
                return False
        elif character in "})]":
            depth -= 1
    braces = re.sub(r"\\[{}]", "", text)
    if braces.count("{") != braces.count("}") or "\x00" in text or any(0xD800 <= ord(c) <= 0xDFFF for c in text):
        return False
    return not re.search(rf"\d{{{_MAX_DIGITS},}}", text)


def _of(statement: Statement) -> Found:
    text = statement.text.strip()
    if statement.kind != "boxed":
        spans = [next(part for part in match.groups() if part) for match in _MATH_SPAN.finditer(text)]
        if spans:
            text = spans[0] if len(spans) == 1 or statement.kind != "phrase" else spans[-1] if "=" in text else spans[0]
        else:
            end = _SENTENCE_END.search(text)
            text = text[: end.start()] if end and end.start() else text
    return _limited(text.strip(" *`\"'"))


def _limited(text: str) -> Found:
    if not text:
        return NOTHING
    if len(text) > MAX_CHARACTERS:
        return Found(None, "no answer", f"longer than {MAX_CHARACTERS:,} characters")
    return Found(text, "read")


def _last_of(text: str) -> Found:
    """The last formula, after its last "="; else the last line, where it is short; else its last number."""
    text = before_next_question(text, lambda before: bool(before.strip()))[-4000:]
    spans = [next(part for part in match.groups() if part) for match in _MATH_SPAN.finditer(text)]
    if spans:
        last = spans[-1].strip()
        return _limited(last.rpartition("=")[2].strip() or last)
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    if not lines:
        return NOTHING
    last = lines[-1].rstrip(".")
    if "\\boxed" in last:
        return Found(None, "no answer", "nothing, or nothing whole, in \\boxed{}")
    if len(last.split()) <= 3 and (re.search(r"\d", last) or "\\" in last):
        return _limited(last.rpartition("=")[2].strip() or last)
    return numbers.NUMBER.read(lines[-1], "flexible")


MATH = MathKind()
