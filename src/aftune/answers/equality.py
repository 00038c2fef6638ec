"""Whether two expressions are equal, as far as texts, numbers, words and their structure tell; the rest is for `symbolic`."""

import re
from fractions import Fraction

from aftune.answers import numbers
from aftune.answers.cleaning import plain
from aftune.answers.spelling import in_radians, normal
from aftune.answers.structures import is_equation, relation, same, structure, value_of, without_condition

MAX_CHARACTERS = 2_000  # of an answer
MAX_DEPTH = 40  # of brackets
_MAX_DIGITS = 300

_REPEATING = re.compile(r"(-?)(\d*)\.(\d*)\\overline\s*\{?(\d{1,40})\}?")
_NOT_COMPARED = re.compile(r"\\ldots|\d\s*:\s*\d")
_RATIO = re.compile(r"\s*(-?\d+(?:\.\d+)?)\s*:\s*(\d+(?:\.\d+)?)\s*")
_TIME = re.compile(r"\s*\d{1,2}:\d{2}\s*")
_LETTERS_ONLY = re.compile(r"^\(?([A-Za-z][A-Za-z .'\-]*)\)?$")
_BASE = re.compile(r"^([0-9A-F]+)_\{?(\d{1,2})\}?$")
_WITH_COMMA = re.compile(r"-?\d+,\d+")
_GROUPED = re.compile(r"\d{1,3}(?:,\d{3})+")
_APPROXIMATELY = re.compile(r"\\approx(?![A-Za-z])|≈|\\simeq(?![A-Za-z])")
_MATH_SPAN = re.compile(r"\$\$(.+?)\$\$|\$((?:\\.|[^$\\\n])+)\$|\\\[(.+?)\\\]|\\\((.+?)\\\)", re.DOTALL)
_BETWEEN = re.compile(r"[\s,;.]*(?:and|or|,|;)?[\s,;.]*", re.IGNORECASE)


def formulas(text: str) -> list[str]:
    """The formulas between their delimiters; those joined only by "and", "or" or a comma are one list."""
    found: list[str] = []
    end: int | None = None
    for match in _MATH_SPAN.finditer(text):
        formula = next(part for part in match.groups() if part).strip()
        between = text[end : match.start()] if end is not None else None
        if between is not None and between.strip() and len(between) < 20 and _BETWEEN.fullmatch(between):
            found[-1] = f"{found[-1].rstrip('.,;')}, {formula}"
        else:
            found.append(formula)
        end = match.end()
    return found


def after_formulas(text: str) -> str:
    """What follows the last formula."""
    return text[max((match.end() for match in _MATH_SPAN.finditer(text)), default=0) :]


def readings(text: str) -> list[str]:
    """The ways in which an answer may be meant, the likeliest first: as it is written, its formula without the words around it,
    both sides of "approximately"."""
    found = [text]
    inside = formulas(text)
    if inside and _MATH_SPAN.sub("", text).strip(" .*"):
        found.append(inside[0])
    for one in list(found):
        parts = [part.strip() for part in _APPROXIMATELY.split(one)]
        if len(parts) > 1 and all(parts):
            found += [parts[0], parts[-1]]
    return found[:4]


def decide(left: str, right: str) -> bool | None:
    """Whether an answer equals the gold one, both in one spelling: by text, by number or element by element; None where that takes
    a symbolic comparison."""
    if not left or not right:
        return False
    if _squeeze(left) == _squeeze(right):
        return True
    if not (is_small(left) and is_small(right)):
        return False
    if is_equation(right) and not relation(left)[1] and structure(left) is None:
        return False  # 6 is not the answer where x + y = 6 is
    if _same_with_comma(left, right) or _same_with_comma(right, left):
        return True
    return same(left, right, decide_atom)


def _same_with_comma(left: str, right: str) -> bool:
    """Whether one is the other with a decimal comma."""
    return "," in left and _WITH_COMMA.fullmatch(left) is not None and left.replace(",", ".") == right


