"""Several boxes of one answer: `\\boxed{2} \\quad \\text{and} \\quad \\boxed{6}`."""

import re

from aftune.answers.statements import Statement, join

_DECORATION = re.compile(
    r"\\(?:text|textbf|mathrm|mbox)\s*\{([^{}]*)\}|\\q?quad|\\[,;:! ()\[\]]|[$&]|(?<![A-Za-z])[A-Za-z](?:_\{?\w+\}?)?\s*=|\([a-z]\)"
    r"|[{}]"
)
_WORDS = re.compile(r"[A-Za-z]+")
_BREAKS = re.compile(
    r"\b(?:then|thus|therefore|so|hence|but|wait|no|not|actually|instead|correct\w*|mistake|sorry|however|is|are|was|gives?|answer|final|"
    r"hmm|recheck|check|rather|becomes?)\b",
    re.IGNORECASE,
)
_CORRECTS = re.compile(
    r"\b(?:but|wait|no|not|actually|instead|correct\w*|mistake|sorry|however|answer|final|hmm|recheck|check|rather)\b",
    re.IGNORECASE,
)
_JOINS = re.compile(r",|;|\b(?:and|or)\b")
_OTHER_CASE = re.compile(r"\b(?:if|when|otherwise|or|while)\b", re.IGNORECASE)
_NAME_BEFORE = re.compile(r"([A-Za-z](?:_\{?\w+\}?)?)\s*(?:=|\\in)\s*$")
_MAX_BETWEEN = 80


def is_box(text: str) -> bool:
    return "boxed" in text or "fbox" in text


def join_boxes(text: str, found: list[Statement]) -> list[Statement]:
    """The statements, with boxes that together are one answer joined into a list."""
    joined: list[Statement] = []
    for statement in found:
        last = joined[-1] if joined else None
        if last is not None and last.kind == statement.kind == "boxed" and _belongs(text, last, statement):
            joined[-1] = join(last, statement)
        else:
            joined.append(statement)
    return joined


def _belongs(text: str, first: Statement, second: Statement) -> bool:
    between = text[first.end : second.start]
    if len(between) > 2 * _MAX_BETWEEN or "\n\n" in between:
        return False
    bare = _DECORATION.sub(lambda match: f" {match[1] or ''} ", between)
    if _OTHER_CASE.search(bare) and not _CORRECTS.search(bare):
        names = [_NAME_BEFORE.search(text[max(0, s.start - 30) : s.start]) for s in (first, second)]
        if names[0] and names[1] and names[0][1] == names[1][1] and first.text != second.text:
            return True
    if len(between) > _MAX_BETWEEN or "." in between or _BREAKS.search(bare):
        return False
    return (bool(_JOINS.search(bare)) and len(_WORDS.findall(bare)) <= 5) or not bare.strip(" \n")


__all__ = ["is_box", "join_boxes"]
