"""What k sampled responses to one problem are worth together: votes over their answers, the best by score, and pass@k.

Pass in every sampled response, equal ones included: a vote over de-duplicated candidates counts ways of writing, not samples.
A response without a readable answer has no vote, but counts as a wrong sample in pass@k.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aftune.answers.numbers import parse_whole
from aftune.common.errors import UsageError
from aftune.evaluation.statistics import proportion_interval
from aftune.records import Votes


@dataclass(frozen=True)
class Sampled:
    """A sampled response: its answer (None: none could be read), whether that is right, and its score in nats per token."""

    answer: str | None
    right: bool
    score: float

    def __post_init__(self) -> None:
        if self.answer is None and self.right:
            raise UsageError("a response without a readable answer is marked right; mark it wrong or give its answer")
        if not math.isfinite(self.score):
            raise UsageError(f"score is {self.score}, expected a finite number of nats per token")


AnswerKey = Callable[[str], Hashable]


def answer_key(answer: str) -> Hashable:
    """What equal answers have in common: the value of a number (`3,000` and `3000.0`), else the words in lower case.

    A number with a unit that multiplies is an answer of its own: 50% can mean 50 or 0.5, which are two answers.
    """
    number = parse_whole(answer)
    return " ".join(answer.split()).casefold() if number is None else (number.face, number.scale)


def majority_vote(samples: Sequence[Sampled], key: AnswerKey = answer_key) -> Sampled | None:
    """The first response with the answer that most responses give; None if no answer can be read, which counts as wrong.

    Self-consistency (Wang et al. 2022, arXiv 2203.11171). Among answers with equally many votes the one that appears first
    wins. Samples are drawn independently, so each of the tied answers is equally likely to be the first: in their order
    of sampling, the expected accuracy is that of random tie-breaking. Answers with equal keys but different verdicts
    (a comparison timed out, or the key is coarse) do not vote together. Raises UsageError if there are no samples.
    """
    return _vote(samples, [1.0] * len(samples), key)


def weighted_vote(samples: Sequence[Sampled], key: AnswerKey = answer_key) -> Sampled | None:
    """Like `majority_vote`, but each vote is weighted by exp(score), the geometric mean of the response's token probabilities.

    The "weighted sum (normalized)" of arXiv 2203.11171, table 1. Raises UsageError if there are no samples.
    """
    highest = max((sample.score for sample in samples), default=0.0)
    # Divided by the largest weight, which changes no comparison, so that very low scores do not all become 0.
    return _vote(samples, [math.exp(sample.score - highest) for sample in samples], key)


def best_of_k(samples: Sequence[Sampled]) -> Sampled:
    """The response with the highest score, the first of several; it may be one without a readable answer, which counts as wrong.

    Raises UsageError if there are no samples.
    """
    _check_not_empty(samples)
    return max(samples, key=lambda sample: sample.score)


def pass_at_k(num_right: Sequence[int], num_samples: Sequence[int], ks: Sequence[int]) -> dict[int, NDArray[np.float64]]:
    """For each k, the chance for every problem [P] that k of its n samples, c of which are right, include a right one.

    Unbiased: 1 - C(n - c, k) / C(n, k) (Chen et al. 2021, arXiv 2107.03374, eq. 1), here as the product of
    (n - c - j) / (n - j) over j < k, so that no large number arises. Their mean over problems is the pass@k of a model.
    Raises UsageError for no problems, for k outside 1 to the smallest n, and for c outside 0 to n.
    """
    right_P, samples_P = np.asarray(num_right), np.asarray(num_samples)
    if right_P.shape != samples_P.shape or right_P.ndim != 1 or not right_P.size or not len(ks):
        raise UsageError("pass@k needs one number of right samples and one of samples for each problem, and at least one k")
    if (right_P < 0).any() or (right_P > samples_P).any():
        raise UsageError("pass@k: a number of right samples is below 0 or above the number of samples")
    if min(ks) < 1 or max(ks) > samples_P.min():
        raise UsageError(f"k is {min(ks)} to {max(ks)}, expected 1 to {samples_P.min()}, the fewest samples of a problem")
    drawn = np.arange(max(ks))
    wrong_P_1, samples_P_1 = (samples_P - right_P)[:, None], samples_P[:, None]
    # Once no wrong sample is left a factor is 0, so that the negative ones after it do no harm.
    all_wrong_P_K = np.cumprod((wrong_P_1 - drawn) / (samples_P_1 - drawn), axis=1)
    return {k: 1.0 - all_wrong_P_K[:, k - 1] for k in ks}


def _vote(samples: Sequence[Sampled], weights: Sequence[float], key: AnswerKey) -> Sampled | None:
    _check_not_empty(samples)
    first: dict[Hashable, Sampled] = {}
    votes: dict[Hashable, list[float]] = defaultdict(list)
    for sample, weight in zip(samples, weights, strict=True):
        if sample.answer is None:
            continue
        name = (key(sample.answer), sample.right)
        first.setdefault(name, sample)
        votes[name].append(weight)
    # fsum rounds once, so that the order of the samples changes nothing but ties. Among equal sums, max takes the first.
    return first[max(votes, key=lambda name: math.fsum(votes[name]))] if votes else None


def _check_not_empty(samples: Sequence[Sampled]) -> None:
    if not samples:
        raise UsageError("a problem has no sampled responses; sample at least one")


def voting_metrics(votes: Sequence[Votes]) -> dict[str, Any]:
    """Accuracy of the majority vote, of the vote weighted by scores, of the best by score, and pass@k for k = 1, 2, 4, ..."""
    number = len(votes[0].answers)
    chosen = [(majority_vote(samples), weighted_vote(samples), best_of_k(samples)) for samples in map(_samples, votes)]
    names = ("vote_accuracy", "weighted_vote_accuracy", "best_of_k_accuracy")
    metrics: dict[str, Any] = {"num_votes": number}
    for place, name in enumerate(names):
        right = [sample is not None and sample.right for sample in (choice[place] for choice in chosen)]
        metrics |= {name: sum(right) / len(right), f"{name}_ci95": proportion_interval(sum(right), len(right))}
    ks = [2**power for power in range(number.bit_length()) if 2**power <= number]
    num_right = [sum(vote.right) for vote in votes]
    passed = pass_at_k(num_right, [number] * len(votes), ks)
    return metrics | {f"pass_at_{k}": float(np.mean(passed[k])) for k in ks}


def _samples(votes: Votes) -> list[Sampled]:
    return [Sampled(*sample) for sample in zip(votes.answers, votes.right, votes.scores, strict=True)]
