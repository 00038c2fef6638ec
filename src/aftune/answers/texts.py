"""Short answers in words: yes or no, a name, a phrase."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from aftune.answers import numbers
from aftune.answers.cleaning import clean, plain
from aftune.answers.statements import MAX_STATEMENT, Statement, after_thinking, any_format, asked_for, before_next_question, shorten
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
_VERDICT_ALONE = re.compile(r"^\W*(yes|no|true|false)\b(?=\s*(?:[.,:;!*–—-]|$))", re.IGNORECASE)
_VERDICT_WORD = re.compile(r"\b(?:yes|no|true|false)\b", re.IGNORECASE)
_VERDICT_LINE = re.compile(r"^\W{0,5}(yes|no|true|false)\b", re.IGNORECASE | re.MULTILINE)
_YES_OR_NO = re.compile(
    r"answers?\s*[(\[]\s*(?:yes|no|true|false)\W{1,3}(?:or\W{1,3})?(?:yes|no|true|false)\s*[)\]]", re.IGNORECASE
)
# What comes before an answer without changing it: doubt, emphasis, the letter of an option.
_HEDGE = re.compile(
    r"(?:(?:most|very|quite|highly|almost|more)?\s*(?:likely|probably|certainly|definitely|clearly|surely|simply|obviously|possibly|"
    r"presumably|technically|usually|generally|typically|basically|essentially|actually|indeed|again|also|still|just|perhaps|maybe|"
    r"for sure|of course|so|therefore|thus|hence|that|it(?:'s| is)|(?:to|would|will|should|must|can|could) be|i think|i believe|"
    r"is|a (?:clear|definite|definitive|resounding|simple|strong|firm))(?![A-Za-z'])[\s,:]*)+",
    re.IGNORECASE,
)
_OPTION = re.compile(r"\W*(?:\([A-Z]\)|[A-Z][).:])\s*(?=\S)")
_BOTH = re.compile(r"(yes|no|true|false)\W+(?:and\W+|or\W+|but\W+|also\W+)*(yes|no|true|false)\b")
_NO_BUT_NO_ANSWER = re.compile(r"no (?:one|body|idea|answer|definit\w+|clear)\b")
_SECOND_THOUGHT = re.compile(r"\b(?:wait|sorry|correction|scratch that|on second thought)\b")


def normal(text: str) -> str:
    """The text in lower case, without punctuation and articles."""
    words = _WORD.findall(plain(clean(text)).casefold().replace("’", "'"))
    kept = [word for word in words if word not in _ARTICLES]
    return " ".join(kept or words)


def texts_equal(answer: str, gold: str) -> bool:
    """Whether the words, the number or the truth value are the same: an answer to a yes/no question counts by its first word. Words
    of doubt and the letter of an option before an answer do not count; in an answer of symbols, everything but spaces does."""
    if not (_WORD.search(answer) and _WORD.search(gold)) or _is_symbols(answer) or _is_symbols(gold):
        return _symbols(answer) == _symbols(gold) != ""
    left, right = normal(answer), normal(gold)
    if left == right or _spelled(answer) == right:
        return True
    bare = _without_hedges(answer)
    if right in _TRUTH:
        return _truth(bare) is _TRUTH[right]
    return (bare != answer and normal(bare) == right) or numbers.numbers_equal(answer, gold)


def _is_symbols(text: str) -> bool:
    return not any(character.isalnum() for character in text)


def _symbols(text: str) -> str:
    return re.sub(r"\s+", "", clean(text)).strip("\"'`") or re.sub(r"\s+", "", text)


def _spelled(text: str) -> str:
    """Letters one by one ("n a o a") as the word that they spell."""
    letters = _outer(text).casefold()
    return letters.replace(" ", "") if re.fullmatch(r"\w(?: \w)+", letters) else ""


def _without_hedges(text: str) -> str:
    text = _outer(text)
    for pattern in (_HEDGE, _OPTION, _HEDGE):
        match = pattern.match(text)
        if match and match.end() < len(text):
            text = _outer(text[match.end() :])
    return text


def _outer(text: str) -> str:
    return clean(text).strip(_OUTER)


def _truth(text: str) -> bool | None:
    """The truth value that an answer begins with; None where it begins otherwise, or takes that back."""
    words = normal(text)
    first = words.split(" ", 1)[0]
    both = _BOTH.match(words)
    contradicts = both is not None and _TRUTH[both[1]] is not _TRUTH[both[2]]
    if first not in _TRUTH or contradicts or _NO_BUT_NO_ANSWER.match(words) or _SECOND_THOUGHT.search(words):
        return None
    return _TRUTH[first]


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
            return _stated(statement, text) if statement else NOTHING
        text = after_thinking(text)
        found = any_format(text, line_marker=True)
        if found:
            return _stated(found[-1], text)
        text = before_next_question(text, lambda before: bool(before.strip()))
        lines = [line for line in clean(text[-4000:]).split("\n") if line.strip()]
        if not lines:
            return NOTHING
        last = _of(lines[-1][-MAX_STATEMENT:])
        verdict = _VERDICT_AT_START.match(lines[-1][:100]) or (len(lines) > 1 and _VERDICT_ALONE.match(lines[0][:100]))
        if last.answer is not None and (len(last.answer.split()) <= MAX_WORDS or len(lines) == 1) and not verdict:
            return last
        return Found(verdict[1], "read") if verdict else Found(None, "no answer", lines[-1][:80])

    def equal(self, answer: str, gold: str, options: Sequence[str] | None = None) -> bool:
        return texts_equal(answer, gold)


def _stated(statement: Statement, text: str) -> Found:
    """What a statement gives. "The answer (yes or no) is followed by an explanation" gives nothing yet: the next line that
    begins with one of the two does."""
    if _YES_OR_NO.match(text, statement.start) and not _VERDICT_WORD.search(statement.text[:MAX_STATEMENT]):
        later = _VERDICT_LINE.search(text, statement.end, statement.end + 4 * MAX_STATEMENT)
        if later:
            return Found(later[1], "read")
    return _of(statement.text[:MAX_STATEMENT])


def _of(statement: str) -> Found:
    text = clean(statement).strip()
    if _is_symbols(text):
        text = text.strip(" \t\r\n\"'`*,.:;")
        return Found(text, "read") if any(not character.isspace() and character not in "?!$\\" for character in text) else NOTHING
    text = _MARKUP.sub("", plain(text)).strip()
    end = _SENTENCE_END.search(text)
    if end and end.start():
        text = text[: end.start()]
    text = text.strip(_OUTER)
    if text.startswith("(") and text.endswith(")") and "(" not in text[1:]:
        text = text[1:-1].strip(_OUTER)
    return Found(text, "read") if _WORD.search(text) else Found(None, "no answer", statement[:80])


TEXT = TextKind()
