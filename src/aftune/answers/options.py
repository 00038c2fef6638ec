"""The options of a multiple-choice question: their texts and values, and which of them are the same."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from aftune.answers import numbers
from aftune.answers.cleaning import clean, plain
from aftune.records.questions import LETTERS

LABEL = re.compile(r"\s*(?:\(([A-Za-z])\)|([A-Za-z])\s?(?:[):]|\.(?![A-Za-z]\.)))[).:]?\s*")
_NUMBER_WRITTEN = re.compile(r"(?<![^\W_])[-+]?\s?[$€£]?\s?(?:\d[\d.,]*(?:\s?/\s?\d+|\s\d+/\d+)?|\.\d+)")
_MORE_THAN_A_UNIT = re.compile(r"\d(?!\b(?<=[a-z]\d))|[-+*=^√π×/]|\b[a-z]\b(?=\s*#)")
_WORDS = re.compile(r"[^\W_]+(?:[.,/'’][^\W_]+)*|[^\w\s.,;:!?'\"()\[\]{}`]")


@dataclass(frozen=True, slots=True)
class Option:
    text: str  # normalised
    number: numbers.Number | None
    unit: str | None  # normalised text around its number; None where it is not simply a number with a unit


@lru_cache(maxsize=512)
def parse_options(options: tuple[str, ...]) -> tuple[Option, ...]:
    parsed = []
    for index, option in enumerate(options):
        label = LABEL.match(option)
        if label and (label[1] or label[2]).upper() == LETTERS[index]:
            option = option[label.end() :]
        text = normal(option)
        number = numbers.parse(option) if re.search(r"\d", option) else None
        parsed.append(Option(text, number, _unit(text)))
    return tuple(parsed)


def _unit(text: str) -> str | None:
    """The words around the one number of a normalised text; None where it has several numbers, a variable or an operation."""
    around = _NUMBER_WRITTEN.sub("#", text, count=1)
    return None if _MORE_THAN_A_UNIT.search(around) else around


def normal(text: str) -> str:
    words = _WORDS.findall(plain(clean(text)).casefold())
    while words and words[0] in ("a", "an", "the"):
        words = words[1:]
    return " ".join(words)


def same_option(options: Sequence[str], left: str, right: str) -> bool:
    """Whether two letters name options with the same text or the same value in the same unit."""
    if left == right:
        return True
    parsed = parse_options(tuple(options))
    first, second = (LETTERS.find(letter) for letter in (left, right))
    if not (0 <= first < len(parsed) and 0 <= second < len(parsed)):
        return False
    a, b = parsed[first], parsed[second]
    if a.text and a.text == b.text:
        return True
    if a.number is None or b.number is None or a.unit is None or b.unit is None:
        return False
    plain_units = _unit_words(a.unit) == _unit_words(b.unit) or a.number.scale != b.number.scale
    return a.number.value == b.number.value and plain_units


def _unit_words(unit: str) -> str:
    return re.sub(r"[#\s%$€£]|e#", "", unit)
