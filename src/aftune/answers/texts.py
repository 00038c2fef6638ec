"""Short answers in words: yes or no, a name, a phrase."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from aftune.answers import numbers
from aftune.answers.cleaning import clean, plain
from aftune.answers.statements import MAX_STATEMENT, any_format, asked_for, before_next_question, shorten
from aftune.answers.verdicts import NOTHING, Format, Found, Reading

MAX_WORDS = 12  # of a last line that is an answer by itself

_TRUTH = {"yes": True, "yeah": True, "yep": True, "true": True, "correct": True, "no": False, "nope": False, "false": False}
_TRUTH |= {"incorrect": False}
_ARTICLES = frozenset(("a", "an", "the"))
_WORD = re.compile(r"[^\W_]+(?:['’\-.][^\W_]+)*|[%$€£°+<>=]")
_SENTENCE_END = re.compile(r"(?<=[^\s.A-Z])[.!?](?=[\s\"'*)]|$)")
_MARKUP = re.compile(r"\*\*|__|`|\$")
_OUTER = " \t\r\n\"'*_`.,:;!{}\\"
_VERDICT_AT_START = re.compile(r"^\W*(?:so|thus|therefore|hence|then)?\W*(yes|no|true|false)\b", re.IGNORECASE)


def normal(text: str) -> str:
    """Lower case, without punctuation and articles."""
    words = _WORD.findall(plain(clean(text)).casefold().replace("’", "'"))
    kept = [word for word in words if word not in _ARTICLES]
    return " ".join(kept or words)


def texts_equal(answer: str, gold: str) -> bool:
    """The same words, the same number, or the same truth value: an answer to a yes/no question counts by its first word."""
    left, right = normal(answer), normal(gold)
    if not left or not right:
        return answer.strip() == gold.strip() != ""
    if left == right:
        return True
    if right in _TRUTH:
        first = left.split()[0]
        both = {_TRUTH[word] for word in left.split() if word in ("yes", "no", "true", "false")}
        return first in _TRUTH and _TRUTH[first] == _TRUTH[right] and len(both) == 1
    return numbers.numbers_equal(answer, gold)


@dataclass(frozen=True, slots=True)
class TextKind:
    """Answers that are a few words. `form`: what the prompt asks for."""

    form: Format = "phrase"

    @property
    def name(self) -> str:
        return "text"

    def read(self, text: str, reading: Reading, options: Sequence[str] | None = None) -> Found:
        """The words of the statement, up to the end of its sentence."""
        text = shorten(text)
        if reading == "strict":
            statement = asked_for(text, self.form)
            return _of(statement.text[:MAX_STATEMENT]) if statement else NOTHING
        found = any_format(text, line_marker=True)
        if found:
            return _of(found[-1].text[:MAX_STATEMENT])
        text = before_next_question(text, lambda before: bool(before.strip()))
        lines = [line for line in clean(text[-4000:]).split("\n") if line.strip()]
        if not lines:
            return NOTHING
        last = _of(lines[-1][-MAX_STATEMENT:])
        if last.answer is not None and len(last.answer.split()) <= MAX_WORDS:
            return last
        verdicts = [match for match in (_VERDICT_AT_START.match(line) for line in (lines[-1][:100], lines[0][:100])) if match]
        return Found(verdicts[0][1], "read") if verdicts else Found(None, "no answer", lines[-1][:80])

    def equal(self, answer: str, gold: str, options: Sequence[str] | None = None) -> bool:
        return texts_equal(answer, gold)


def _of(statement: str) -> Found:
    text = _MARKUP.sub("", plain(clean(statement))).strip()
    end = _SENTENCE_END.search(text)
    if end and end.start():
        text = text[: end.start()]
    text = text.strip(_OUTER)
    if text.startswith("(") and text.endswith(")"):
        text = text[1:-1].strip(_OUTER)
    return Found(text, "read") if _WORD.search(text) else Found(None, "no answer", statement[:80])


TEXT = TextKind()
