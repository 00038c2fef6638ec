"""Counts in sentences."""


def counted(number: float, noun: str) -> str:
    """`1 seed`, `2,400 seeds`, `2.5 epochs`."""
    shown = f"{number:,}" if isinstance(number, int) else f"{number:g}"
    return f"{shown} {noun}" if shown == "1" else f"{shown} {noun}s"
