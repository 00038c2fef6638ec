"""Assessment accuracy of one problem."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from aftune.evaluation.assessment import assessment_accuracy

CANDIDATES = st.lists(st.tuples(st.integers(-20, 0).map(lambda n: n / 10), st.sampled_from([0.0, 1.0, 2.5, -1.0])), max_size=10)


@pytest.mark.parametrize(
    ("scores", "qualities", "expected"),
    [
        ([-0.1, -0.2], [1, 0], 1.0),
        ([-0.2, -0.1], [1, 0], 0.0),
        ([-0.1, -0.1], [1, 0], 0.0),  # a tie is no right order
        ([-0.1, -0.1, -0.1], [1, 1, 0], 0.0),
        ([-0.1, -0.3, -0.2, -0.4], [1, 1, 0, 0], 0.75),  # wrong: -0.3 against -0.2
        ([-0.1, -0.2, -0.3], [3, 2, 1], 1.0),
        ([-0.2, -0.1, -0.3], [3, 2, 1], 2 / 3),  # wrong: the first pair
        ([-0.3, -0.1, -0.2], [0.5, 0.5, 0.1], 0.5),  # equal qualities are no pair
        ([-0.1, -0.2], [1, 1], None),
        ([-0.1], [0], None),
        ([], [], None),
    ],
)
def test_share_of_pairs(scores: list[float], qualities: list[float], expected: Any) -> None:
    assert assessment_accuracy(scores, qualities) == expected


@given(candidates=CANDIDATES, data=st.data())
def test_neither_order_nor_scale_matters(candidates: list[tuple[float, float]], data: Any) -> None:
    scores, qualities = [s for s, _ in candidates], [q for _, q in candidates]
    value = assessment_accuracy(scores, qualities)
    shuffled = data.draw(st.permutations(candidates))
    assert assessment_accuracy([s for s, _ in shuffled], [q for _, q in shuffled]) == value
    assert assessment_accuracy([2 * s - 5 for s in scores], qualities) == value


@given(candidates=CANDIDATES)
def test_scores_turned_round_win_where_they_lost_unless_tied(candidates: list[tuple[float, float]]) -> None:
    scores, qualities = [s for s, _ in candidates], [q for _, q in candidates]
    value = assessment_accuracy(scores, qualities)
    if value is not None:
        pairs = [(i, j) for i in range(len(scores)) for j in range(len(scores)) if qualities[i] > qualities[j]]
        ties = sum(scores[i] == scores[j] for i, j in pairs) / len(pairs)
        assert value + assessment_accuracy([-s for s in scores], qualities) + ties == pytest.approx(1.0)


@given(
    better=st.lists(st.integers(-40, 0), min_size=1, max_size=6, unique=True),
    worse=st.lists(st.integers(-40, 0), min_size=1, max_size=6, unique=True),
)
def test_two_qualities_are_the_u_of_mann_and_whitney(better: list[int], worse: list[int]) -> None:
    """U / (n1 n2) counts ties as one half; they are taken off."""
    value = assessment_accuracy([*better, *worse], [1] * len(better) + [0] * len(worse))
    u = stats.mannwhitneyu(better, worse).statistic
    assert value == pytest.approx((u - len(set(better) & set(worse)) / 2) / (len(better) * len(worse)))


def test_lists_of_different_length_are_an_error() -> None:
    with pytest.raises(ValueError, match="1 scores but 2 qualities"):
        assessment_accuracy([-0.1], [1, 0])
