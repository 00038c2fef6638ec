"""Reading the final answer out of a response and comparing it with the gold one. Answers are parsed, never evaluated."""

from typing import Literal

from aftune.answers.numbers import extract_number, numbers_equal, parse_number

Reading = Literal["strict", "flexible"]

__all__ = ["Reading", "extract_number", "numbers_equal", "parse_number"]
