"""Wording of messages."""

import re

_BREAK = re.compile(r"\s*[\r\n\v\f\x85\u2028\u2029]\s*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")  # and halves of surrogate pairs, which cannot be printed


def counted(number: float, noun: str) -> str:
    """`1 epoch`, `2.5 epochs`, `1,280 candidates`: a number with its noun, which must have a regular plural."""
    text = f"{number:,}" if isinstance(number, int) else f"{number:g}"
    return f"{text} {noun}" if number == 1 else f"{text} {noun}s"


def one_line(text: str) -> str:
    """A text without line breaks, and with escapes for what would do something to a terminal."""
    return _CONTROL.sub(lambda found: repr(found[0])[1:-1], _BREAK.sub(" ", text.strip()))


def cut_short(text: str, most: int = 100) -> str:
    """The start of a text that may have any length."""
    return text if len(text) <= most else f"{text[:most]}..."
