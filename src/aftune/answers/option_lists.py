"""Lists of options that a response repeats: they are no answer."""

import re
from itertools import islice, pairwise

from aftune.answers.options import normal, parse_options
from aftune.answers.statements import Statement
from aftune.records.questions import LETTERS

_CUT_LABEL = re.compile(r"\s*\(?[A-Z]?\)?\s*")
_ITEM = re.compile(r"(?<![A-Za-z0-9'’])(?:\(([A-Za-z])\)|([A-Z])[).:])(?=\s?[^\s.,;])")
_OPENING = re.compile(r"[ *_\n]*")
_LIST_LINE = re.compile(r"^[\s*>\-]*(?:\(([A-Za-z])\)|([A-Za-z])[).:])\W*\S.*$", re.MULTILINE)
_INLINE_LABEL = re.compile(r"(?<![A-Za-z0-9])(?:\(([A-Z])\)|([A-Z])[).:])(?=\s?[^\s.,;])")


def without_echoes(found: list[Statement], text: str, options: tuple[str, ...]) -> list[Statement]:
    """The statements that do not repeat the options; after one that does, the first line of another list that was cut off does
    not count either."""
    answers = [statement for statement in found if not _is_list(statement, text, options)]
    if answers and len(answers) < len(found) and _CUT_LABEL.fullmatch(text, answers[-1].end):
        last = answers[-1]
        first_line = re.match(r"[^\n]*\n\s*\(?A[).:]", text[last.start :])
        return answers[:-1] if first_line else answers
    return answers


def _is_list(statement: Statement, text: str, options: tuple[str, ...]) -> bool:
    """Whether a statement only repeats the options: two labels in order, followed by the texts of those options; or A, B and
    a third where the texts are not known, or A and B where the list begins on a line of its own."""
    start = _OPENING.match(text, max(0, statement.end - len(statement.text))).end()  # type: ignore[union-attr]
    if not _ITEM.match(text, start):
        return False
    items = list(islice(_ITEM.finditer(text, start, statement.end + 600), 4))
    if len(items) < 2:
        return False
    letters = [(item[1] or item[2]).upper() for item in items]
    in_order = next((n for n in range(1, len(items)) if ord(letters[n]) != ord(letters[0]) + n), len(items))
    if in_order < 2:
        return False
    if options:
        texts = [normal(text[item.end() : following.start()]) for item, following in pairwise(items[: in_order + 1])]
        known = [option.text for option in parse_options(options)]
        first = LETTERS.index(letters[0])
        if first < len(known) and texts and texts[0] == known[first]:
            tail = normal(text[items[1].end() :].lstrip()[: len(known[first + 1]) + 40]) if first + 1 < len(known) else ""
            return bool(tail) and (tail + " ").startswith(known[first + 1])
    own_line = "\n" in text[statement.start : items[0].start()]
    return letters[0] == "A" and (in_order >= 3 or own_line)


def without_lists(text: str) -> str:
    """The text with lists of options blanked out: labels A, B, ... that follow one another, on lines or within one."""
    spans: list[tuple[int, int]] = []
    for pattern in (_LIST_LINE, _INLINE_LABEL):
        run: list[re.Match[str]] = []
        for match in [*pattern.finditer(text), None]:
            letter = (match[1] or match[2]).upper() if match else ""
            before = (run[-1][1] or run[-1][2]).upper() if run else ""
            near = bool(run and match and len(text[run[-1].end() : match.start()].strip()) <= (0 if pattern is _LIST_LINE else 120))
            if match and run and near and letter == chr(ord(before) + 1):
                run.append(match)
                continue
            cut_off = bool(spans and run) and match is None and pattern is _LIST_LINE and _is_cut_off(text, run[-1])
            if (len(run) >= 2 or cut_off) and (run[0][1] or run[0][2]).upper() == "A":
                end = len(text) if _CUT_LABEL.fullmatch(text, run[-1].end()) else run[-1].end()
                if pattern is _INLINE_LABEL:
                    line_end = text.find("\n", end)
                    end = min(len(text) if line_end < 0 else line_end, end + 120)
                    stop = re.search(r"[.!?](?:\s|$)", text[run[-1].end() : end])
                    end = run[-1].end() + stop.end() if stop else end
                spans.append((run[0].start(), end))
            run = [match] if match else []
    for start, end in spans:
        text = text[:start] + re.sub(r"[^\n]", " ", text[start:end]) + text[end:]
    return text


def _is_cut_off(text: str, item: re.Match[str]) -> bool:
    """Whether an item after "Answer:" is all that there is of another list."""
    return _CUT_LABEL.fullmatch(text, item.end()) is not None and text[: item.start()].rstrip().endswith(":")
