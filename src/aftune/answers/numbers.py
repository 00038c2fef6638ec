"""Numbers as people and models write them: `#### 1,234`, `$18.00`, `3 1/2 cups`, `1.2 \\times 10^3`, `50%`, `The answer is 7.`

A value is an exact fraction. Words after a number are units and mean nothing; a percent sign, "cents", "dozen", "million" may
be part of the value or a unit that the gold answer leaves out: both ways of reading them are accepted.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from aftune.answers.circumstances import DESCRIBES, answer_of
from aftune.answers.cleaning import clean, plain
from aftune.answers.number_values import MAX_DIGITS, ONE, SIMPLE, TOKEN, Number, Token, decimal, same_number, tokens_of, value_of
from aftune.answers.number_words import words_to_number
from aftune.answers.statements import MAX_STATEMENT, Statement, after_thinking, any_format, asked_for, before_next_question, shorten
from aftune.answers.verdicts import NOTHING, Format, Found, Reading

_MAX_NUMBERS = 40  # in a statement; more are no answer

_MINUS_WORDS = re.compile(r"\b(?:minus|negative)\s+(?=[$€£]?\s?[0-9.])", re.IGNORECASE)
_EQUALS = re.compile(r"(?<![<>!=])={1,3}(?!>)|[≈≅≃→]|=>|->|\bequals?(?: to)?\b", re.IGNORECASE)
_TWO_EQUATIONS = re.compile(r"[0-9][^=]*?(?:,|;|\band\b|\bor\b)\s*[A-Za-z]\w{0,2}\s*$")
_PARENTHESES = re.compile(r"[(\[][^()\[\]]*[)\]]")
_MAX_SENTENCE = 600
_SENTENCE_BREAK = re.compile(r"(?<=[^\s.])[.!?](?=\s)")
_SENTENCE_END = re.compile(r"(?<=[^\s.])[.!?](?=[\s\"'*)\]}]|$)")
_NOT_THIS_BUT = re.compile(r"^\W*not\b.*?\b(?:but|rather|instead)\b", re.IGNORECASE)
_NOT_THIS = re.compile(r"^\W*(?:not|n't)\s", re.IGNORECASE)
# Words that begin an explanation: what follows is not a second answer.
_EXPLAINS = re.compile(
    r"\b(?:because|since|as|for|from|of|in|on|at|per|after|before|with|without|out|which|where|that|when|if|while|each|every|"
    r"given|than|but|not|is|are|was|were|has|have|had|so|would|will|"
    r"can|using|by (?:adding|taking|the)|due|instead|who|left|remain\w*)\b",
    re.IGNORECASE,
)
_JOINS = re.compile(
    r"\b(?:and|or|through|until|vs|plus|minus|times|by|x)\b|\bto\b(?:\W*|\W+(?:about|almost|around|nearly|over)\W+)$"
    r"|[,;/&+*×÷^|-]|…|\.\.",
    re.IGNORECASE,
)
_BOLD = re.compile(r"\*\*([^*\n]{1,200}?)\*\*")
_MARKDOWN = re.compile(r"(?<![0-9])\*\*|\*\*(?![0-9])|__|`")
_OPERATOR = re.compile(r"[*×÷+^/]")
_CUT_BOX = re.compile(r"\\boxed\s*\{[^\n]*$")
_DIGIT = re.compile(r"[0-9]")
_FORM = re.compile(r"[\s\"'`*_$\\({\[<]*(?:N|X|XX+|#+|num)[\s\"'`*_$.\\)}\]>]*")


def parse(text: str) -> Number | None:
    """The number that a short text gives, units included; None where it gives none, or more than one."""
    if text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS:
        return Number(Fraction(int(text)), ONE)
    if len(text) > MAX_DIGITS:
        return None
    simple = SIMPLE.fullmatch(text)
    if simple:
        face = decimal(simple[2])
        return None if face is None else Number(-face if simple[1] else face, ONE)
    token, _ = _only_number(text)
    return token.number if token is not None else None


def parse_whole(text: str) -> Number | None:
    """The number that a whole text is; None for what is not a number, or holds several numbers or a word that is not a unit."""
    match = TOKEN.fullmatch(clean(text).strip().rstrip("."))
    return value_of(match) if match and not match["date"] else None


def parse_number(text: str) -> Fraction | None:
    """The value of a number as people write it: sign, currency, separators, decimals, fraction, power of ten.

    `50%` is 1/2 here. None for what is not a number, or holds several numbers or a word that is not a unit.
    """
    number = parse_whole(text)
    return number.value if number is not None else None


def numbers_equal(answer: str, gold: str) -> bool:
    """Whether both are numbers of the same value (`3,000` and `3000.0` are, `1/2` and `50%` are, `50%` and `50` are)."""
    left = parse(answer)
    if left is None:
        return False
    right = left if answer == gold else parse(gold)
    return right is not None and same_number(left, right)


def _only_number(statement: str) -> tuple[Token | None, str]:
    """The one number that a statement gives; or None and the reason: "no answer" or "ambiguous"."""
    text = _MARKDOWN.sub(" ", plain(clean(statement[:MAX_STATEMENT])))
    text = _MINUS_WORDS.sub("-", text)
    text = _NOT_THIS_BUT.sub(" ", text)
    if _NOT_THIS.match(text):
        return None, "no answer"
    text = _first_sentence(text)
    if "(" in text or "[" in text:
        outside = _PARENTHESES.sub(" ", text)
        if _DIGIT.search(outside) and not re.search(r"[-+*/×^=]\s*$|[-+*/×^]\s{2,}", outside):
            text = outside
    parts = _EQUALS.split(text)
    if len(parts) > 1:
        if any(_TWO_EQUATIONS.search(part) for part in parts[1:-1]):
            return None, "ambiguous"
        text = next((part for part in reversed(parts) if _DIGIT.search(part)), text)
    tokens = []
    for token in tokens_of(text):
        tokens.append(token)
        if len(tokens) > _MAX_NUMBERS:
            return None, "ambiguous"
    return _choose(tokens, text)


def _first_sentence(text: str) -> str:
    """Up to the end of the sentence that holds the first number; all of it where equations follow one another."""
    first = _DIGIT.search(text)
    if first is None:
        return text
    end = _SENTENCE_END.search(text, first.end())
    if end is None or ("=" in text[: end.start()] and "=" in text[end.start() :]):
        return text
    return text[: end.start()]


def _choose(tokens: list[Token], text: str) -> tuple[Token | None, str]:
    if not tokens:
        return None, "no answer"
    first, value = tokens[0], tokens[0].number
    if value is None:
        return None, "ambiguous"
    if first.operator and first.start == 0:
        first = Token(first.start, first.end, first.text, value, False)
    position = first.end
    for token in tokens[1:]:
        gap = text[position : token.start]
        if not token.operator and not gap.strip() and DESCRIBES.match(text, token.end):
            position = token.end
            continue
        if token.operator or _OPERATOR.search(gap.strip(" *") if "**" not in gap else gap):
            return None, "ambiguous"
        if token.number is None or not same_number(value, token.number):
            if _EXPLAINS.search(gap):
                break
            if _JOINS.search(gap) or len(gap.split()) <= 2:
                return None, "ambiguous"
            break
        position = token.end
    else:
        rest = text[position:].lstrip()
        if rest[:1] in ("+", "*", "×", "÷", "/", "^") and rest[1:].strip()[:1].isalnum() and rest[:1] != "/":
            return None, "ambiguous"
    before = text[: first.start].rstrip()
    if before[-1:] in ("+", "*", "×", "÷", "^", "/") or re.search(r"(?:sqrt|log|ln|sin|cos|tan|±|\\pm|√)\s*[({]?$", before):
        return None, "ambiguous"
    return first, "read"


def stated(text: str, words: bool = True) -> Found:
    """The number that the text in the place of an answer gives. `words`: whether "twelve" counts as one."""
    simple = SIMPLE.fullmatch(text)
    if simple and decimal(simple[2]) is not None:
        return Found(simple[0].rstrip("."), "read")
    token, reason = _only_number(text)
    if token is not None:
        return Found(token.text, "read")
    if reason == "no answer" and words:
        value = words_to_number(plain(clean(text[:MAX_STATEMENT])))
        if value is not None:
            return Found(str(value), "read")
    return Found(None, "ambiguous" if reason == "ambiguous" else "no answer", text[:80])


@dataclass(frozen=True, slots=True)
class NumberKind:
    """Answers that are one number. `form`: what the prompt asks for. `words`: whether "twelve" counts as one."""

    form: Format = "hashes"
    words: bool = True

    @property
    def name(self) -> str:
        return "number"

    def read(self, text: str, reading: Reading, options: Sequence[str] | None = None) -> Found:
        """The number as written, without the words around it. Where a statement gives several ("3 to 5", "5 apples and 3
        pears") or none that could be named without calculating ("2 + x", "3:30"), it is ambiguous."""
        text = shorten(text)
        if reading == "strict":
            statement = asked_for(text, self.form, _is_form)
            return self._of(statement) if statement else NOTHING
        text = after_thinking(text)
        found = any_format(text, line_marker=True, is_form=_is_form)
        for statement in reversed(found):
            if statement.kind in ("phrase", "line") and self._is_preamble(statement, text):
                continue
            return self._of(statement)
        return self._last_of(text)

    def _of(self, statement: Statement) -> Found:
        return stated(statement.text, self.words)

    def _is_preamble(self, statement: Statement, text: str) -> bool:
        """Whether "Answer:" only opens the working: the statement gives no number by itself or is a step, and the working
        goes on."""
        rest = text[statement.end :]
        if not _DIGIT.search(rest):
            return False
        rest = before_next_question(rest, lambda before: bool(before.strip()))
        if not _DIGIT.search(rest):
            return False
        first = _DIGIT.search(statement.text)
        step = "=" in statement.text or (first is not None and len(statement.text[: first.start()].split()) > 6)
        return (step and statement.opens) or self._of(statement).answer is None

    def _last_of(self, text: str) -> Found:
        """A number of the last sentence that has one: the last in bold, else what follows the last "=", else the last."""
        text = before_next_question(text[-2000:], lambda before: bool(_DIGIT.search(before)))
        if _CUT_BOX.search(text[-200:]) and "}" not in text[text.rindex("\\boxed") :]:
            return Found(None, "no answer", "cut off in the middle of \\boxed{")
        text = plain(clean(text))
        lines = [line for line in text.split("\n") if _DIGIT.search(line)]
        if not lines:
            return NOTHING
        line = lines[-1]
        line = line[max(0, _last_digit(line) - _MAX_SENTENCE) : _last_digit(line) + _MAX_SENTENCE]
        sentence = next(part for part in reversed(_SENTENCE_BREAK.split(line)) if _DIGIT.search(part))
        bold = [part for part in _BOLD.findall(sentence) if _DIGIT.search(part)]
        if bold:
            token, _ = _only_number(bold[-1])
            if token is not None:
                return Found(token.text, "read")
        tokens = list(tokens_of(sentence.replace("*", " ") if "**" in sentence else sentence))
        if not tokens:
            return NOTHING
        after = max((match.end() for match in _EQUALS.finditer(sentence)), default=-1)
        if after >= 0:
            token, _ = _choose(list(tokens_of(sentence[after:])), sentence[after:])
            if token is not None:
                return Found(token.text, "read")
        last = answer_of(tokens, sentence)
        if last.number is None or (last.operator and "=" not in sentence[tokens[-2].end if len(tokens) > 1 else 0 : last.start]):
            return Found(None, "ambiguous", sentence[-80:])
        return Found(last.text, "read")

    def equal(self, answer: str, gold: str, options: Sequence[str] | None = None) -> bool:
        return numbers_equal(answer, gold)


def _last_digit(line: str) -> int:
    """The position of the last digit in a line that has one."""
    return max(line.rfind(digit) for digit in "0123456789")


def _is_form(text: str) -> bool:
    return _FORM.fullmatch(text) is not None


NUMBER = NumberKind()
_DIGITS_ONLY = NumberKind(words=False)


def extract_number(text: str, reading: Reading) -> str | None:
    """The number, in digits, that a response ends with, as written; None where there is none or none that is certain.

    `strict` reads the line after the last `####` of the first answer only. `flexible` reads the last statement in any
    format, and where nothing is stated the last number of the text.
    """
    return _DIGITS_ONLY.read(text, reading).answer


__all__ = [
    "NUMBER",
    "Number",
    "NumberKind",
    "extract_number",
    "numbers_equal",
    "parse",
    "parse_number",
    "parse_whole",
    "same_number",
    "stated",
]
