"""One spelling of mathematics: what LaTeX and plain keyboards write in several ways."""

import re
from collections.abc import Callable
from functools import lru_cache

from aftune.answers.cleaning import clean

_MATH_WORDS = (
    "pi|sqrt|cbrt|alpha|beta|gamma|delta|theta|lambda|phi|omega|sin|cos|tan|cot|sec|csc|arcsin|arccos|arctan|sinh|cosh|tanh|log|ln|"
    "exp|infty|leq|geq|neq|cdot"
)
# Words that are not a unit after a number.
_NO_UNIT = (
    rf"(?:{_MATH_WORDS}|and|or|mod|plus|minus|over|base|to|inf|infinity|dozens?|hundred|thousand|million|billion|trillion|if|for|"
    r"where)"
)
_TEXT = r"\\(?:text|textbf|textit|textrm|textnormal|textsf|mathrm|mathit|mbox|operatorname)\s*"
_NUMBER = r"[-+]?\s*\\?\$?\s*(?:\d[\d.,]*(?:\s+\d+/\d+|\s*/\s*\d+)?|\.\d+|\d*\s*\\frac\{-?\d+\}\{\d+\}|\\sqrt\{\d+\})"
_SHORT_UNITS = "cm|km|mm|kg|mg|ml|ft|in|yd|mi|hr|hrs|min|sec|mph|kph|lb|lbs|oz|rad|sq|cu|am|pm|AM|PM|cubic"

Rule = tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]]


def _rules(*rules: tuple[str, str | Callable[[re.Match[str]], str]]) -> tuple[Rule, ...]:
    return tuple((re.compile(pattern), replacement) for pattern, replacement in rules)


