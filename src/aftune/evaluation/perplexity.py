"""Perplexity of reference responses: how surprised a model is by them, the end-of-sequence token included.

Everything is computed from two lists with one entry per problem: the summed log-probability (nats, given the prompt) and the
number of tokens of the reference as `encode_response` encodes it. A score is their quotient, so the sum is score times tokens.
`perplexity` and `perplexity_interval` raise UsageError for empty lists, lists of different lengths, a reference without tokens,
and a log-probability that is not finite.
"""

import math
from collections.abc import Sequence
from typing import Any

from aftune.common.errors import UsageError
from aftune.evaluation.statistics import ratio_interval
from aftune.records import GroupScores


def perplexity(logprobs: Sequence[float], num_tokens: Sequence[int]) -> float:
    """exp(-sum of log-probabilities / sum of tokens): every token has the same weight, so long references have more."""
    _check(logprobs, num_tokens)
    return _exp(-math.fsum(logprobs) / sum(num_tokens))


def perplexity_interval(logprobs: Sequence[float], num_tokens: Sequence[int], seed: int = 0) -> tuple[float, float]:
    """95 % interval of `perplexity`: problems are resampled, each with its log-probability and its tokens together.

    The interval is exp of the percentiles of nats per token, as exp keeps their order. One problem gives a point.
    """
    _check(logprobs, num_tokens)
    low, high = ratio_interval([-logprob for logprob in logprobs], num_tokens, seed)
    return _exp(low), _exp(high)


def _exp(nats: float) -> float:
    try:
        return math.exp(nats)
    except OverflowError:  # above 709 nats per token
        return math.inf


def _check(logprobs: Sequence[float], num_tokens: Sequence[int]) -> None:
    if not logprobs or len(logprobs) != len(num_tokens):
        raise UsageError(f"{len(logprobs)} log-probabilities for {len(num_tokens)} references; give one each, at least one")
    for index, (logprob, number) in enumerate(zip(logprobs, num_tokens, strict=True)):
        if number < 1 or not math.isfinite(logprob):
            raise UsageError(
                f"reference {index}: log-probability {logprob} over {number} tokens; expected a finite number over at least one"
            )


def reference_metrics(scores: Sequence[GroupScores]) -> dict[str, Any]:
    """Perplexity of the reference responses with its interval; empty if there are none."""
    known = [(row.reference_logprob, row.reference_length) for row in scores]
    sums, lengths = [total for total, _ in known if total is not None], [length for _, length in known if length is not None]
    if not sums:
        return {}
    return {"reference_perplexity": perplexity(sums, lengths), "reference_perplexity_ci95": perplexity_interval(sums, lengths)}
