"""Votes, the best by score and pass@k, against hand-worked cases, naive loops and enumeration."""

import math
from collections.abc import Sequence
from fractions import Fraction
from itertools import combinations, permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aftune.answers import numbers_equal
from aftune.evaluation.voting import Sampled, answer_key, best_of_k, majority_vote, pass_at_k, weighted_vote

# Answers as models write them: 3 and 4 in several ways, and one that is no number. 3 is right.
WRITTEN = ["3", "3.0", "$3", "03", "4", "4.00", "5", "three"]


def sampled(answer: str | None, score: float) -> Sampled:
    return Sampled(answer, answer is not None and numbers_equal(answer, "3"), score)


SAMPLES = st.lists(
    st.builds(sampled, st.sampled_from(WRITTEN) | st.none(), st.integers(-300, 0).map(lambda n: n / 100)), min_size=1, max_size=12
)


def naive_vote(samples: Sequence[Sampled], weigh: Any) -> list[str]:
    """The first spelling of every answer that no other answer beats, by comparing each answer with each."""
    readable = [sample for sample in samples if sample.answer is not None]
    totals: list[tuple[str, Fraction]] = []
    for position, sample in enumerate(readable):
        if not any(same(sample.answer, earlier.answer) for earlier in readable[:position]):
            votes = [Fraction(weigh(other)) for other in readable if same(sample.answer, other.answer)]
            totals.append((sample.answer, sum(votes, Fraction(0))))
    return [answer for answer, total in totals if total == max(total for _, total in totals)]


def same(left: str, right: str) -> bool:
    return left == right or numbers_equal(left, right)


def test_hand_worked_votes() -> None:
    """Votes: 3 has two (`3` and `3.0`), 4 has one, unreadable none: 3 wins.

    Weights: 3 has e^-2 + e^-1.5 = 0.1353 + 0.2231 = 0.3585, 4 has e^-0.5 = 0.6065: 4 wins. Best score: the unreadable one.
    """
    samples = [sampled("4", -0.5), sampled("3", -2.0), sampled(None, -0.1), sampled("3.0", -1.5), sampled(None, -0.2)]
    assert majority_vote(samples) == samples[1]
    assert majority_vote(samples).right
    assert weighted_vote(samples) == samples[0]
    assert best_of_k(samples) == samples[2]
    assert not best_of_k(samples).right


def test_weighted_sum_is_not_the_single_best() -> None:
    """3: 2 * e^-1 = 0.7358; 4: e^-0.5 = 0.6065. The sum decides, not the best response, which is 4's."""
    samples = [sampled("4", -0.5), sampled("3", -1.0), sampled("$3", -1.0)]
    assert weighted_vote(samples) == samples[1]
    assert best_of_k(samples) == samples[0]


def test_ties_go_to_the_first() -> None:
    samples = [sampled("5", -1.0), sampled("3", -1.0), sampled("4", -1.0), sampled("3.0", -1.0), sampled("4.0", -1.0)]
    assert majority_vote(samples) == samples[1]
    assert majority_vote(samples[::-1]).answer == "4.0"
    assert weighted_vote(samples) == samples[1]
    assert best_of_k(samples) == samples[0]


def test_order_of_sampling_breaks_ties_as_chance_does() -> None:
    """Over all orders of 3, 3, 4, 4, 5 the vote is right as often as a random choice of the two tied answers: half the time."""
    answers = ["3", "3", "4", "4", "5"]
    orders = list(permutations(answers))
    assert sum(majority_vote([sampled(a, -1.0) for a in order]).right for order in orders) == len(orders) / 2


@given(samples=SAMPLES)
def test_votes_equal_naive_loops(samples: list[Sampled]) -> None:
    for vote, weigh in ((majority_vote, lambda sample: 1), (weighted_vote, lambda sample: math.exp(sample.score))):
        winners, chosen = naive_vote(samples, weigh), vote(samples)
        if not winners:
            assert chosen is None
        elif vote is majority_vote:
            assert chosen.answer == winners[0]
        else:  # rounding may part weights that are exactly equal on paper, or join ones that nearly are
            total = sum(weigh(s) for s in samples if s.answer is not None and same(s.answer, chosen.answer))
            assert total == pytest.approx(sum(weigh(s) for s in samples if s.answer and same(s.answer, winners[0])), rel=1e-12)


