"""Numbers in English words: "twelve", "twenty-five", "one hundred and five", "two thousand"."""

import re
from fractions import Fraction

_UNITS = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
_SMALL = {word: number for number, word in enumerate(_UNITS)} | {
    word: 10 * number
    for number, word in enumerate(["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"], 2)
}
_LARGE = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_WORDS = re.compile(r"[A-Za-z]+")
_BEFORE = frozenset(
    ("a", "an", "the", "it", "is", "be", "exactly", "about", "only", "just", "total", "of", "there", "are", "minus")
)
_PARTS = {
    part: number
    for number, part in enumerate(
        ["halves", "thirds", "quarters", "fifths", "sixths", "sevenths", "eighths", "ninths", "tenths"], 2
    )
} | {"fourths": 4}
_ONE_PART = {"half": 2, "third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "sixth": 6, "eighth": 8, "tenth": 10}
_MAX_WORDS = 24


def words_to_number(text: str) -> Fraction | None:
    """The number that a statement in words begins with; None where it begins otherwise or holds a second number."""
    words = [word.lower() for word in _WORDS.findall(text)][:_MAX_WORDS]
    start = 0
    while start < len(words) and words[start] in _BEFORE | {"negative"}:
        start += 1
    negative = bool({"minus", "negative"} & set(words[:start]))
    end, value = _number_at(words, start)
    if value is None or any(_number_at(words, later)[1] is not None and words[later] != "one" for later in range(end, len(words))):
        return None
    return -value if negative else value


def _number_at(words: list[str], position: int) -> tuple[int, Fraction | None]:
    """Where the number that begins at `position` ends, and its value."""
    total = group = 0
    seen = False
    while position < len(words):
        word = words[position]
        if word in _SMALL:
            small = _SMALL[word]
            if seen and group % 100 and not (group % 10 == 0 and group % 100 >= 20 and 0 < small < 10):
                break  # two numbers: "three four"
            group += small
        elif word == "hundred" and seen:
            group = max(group, 1) * 100
        elif word in _LARGE and seen:
            total, group = total + max(group, 1) * _LARGE[word], 0
        elif word == "dozen" and seen:
            return position + 1, Fraction(total + group * 12)
        elif word == "dozen":
            return position + 1, Fraction(12)
        elif word == "half" and not seen:
            return position + 1, Fraction(1, 2)
        elif word == "and" and seen and position + 1 < len(words) and words[position + 1] in _SMALL and group % 100 == 0 and group:
            position += 1
            continue
        else:
            break
        seen = True
        position += 1
    if not seen:
        return position, None
    value = total + group
    if position + 1 < len(words) and words[position] == "point" and _SMALL.get(words[position + 1], 10) < 10:
        digits = ""
        while (position := position + 1) < len(words) and _SMALL.get(words[position], 10) < 10:
            digits += str(_SMALL[words[position]])
        return position, value + Fraction(int(digits), 10 ** len(digits))
    part = words[position] if position < len(words) else ""
    if part in _PARTS or (value == 1 and part in _ONE_PART):
        return position + 1, Fraction(value, _PARTS.get(part) or _ONE_PART[part])
    return position, Fraction(value)
