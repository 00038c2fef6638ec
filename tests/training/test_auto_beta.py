"""The automatic beta: the one that leaves worse candidates a given share of the push."""

import math
import warnings
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aftune.common.errors import DataError
from aftune.losses import AftLoss, DpoLoss, NcaLoss, ProLoss, RrhfLoss, SimpoLoss
from aftune.prompts.encoding import EncodedGroup
from aftune.records import GroupLogprobs
from aftune.training.auto_beta import auto_beta


def group(*qualities: float | None) -> EncodedGroup:
    responses = [[1]] * len(qualities)
    return EncodedGroup("p", [1], responses, [False] * len(qualities), list(qualities))


def logprobs(*scores: float, lengths: tuple[int, ...] = ()) -> GroupLogprobs:
    """Sums that give these scores."""
    tokens = list(lengths or [1] * len(scores))
    return GroupLogprobs(problem_id="p", sums=[score * n for score, n in zip(scores, tokens, strict=True)], lengths=tokens)


@pytest.mark.filterwarnings("ignore:align.beta")
@pytest.mark.parametrize("gap", [-0.3, 0.0, 0.2, 0.9])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.75, 0.9])
def test_aft_with_one_pair(share: float, gap: float) -> None:
    """The worse candidate lies g below the better one: the push is e^-g / (1 + e^-g) without, (e^-g - x) / (1 + e^-g + x) with the
    boundary, x = e^(g - 2 beta). For a share r: x = e^-g (1 - r) / (1 + r e^-g / (1 + e^-g)), beta = (g - ln x) / 2. Where that
    is negative, it is that of g = 0."""

    def beta(gap: float) -> float:
        odds = math.exp(-gap)
        return (gap - math.log(odds * (1 - share) / (1 + share * odds / (1 + odds)))) / 2

    found = auto_beta([group(1, 0)], [logprobs(-0.5, -0.5 - gap)], AftLoss(), share)
    assert found == pytest.approx(beta(gap) if beta(gap) > 0 else beta(0.0), rel=2e-4)


def test_other_losses_have_their_own_unit() -> None:
    """Equal scores, share 3/4: x = (1/4) / (1 + 3/8) = 2/11. AFT, SimPO with b = 2 without margin, DPO with b = 0.1 (h = 0 of all,
    as the policy is the reference): beta = ln(11/2) / 2 / b. NCA: sigma(0) - sigma(-2 b beta) = 3/8: 2 b beta = ln 7."""
    groups, items = [group(1, 0)], [logprobs(-0.5, -0.5, lengths=(4, 9))]
    x = math.log(11 / 2) / 2
    found = [auto_beta(groups, items, loss, 0.75) for loss in (AftLoss(), SimpoLoss(simpo_gamma=0.0), DpoLoss(), NcaLoss())]
    assert found == pytest.approx([x, x / 2, x / 0.1, math.log(7) / 0.2], rel=2e-4)


def test_responses_outside_the_alignment_loss_do_not_count() -> None:
    one = auto_beta([group(None, 1, 0)], [logprobs(-0.1, -0.5, -0.9)], AftLoss(), 0.5)
    assert one == auto_beta([group(1, 0)], [logprobs(-0.5, -0.9)], AftLoss(), 0.5)


def test_groups_without_pairs_change_nothing() -> None:
    alone = auto_beta([group(1, 0)], [logprobs(-0.5, -0.9)], AftLoss(), 0.5)
    both = auto_beta([group(1, 1, 1), group(1, 0)], [logprobs(-0.1, -0.2, -3.0), logprobs(-0.5, -0.9)], AftLoss(), 0.5)
    assert both == pytest.approx(alone, rel=1e-12)


def test_scores_meet_their_candidates_by_index() -> None:
    """Of candidates 5, 0 and 1 the last two are trained on."""
    trained = replace(group(1, 0), indices=[0, 1])
    written = logprobs(-0.1, -0.5, -0.9).model_copy(update={"indices": [5, 0, 1]})
    assert auto_beta([trained], [written], AftLoss(), 0.5) == auto_beta([group(1, 0)], [logprobs(-0.5, -0.9)], AftLoss(), 0.5)


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
        auto_beta([trained], [item], AftLoss(), 0.5)


@pytest.mark.parametrize(
    ("groups", "items", "loss"),
    [
        ([], [], AftLoss()),
        ([group(1, 1)], [logprobs(-0.1, -0.2)], AftLoss()),  # no pair
        ([group(1, 0)], [logprobs(-0.1, -0.2)], RrhfLoss()),  # in order, which is all that the hinge asks for
        ([group(1, 0), group(1, 0)], [logprobs(-0.5, -0.4), logprobs(-0.5, -0.1)], RrhfLoss()),  # with any beta all is left
        ([group(1, 0)], [logprobs(-9.0, -0.1)], AftLoss()),  # far above its boundary, whatever beta is
    ],
)
def test_an_unreachable_share_is_that_of_equal_scores(groups: list[EncodedGroup], items: list[GroupLogprobs], loss: Any) -> None:
    """x = (1/4) / (1 + 3/8) = 2/11, beta = ln(11/2) / 2: of AFT, and of a hinge, which has no such value of its own."""
    with pytest.warns(UserWarning, match=r"align.beta: in these groups no beta leaves 75 % of the push; auto took 0\.852, which"):
        assert auto_beta(groups, items, loss, 0.75) == pytest.approx(math.log(11 / 2) / 2, rel=2e-4)


def test_groups_and_log_probabilities_belong_together() -> None:
    with pytest.raises(ValueError, match="shorter"):
        auto_beta([group(1, 0), group(1, 0)], [logprobs(-0.1, -0.5)], AftLoss(), 0.5)


SCORE = st.integers(-400, -1).map(lambda n: n / 100)
MEMBERS = st.lists(st.tuples(st.sampled_from([0.0, 1.0, 2.5]), SCORE), min_size=1, max_size=6)


@given(
    members=st.lists(MEMBERS, min_size=1, max_size=5),
    shares=st.tuples(st.floats(0.05, 0.95), st.floats(0.05, 0.95)).map(sorted),
    loss=st.sampled_from([AftLoss(), ProLoss(), SimpoLoss(), DpoLoss(), NcaLoss()]),
)
def test_larger_shares_give_no_smaller_betas(members: list[list[tuple[float, float]]], shares: list[float], loss: Any) -> None:
    groups = [group(*(quality for quality, _ in one)) for one in members]
    items = [logprobs(*(score for _, score in one)) for one in members]
    with warnings.catch_warnings(record=True, action="always") as caught:
        low, high = (auto_beta(groups, items, loss, share) for share in shares)
    paired = any(len({quality for quality, _ in one}) > 1 for one in members)
    assert paired or len(caught) == 2
    assert 1e-4 <= min(low, high) <= max(low, high) <= 1.001e6
    assert caught or low <= high * (1 + 2e-4)  # one that is not reached has another rule