_PERCENT = _rules(
    (rf"\s*{_TEXT}\{{\s*(?:percent(?:age)?|per cent|pct)\.?\s*\}}", r"\\%"),
    (r"(?<=[\d}\s])\s*(?:percent(?:age)?|per cent|pct)(?![A-Za-z])", r"\\%"),
)
_KEYBOARD = _rules(
    (r"(?<=[\w)}\]])\*\*\s*\(([^()]{1,60})\)", r"^{\1}"),
    (r"(?<=[\w)}\]])\*\*\s*(?=[\w(-])", "^"),
    (r"(?<=[\w)}])\^\s*\(([^()]{1,60})\)", r"^{\1}"),
    (r"<\s?=", r"\\le "),
    (r">\s?=", r"\\ge "),
    (r"!\s?=", r"\\ne "),
    (r"={2,3}", "="),
    (r"(?<![A-Za-z\\])(?:infinity|inf|oo)(?![A-Za-z])", r"\\infty "),
    (rf"(?<![A-Za-z\\])({_MATH_WORDS})(?![A-Za-z])", r"\\\1 "),
    (r"(?<![A-Za-z\\])i\s*\(", r"i \\cdot ("),
)
_NORMAL = _rules(
    (r"\\(?:left|right|displaystyle|limits|bigl?|bigr?|Bigl?|Bigr?|middle)(?![A-Za-z])\.?", ""),
    (r"\\[dtc]frac(?![A-Za-z])", r"\\frac"),
    (r"\\frac\s*(\d)\s*(\d)", r"\\frac{\1}{\2}"),
    (r"\\frac\s*\{([^{}]*)\}\s*(\d)", r"\\frac{\1}{\2}"),
    (r"\\frac\s*(\d)\s*\{", r"\\frac{\1}{"),
    (r"\\frac\s+\{", r"\\frac{"),
    (r"\\sqrt\s*\(([^()]*)\)", r"\\sqrt{\1}"),
    (r"\\sqrt\s*([0-9A-Za-z])", r"\\sqrt{\1}"),
    (r"\\(?:mathrm|operatorname|mathbf|mathbb|boldsymbol|bm|textbf|textit)\s*\{([^{}]*)\}", r"\1"),
    (r"(?<=\d)(?:,\\!|\\,|\{,\}|\\!|\\ )\s*(?=\d{3}(?!\d))", ""),
    (r"\s*,?\s*\\q?quad\s*(?:\\text\s*\{\s*(?:and|or)\s*\}|,|and(?![a-z])|or(?![a-z]))\s*(?:\\q?quad)?\s*", ", "),
    (r"\\quad|\\qquad", "  "),
    (r"\\[!,;:> ]|~", " "),
    (rf"\s*(?:,\s*)?{_TEXT}\{{\s*,?\s*(?:and|or)\s*\}}\s*", ", "),
    (r"\s*(?:,\s*)?(?<![A-Za-z\\])(?:and|or)(?![a-z])\s*", ", "),
    (r"\\\$|\\%|\\&", lambda match: match.group()[1:] if match.group() != "\\%" else r"\%"),
    (r"(?<=[\d}])\s*%", r"\\%"),
    (r"\^\s*\{?\s*\\circ\s*\}?|\\degree|°|(?<=\d)\s*degrees?(?![A-Za-z])", ""),
    (r"\\(?:cdots|ldots|dotsc?|dots)(?![A-Za-z])|…|\.\.\.", r"\\ldots"),
    (r"\\(?:lbrace)(?![A-Za-z])", r"\\{"),
    (r"\\(?:rbrace)(?![A-Za-z])", r"\\}"),
    (r"\\neq(?![A-Za-z])|≠", r"\\ne "),
    (r"\\varnothing(?![A-Za-z])|∅|^\\\{\s*\\\}$", r"\\emptyset"),
    (r"\\leqs?lant(?![A-Za-z])|\\leq(?![A-Za-z])|≤", r"\\le "),
    (r"\\geqs?lant(?![A-Za-z])|\\geq(?![A-Za-z])|≥", r"\\ge "),
    (r"\\lt(?![A-Za-z])", "<"),
    (r"\\gt(?![A-Za-z])", ">"),
    (r"\^\s*\{?\s*((?:\\prime\s*)+)\}?", lambda match: "'" * match[1].count("prime")),
    (r"π", r"\\pi "),
    (r"∞", r"\\infty "),
    (r"√\s*\(([^()]*)\)", r"\\sqrt{\1}"),
    (r"√\s*(\w+)", r"\\sqrt{\1}"),
    (r"×", r"\\times "),
    (r"·|⋅", r"\\cdot "),
    (r"∪", r"\\cup "),
    (r"∈", r"\\in "),
    (r"\{,\}", ","),
    (r"(?<![\d,(\[{])(\d{1,3}(?:,\d{3})+)(?![\d,])", lambda match: match[1].replace(",", "")),
    (r"(?<=\d) (?=\d{3}(?!\d))", ""),
    (r"(\()\+\s*(?=\\infty)|(,\s*)\+\s*(?=\\infty)", lambda match: match[1] or match[2]),
)
_BASES = {
    word: number
    for number, word in enumerate(("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"), 2)
} | {"sixteen": 16}
_BASE_WORDS = _rules(
    (rf"_\s*\{{?\s*{_TEXT}\{{\s*([a-z]+)\s*\}}\s*\}}?", lambda m: f"_{_BASES[m[1]]}" if m[1] in _BASES else m.group()),
    (r"^(\w+)\s*\(?(?:in )?base[- ](\w+)\)?$", lambda m: f"{m[1]}_{_BASES.get(m[2], m[2])}"),
    (rf"^(\w+)\s*{_TEXT}\{{\s*\(?(?:in )?base[- ](\w+)\)?\s*\}}$", lambda m: f"{m[1]}_{_BASES.get(m[2], m[2])}"),
)
_SPACES = re.compile(r"\s{3,}")
_DELIMITERS = re.compile(
    r"^(?:\\\[|\\\(|\$\$?|\\begin\{(?:align|equation)\*?\})|(?:\\\]|\\\)|\$\$?|\\end\{(?:align|equation)\*?\})$"
)
_UNIT = re.compile(
    rf"(?:{_TEXT}\{{\s*(?:[^{{}}]*)\}}(?:\^\{{?[23]\}}?)?|(?<=[\d}}])\s*(?:dollars?|cents?|degrees?|units?|meters?|cm|km|mm|"
    r"inches|feet|miles|hours?|minutes?|seconds?|days?|years?|m(?=\^)|square units|cubic units|sq\.? units)(?:\^\{?[23]\}?)?)"
    r"\s*\.?$"
)
_WORDS_AFTER = re.compile(
    rf"^({_NUMBER})(\s*)((?!(?:{_NO_UNIT})\b)(?:[A-Za-z]{{3,}}|{_SHORT_UNITS})(?:[ /-](?!(?:{_NO_UNIT})\b)[A-Za-z]+){{0,3}})"
    r"(?:\s*\^\{?[23]\}?)?\.?$"
)
_UNIT_COMMAND = re.compile(r"(?<=[\d}])(?:\s|\\[ ,;!])*\\(?:mathrm|operatorname)\s*\{[^{}]*[A-Za-z][^{}]*\}(?:\^\{?[23]\}?)?\s*$")
_TEXT_ONLY = re.compile(rf"^{_TEXT}\{{([^{{}}]*)\}}$")
_SEVERAL_LETTERS = re.compile(r"(?:abc|xyz|pqr|rst|def|efg|uvw|[^aeiouyAEIOUY]{3,})\Z", re.IGNORECASE)
_DEGREE = re.compile(r"\s*(?:\^\s*\{?\s*\\circ\s*\}?|\\degree|°)")


