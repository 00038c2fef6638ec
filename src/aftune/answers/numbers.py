"""Numbers as people and models write them: `#### 1,234`, `$18.00`, `3 1/2 cups`, `1.2 \\times 10^3`, `50%`, `The answer is 7.`

A value is an exact fraction. Words after a number are units and mean nothing; a percent sign, "cents", "dozen", "million" may
be part of the value or a unit that the gold answer leaves out: both ways of reading them are accepted.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from aftune.answers.cleaning import clean, plain
from aftune.answers.number_words import words_to_number
from aftune.answers.statements import MAX_STATEMENT, Statement, any_format, asked_for, before_next_question, shorten
from aftune.answers.verdicts import NOTHING, Format, Found, Reading

MAX_DIGITS = 400  # of a number, and the largest power of ten
_CJK = 0x2E80  # from here on scripts that write no space between words
_MAX_NUMBERS = 40  # in a statement; more is no answer

_SCALES = {
    "%": Fraction(1, 100), "percent": Fraction(1, 100), "per cent": Fraction(1, 100), "pct": Fraction(1, 100),
    "¢": Fraction(1, 100), "cent": Fraction(1, 100), "cents": Fraction(1, 100),
    "dozen": Fraction(12), "hundred": Fraction(100), "thousand": Fraction(10**3), "k": Fraction(10**3),
    "million": Fraction(10**6), "mn": Fraction(10**6), "billion": Fraction(10**9), "bn": Fraction(10**9),
    "trillion": Fraction(10**12), "lakh": Fraction(10**5), "crore": Fraction(10**7),
}  # fmt: skip
_TOKEN = re.compile(
    r"""
    (?P<date> [0-9]{1,4}[:/][0-9]{1,2}[:/][0-9]{1,4}(?:[:/][0-9]+)* | [0-9]{4}-[0-9]{2}-[0-9]{2}(?![0-9])
            | (?<![0-9.,])[0-9]+(?:\.[0-9]+)?\s?:\s?[0-9]+(?:\.[0-9]+)?(?![0-9]) )
    | (?P<sign>[-+](?:\s(?=\s?[0-9$€£¥₹.]))?)?
      (?:(?P<currency>[$€£¥₹]|(?<![A-Za-z])(?:Rs\.?(?=[\s0-9])|USD|EUR|GBP|INR))[ ]?)?
      (?P<sign2>[-+][ ]?)?
      (?P<body> (?<![0-9])[0-9]{1,3}(?:[ '_][0-9]{3})+(?![0-9])(?:\.[0-9]+)? | [0-9]+(?:[.,][0-9]+)* | (?<![0-9])\.[0-9]+ )
      (?: [ ]?/[ ]?(?P<den>[0-9]+(?:[.,][0-9]+)*)(?![0-9/])
        | (?:[ ]+(?:and[ ]+)?|-)(?P<mnum>[0-9]{1,6})/(?P<mden>[0-9]{1,6})(?![0-9/.])
        | [eE](?P<exp>[-+]?[0-9]{1,9})(?![0-9.,A-Za-z])
        | [ ]?(?:[×x*·⋅∙])[ ]?10[ ]?\^[ ]?\(?(?P<sci>[-+]?[0-9]{1,9})\)?
        | [ ]?\^[ ]?\(?(?P<power>[-+]?[0-9]{1,9})\)?
      )?
      (?: [ ]?(?P<sign_of>[%¢])
        | [ -]?(?P<scale>percent|per[ ]cent|pct|cents?|dozen|hundred|thousand|million|billion|trillion|mn|bn|lakh|crore)(?![A-Za-z])
        | (?P<k>[kK])(?![A-Za-z0-9])
      )?
    """,
    re.VERBOSE | re.IGNORECASE,
)
_PLAIN = re.compile(r"[0-9]+(?:\.[0-9]+)?|\.[0-9]+")
_GROUPED = re.compile(r"[1-9][0-9]{0,2}(?:,[0-9]{3})+(?:\.[0-9]+)?|[1-9][0-9]?(?:,[0-9]{2})+,[0-9]{3}(?:\.[0-9]+)?")
_EUROPEAN = re.compile(r"[1-9][0-9]{0,2}(?:\.[0-9]{3})+,[0-9]+|[1-9][0-9]{0,2}(?:\.[0-9]{3}){2,}|[1-9][0-9]{3,},[0-9]{2}")
_SPACED = re.compile(r"[0-9]{1,3}(?:[ '_][0-9]{3})+(?:\.[0-9]+)?")
_SIMPLE = re.compile(r"(-?)\$?((?<![0-9.,])[0-9]+(?:[.,][0-9]+)*)\.?")  # how most answers are written
_VARIABLE = re.compile(r"[xyznabwtruvi](?![A-Za-z])|[*×·]?\(|\s?(?:π|√|\\(?:pi|sqrt))")

_MINUS_WORDS = re.compile(r"\b(?:minus|negative)\s+(?=[$€£]?\s?[0-9.])", re.IGNORECASE)
_EQUALS = re.compile(r"(?<![<>!=])={1,3}(?!>)|[≈≅≃→]|=>|->|\bequals?(?: to)?\b", re.IGNORECASE)
_TWO_EQUATIONS = re.compile(r"[0-9][^=]*?(?:,|;|\band\b|\bor\b)\s*[A-Za-z]\w{0,2}\s*$")
_PARENTHESES = re.compile(r"[(\[][^()\[\]]*[)\]]")
_MAX_SENTENCE = 600
_SENTENCE_BREAK = re.compile(r"(?<=[^\s.])[.!?](?=\s)")
_SENTENCE_END = re.compile(r"(?<=[^\s.])[.!?](?=[\s\"'*)\]}]|$)")
_NOT_THIS_BUT = re.compile(r"^\W*not\b.*?\b(?:but|rather|instead)\b", re.IGNORECASE)
_NOT_THIS = re.compile(r"^\W*(?:not|n't)\s", re.IGNORECASE)
# Words that begin an explanation: what follows is no second answer.
_EXPLAINS = re.compile(
    r"\b(?:because|since|as|for|from|of|in|on|at|per|after|before|with|without|out|which|where|that|when|if|while|each|every|"
    r"given|than|but|not|is|are|was|were|has|have|had|so|would|will|"
    r"can|using|by (?:adding|taking|the)|due|instead|who|left|remain\w*)\b",
    re.IGNORECASE,
)
_JOINS = re.compile(
    r"\b(?:and|or|through|until|vs|plus|minus|times|by|x)\b|\bto\b(?:\W*|\W+(?:about|almost|around|nearly|over)\W+)$|[,;/&+*×÷^|-]|…|\.\.",
    re.IGNORECASE,
)
# After a number: it describes what is counted ("6 12-inch pizzas", "100 5th graders").
_DESCRIBES = re.compile(r"-[A-Za-z]|(?:st|nd|rd|th)\b", re.IGNORECASE)
# Before a number: it belongs to the circumstances ("12 stamps on 6 sheets"), unless "of" follows what is asked for.
_CIRCUMSTANCE = re.compile(
    r"(?<![A-Za-z])(?:(?<!total )(?<!sum )(?<!cost )(?<!price )(?<!amount )(?<!average )(?<!profit )(?<!value )(?<!result )(?<!number )"
    r"(?<!maximum )(?<!minimum )(?<!distance )(?<!answer )of|on|in|for|per|from|at|after|before|(?<!left )(?<!up )(?<!start )(?<!started )(?<!begin )(?<!began )(?<!ended )with|than|over|under|within|during|every|"
    r"each|among|between|until|across|step|part|case|d'ici|dans|pour|par)\s+"
    r"(?:(?:the|a|an|all(?<!in all)|her|his|their|its|your|my|our|those|these|only|about|just|another|first|last|next|remaining|other|same|those)\s+)*"
    r"(?:age\s+)?$",
    re.IGNORECASE,
)
_DURATION = re.compile(r"\s*(?:second|minute|hour|day|week|month|year)s?\b", re.IGNORECASE)
_PURPOSE = re.compile(
    r"^(?:(?!\b(?:so|and|which|that|means|would|will|left|was|were|is|are|if|then)\b)[^,;:])*?\bto\s+(?!be\b|get\b|make\b)"
    r"(?:(?!\b(?:so|and|which|that|means|would|will|left|was|were|is|are|if|then)\b)[^,;:])*$",
    re.IGNORECASE,
)
_SIGN_FOLLOWS = re.compile(r"\b(?:is|are|was|be|of|to|at|get|gets|gives|equals)\s*$", re.IGNORECASE)
_BOLD = re.compile(r"\*\*([^*\n]{1,200}?)\*\*")
_MARKDOWN = re.compile(r"(?<![0-9])\*\*|\*\*(?![0-9])|__|`")
_OPERATOR = re.compile(r"[*×÷+^/]")
_CUT_BOX = re.compile(r"\\boxed\s*\{[^\n]*$")
_DIGIT = re.compile(r"[0-9]")
_FORM = re.compile(r"[\s\"'`*_$\\({\[<]*(?:N|X|XX+|#+|num)[\s\"'`*_$.\\)}\]>]*")


@dataclass(frozen=True, slots=True)
class Number:
    """`face`: as written. `scale`: what its unit multiplies it with (percent 1/100), 1 without such a unit."""

    face: Fraction
    scale: Fraction

    @property
    def value(self) -> Fraction:
        return self.face * self.scale


@dataclass(frozen=True, slots=True)
class _Token:
    start: int
    end: int
    text: str
    number: Number | None  # None: a time, a date, a malformed number, a term with a variable
    operator: bool  # its sign stands between two numbers


_ONE = Fraction(1)
_FLOAT_ERROR = Fraction(2, 10**15)


def _tokens(text: str) -> Iterator[_Token]:
    for match in _TOKEN.finditer(text):
        start, end = match.span()
        if match["date"]:
            yield _Token(start, end, match.group(), None, False)
            continue
        body_start = match.start("body")
        before = text[body_start - 1] if body_start and not match["currency"] else " "
        if _is_letter(before) or before in "_^" or (before == "." and body_start > 1 and text[body_start - 2].isalnum()):
            continue  # x2, m^2, log_2
        operator = False
        if match["sign"]:
            left = text[:start].rstrip()[-1:]
            if left.isdigit() or left in (")", "%", "]"):
                operator = True
            elif left.isalpha() and not text[start - 1].isspace():
                operator = True  # covid-19, May-5: a hyphen
            elif left.isalpha() and match["sign"][-1].isspace() and not _SIGN_FOLLOWS.search(text[:start]):
                operator = True  # x - 3
        number = None if _VARIABLE.match(text, end) else _value(match, operator)
        written = match.group().strip()
        if operator:
            written = written.lstrip("+- ")
        yield _Token(start, end, written, number, operator)


def _is_letter(character: str) -> bool:
    """Whether a number right after this character belongs to a word (x2); in scripts without spaces it does not."""
    return character.isalpha() and ord(character) < _CJK


def _value(match: re.Match[str], operator: bool = False) -> Number | None:
    face = _decimal(match["body"])
    if face is None or (match["sign"] and match["sign2"]):
        return None
    if match["den"]:
        denominator = _decimal(match["den"])
        if not denominator:
            return None
        face /= denominator
    elif match["mnum"]:
        if face.denominator != 1 or not int(match["mden"]):
            return None
        face += Fraction(int(match["mnum"]), int(match["mden"]))
    else:
        exponent = match["exp"] or match["sci"]
        if exponent:
            if abs(int(exponent)) > MAX_DIGITS:
                return None
            face *= Fraction(10) ** int(exponent)
        elif match["power"]:
            power = int(match["power"])
            if abs(power) * len(match["body"]) > MAX_DIGITS or (power < 0 and not face):
                return None
            face = face**power
    negative = ((match["sign"] or "").startswith("-") and not operator) != (match["sign2"] or "").startswith("-")
    if negative:
        face = -face
    unit = match["sign_of"] or match["scale"] or match["k"]
    return Number(face, _SCALES[" ".join(unit.lower().split())] if unit else _ONE)


def _decimal(body: str) -> Fraction | None:
    """The value of digits with separators; None where they can be read in two ways (`12,34`) or in none (`1.2.3`)."""
    if len(body) > MAX_DIGITS:
        return None
    if body.isdigit():
        return Fraction(int(body))
    if _GROUPED.fullmatch(body):
        body = body.replace(",", "")
    elif _SPACED.fullmatch(body):
        body = body.replace(" ", "").replace("'", "").replace("_", "")
    elif _EUROPEAN.fullmatch(body):
        body = body.replace(".", "").replace(",", ".")
    elif not _PLAIN.fullmatch(body):
        return None
    whole, _, decimals = body.partition(".")
    return Fraction(int((whole + decimals) or "0"), 10 ** len(decimals))


def parse(text: str) -> Number | None:
    """The number that a short text is, units included; None where it is none, or more than one."""
    if text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS:
        return Number(Fraction(int(text)), _ONE)
    if len(text) > MAX_DIGITS:
        return None
    simple = _SIMPLE.fullmatch(text)
    if simple:
        face = _decimal(simple[2])
        return None if face is None else Number(-face if simple[1] else face, _ONE)
    token, _ = _only_number(text)
    return token.number if token is not None else None


def parse_whole(text: str) -> Number | None:
    """The number that all of a text is; None for what is no number, holds several numbers or any other word than a unit."""
    match = _TOKEN.fullmatch(clean(text).strip().rstrip("."))
    return _value(match) if match and not match["date"] else None


def parse_number(text: str) -> Fraction | None:
    """The value of a number as people write it: sign, currency, separators, decimals, fraction, power of ten.

    `50%` is 1/2 here. None for what is no number, holds several numbers or any other word than a unit.
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


def same_number(left: Number, right: Number) -> bool:
    """Equal in value, or as written where only one of them has a percent sign or another unit that multiplies."""
    if left.scale == right.scale:
        return left.face == right.face or _rounded(left.face, right.face) or _float_noise(left.face, right.face)
    if left.value == right.value:
        return True
    return (left.scale == 1 or right.scale == 1) and left.face == right.face


def _float_noise(left: Fraction, right: Fraction) -> bool:
    """Whether two numbers differ as two results of floating-point arithmetic do: one of them has fifteen digits or more, not all
    before the point, and they agree to all of these but the last."""
    if abs(left - right) > _FLOAT_ERROR * abs(left):
        return False
    return any(value.denominator > 1 and len(str(abs(value.numerator))) >= 15 and _num_decimals(value) for value in (left, right))


def _rounded(left: Fraction, right: Fraction) -> bool:
    """Whether one has no finite decimals (1/3) and the other is it, rounded or cut to three significant digits or more."""
    decimals_left, decimals_right = _num_decimals(left), _num_decimals(right)
    if (decimals_left is None) == (decimals_right is None):
        return False
    exact, short, decimals = (left, right, decimals_right) if decimals_left is None else (right, left, decimals_left)
    scaled = short * 10 ** (decimals or 0)
    if not decimals or abs(scaled) < 100:
        return False
    beyond = abs(exact * 10**decimals) - abs(scaled)  # 0 to 1 where it was cut, -1/2 to 1/2 where it was rounded
    return bool((exact < 0) == (scaled < 0) and Fraction(-1, 2) <= beyond < 1)


def _num_decimals(value: Fraction) -> int | None:
    """Decimal places of a value; None where they have no end."""
    rest, twos, fives = value.denominator, 0, 0
    while rest % 2 == 0:
        rest, twos = rest // 2, twos + 1
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    return max(twos, fives) if rest == 1 else None


def _only_number(statement: str) -> tuple[_Token | None, str]:
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
    for token in _tokens(text):
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


def _choose(tokens: list[_Token], text: str) -> tuple[_Token | None, str]:
    if not tokens:
        return None, "no answer"
    first = tokens[0]
    if first.number is None:
        return None, "ambiguous"
    if first.operator and first.start == 0:
        first = _Token(first.start, first.end, first.text, first.number, False)
    value = tokens[0].number or first.number
    assert value is not None
    position = first.end
    for token in tokens[1:]:
        gap = text[position : token.start]
        if not token.operator and not gap.strip() and _DESCRIBES.match(text, token.end):
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


@dataclass(frozen=True, slots=True)
class NumberKind:
    """Answers that are one number. `form`: what the prompt asks for. `words`: whether "twelve" is one too."""

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
        found = any_format(text, line_marker=True, is_form=_is_form)
        for statement in reversed(found):
            if statement.kind in ("phrase", "line") and self._is_preamble(statement, text):
                continue
            return self._of(statement)
        return self._last_of(text)

    def _of(self, statement: Statement) -> Found:
        simple = _SIMPLE.fullmatch(statement.text)
        if simple and _decimal(simple[2]) is not None:
            return Found(simple[0].rstrip("."), "read")
        token, reason = _only_number(statement.text)
        if token is not None:
            return Found(token.text, "read")
        if reason == "no answer" and self.words:
            value = words_to_number(plain(clean(statement.text[:MAX_STATEMENT])))
            if value is not None:
                return Found(str(value), "read")
        return Found(None, "ambiguous" if reason == "ambiguous" else "no answer", statement.text[:80])

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
        """The last number, of the last sentence that has one: in bold, or after "=", or simply the last."""
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
        tokens = list(_tokens(sentence.replace("*", " ") if "**" in sentence else sentence))
        if not tokens:
            return NOTHING
        after = max((match.end() for match in _EQUALS.finditer(sentence)), default=-1)
        if after >= 0:
            token, _ = _choose(list(_tokens(sentence[after:])), sentence[after:])
            if token is not None:
                return Found(token.text, "read")
        last = _stated_last(tokens, sentence)
        if last.number is None or (last.operator and "=" not in sentence[tokens[-2].end if len(tokens) > 1 else 0 : last.start]):
            return Found(None, "ambiguous", sentence[-80:])
        return Found(last.text, "read")

    def equal(self, answer: str, gold: str, options: Sequence[str] | None = None) -> bool:
        return numbers_equal(answer, gold)


def _last_digit(line: str) -> int:
    """Where the last digit of a line that has one stands."""
    return max(line.rfind(digit) for digit in "0123456789")


def _is_circumstance(token: _Token, sentence: str) -> bool:
    before = _CIRCUMSTANCE.search(sentence[max(0, token.start - 60) : token.start])
    # "in 3 hours" may be the answer as well as what it is asked for
    return before is not None and not (before.group().lower().startswith("in ") and _DURATION.match(sentence, token.end))


def _stated_last(tokens: list[_Token], sentence: str) -> _Token:
    """The last number of a sentence that is not one of its circumstances; the last one where all of them are, or where the
    sentence calculates."""
    if len(tokens) == 1 or any(token.operator or token.number is None for token in tokens):
        return tokens[-1]
    free = [token for token in tokens if not _is_circumstance(token, sentence)]
    if not free:
        return tokens[-1]
    kept = free[:1]
    for token in free[1:]:
        if not _PURPOSE.search(sentence[kept[-1].end : token.start]) and not _DESCRIBES.match(sentence, token.end):
            kept.append(token)
    return kept[-1]


def _is_form(text: str) -> bool:
    return _FORM.fullmatch(text) is not None


NUMBER = NumberKind()
_DIGITS_ONLY = NumberKind(words=False)


def extract_number(text: str, reading: Reading) -> str | None:
    """The number in digits that a response ends in, as written; None where there is none or none that is certain.

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
]
