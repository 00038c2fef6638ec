"""Whether two LaTeX expressions are equal, by math-verify and sympy. Runs in worker processes only.

Exact expressions are compared by their values at a few points first. Math-verify decides about the others, but not alone: numbers
that it finds equal are compared again with more digits (it rounds to six decimals, so that 1/2004! equals 1/2006! for it).
"""

import logging
from collections.abc import Iterable
from functools import cache
from typing import Any

from latex2sympy2_extended import NormalizationConfig
from math_verify import LatexExtractionConfig, parse, verify
from sympy import Basic, Expr, Float, I, MatrixBase, Rational, Symbol, nan, oo, zoo
from sympy.core.cache import clear_cache

from aftune.answers.equality import decide_atom
from aftune.answers.spelling import for_parser
from aftune.answers.structures import relation, same, structure
from aftune.answers.two_stages import parse_in_two_stages

logging.disable(logging.CRITICAL)
parse_in_two_stages()

# Values of every free symbol at which two expressions are compared, and the digits that they are computed to.
_POINTS = ("0.371", "1.618", "2.236", "3.317", "-0.577", "-1.732", "4.123", "0.087")
_DIGITS = 30
_ENOUGH_POINTS = 3
_LATEX = [
    LatexExtractionConfig(
        normalization_config=NormalizationConfig(
            basic_latex=True, units=True, malformed_operators=True, nits=True, boxed="all", equations=False
        )
    )
]
_CLEAR_EVERY = 50
_count = 0


def compare(answer: str, gold: str) -> bool:
    """Whether an answer equals the gold one, both in one spelling (`spelling.normal`): as a whole, or element by element. May take
    any amount of time and memory."""
    global _count
    _count += 1
    if _count % _CLEAR_EVERY == 0:
        clear_cache()
        _parse.cache_clear()
    if _compare_whole(answer, gold):
        return True
    of_parts = any(structure(text) or relation(text)[1] for text in (answer, gold))
    return of_parts and bool(same(answer, gold, _compare_parts))


def _compare_parts(left: str, right: str) -> bool:
    decided = decide_atom(left, right)
    return _compare_whole(left, right) if decided is None else decided


def _compare_whole(answer: str, gold: str) -> bool:
    left, right = _parse(answer), _parse(gold)
    if not left or not right:
        return False
    a, b = left[0], right[0]
    if isinstance(a, str) or isinstance(b, str):
        return bool(a == b)
    plain = _is_plain(a) and _is_plain(b)
    if plain and _same_everywhere(a, b):  # these two spare most comparisons a simplification by sympy
        return True
    if plain and _differ(a, b):
        return False
    equal = bool(verify(list(right), list(left), allow_set_relation_comp=True, timeout_seconds=None, raise_on_error=True))
    if plain and equal:
        return _same_size(a, b)
    if plain:
        units = {symbol: I for symbol in a.free_symbols | b.free_symbols if str(symbol) == "i"}
        return bool(units) and _same_everywhere(a.subs(units), b.subs(units))
    return equal


@cache
def _parse(text: str) -> tuple[Any, ...]:
    """Parsing takes most of the time of a comparison, and the gold answer is that of several candidates."""
    return tuple(
        parse(
            f"${for_parser(text)}$",
            extraction_config=_LATEX,
            fallback_mode="no_fallback",
            parsing_timeout=None,
            raise_on_error=True,
        )
    )


def _is_plain(value: object) -> bool:
    return isinstance(value, Expr) and not isinstance(value, MatrixBase)


def _same_size(a: Expr, b: Expr) -> bool:
    """Whether two numbers agree: exactly for rationals, to twenty digits for other exact ones, to five where one is a decimal."""
    if a.free_symbols or b.free_symbols:
        return True
    exact = _exact((a, b))
    if exact and a.is_rational and b.is_rational:
        return bool(a.doit() == b.doit()) or _percent(a, b)
    x, y = a.evalf(_DIGITS), b.evalf(_DIGITS)
    if not (_is_value(x) and _is_value(y)):
        return True
    return _close(x, y, "1e-20" if exact else "1e-5") or _percent(a, b)


def _is_value(x: Expr) -> bool:
    return bool(x.is_number) and not x.has(nan, zoo, oo, -oo)


def _percent(a: Expr, b: Expr) -> bool:
    """Whether one is the other in percent, which math-verify accepts."""
    hundredth = Rational(1, 100)
    if (hundredth in a.args) == (hundredth in b.args):
        return False
    ratio = (a / b).doit().evalf(_DIGITS)
    return any(_close(ratio, Float(factor, _DIGITS), "1e-5") for factor in ("1", "100", "0.01"))


def _close(x: Expr, y: Expr, tolerance: str) -> bool:
    return bool(abs(x - y) <= Float(tolerance) * max(abs(x), abs(y)))


def _differ(a: Expr, b: Expr) -> bool:
    """Whether two exact expressions have different values at one point, neither of them being the other in percent."""
    if not _comparable(a, b) or "i" in map(str, a.free_symbols):  # i may be the imaginary unit
        return False
    point = dict(zip(sorted(a.free_symbols, key=str), map(Rational, _POINTS), strict=False))
    x, y = a.subs(point).evalf(_DIGITS), b.subs(point).evalf(_DIGITS)
    return _is_value(x) and _is_value(y) and bool(x.is_real and y.is_real) and not _close(x, y, "1e-3") and not _percent(a, b)


def _comparable(a: Expr, b: Expr) -> bool:
    """Whether two expressions have the same symbols, not too many, and no rounded decimals."""
    return a.free_symbols == b.free_symbols and len(a.free_symbols) <= 4 and _exact((a, b))


def _same_everywhere(a: Expr, b: Expr) -> bool:
    """Whether both agree to twenty digits at all points where both are real, which must be three points or more."""
    symbols = sorted(a.free_symbols | b.free_symbols, key=str)
    if not _comparable(a, b):
        return False
    if a.is_rational and b.is_rational:
        return bool(a.doit() == b.doit())
    agreed = 0
    for shift in range(len(_POINTS)) if symbols else range(1):
        point = {s: Rational(_POINTS[(shift + 3 * n) % len(_POINTS)]) for n, s in enumerate(symbols) if isinstance(s, Symbol)}
        x, y = a.subs(point).evalf(_DIGITS), b.subs(point).evalf(_DIGITS)
        if not (_is_value(x) and _is_value(y)):
            continue
        if symbols and not (x.is_real and y.is_real):
            continue
        if not _close(x, y, "1e-20"):
            return False
        agreed += 1
    return agreed >= (_ENOUGH_POINTS if symbols else 1)


def _exact(values: Iterable[Basic]) -> bool:
    """Whether none has rounded decimals: those were compared by math-verify, to six decimals."""
    return not any(value.has(Float) for value in values)
