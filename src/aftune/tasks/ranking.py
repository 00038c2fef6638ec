"""The rank of a response to an arithmetic-style problem: a rule of ours, from what the reference shows.

The paper trains on ranked responses too (GSM8K-RANK, arXiv 2309.02144, section 4.4), but neither its data nor its way of ranking
is public. What makes a response better, in this order:

1. the right final answer; all right responses tie, whatever their steps;
2. a larger share of the reference's n intermediate results (the values after its equals signs) among the response's own;
3. a final answer closer to the gold one; no answer, or none that is certain, is the farthest (one that is 10^400 times too
   large ties with it).

As one number: 2 for right, else (k + c) / (n + 1) for k of the n results, with the closeness c = 0.9 / (1 + |answer - gold| /
max(1, |gold|)), 0 without an answer. c stays below 1, so that it never outweighs a result, and below 0.9 so that this holds in
float32 too; the number of a wrong response is below 1.

What it does not see: a wrong step whose result happens to be a right one, a right solution that differs from the reference, and
results that are rounded or written without an equals sign.
"""

from fractions import Fraction
from functools import lru_cache

from aftune.answers import NUMBER, AnswerKind, Reading, judge
from aftune.answers.equations import results
from aftune.answers.numbers import parse, parse_whole
from aftune.records import BEST_RANK, Problem

_LARGEST_CLOSENESS = Fraction(9, 10)


def quality_of_rank(problem: Problem, text: str, reading: Reading, kind: AnswerKind = NUMBER) -> float:
    """The number by which responses to a problem are ranked, larger is better: 2.0 (right) or from 0.0 to below 1.0.

    The answer is read and judged as by the verdict of a task with that kind of answers. Finite and deterministic for any
    text, and linear in its length.
    """
    verdict = judge(kind, text, problem.gold_answer, reading, problem.options)
    if verdict.right:
        return BEST_RANK
    expected = _results_of_reference(problem.rationale or "")
    num_found = len(expected & results(text)) if expected else 0
    return (num_found + closeness(verdict.answer, problem.gold_answer)) / (len(expected) + 1)


def closeness(answer: str | None, gold: str) -> float:
    """From 0.9 for the gold value down to 0 for one infinitely far away, and for what is not a number.

    As for the verdict, a number with a unit that multiplies (50%) is 50 or 0.5, whichever is closer.
    """
    number, target = None if answer is None else parse_whole(answer), parse(gold)
    if number is None or target is None:
        return 0.0
    pairs = ((number.value, target.value), (number.face, target.face))
    # Exact: numbers have at most 400 digits before and after the point, so that nothing overflows.
    errors = [abs(ours - wanted) / max(Fraction(1), abs(wanted)) for ours, wanted in pairs]
    return float(_LARGEST_CLOSENESS / (1 + min(errors)))


@lru_cache(maxsize=64)
def _results_of_reference(rationale: str) -> frozenset[Fraction]:
    """Cached, since candidates of a problem come one after the other and share its reference."""
    return results(rationale)
