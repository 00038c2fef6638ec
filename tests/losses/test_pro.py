"""PRO by hand, its temperatures, and the eps of its official code."""

import math

import pytest
import torch
from hypothesis import given
from torch import Tensor

from aftune.losses import ProLoss
from loss_judge import ANY_GROUPS, DOUBLE, OPTIONS, gradient, inputs_of, padded

SCORES = torch.tensor([[-0.2, -0.5, -0.4]], dtype=DOUBLE)
QUALITIES = [[2, 1, 0]]


def test_hand_worked_example() -> None:
    """s = -0.2, -0.5, -0.4 of qualities 2, 1, 0.

    First: 1/t = 1 against the second, 2 against the third and for itself: own exponent -0.4, theirs -0.5 and -0.8.
    Z_1 = 1 + exp(-0.1) + exp(-0.4) = 1 + 0.904837 + 0.670320 = 2.575157. Second, 1/t = 1: Z_2 = 1 + exp(0.1) = 2.105171.
    L = ln Z_1 + ln Z_2 = 0.945911 + 0.744397 = 1.690307.
    dL/ds_1 = -2 (Z_1 - 1) / Z_1 = -1.223348; dL/ds_2 = 0.904837 / Z_1 - (Z_2 - 1) / Z_2 = -0.173608;
    dL/ds_3 = 2 * 0.670320 / Z_1 + 1.105171 / Z_2 = 1.045584.
    """
    loss = ProLoss("none")
    assert loss(inputs_of(SCORES, QUALITIES)).losses_P.tolist() == pytest.approx([1.690307], abs=1e-6)
    assert gradient(loss, SCORES, QUALITIES)[0].tolist() == pytest.approx([-1.223348, -0.173608, 1.045584], abs=1e-6)


def test_hand_worked_example_with_boundary() -> None:
    """beta = 0.1: B_2 = -0.3, B_3 = -0.6. Added to Z_1: exp((2 B_2 - s_2) - (-0.4)) = exp(-0.1 + 0.4) = 1.349859 and
    exp(2 (2 B_3 - s_3) + 0.4) = exp(-1.6 + 0.4) = 0.301194; to Z_2: exp((2 B_3 - s_3) + 0.5) = exp(-0.3) = 0.740818.
    L = ln 4.226210 + ln 2.845989 = 1.441306 + 1.045911 = 2.487216."""
    value = ProLoss("boundary", beta=0.1)(inputs_of(SCORES, QUALITIES)).losses_P
    assert value.tolist() == pytest.approx([2.487216], abs=1e-6)


def test_push_as_one_of_the_worse_is_zero_at_the_boundary_for_every_temperature() -> None:
    """Better -0.25 and -0.5 of qualities 3 and 1, so two temperatures: B = -0.5 - 0.25 = -0.75 for both."""
    loss = ProLoss("boundary", 0.25)

    def push(worse: float) -> float:
        return gradient(loss, torch.tensor([[-0.25, -0.5, worse]], dtype=DOUBLE), [[3, 1, 0]])[0, 2].item()

    assert push(-0.75) == pytest.approx(0.0, abs=1e-15)
    assert push(-0.75 + 1e-6) > 1e-7
    assert push(-0.75 - 1e-6) < -1e-7


@given(groups=ANY_GROUPS)
def test_qualities_matter_by_their_gaps_only(groups: list[list[tuple[float, float, float]]]) -> None:
    """The same number added to all changes nothing (binary fractions: to the last bit)."""
    scores = padded([[s for s, _, _ in group] for group in groups], 0.0, max(map(len, groups)))
    plain, shifted = ([[q + shift for _, q, _ in group] for group in groups] for shift in (0, 8))
    assert torch.equal(ProLoss()(inputs_of(scores, plain)).losses_P, ProLoss()(inputs_of(scores, shifted)).losses_P)
    assert torch.equal(gradient(ProLoss(), scores, plain), gradient(ProLoss(), scores, shifted))


