"""What reading and judging an answer give, and what a kind of answer has to offer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from aftune.common.errors import UsageError

Reading = Literal["strict", "flexible"]
# The format that a prompt asks for, and the only one that a strict reading knows.
Format = Literal["hashes", "boxed", "phrase", "json"]
Reason = Literal["matched", "different", "no answer", "ambiguous", "timed out"]
FORMATS: tuple[Format, ...] = ("hashes", "boxed", "phrase", "json")


@dataclass(frozen=True, slots=True)
class Found:
    """An answer that was read, or the reason why none was; `detail` says more for people, where there is more to say."""

    answer: str | None
    reason: Literal["read", "no answer", "ambiguous"]
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`answer`: as it was read, None where none was. Only `matched` is right; only `different` is known to be wrong."""

    answer: str | None
    right: bool
    reason: Reason
    detail: str = ""


class TimedOut(Exception):  # noqa: N818 - an outcome, not a fault
    """Comparing two answers took more time or memory than is allowed."""


class AnswerKind(Protocol):
    """How answers of one kind are read and compared. Holds no state that an answer could change."""

    @property
    def name(self) -> str: ...

    @property
    def form(self) -> Format:
        """The format that the prompt asks for, and that a strict reading knows."""
        ...

    def read(self, text: str, reading: Reading, options: Sequence[str] | None = None) -> Found:
        """The final answer of a response. `options`: those of a multiple-choice question."""
        ...

    def equal(self, answer: str, gold: str, options: Sequence[str] | None = None) -> bool:
        """Whether an answer that `read` gave is the gold one; raises TimedOut where that could not be decided."""
        ...


NOTHING = Found(None, "no answer")


def judge(kind: AnswerKind, text: str, gold: str, reading: Reading = "strict", options: Sequence[str] | None = None) -> Verdict:
    """Reads the final answer of a response and compares it with the gold one. No text raises an error; a reading or a form that
    does not exist raises UsageError."""
    if reading not in ("strict", "flexible"):
        raise UsageError(f"reading is {reading!r}, expected strict or flexible")
    found = kind.read(text, reading, options)
    if found.answer is None or found.reason == "no answer" or found.reason == "ambiguous":
        return Verdict(None, False, "ambiguous" if found.reason == "ambiguous" else "no answer", found.detail)
    try:
        right = kind.equal(found.answer, gold, options)
    except TimedOut as error:
        return Verdict(found.answer, False, "timed out", str(error))
    return Verdict(found.answer, right, "matched" if right else "different")


def judge_both(kind: AnswerKind, text: str, gold: str, options: Sequence[str] | None = None) -> dict[Reading, Verdict]:
    """The verdicts of the strict and of the flexible reading."""
    return {"strict": judge(kind, text, gold, "strict", options), "flexible": judge(kind, text, gold, "flexible", options)}
