"""Where a response states its answer: after `####`, in `\\boxed{}`, after "the answer is", in the field of a JSON object.

A place that holds only the form of an answer (`#### N`, `"answer": "___"`) is an echo of the instruction and no statement.
What follows a first answer under a new "Question:" belongs to another question and is not read.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import islice

from aftune.answers.verdicts import FORMATS, Format
from aftune.common.errors import UsageError

MAX_TEXT = 100_000  # characters of a response, from its end; a longer one is a run-on
MAX_STATEMENT = 400  # characters
MAX_BOX = 4_000
_MAX_MARKERS = 20_000
_FEW_MARKERS = 40  # where there are many: only this many of the first and of the last are looked at

_WORD = r"(?<![A-Za-z])(?:answers?|ans)(?![A-Za-z])"
# "(yes or no)", "[in dollars]" after "answer": at least a word, not the letter of an option.
_ASIDE = r"(?:\s*[(\[](?=[^()\[\]\n]{0,78}[A-Za-z]{2})[^()\[\]\n]{0,80}[)\]])?"
_ABOUT = rf"{_ASIDE}(?:\s+(?:to|for|of|in)\b(?:(?!,\s*(?:as|since|because|but|so|which|and)\b)[^.:\n=;]){{0,80}}?)?{_ASIDE}"
_MARKERS = {
    "hashes": r"(?P<hashes>#{4,})",
    "boxed": r"(?P<boxed>(?:\\(?:begin)?(?:boxed|fbox)(?![A-Za-z])|(?<![A-Za-z\\])boxed(?=\{)))",
    "tag": r"(?P<tag><(?:final[_ ]?)?answer>)",
    "json": r"(?P<json>\\{0,2}[\"'](?:[a-z]{1,12}[_ ])?answer\\{0,2}[\"']\s*:)",
    "phrase": (
        rf"(?P<phrase>{_WORD}(?:\*\*|__|[\"'`\\])*{_ABOUT}\s*"
        r"(?::|=|->|\b(?:is|are|was|will be|would be|should be|must be|could be)\b)"
        r"(?:\s*(?:therefore|thus|then|simply|just|indeed|clearly|hence)\b)?)"
    ),
    "line": r"(?P<line>^[ \t>*_]*A[*_]*:)",
}


# What a text must contain (in lower case) to contain such a marker: this rules most texts out.
_SIGNS = {"hashes": "####", "boxed": "box", "tag": "answer>", "json": "answer", "phrase": "ans", "line": "a"}
# What may stand before a sign and belong to its marker, at most so many characters.
_BEFORE_SIGN = re.compile(r"(?:\\{0,2}[\"'](?:[a-z]{1,12}[_ ])?|<(?:final[_ ]?)?|\\(?:begin)?f?)\Z")
_BEFORE = 16
_LINE = re.compile(r"\n[ \t>*_]*a[*_]*:")


@cache
def _pattern(kinds: frozenset[str]) -> re.Pattern[str]:
    return re.compile("|".join(_MARKERS[kind] for kind in _MARKERS if kind in kinds), re.IGNORECASE | re.MULTILINE)


def _markers(text: str, lower: str, kinds: frozenset[str]) -> Iterator[re.Match[str]]:
    """As `_pattern(kinds).finditer(text)`, several times as fast: it tries the pattern only where a marker can begin."""
    pattern = _pattern(kinds)
    if len(lower) != len(text):  # places in the two are not the same (İ)
        yield from pattern.finditer(text)
        return
    end = 0
    for place in sorted(_places(lower, kinds)):
        match = pattern.match(text, place) if place >= end else None
        if match:
            end = match.end()
            yield match


def _places(lower: str, kinds: frozenset[str]) -> set[int]:
    """Where a marker can begin in a text in lower case."""
    places: set[int] = set()
    for sign in {"ans" if "ans" in _SIGNS[kind] else _SIGNS[kind] for kind in kinds} - {"a"}:
        place = lower.find(sign)
        while place >= 0:
            places.add(place)
            before = _BEFORE_SIGN.search(lower, max(0, place - _BEFORE), place) if sign != "####" else None
            if before:
                places.add(before.start())
            place = lower.find(sign, place + len(sign))
    if "line" in kinds:
        places.update(match.start() + 1 for match in _LINE.finditer(lower))
        places.add(0)
    return places


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
_OPENING = re.compile(r"(?:[\s*_`:]|(?<=\n)>)*")
_ONLY_BRACKETS = re.compile(r"(?!\W{0,3}(?:\(\s*\)|\[\s*\]|\{\s*\}|<\s*>)\W{0,3}$)[\s\"'`.,]*[<>()\[\]{}][\s\"'`.,<>()\[\]{}]*")
_LEAD = re.compile(r"(?:the\s+)?(?:final\s+)?(?:correct\s+)?answer\s*(?:is\b)?[\s:*_]*", re.IGNORECASE)
_BOX_JOINT = re.compile(r"[\s$\\(),.;]*(?:and|or|,)?[\s$\\(]*")


@dataclass(frozen=True, slots=True)
class Statement:
    """`text`: what stands in the place of the answer. `end`: where the rest of the response begins. `kind`: the marker's.
    `opens`: whether the marker ends in a colon, as one before a whole solution does."""

    text: str
    start: int
    end: int
    kind: str
    opens: bool = False


_THOUGHT_ENDS = re.compile(r"</(?:think|thinking|thought|reasoning|scratchpad)>", re.IGNORECASE)


def shorten(text: str) -> str:
    return text if len(text) <= MAX_TEXT else text[-MAX_TEXT:]


def after_thinking(text: str) -> str:
    """What follows the last `</think>`, where anything does."""
    if "</" not in text:
        return text
    end = max((match.end() for match in _THOUGHT_ENDS.finditer(text)), default=0)
    return text[end:] if text[end:].strip() else text


def statements(text: str, kinds: frozenset[str], is_form: Callable[[str], bool] = lambda _: False) -> list[Statement]:
    """All statements after markers of those kinds, up to the next question, in order; mere forms of an answer are left out."""
    found: list[Statement] = []
    stop = len(text)
    lower = text.lower()
    kinds = frozenset(kind for kind in kinds if _SIGNS[kind] in lower)
    if not kinds:
        return []
    matches = list(islice(_markers(text, lower, kinds), _MAX_MARKERS))
    if len(matches) > 2 * _FEW_MARKERS:  # endless repetition
        matches = matches[:_FEW_MARKERS] + matches[-_FEW_MARKERS:]
    for match in matches:
        if match.start() >= stop:
            break
        kind = match.lastgroup or ""
        statement = _READERS.get(kind, _line)(text, match, kind)
        if statement is None or _is_empty(statement) or is_form(statement.text):
            continue
        if kind == "hashes" and _HEADING.match(statement.text):
            continue
        if not found:
            following = _NEXT_QUESTION.search(text, statement.end)
            stop = following.start() if following else stop
        joined = found and kind == found[-1].kind == "boxed" and _joint(text, found[-1], statement)
        if joined:
            last = found.pop()
            statement = join(last, statement)
        found.append(statement)
    return found


def join(first: Statement, second: Statement) -> Statement:
    """Two statements as one; the same text is not repeated."""
    text = first.text if first.text == second.text else f"{first.text}, {second.text}"
    return Statement(text, first.start, second.end, second.kind)


_ALL_KINDS = frozenset(_MARKERS)


def _is_empty(statement: Statement) -> bool:
    """Whether a statement holds nothing, or only the form of an answer; brackets that a sentence gives are an answer."""
    if not _EMPTY_FORM.fullmatch(statement.text):
        return False
    return statement.kind in ("json", "boxed") or not _ONLY_BRACKETS.fullmatch(statement.text)


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
        return Statement(quoted[0], match.start(), start + offset + quoted[1], kind)
    line = line.split("\n", 1)[0].rstrip()
    if kind == "json":
        line = _UNQUOTED.match(line)[0].rstrip()  # type: ignore[index]
    if "<" in line:
        line = _TAGS.sub("", line)
    if kind == "hashes":  # a later marker on the same line is a statement of its own
        line = line.split("####", 1)[0]
    return Statement(line, match.start(), start + offset + len(line), kind, match.group().endswith(":"))


_QUOTED = re.compile(r"\"((?:[^\"\\\n]|\\.)*+)\"")
_ESCAPED = re.compile(r"\\{1,2}\"((?:[^\"\\\n]|\\[^\"])*+)\\{1,2}\"")  # JSON within a JSON string
_SINGLE = re.compile(r"'((?:[^'\\\n]|\\.)*+)'(?=\s*(?:[,}\]]|$))")  # a dictionary as Python prints it
_ANOTHER = re.compile(r"\s*(?:or|and|,|/|nor)\s*(?:and|or)?\s*[\"“(\[]", re.IGNORECASE)  # `"shop" or "road"`
_PROPER = re.compile(r"(?:[^\\]|\\[\"\\/]|\\u[0-9a-fA-F]{4}|\\[nt](?![a-z]))*")
_UNQUOTED = re.compile(r"(?:(?!,\s*[\"'\n]|\}\s*$).)*")
_TAGS = re.compile(r"</?(?:final[_ ]?)?answer>", re.IGNORECASE)


def _quoted(line: str) -> tuple[str, int] | None:
    """What quotation marks at the beginning of a line hold, and where they end; None where there are none, or several."""
    pattern = _QUOTED if line.startswith('"') else _ESCAPED if line.startswith("\\") else _SINGLE
    match = pattern.match(line)
    if match is None or (pattern is not _SINGLE and _ANOTHER.match(line, match.end())):
        return None
    text = match[1]
    if pattern is _QUOTED and "\\" in text:
        text = json.loads(f'"{text}"', strict=False) if _PROPER.fullmatch(text) else text.replace('\\"', '"')
    return text, match.end()


def _tagged(text: str, match: re.Match[str], kind: str) -> Statement | None:
    """The last line in `<answer>...</answer>`; without the second tag, which may have ended the response, the first line."""
    start = match.end()
    end = text.find("</", start, start + MAX_BOX)
    held = text[start : end if end >= 0 else start + MAX_STATEMENT].strip()
    if end < 0:
        held = held.split("\n", 1)[0].rstrip()
    return Statement(held.rsplit("\n", 1)[-1].strip(), match.start(), start + len(held), kind)


def _boxed(text: str, match: re.Match[str], kind: str) -> Statement | None:
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


_READERS: dict[str, Callable[[str, re.Match[str], str], Statement | None]] = {"boxed": _boxed, "tag": _tagged}


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
    found = all_asked_for(text, form, is_form)
    return found[-1] if found else None


def all_asked_for(text: str, form: Format, is_form: Callable[[str], bool] = lambda _: False) -> list[Statement]:
    """The statements in the format that was asked for: those after the thoughts, where there are any, else all."""
    if form not in _KINDS:
        raise UsageError(f"form is {form!r}, expected {', '.join(FORMATS)}")
    answer = after_thinking(text)
    found = statements(answer, _KINDS[form], is_form)
    return found if found or len(answer) == len(text) else statements(text, _KINDS[form], is_form)


def any_format(text: str, line_marker: bool, is_form: Callable[[str], bool] = lambda _: False) -> list[Statement]:
    """The statements in any format; the last one counts. A JSON field takes precedence over phrases of the reasoning beside it."""
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


__all__ = [
    "MAX_STATEMENT",
    "MAX_TEXT",
    "Statement",
    "after_thinking",
    "all_asked_for",
    "any_format",
    "asked_for",
    "before_next_question",
    "join",
    "shorten",
]
