"""Where a response states its answer: after `####`, in `\\boxed{}`, after "the answer is", in the field of a JSON object.

A place that holds only the form of an answer (`#### N`, `"answer": "___"`) is an echo of the instruction and no statement.
What follows a first answer under a new "Question:" belongs to another question and is not read.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import islice

from aftune.answers.verdicts import FORMATS, Format

MAX_TEXT = 100_000  # characters of a response, from its end; a longer one is a run-on
MAX_STATEMENT = 400  # characters
MAX_BOX = 4_000
_MAX_MARKERS = 20_000
_FEW_MARKERS = 40  # of many: so many of the first and of the last are looked at

_WORD = r"(?<![A-Za-z])(?:answers?|ans)(?![A-Za-z])"
_ABOUT = r"(?:\s+(?:to|for|of|in)\b[^.:\n=]{0,80}?)?"
_MARKERS = {
    "hashes": r"(?P<hashes>#{4,})",
    "boxed": r"(?P<boxed>\\(?:boxed|fbox)(?![A-Za-z]))",
    "json": r"(?P<json>\\{0,2}[\"'](?:[a-z]{1,12}[_ ])?answer\\{0,2}[\"']\s*:)",
    "phrase": (
        rf"(?P<phrase>{_WORD}(?:\*\*|__|[\"'`\\])*{_ABOUT}\s*"
        r"(?::|=|->|(?:is|are|was|will be|would be|should be|must be)\b)"
        r"(?:\s*(?:therefore|thus|then|simply|just|indeed|clearly|hence)\b)?)"
    ),
    "line": r"(?P<line>^[ \t>*_]*A[*_]*:)",
}


# What a text must hold (in lower case) to hold such a marker: most texts are done with at this.
_SIGNS = {"hashes": "####", "boxed": "box", "json": "answer", "phrase": "ans", "line": "a"}


@cache
def _pattern(kinds: frozenset[str]) -> re.Pattern[str]:
    return re.compile("|".join(_MARKERS[kind] for kind in _MARKERS if kind in kinds), re.IGNORECASE | re.MULTILINE)


_NEXT_QUESTION = re.compile(
    r"\n[ \t]*(?:[#>*_]+[ \t]*)?(?:(?:new |next |another |your |follow-up )?(?:question|problem|task|exercise|instruction)"
    r"(?:\s*(?:#|no\.?)?\s*\d{1,4})?[*_]*\s*(?::|\n|$)|Q\d{0,3}[*_]*[:.)]|(?:Human|User)[*_]*:)"
    r"|<\|(?:im_start|user|start_header_id|begin_of_text|endoftext)\|?>|<(?:start_of_turn|end_of_turn)>|\n\[INST\]",
    re.IGNORECASE,
)
_HEADING = re.compile(
    r"\s*(?:\**\s*)?(?:step|part|case|method|approach|question|problem|example|explanation|reasoning|note|analysis|given|"
    r"calculat\w*|verif\w*|understand\w*|instruction|(?:solution|conclusion)(?![^\n]*\d))s?\b",
    re.IGNORECASE,
)
_EMPTY_FORM = re.compile(
    r"[\s\"'`*\\(]*(?:\?+|_{2,}|\.{2,}|…+|<[^<>\d]{2,60}>|\[[^\[\]\d]{2,60}\]|\{[^{}\d]{2,60}\}|"
    r"(?:your |the |final |my |numeric(?:al)? )*"
    r"(?:answer|number|value|result)(?: here)?|LETTER|\$LETTER)?[\s\"'`*.,:;}\])\\]*",
    re.IGNORECASE,
)
_OPENING = re.compile(r"[\s*_`:>]*")
_LEAD = re.compile(r"(?:the\s+)?(?:final\s+)?(?:correct\s+)?answer\s*(?:is\b)?[\s:*_]*", re.IGNORECASE)
_BOX_JOINT = re.compile(r"[\s$\\(),.;]*(?:and|or|,)?[\s$\\(]*")


@dataclass(frozen=True, slots=True)
class Statement:
    """`text`: what stands in the place of the answer. `end`: where the rest of the response begins. `kind`: of the marker.
    `opens`: whether the marker ends in a colon, as one before a whole solution does."""

    text: str
    start: int
    end: int
    kind: str
    opens: bool = False


def shorten(text: str) -> str:
    return text if len(text) <= MAX_TEXT else text[-MAX_TEXT:]


def statements(text: str, kinds: frozenset[str], is_form: Callable[[str], bool] = lambda _: False) -> list[Statement]:
    """All statements of those kinds of markers up to the next question, in order; forms of an answer are left out."""
    found: list[Statement] = []
    stop = len(text)
    lower = text.lower()
    kinds = frozenset(kind for kind in kinds if _SIGNS[kind] in lower)
    if not kinds:
        return []
    matches = list(islice(_pattern(kinds).finditer(text), _MAX_MARKERS))
    if len(matches) > 2 * _FEW_MARKERS:  # endless repetition
        matches = matches[:_FEW_MARKERS] + matches[-_FEW_MARKERS:]
    for match in matches:
        if match.start() >= stop:
            break
        kind = match.lastgroup or ""
        statement = _boxed(text, match) if kind == "boxed" else _line(text, match, kind)
        if statement is None or _EMPTY_FORM.fullmatch(statement.text) or is_form(statement.text):
            continue
        if kind == "hashes" and _HEADING.match(statement.text):
            continue
        if not found:
            following = _NEXT_QUESTION.search(text, statement.end)
            stop = following.start() if following else stop
        joined = found and kind == found[-1].kind == "boxed" and _joint(text, found[-1], statement)
        if joined:
            last = found.pop()
            statement = Statement(f"{last.text}, {statement.text}", last.start, statement.end, kind)
        found.append(statement)
    return found


_ALL_KINDS = frozenset(_MARKERS)


def _line(text: str, match: re.Match[str], kind: str) -> Statement | None:
    """The first line after a marker that says something, without the words that only announce an answer."""
    start = match.end()
    window = text[start : start + MAX_STATEMENT]
    offset = _OPENING.match(window).end()  # type: ignore[union-attr]
    lead = _LEAD.match(window, offset)
    if lead:
        offset = lead.end()
    opening = window[:offset]
    line = window[offset:]
    if kind == "phrase" and opening.count("\n") > 2:
        return None
    quoted = _quoted(line) if kind in ("json", "phrase") else None
    if quoted is None and kind == "json" and line.startswith('"') and "\n" not in line.strip() and len(window) < MAX_STATEMENT:
        return None  # cut off in the middle of the answer
    if quoted is not None:
        return Statement(quoted, match.start(), start + offset + len(quoted) + 2, kind)
    line = line.split("\n", 1)[0].rstrip()
    if kind == "hashes":  # a later marker of the same line is a statement of its own
        line = line.split("####", 1)[0]
    return Statement(line, match.start(), start + offset + len(line), kind, match.group().endswith(":"))


_QUOTED = re.compile(r"\\{0,2}\"((?:[^\"\\\n]|\\[^\"])*+)\\{0,2}\"")


def _quoted(line: str) -> str | None:
    if not line.startswith(('"', '\\"', '\\\\"')):
        return None
    match = _QUOTED.match(line)
    return match[1] if match else None


def _boxed(text: str, match: re.Match[str]) -> Statement | None:
    """What `\\boxed{...}` holds; None where its brace is not closed: the response was cut off in the middle of the answer."""
    position = match.end()
    while position < len(text) and text[position] in " \t":
        position += 1
    if position >= len(text):
        return None
    if text[position] != "{":
        word = re.match(r"[^\s$}]{1,40}", text[position : position + 40])
        return Statement(word.group(), match.start(), position + word.end(), "boxed") if word else None
    depth, index, stop = 0, position, min(len(text), position + MAX_BOX)
    while index < stop:
        character = text[index]
        if character == "\\":
            index += 1
        elif character == "{":
            depth += 1
        elif character == "}":
            depth -= 1
            if not depth:
                return Statement(text[position + 1 : index].strip(), match.start(), index + 1, "boxed")
        index += 1
    return None


def _joint(text: str, first: Statement, second: Statement) -> bool:
    between = text[first.end : second.start]
    return len(between) < 24 and "\n\n" not in between and bool(_BOX_JOINT.fullmatch(between)) and bool(between.strip(" $\n\\()"))


_KINDS: dict[Format, frozenset[str]] = {
    "hashes": frozenset(("hashes",)),
    "boxed": frozenset(("boxed",)),
    "phrase": frozenset(("phrase",)),
    "json": frozenset(("json",)),
}


def asked_for(text: str, form: Format, is_form: Callable[[str], bool] = lambda _: False) -> Statement | None:
    """The last statement in the format that was asked for: what a strict reading reads."""
    if form not in _KINDS:
        raise ValueError(f"form is {form!r}, expected {', '.join(FORMATS)}")
    found = statements(text, _KINDS[form], is_form)
    return found[-1] if found else None


def any_format(text: str, line_marker: bool, is_form: Callable[[str], bool] = lambda _: False) -> list[Statement]:
    """The statements in any format, the one that counts last: a JSON field goes before phrases of the reasoning beside it."""
    kinds = _ALL_KINDS if line_marker else _ALL_KINDS - {"line"}
    found = statements(text, kinds, is_form)
    fields = [statement for statement in found if statement.kind == "json"]
    if fields and not any(s.kind in ("hashes", "boxed") and s.start > fields[-1].end for s in found):
        return fields
    return found


def before_next_question(text: str, says_something: Callable[[str], bool]) -> str:
    """The text up to a next question, where something was said before it."""
    match = _NEXT_QUESTION.search(text)
    return text[: match.start()] if match and says_something(text[: match.start()]) else text


__all__ = ["MAX_STATEMENT", "MAX_TEXT", "Statement", "any_format", "asked_for", "before_next_question", "shorten"]
