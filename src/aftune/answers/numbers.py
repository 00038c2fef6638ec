"""Numeric answers: `#### 1,234`, `A: $18.00`, `The answer is 7.`"""

import re
from decimal import Decimal, InvalidOperation

STRICT_MARKER = "####"
# What may announce a final answer in text that was not asked for `####`; the last one of a response counts.
_FLEXIBLE_MARKERS = re.compile(r"####|^\s*A:|\banswer is\b:?|\banswer:", re.IGNORECASE | re.MULTILINE)
_NUMBER = re.compile(r"[-+]?[$€£]?\s?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|[-+]?\.\d+")
_MAX_ANSWER_CHARACTERS = 200  # a longer line is a run-on text, not an answer


def extract_number(text: str, reading: str) -> str | None:
    """The number that a response ends in, as written; None where there is none.

    `strict` reads the line after the last `####` only. `flexible` also knows `A:` and `The answer is`, and where none of
    them stands takes the last number of the text.
    """
    if reading == "strict":
        _, marker, tail = text.rpartition(STRICT_MARKER)
        return _number_of_line(tail) if marker else None
    markers = list(_FLEXIBLE_MARKERS.finditer(text))
    if markers:
        return _number_of_line(text[markers[-1].end() :])
    numbers = _NUMBER.findall(text[-2000:])
    return numbers[-1].strip() if numbers else None


def _number_of_line(tail: str) -> str | None:
    lines = tail.strip().splitlines()
    match = _NUMBER.search(lines[0][:_MAX_ANSWER_CHARACTERS]) if lines else None
    return match.group().strip() if match else None


def parse_number(text: str) -> Decimal | None:
    """The value of a number as people write it (sign, currency, thousands separators), or None."""
    cleaned = re.sub(r"[\s$€£,]", "", text).rstrip(".")
    try:
        value = Decimal(cleaned)
    except InvalidOperation:
        return None
    return value if value.is_finite() else None


def numbers_equal(answer: str, gold: str) -> bool:
    """Whether both are numbers of the same value (`3,000` and `3000.0` are)."""
    left, right = parse_number(answer), parse_number(gold)
    return left is not None and left == right