@pytest.mark.parametrize(("constraint", "detach"), OPTIONS)
@given(groups=ANY_GROUPS)
def test_a_wider_gap_is_a_lower_temperature(groups: list[list[tuple[float, float, float]]], constraint: str, detach: bool) -> None:
    """Qualities times 4 are scores and beta times 4, to the last bit."""
    scores = padded([[s for s, _, _ in group] for group in groups], 0.0, max(map(len, groups)))
    plain, wide = ([[q * factor for _, q, _ in group] for group in groups] for factor in (1, 4))
    ours = ProLoss(constraint, 0.25, detach)(inputs_of(scores, wide)).losses_P
    assert torch.equal(ours, ProLoss(constraint, 1.0, detach)(inputs_of(4 * scores, plain)).losses_P)


def test_one_pair_is_the_logistic_loss() -> None:
    """log(1 + exp((r_i - r_j) (s_j - s_i))): gap 2.5, s_j - s_i = 0.4, log(1 + e) = 1.313262."""
    assert ProLoss("none")(inputs_of([[-0.9, -0.5]], [[3, 0.5]])).losses_P.item() == pytest.approx(1.313262, abs=1e-6)


def test_pairs_of_equal_quality_are_skipped() -> None:
    """Two equal ones do not meet: L is the sum of two groups with one each."""
    together = ProLoss("none")(inputs_of([[-0.3, -0.5, -0.4]], [[1, 1, 0]])).losses_P
    alone = ProLoss("none")(inputs_of([[-0.3, -0.4], [-0.5, -0.4]], [[1, 0], [1, 0]])).losses_P
    assert together.item() == pytest.approx(alone.sum().item(), rel=1e-14)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_extreme_scores(dtype: torch.dtype) -> None:
    """Gap 1: 1e4 out of order, or 2 B - s_j - s_i = -0.3 + 1e4 below the boundary."""
    high, low = (
        ProLoss(beta=0.15)(inputs_of(torch.tensor([row], dtype=dtype), [[1, 0]])).losses_P for row in ([-1e4, 0.0], [0.0, -1e4])
    )
    assert high.item() == pytest.approx(1e4, rel=1e-6)
    assert low.item() == pytest.approx(1e4 - 0.3, rel=1e-6)


def official(scores: Tensor, rewards: list[float], eps: float) -> Tensor:
    """The official code's loop for one question, responses from best to worst: exponentials first, then the logarithm."""
    total = torch.zeros((), dtype=scores.dtype)
    for time in range(len(rewards) - 1):
        gaps = torch.tensor([rewards[time] - reward for reward in rewards[time + 1 :]], dtype=scores.dtype)
        own = scores[time] * gaps.max()
        total = total + torch.log(eps + torch.exp(own) + torch.exp(scores[time + 1 :] * gaps).sum()) - own
    return total


@pytest.mark.parametrize("scores", [[-0.2, -0.5, -0.4], [-9.0, -14.0, -11.0], [-300.0, -300.0, -300.0]])
def test_eps_is_that_of_the_official_code(scores: list[float]) -> None:
    """1e-10: nothing at usual scores; where the exponentials are as small as it, the loss grows: at -300 it is
    2 * 300 - 23.026 for the first and 300 - 23.026 for the second response, though they are equal."""
    leaf = torch.tensor([scores], dtype=DOUBLE, requires_grad=True)
    ours = ProLoss("none", eps=1e-10)(inputs_of(leaf, QUALITIES)).losses_P[0]
    theirs = official(leaf[0], [2.0, 1.0, 0.0], 1e-10)
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-12)
    (ours_grad,), (theirs_grad,) = torch.autograd.grad(ours, leaf), torch.autograd.grad(theirs, leaf)
    torch.testing.assert_close(ours_grad, theirs_grad, rtol=1e-10, atol=1e-12)
    formula = ProLoss("none")(inputs_of(leaf, QUALITIES)).losses_P.item()
    if scores[0] == -300:
        assert ours.item() == pytest.approx(900 + 2 * math.log(1e-10), rel=1e-12)
        # The first has 1/t = 2 for itself and the third, 1 for the second: exponents -600, -300, -600.
        assert formula == pytest.approx(300 + math.log(2), rel=1e-12)
    elif scores[0] == -0.2:
        assert ours.item() == pytest.approx(formula, abs=1e-9)


@pytest.mark.parametrize("eps", [-1e-10, math.nan, math.inf, "1e-10"])
def test_wrong_eps_is_an_error(eps: float) -> None:
    with pytest.raises(ValueError, match=r"eps is .*, expected 0 or a positive number"):
        ProLoss(eps=eps)
