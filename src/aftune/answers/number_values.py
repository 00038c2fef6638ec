"""The values of numbers in a text: `1,234`, `3 1/2`, `1.2 \\times 10^3`, `50%`, as exact fractions, and when two are equal."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

MAX_DIGITS = 400  # of a number, and the largest power of ten
_CJK = 0x2E80  # from here on scripts that write no space between words

_SCALES = {
    "%": Fraction(1, 100), "percent": Fraction(1, 100), "per cent": Fraction(1, 100), "pct": Fraction(1, 100),
    "¢": Fraction(1, 100), "cent": Fraction(1, 100), "cents": Fraction(1, 100),
    "dozen": Fraction(12), "hundred": Fraction(100), "thousand": Fraction(10**3), "k": Fraction(10**3),
    "million": Fraction(10**6), "mn": Fraction(10**6), "billion": Fraction(10**9), "bn": Fraction(10**9),
    "trillion": Fraction(10**12), "lakh": Fraction(10**5), "crore": Fraction(10**7),
}  # fmt: skip
TOKEN = re.compile(
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
SIMPLE = re.compile(r"(-?)\$?((?<![0-9.,])[0-9]+(?:[.,][0-9]+)*)\.?")  # how most answers are written
_VARIABLE = re.compile(r"[xyznabwtruvi](?![A-Za-z])|[*×·]?\(|\s?(?:π|√|\\(?:pi|sqrt))")

_SIGN_FOLLOWS = re.compile(r"\b(?:is|are|was|be|of|to|at|get|gets|gives|equals)\s*$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Number:
    """`face`: as written. `scale`: what its unit multiplies it by (percent 1/100), 1 without such a unit."""

    face: Fraction
    scale: Fraction

    @property
    def value(self) -> Fraction:
        return self.face if self.scale == 1 else self.face * self.scale


@dataclass(frozen=True, slots=True)
class Token:
    start: int
    end: int
    text: str
    number: Number | None  # None: a time, a date, a malformed number, a term with a variable
    operator: bool  # its sign is an operator between two numbers


ONE = Fraction(1)
_FLOAT_ERROR = Fraction(5, 10**15)
_FIFTEEN_DIGITS = 10**14  # the smallest number of so many


def tokens_of(text: str) -> Iterator[Token]:
    for match in TOKEN.finditer(text):
        start, end = match.span()
        if match["date"]:
            yield Token(start, end, match.group(), None, False)
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
        number = None if _VARIABLE.match(text, end) else value_of(match, operator)
        written = match.group().strip()
        if operator:
            written = written.lstrip("+- ")
        yield Token(start, end, written, number, operator)


def _is_letter(character: str) -> bool:
    """Whether a number right after this character belongs to a word (x2); in scripts without spaces it does not."""
    return character.isalpha() and ord(character) < _CJK


def value_of(match: re.Match[str], operator: bool = False) -> Number | None:
    face = decimal(match["body"])
    if face is None or (match["sign"] and match["sign2"]):
        return None
    if match["den"]:
        denominator = decimal(match["den"])
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
    return Number(face, _SCALES[" ".join(unit.lower().split())] if unit else ONE)


def decimal(body: str) -> Fraction | None:
    """The value of digits with separators; None where they can be read in two ways (`12,34`) or not at all (`1.2.3`)."""
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
    long = [value for value in (left, right) if value.denominator > 1 and abs(value.numerator) >= _FIFTEEN_DIGITS]
    return any(map(_num_decimals, long)) and abs(left - right) <= _FLOAT_ERROR * abs(left)


def _rounded(left: Fraction, right: Fraction) -> bool:
    """Whether one has no finite decimals (1/3) and the other is the same, rounded or cut to three significant digits or more."""
    if left.denominator == right.denominator:
        return False
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
    """Decimal places of a value; None where they never end."""
    rest, twos, fives = value.denominator, 0, 0
    while rest % 2 == 0:
        rest, twos = rest // 2, twos + 1
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    return max(twos, fives) if rest == 1 else None
