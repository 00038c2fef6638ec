"""The automatic beta: a quantile of how far worse candidates already lie below better ones."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aftune.common.errors import DataError
from aftune.prompts.encoding import EncodedGroup
from aftune.records import GroupLogprobs
from aftune.training.auto_beta import auto_beta, gaps


def group(*qualities: float | None) -> EncodedGroup:
    responses = [[1]] * len(qualities)
    return EncodedGroup("p", [1], responses, [False] * len(qualities), list(qualities))


def logprobs(*scores: float, lengths: tuple[int, ...] = ()) -> GroupLogprobs:
    """Sums that give these scores."""
    tokens = list(lengths or [1] * len(scores))
    return GroupLogprobs(problem_id="p", sums=[score * n for score, n in zip(scores, tokens, strict=True)], lengths=tokens)


def test_gaps_by_hand() -> None:
    """Better than the second (0) are the first (2) and the third (1): min(-.5, -.2) - -.9 = .4. Better than the third is the
    first: -.5 - -.2 = -.3. Better than the first is none."""
    assert gaps([2, 0, 1], [-0.5, -0.9, -0.2]) == pytest.approx([0.4, -0.3])
    assert gaps([1, 1], [-0.5, -0.9]) == []
    assert gaps([], []) == []


def test_hand_worked_example() -> None:
    """Two groups, the reference first in the second. First: right -.2 and -.4, wrong -.5, -1.0 and -.3; the lowest right score
    is -.4, the gaps are .1, .6 and -.1. Second: reference -.1, right -.3, wrong -.6: gap .3. Positive gaps in order: .1, .3, .6.
    Quantile 0 is .1, 1 is .6, .5 is .3; .9 lies .8 of the way from .3 to .6: .54. Lengths matter by the scores only."""
    groups = [group(1, 1, 0, 0, 0), group(1, 1, 0)]
    items = [logprobs(-0.2, -0.4, -0.5, -1.0, -0.3), logprobs(-0.1, -0.3, -0.6, lengths=(7, 3, 2))]
    found = {quantile: auto_beta(groups, items, quantile) for quantile in (0, 0.5, 0.9, 1)}
    assert found == pytest.approx({0: 0.1, 0.5: 0.3, 0.9: 0.54, 1: 0.6})


def test_responses_outside_the_alignment_loss_have_no_gap() -> None:
    """The first stands outside: better than the third (-.9) is only the second (-.5): gap .4, not .8."""
    assert auto_beta([group(None, 1, 0)], [logprobs(-0.1, -0.5, -0.9)], 1) == pytest.approx(0.4)
    with pytest.raises(DataError):
        auto_beta([group(None, 0)], [logprobs(-0.1, -0.5)], 0.5)


def test_scores_meet_their_candidates_by_index() -> None:
    """Of candidates 5, 0 and 1 the last two are trained on: 0 is right (-.5), 1 wrong (-.9): gap .4. By place 5 (-.1, wrong there)
    would stand for the right one."""
    trained = replace(group(1, 0), indices=[0, 1])
    written = logprobs(-0.1, -0.5, -0.9).model_copy(update={"indices": [5, 0, 1]})
    assert auto_beta([trained], [written], 1) == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("trained", "item"),
    [
        (group(1, 0), logprobs(-0.1, -0.5, -0.9)),
        (group(1, 0, 0), logprobs(-0.1, -0.5)),
        (group(1, 0), GroupLogprobs(problem_id="another", sums=[-0.1, -0.5], lengths=[1, 1])),
        (replace(group(1, 0), indices=[0, 2]), logprobs(-0.1, -0.5).model_copy(update={"indices": [0, 1]})),
    ],
)
def test_what_does_not_belong_together_is_an_error(trained: EncodedGroup, item: GroupLogprobs) -> None:
    with pytest.raises(DataError, match=r"^p: log-probabilities under the reference policy"):
        auto_beta([trained], [item], 1)


@pytest.mark.parametrize(
    ("groups", "items"),
    [
        ([], []),
        ([group(1, 1)], [logprobs(-0.1, -0.2)]),  # no pair
        ([group(1, 0)], [logprobs(-0.5, -0.2)]),  # the wrong one is above
        ([group(1, 0)], [logprobs(-0.2, -0.2)]),  # and on a level
    ],
)
def test_without_a_positive_gap_there_is_no_beta(groups: list[EncodedGroup], items: list[GroupLogprobs]) -> None:
    with pytest.raises(DataError, match=r"align.beta: auto needs candidates that score below better ones, .* give a number"):
        auto_beta(groups, items, 0.9)


def test_groups_and_log_probabilities_belong_together() -> None:
    with pytest.raises(ValueError, match="shorter"):
        auto_beta([group(1, 0), group(1, 0)], [logprobs(-0.1, -0.5)], 0.5)


SCORE = st.integers(-400, -1).map(lambda n: n / 100)
MEMBERS = st.lists(st.tuples(st.sampled_from([0.0, 1.0, 2.5]), SCORE), min_size=1, max_size=6)


@given(
    members=st.lists(MEMBERS, min_size=1, max_size=5),
    quantiles=st.tuples(st.floats(0, 1), st.floats(0, 1)).map(sorted),
)
def test_larger_quantiles_give_no_smaller_betas(members: list[list[tuple[float, float]]], quantiles: list[float]) -> None:
    """Each between the smallest and the largest positive gap, which a loop over all pairs finds."""
    groups = [group(*(quality for quality, _ in one)) for one in members]
    items = [logprobs(*(score for _, score in one)) for one in members]
    positive = []
    for one in members:
        for quality, score in one:
            lowest = min((other for better, other in one if better > quality), default=score)
            if lowest > score:
                positive.append(lowest - score)
    if not positive:
        with pytest.raises(DataError):
            auto_beta(groups, items, quantiles[0])
        return
    low, high = (auto_beta(groups, items, quantile) for quantile in quantiles)
    assert low <= high + 1e-12
    assert min(positive) - 1e-12 <= low
    assert high <= max(positive) + 1e-12
