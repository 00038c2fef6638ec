"""The rank of a response to an arithmetic-style problem: a rule of ours, from what the reference shows.

The paper trains on ranked responses too (GSM8K-RANK, arXiv 2309.02144, section 4.4), but neither its data nor how they were
ranked is public. Better is, in this order:

1. the right final answer; all right responses tie, whatever their steps;
2. a larger share of the reference's n intermediate results (the values after its equals signs) among the response's own;
3. a final answer closer to the gold one; no answer is the farthest (one that is 10^15 times too large ties with it).

As one number: 2 for right, else (k + c) / (n + 1) for k of the n results, with the closeness c = 0.9 / (1 + |answer - gold| /
max(1, |gold|)), 0 without an answer. c stays below 1, so that it never outweighs a result, and below 0.9 so that this holds in
float32 too; the number of a wrong response is below 1.

What it does not see: a wrong step whose result happens to be a right one, a right way that differs from the reference's, and
results that are rounded or written without an equals sign.
"""

from decimal import MAX_EMAX, MIN_EMIN, Context
from fractions import Fraction
from functools import lru_cache

from aftune.answers import Reading, extract_number, numbers_equal, parse_number
from aftune.records import BEST_RANK, Problem
from aftune.tasks.equations import results

_LARGEST_CLOSENESS = 0.9
# 30 digits, no exception for any finite numbers: what overflows is infinitely far away.
_DECIMALS = Context(prec=30, Emin=MIN_EMIN, Emax=MAX_EMAX, traps=[])


def quality_of_rank(problem: Problem, text: str, reading: Reading) -> float:
    """The number by which responses to a problem are ranked, larger is better: 2.0 (right) or from 0.0 to below 1.0.

    The answer is read and judged as by the verdict of arithmetic and GSM8K. Finite and deterministic for any text, and
    linear in its length.
    """
    answer = extract_number(text, reading)
    if answer is not None and numbers_equal(answer, problem.gold_answer):
        return BEST_RANK
    expected = _results_of_reference(problem.rationale or "")
    num_found = len(expected & results(text)) if expected else 0
    return (num_found + closeness(answer, problem.gold_answer)) / (len(expected) + 1)


def closeness(answer: str | None, gold: str) -> float:
    """From 0.9 for the gold value down to 0 for one infinitely far away, and for what is no number."""
    value, target = None if answer is None else parse_number(answer), parse_number(gold)
    if value is None or target is None:
        return 0.0
    scale = _DECIMALS.max(1, _DECIMALS.abs(target))
    error = _DECIMALS.divide(_DECIMALS.abs(_DECIMALS.subtract(value, target)), scale)
    return _LARGEST_CLOSENESS / (1.0 + float(error))


@lru_cache(maxsize=64)
def _results_of_reference(rationale: str) -> frozenset[Fraction]:
    """Candidates of a problem come one after the other, and share its reference."""
    return results(rationale)
