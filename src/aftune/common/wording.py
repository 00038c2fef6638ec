"""Wording of messages."""


def counted(number: float, noun: str) -> str:
    """`1 epoch`, `2.5 epochs`, `1,280 candidates`: a number with its noun, which must have a regular plural."""
    text = f"{number:,}" if isinstance(number, int) else f"{number:g}"
    return f"{text} {noun}" if number == 1 else f"{text} {noun}s"