@given(samples=SAMPLES, data=st.data())
def test_order_matters_only_for_ties(samples: list[Sampled], data: Any) -> None:
    shuffled = data.draw(st.permutations(samples))
    if len(naive_vote(samples, lambda sample: 1)) < 2:
        ours, theirs = majority_vote(samples), majority_vote(shuffled)
        assert (ours is None) == (theirs is None)
        assert ours is None or same(ours.answer, theirs.answer)
    assert best_of_k(shuffled).score == best_of_k(samples).score
    ours, theirs = weighted_vote(samples), weighted_vote(shuffled)
    weights: dict[Any, list[float]] = {}
    for sample in samples:
        if sample.answer is not None:
            weights.setdefault(answer_key(sample.answer), []).append(math.exp(sample.score))
    sums = sorted(map(math.fsum, weights.values()))
    if len(sums) > 1 and sums[-1] - sums[-2] > 1e-9:
        assert same(ours.answer, theirs.answer)


@given(samples=SAMPLES)
def test_equal_scores_make_the_weighted_vote_a_majority_vote(samples: list[Sampled]) -> None:
    level = [Sampled(sample.answer, sample.right, -0.7) for sample in samples]
    assert weighted_vote(level) == majority_vote(level)


def test_very_low_scores_still_weigh() -> None:
    """exp(-2000) is 0 in floating point; -2001 twice is 2/e of it, less than one -2000."""
    samples = [sampled("4", -2001.0), sampled("4", -2001.0), sampled("3", -2000.0)]
    assert weighted_vote(samples).answer == "3"


@pytest.mark.parametrize("vote", [majority_vote, weighted_vote])
def test_no_readable_answer_at_all(vote: Any) -> None:
    samples = [sampled(None, -0.3), sampled(None, -0.2)]
    assert vote(samples) is None
    assert best_of_k(samples) == samples[1]


@pytest.mark.parametrize("choose", [majority_vote, weighted_vote, best_of_k])
def test_no_samples_is_an_error(choose: Any) -> None:
    with pytest.raises(ValueError, match="no sampled responses"):
        choose([])


@pytest.mark.parametrize(
    ("left", "right", "equal"),
    [
        ("3,000", "3000.0", True),
        ("$18.00", "18", True),
        ("-0", "0", True),
        ("3", "-3", False),
        ("B", "b", True),
        ("New  York", "new york", True),
        ("B", "8", False),
        ("one half", "0.5", False),  # words have no value: two answers
        ("1e999999999999", "2", False),
        ("50%", "50", False),
        ("50%", "0.5", False),
        ("50%", "50 percent", True),
        ("3 dozen", "36", False),
        ("1/2", "0.5", True),
        ("apollo 11", "saturn 11", False),
    ],
)
def test_answer_key(left: str, right: str, equal: bool) -> None:
    assert (answer_key(left) == answer_key(right)) is equal


def test_equality_of_the_caller() -> None:
    """By its first letter `Boston` is `B`; without that the two are different answers and `A`, the first of three, wins."""
    samples = [Sampled("A", False, -1.0), Sampled("Boston", True, -1.0), Sampled("B", True, -1.0)]
    assert majority_vote(samples).answer == "A"
    assert majority_vote(samples, key=lambda answer: answer[0]).answer == "Boston"


def test_equal_answers_with_different_verdicts_do_not_vote_together() -> None:
    """A comparison that timed out once: x^2 has two right votes and one wrong one, 7 has two; the first of the ties wins."""
    samples = [Sampled("x^2", False, -1.0), Sampled("7", False, -1.0), *[Sampled("x^2", True, -1.0)] * 2, Sampled("7", False, -1.0)]
    assert majority_vote(samples) == samples[1]
    assert majority_vote([*samples, samples[2]]) == samples[2]