def decide_atom(left: str, right: str) -> bool | None:
    """Whether two expressions that are not lists are equal; None where that takes a symbolic comparison."""
    if _squeeze(left) == _squeeze(right):
        return True
    ratios = _RATIO.fullmatch(value_of(left)), _RATIO.fullmatch(value_of(right))
    if any(ratios):
        return _same_ratio(left, right, *ratios)
    if _NOT_COMPARED.search(left) or _NOT_COMPARED.search(right):
        return False
    if left.count("'") != right.count("'"):
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
        return False  # a word is not the product of its letters
    a_number, b_number = _number(left), _number(right)
    if a_number is not None and b_number is not None:
        return numbers.same_number(a_number, b_number)
    return None


def _same_ratio(left: str, right: str, one: re.Match[str] | None, other: re.Match[str] | None) -> bool:
    """2:1 equals 4:2 and 2; two times of day are compared as texts."""
    if _TIME.fullmatch(left) and _TIME.fullmatch(right):
        return False
    values = []
    for text, match in ((left, one), (right, other)):
        if match:
            values.append(Fraction(match[1]) / Fraction(match[2]) if Fraction(match[2]) else None)
        else:
            number = _number(value_of(text))
            values.append(number.value if number else None)
    return values[0] is not None and values[0] == values[1]


def _squeeze(text: str) -> str:
    return re.sub(r"\s+|(?<=\{)\{|\}(?=\})", "", text) if text.count("{") == text.count("}") else re.sub(r"\s+", "", text)


def _number(text: str) -> numbers.Number | None:
    repeating = _REPEATING.fullmatch(text)
    if repeating:
        return _of_repeating(*repeating.groups())
    if not re.fullmatch(r"[-+\d.,/\s\\%$a-z{}×^()]{1,80}", text) or re.search(r"\\(?!frac|%|times|cdot|\$)", text):
        return None
    spelled = plain(text).strip()
    if not re.fullmatch(
        r"[-+]?\s*\$?\s*\d[\d.,/\s]*(?:%|[eE][-+]?\d{1,4}|(?:\s?×\s?10\^-?\d+)|\s?(?:dozen|hundred|thousand|million|billion|trillion))?|[-+]?\s*\$?\.\d+%?",
        spelled,
    ) or re.search(r",(?!\d{3})", spelled):
        return _of_fraction_in_percent(text)
    return numbers.parse(spelled)


def _of_fraction_in_percent(text: str) -> numbers.Number | None:
    """`\\frac{1}{2}\\%`."""
    if not text.endswith("\\%"):
        return None
    number = _number(text[:-2].strip())
    return numbers.Number(number.face, Fraction(1, 100)) if number else None


def _of_repeating(sign: str, whole: str, fixed: str, period: str) -> numbers.Number:
    """0.1\\overline{6} is (16 - 1) / 90."""
    start = whole + fixed
    value = Fraction(int(start + period) - int(start or "0"), (10 ** len(period) - 1) * 10 ** len(fixed))
    return numbers.Number(-value if sign else value, Fraction(1))


def is_small(text: str) -> bool:
    """Whether an expression may be handed to a parser: no deep nesting, no endless digits, no unclosed braces."""
    depth = 0
    braces = re.sub(r"\\[{}]", "", text)
    for character in braces:
        if character in "{([":
            depth += 1
            if depth > MAX_DEPTH:
                return False
        elif character in "})]":
            depth -= 1
    if braces.count("{") != braces.count("}") or "\x00" in text or any(0xD800 <= ord(c) <= 0xDFFF for c in text):
        return False
    return not re.search(rf"\d{{{_MAX_DIGITS},}}", text)


def pairs(answer: str, gold: str) -> list[tuple[str, str]]:
    """The pairs of readings to compare, in one spelling, the likeliest first; each once."""
    found = [(normal(a), normal(g)) for a in readings(answer) for g in readings(gold)]
    if _GROUPED.fullmatch(answer.strip()) and ", " in gold:  # 100,200 beside a list is a list too
        found.append((answer.strip().replace(",", ", "), normal(gold)))
    elif _GROUPED.fullmatch(gold.strip()) and ", " in answer and not _GROUPED.fullmatch(answer.replace(", ", ",").strip()):
        found.append((normal(answer), gold.strip().replace(",", ", ")))
    for left, right in ((answer, gold), (in_radians(answer) or answer, in_radians(gold) or gold)):
        found.append((normal(left), normal(right)))
        found.append((without_condition(normal(left)), without_condition(normal(right))))
    return list(dict.fromkeys(found))[:8]
