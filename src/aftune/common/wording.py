"""Wording of messages."""


def counted(number: int, noun: str) -> str:
    """`1 field`, `2 fields`: a number with its noun, which must have a regular plural."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