@pytest.mark.parametrize("gold", ["50", "0.5", "50%", "1/2"])
def test_percent_is_an_answer_of_its_own(gold: str) -> None:
    """50% is right for the golds 50 and 0.5, which are two answers: each of the three spellings votes by itself."""
    samples = [Sampled(answer, numbers_equal(answer, gold), -1.0) for answer in ("0.5", "50%", "50%", "50", "1/2", "50 %", "50.0")]
    assert majority_vote(samples).answer == "50%"
    assert weighted_vote(samples).right


def test_samples_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="without a readable answer is marked right"):
        Sampled(None, True, -1.0)
    with pytest.raises(ValueError, match="score is nan"):
        Sampled("3", True, math.nan)


def test_pass_at_k_by_hand() -> None:
    """n = 5, c = 2: 1 - 3/5 = 0.4; 1 - (3 * 2)/(5 * 4) = 0.7; 1 - 1/10 = 0.9; then always 1."""
    values = pass_at_k([2], [5], [1, 2, 3, 4, 5])
    assert [values[k][0] for k in range(1, 6)] == pytest.approx([0.4, 0.7, 0.9, 1.0, 1.0], abs=1e-15)


@pytest.mark.parametrize("n", range(1, 8))
def test_pass_at_k_counts_subsets(n: int) -> None:
    values = pass_at_k(list(range(n + 1)), [n] * (n + 1), list(range(1, n + 1)))
    for c in range(n + 1):
        for k in range(1, n + 1):
            subsets = list(combinations([True] * c + [False] * (n - c), k))
            assert values[k][c] == pytest.approx(sum(map(any, subsets)) / len(subsets), abs=1e-14)


@given(
    problems=st.lists(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), min_size=1, max_size=5),
    data=st.data(),
)
def test_pass_at_k_is_the_exact_fraction_and_monotone(problems: list[tuple[int, int]], data: Any) -> None:
    right, samples = [c for c, _ in problems], [n for _, n in problems]
    ks = data.draw(st.lists(st.integers(1, min(samples)), min_size=1, max_size=4, unique=True))
    values = pass_at_k(right, samples, ks)
    assert list(values) == ks
    for k in ks:
        for p, (c, n) in enumerate(problems):
            assert values[k][p] == pytest.approx(float(1 - Fraction(math.comb(n - c, k), math.comb(n, k))), abs=1e-12)
    for less, more in zip(sorted(ks), sorted(ks)[1:], strict=False):
        assert (values[less] <= values[more]).all()
    luckier = pass_at_k([min(c + 1, n) for c, n in problems], samples, ks)
    assert all((values[k] <= luckier[k]).all() for k in ks)


def test_pass_at_k_of_many_samples_is_stable() -> None:
    """C(100000, 50000) has 30,101 digits. One right of 100,000: k / n. All right or none: exactly 1 and 0."""
    values = pass_at_k([1, 0, 100_000], [100_000] * 3, [1, 50_000, 100_000])
    assert values[50_000] == pytest.approx([0.5, 0.0, 1.0], abs=1e-10)
    assert values[1] == pytest.approx([1e-5, 0.0, 1.0], rel=1e-10)
    assert values[100_000].tolist() == [1.0, 0.0, 1.0]


@pytest.mark.parametrize(
    ("right", "samples", "ks", "message"),
    [
        ([1], [4], [5], "k is 5 to 5, expected 1 to 4"),
        ([1, 1], [4, 3], [4], "expected 1 to 3"),
        ([1], [4], [0, 1], "k is 0 to 1"),
        ([5], [4], [1], "above the number of samples"),
        ([-1], [4], [1], "below 0"),
        ([], [], [1], "pass@k needs"),
        ([1], [4], [], "pass@k needs"),
        ([1, 1], [4], [1], "pass@k needs"),
    ],
)
def test_pass_at_k_errors(right: list[int], samples: list[int], ks: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pass_at_k(right, samples, ks)