@lru_cache(maxsize=1024)  # a comparison asks for the same few texts in several pairs
def normal(text: str) -> str:
    """The text in one spelling, without delimiters, sizes, spacing and units. Rows of a matrix end in `\\\\cr`."""
    text = _SPACES.sub("  ", clean(text)).strip().strip("`")
    if text.startswith("**") and text.endswith("**"):
        text = text[2:-2].strip()
    while (stripped := _DELIMITERS.sub("", text).strip().rstrip(".").strip()) != text:
        text = stripped
    text = _lines(text)
    text_only = _TEXT_ONLY.match(text)
    if text_only:
        return text_only[1].strip()
    text = _apply(_PERCENT, text)
    text = _apply(_BASE_WORDS, text) if "base" in text or "_" in text else text
    text = _UNIT_COMMAND.sub("", text) or text
    text = _apply(_NORMAL, _apply(_KEYBOARD, _roots(text)))
    without_unit = _UNIT.sub("", text).strip()
    text = (without_unit or text).strip().lstrip("$").strip()
    words = _WORDS_AFTER.match(text)
    if words and not (_SEVERAL_LETTERS.match(words[3]) or (not words[2] and len(words[3]) < 4 and words[3] not in _SHORT_UNITS)):
        return words[1].strip()
    return text


def in_radians(text: str) -> str | None:
    """The text with its degrees as multiples of pi/180; None where it has none."""
    return _DEGREE.sub(r" \\cdot \\frac{\\pi}{180}", text) if _DEGREE.search(text) else None


def for_parser(text: str) -> str:
    """A text that `normal` gave, as LaTeX that a parser knows."""
    return text.replace("\\cr ", "\\\\ ")


def _apply(rules: tuple[Rule, ...], text: str) -> str:
    for pattern, replacement in rules:
        text = pattern.sub(replacement, text)
    return text


def _lines(text: str) -> str:
    """`\\\\` ends a row where there are rows; elsewhere it is a backslash that was escaped once too often."""
    if "\\\\" not in text:
        return text.rstrip("\\").rstrip() if text.endswith("\\") else text
    if "\\begin{" in text:
        if re.search(r"(?<!\\)\\\\begin", text):
            text = text.replace("\\\\", "\\")
        return re.sub(r"(?:\\\\){1,2}(?:\[[^\]]{0,8}\])?(?!(?:frac|sqrt|pi|left|right|dfrac)\b)", r"\\cr ", text)
    return text.replace("\\\\", "\\").rstrip("\\").rstrip()


def _roots(text: str) -> str:
    """`sqrt(...)` as `\\sqrt{...}`, also where it holds brackets."""
    start = 0
    while (position := text.find("sqrt(", start)) >= 0:
        depth, index = 0, position + 4
        while index < len(text):
            depth += (text[index] == "(") - (text[index] == ")")
            if not depth:
                break
            index += 1
        if depth:
            return text
        slash = "" if text[position - 1 : position] == "\\" else "\\"
        text = f"{text[:position]}{slash}sqrt{{{text[position + 5 : index]}}}{text[index + 1 :]}"
        start = position + 5
    return text
