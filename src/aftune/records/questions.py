"""Questions: which are the same, and the letters of their options."""

from collections.abc import Sequence

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def normalised(question: str) -> str:
    """Questions that differ in white space only are the same."""
    return " ".join(question.split())


def question_key(question: str, options: Sequence[str] | None = None) -> str:
    """What equal questions have in common, whatever their white space; options belong to the question."""
    return "\n".join(map(normalised, (question, *(options or ()))))
