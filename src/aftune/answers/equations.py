"""The equations of a chain of thought, as people and models write them: read, never evaluated, in one pass over the text.

    48/2 = 24        $5 x 3 = $15        7 stickers/page * 6 pages= 42 stickers        <<48/2=24>>24        2 plus 3 equals 5

One notation for all: `x`, `×`, `times` become `*`; dashes become `-`; currency signs, units, thousands separators, leading zeros,
zeros at the end of decimals and brackets around a whole side are dropped; `20% of 50` is `20%*50`. Nothing is reordered.
GSM8K's annotation `<<48/2=24>>` stands for what is written before it. A single letter where a number could stand is a
variable. What is not understood ends an equation and is not an error: this is text that models wrote.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

_MAX_NUMBER = 40  # characters; longer digits are run-on text, not a number
_ANNOTATION = re.compile(r"(=[\s$€£]*)?<<([^<>]*)>>")
_COMPUTES = re.compile(r"[0-9)%]\s*[-+*/x×÷]")
_VALUE = re.compile(r"(-?[0-9.]+)%?(?:/(-?[0-9.]+)%?)?")
_LETTERS = r"[^\W\d_]"
_NUMBER_FOLLOWS = r"(?=[\s$€£(]*\.?[0-9])"
_TOKEN = re.compile(
    rf"""
    (?P<space>\s+)
  | (?P<number>[0-9]{{1,3}}(?:,[0-9]{{3}})+(?![0-9])(?:\.[0-9]+)?|[0-9]+(?:\.[0-9]+)?|\.[0-9]+)
  | (?P<unit>(?<=[0-9])[-/]{_LETTERS}{{2,}})                   # 120-page, $5/hour
  | (?P<equals>[=≈]+|\bequals\b)
  | (?P<ignored>\\?[$€£¢]|(?<![0-9])\*\*|\*\*(?![0-9])|["“”°])   # ** is bold type, except in 2**3
  | (?P<operator>\*\*|[-−–—+*×·⋅∗/÷^]|\\(?:times|cdot|div)\b
      |(?:(?<!{_LETTERS})[xX]|\b(?:plus|minus|times|divided[ ]by)\b|(?<=%[ ])of\b){_NUMBER_FOLLOWS})
  | (?P<word>{_LETTERS}+(?:['’/-]{_LETTERS}+)*(?:\^[23]\b)?)   # m^2 too
  | (?P<percent>%)
  | (?P<open>\()
  | (?P<close>\))
  | (?P<end>[<>!]=|\\.|.)
    """,
    re.VERBOSE,
)
_OPERATORS = {
    **dict.fromkeys(("*", "×", "·", "⋅", "∗", "\\times", "\\cdot", "x", "X", "times", "of"), "*"),
    **dict.fromkeys(("/", "÷", "\\div", "divided by"), "/"),
    **dict.fromkeys(("-", "−", "–", "—", "minus"), "-"),
    **dict.fromkeys(("^", "**"), "^"),
    **dict.fromkeys(("+", "plus"), "+"),
}
_SYMBOLS = frozenset("+-*/^")


@dataclass(frozen=True)
class Equation:
    """Both sides in normal form. left: "" where nothing is computed (`x = 21`, `the total = 21`). right: a number, or an
    expression where a chain goes on (`2*(3+4) = 2*7 = 14`)."""

    left: str
    right: str

    @property
    def result(self) -> Fraction | None:
        """The value of a right side that is a number or a fraction of two numbers, without its per cent sign; else None."""
        match = _VALUE.fullmatch(self.right)
        if match is None:
            return None
        top, bottom = Fraction(match[1]), Fraction(match[2] or 1)
        return top / bottom if bottom else None


def equations(text: str) -> tuple[str, ...]:
    """The equations of a chain that compute something, in order: `("48/2=24", "48+24=72")`.

    RFT (Yuan et al. 2023, arXiv 2308.01825) counts two responses as the same when these lists are the same.
    """
    return tuple(f"{equation.left}={equation.right}" for equation in read_equations(text) if equation.left)


def results(text: str) -> frozenset[Fraction]:
    """The intermediate results that a chain shows: the values after its equals signs, the last one included."""
    return frozenset(result for equation in read_equations(text) if (result := equation.result) is not None)


def read_equations(text: str) -> Iterator[Equation]:
    """All equations of a text, those without a computation included; linear in its length, whatever it holds."""
    text = _ANNOTATION.sub(_without_markup, text)
    reader = _Reader()
    for match in _TOKEN.finditer(text):
        equation = reader.read(str(match.lastgroup), match.group(), text, match.start(), match.end())
        if equation is not None:
            yield equation
    last = reader.finish()
    if last is not None:
        yield last


def _without_markup(match: re.Match[str]) -> str:
    """An annotation as a clause of its own where it computes something, else nothing."""
    before, content = match.groups("")
    return f";{content};" if _COMPUTES.search(content.partition("=")[0]) and "=" in content else before


class _Reader:
    """What was read of the current clause: the expression that the last tokens form, and the left side before it."""

    def __init__(self) -> None:
        self.expression: list[str] = []
        self.depth = 0  # of open brackets
        self.sign = ""
        self.left: str | None = None  # None: no equals sign yet

    def read(self, kind: str, token: str, text: str, start: int, end: int) -> Equation | None:
        """Takes one token, which is `text[start:end]`; gives the equation that it completes, if any."""
        equation = None
        if kind == "space":
            if "\n" in token and text[end : end + 1] != "=":
                equation = self.finish()
        elif kind == "word":
            if len(token) == 1 and not self._after_operand():
                self.expression.append(token.lower())
        elif kind == "number" and len(token) <= _MAX_NUMBER:
            if self._after_operand():
                equation = self.finish()
            self.expression.append(self.sign + _plain_number(token))
            self.sign = ""
        elif kind == "operator":
            self._operator(_OPERATORS[token], text[end : end + 1])
        elif kind == "equals":
            left = _computation(self.expression)
            equation = self.finish()
            self.left = left
        elif kind == "percent":
            if self._after_operand() and self.expression[-1][-1].isdigit():
                self.expression[-1] += "%"
        elif kind == "open":
            if self._after_operand():
                if text[start - 1] in "0123456789)":
                    self.expression.append("*")
                else:
                    equation = self.finish()
            self.expression.append("(")
            self.depth += 1
        elif kind == "close" and self.depth and self._after_operand():
            self.expression.append(")")
            self.depth -= 1
        elif kind not in ("ignored", "unit"):
            equation = self.finish()
        return equation

    def finish(self) -> Equation | None:
        """Ends the clause and gives its equation, if it has one."""
        right = "" if self.left is None else _right_side(self.expression)
        equation = Equation(self.left or "", right) if right else None
        self.expression, self.depth, self.sign, self.left = [], 0, "", None
        return equation

    def _after_operand(self) -> bool:
        return bool(self.expression) and self.expression[-1] not in _SYMBOLS and self.expression[-1] != "("

    def _operator(self, operator: str, following: str) -> None:
        if self._after_operand():
            self.expression.append(operator)
        elif operator == "-" and following and following in "0123456789.$€£":
            self.sign = "-"
        elif self.expression and self.expression[-1] in _SYMBOLS:
            # An operand that is not understood (`5 * price + 3`): what comes next is not the whole expression.
            self.expression, self.depth = [], 0


def _plain_number(token: str) -> str:
    whole, _, decimals = token.replace(",", "").partition(".")
    decimals = decimals.rstrip("0")
    return (whole.lstrip("0") or "0") + (f".{decimals}" if decimals else "")


def _computation(expression: list[str]) -> str:
    """A left side in normal form; "" where nothing is computed or the last operand is missing."""
    _, last_open = _unmatched(expression)
    expression = _without_outer_brackets(expression[last_open + 1 :])
    if not expression or expression[-1] in _SYMBOLS or not any(token in _SYMBOLS for token in expression):
        return ""
    return "".join(expression)


def _right_side(expression: list[str]) -> str:
    """A right side in normal form: up to a bracket that nothing closes, without operators at its end."""
    first_open, _ = _unmatched(expression)
    end = len(expression) if first_open < 0 else first_open
    while end and expression[end - 1] in _SYMBOLS:
        end -= 1
    return "".join(_without_outer_brackets(expression[:end]))


def _unmatched(expression: list[str]) -> tuple[int, int]:
    """The places of the first and the last bracket that is not closed; -1 and -1 where there is none."""
    opened: list[int] = []
    for place, token in enumerate(expression):
        if token == "(":
            opened.append(place)
        elif token == ")":
            opened.pop()
    return (opened[0], opened[-1]) if opened else (-1, -1)


def _without_outer_brackets(expression: list[str]) -> list[str]:
    """An expression whose brackets all match, without those around the whole of it."""
    partner: dict[int, int] = {}
    opened: list[int] = []
    for place, token in enumerate(expression):
        if token == "(":
            opened.append(place)
        elif token == ")":
            partner[opened.pop()] = place
    start, end = 0, len(expression)
    while partner.get(start) == end - 1:
        start, end = start + 1, end - 1
    return expression[start:end]
