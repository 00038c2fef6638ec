"""DPO by hand, and against its reference policy."""

import math
from dataclasses import replace

import pytest
import torch

from aftune.losses import DpoLoss
from loss_judge import DOUBLE, LENGTH, gradient, inputs_of

# Sums are 8 times these: -2.4, -4, -3.2.
SCORES = torch.tensor([[-0.3, -0.5, -0.4]], dtype=DOUBLE)
REFERENCE = torch.tensor([[-3.0, -3.0, -3.0]], dtype=DOUBLE)
QUALITIES = [[1, 1, 0]]


def test_hand_worked_example() -> None:
    """h = 0.6, -1 of the better and -0.2 of the worse response, b = 0.5: exp(0.5 * -0.8) = 0.670320, exp(0.5 * 0.8) = 1.491825.

    L = (ln 1.670320 + ln 2.491825) / 2 = (0.513015 + 0.913015) / 2 = 0.713015.
    dL/dh_l = 0.5 (0.670320 / 1.670320 + 1.491825 / 2.491825) / 2 = 0.25, with respect to the score 8 times that.
    """
    loss = DpoLoss("none", dpo_beta=0.5)
    value = loss(inputs_of(SCORES, QUALITIES, reference=REFERENCE)).losses_P
    assert value.tolist() == pytest.approx([0.713015], abs=1e-6)
    assert gradient(loss, SCORES, QUALITIES, reference=REFERENCE)[0, 2].item() == pytest.approx(0.25 * LENGTH, abs=1e-9)


def test_hand_worked_example_with_boundary() -> None:
    """beta = 0.5: B = 0.1 and -1.5. 2B - h_w - h_l = 0.2 - 0.6 + 0.2 = -0.2 and -3 + 1 + 0.2 = -1.8, times 0.5 in the exponent:
    0.904837 and 0.406570. L = (ln 2.575157 + ln 2.898395) / 2 = (0.945911 + 1.064157) / 2 = 1.005034.
    dL/dh_l = 0.5 ((0.670320 - 0.904837) / 2.575157 + (1.491825 - 0.406570) / 2.898395) / 2 = 0.070841."""
    loss = DpoLoss("boundary", 0.5, dpo_beta=0.5)
    value = loss(inputs_of(SCORES, QUALITIES, reference=REFERENCE)).losses_P
    assert value.tolist() == pytest.approx([1.005034], abs=1e-6)
    push = gradient(loss, SCORES, QUALITIES, reference=REFERENCE)[0, 2].item()
    assert push == pytest.approx(0.070841 * LENGTH, abs=1e-5)


@pytest.mark.parametrize("constraint", ["none", "detached"])
def test_loss_of_every_group_starts_at_ln_2(constraint: str) -> None:
    """Policy and reference are the same model: h = 0, whatever the scores and the number of pairs."""
    scores = [[-0.3, -0.5, -0.4, -2.0], [-0.7, -0.1], [-0.5, -0.6, -0.2]]
    inputs = inputs_of(scores, [[1, 1, 0, 0], [0, 1], [3, 2, 1]])
    inputs = replace(inputs, reference_logprob_sums=inputs.logprob_sums.clone())
    assert DpoLoss(constraint)(inputs).losses_P.tolist() == pytest.approx([math.log(2)] * 3, abs=1e-15)


def test_loss_with_boundary_starts_at_the_same_value_in_every_group() -> None:
    """h = 0 and B = -beta: ln(1 + 1 + exp(-2 b beta)); b = 0.1, beta = 0.5: ln 2.904837."""
    inputs = inputs_of([[-0.3, -0.5, -0.4], [-0.7, -0.1, 0.0]], [[1, 1, 0], [0, 1, 3]])
    inputs = replace(inputs, reference_logprob_sums=inputs.logprob_sums.clone())
    assert DpoLoss("boundary", 0.5)(inputs).losses_P.tolist() == pytest.approx([math.log(2.904837418)] * 2, abs=1e-9)


def test_a_group_is_the_mean_of_its_pairs() -> None:
    together = DpoLoss()(inputs_of([[-0.3, -0.5, -0.4]], [[1, 1, 0]])).losses_P
    alone = DpoLoss()(inputs_of([[-0.3, -0.4], [-0.5, -0.4]], [[1, 0], [1, 0]])).losses_P
    assert together.item() == pytest.approx(alone.mean().item(), rel=1e-14)


def test_each_pair_has_its_own_boundary_in_h() -> None:
    """h_w = -2 and -5 of the reference's -1 and 2 above sums -3 and -3, beta = 0.25: B = -2.25 and -5.25. The push of one pair is
    zero there, positive above, negative below; a worse response at -2.25 is above the second boundary."""
    loss = DpoLoss("boundary", 0.25)

    def push(h: float, *pairs: float) -> float:
        scores = torch.tensor([[-0.375] * len(pairs) + [h / LENGTH]], dtype=DOUBLE)
        reference = torch.tensor([[-3 - better for better in pairs] + [0.0]], dtype=DOUBLE)
        return gradient(loss, scores, [[1] * len(pairs) + [0]], reference=reference)[0, -1].item()

    for boundary, better in ((-2.25, -2.0), (-5.25, -5.0)):
        assert push(boundary, better) == pytest.approx(0.0, abs=1e-15)
        assert push(boundary - 1e-6, better) < -1e-8
        assert push(boundary + 1e-6, better) > 1e-8
    assert push(-2.25, -2.0, -5.0) > 0.01
    outputs = loss(inputs_of([[-0.25, -0.625, -0.375]], [[1, 1, 0]]))  # h = -2, -5 and -3
    assert (outputs.metrics["below_boundary"].item(), outputs.counts["below_boundary"].item()) == (0.5, 2)


def test_without_detaching_the_boundary_the_better_response_is_pushed_down() -> None:
    """Far below the boundary: the pull up on the worse response becomes a push down on the better one."""
    scores = torch.tensor([[-0.1, -9.0]], dtype=DOUBLE)
    assert gradient(DpoLoss("boundary"), scores, [[1, 0]])[0, 0].item() < 0
    assert gradient(DpoLoss("boundary", detach_boundary=False), scores, [[1, 0]])[0, 0].item() > 0.1


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_extreme_scores(dtype: torch.dtype) -> None:
    """b = 0.1, 8e4 nats: 8e3 out of order, or b (2B - h_w - h_l) = 0.1 (8e4 - 0.3) below the boundary."""
    high, low = (
        DpoLoss(beta=0.15)(inputs_of(torch.tensor([row], dtype=dtype), [[1, 0]])).losses_P for row in ([-1e4, 0.0], [0.0, -1e4])
    )
    assert high.item() == pytest.approx(8e3, rel=1e-6)
    assert low.item() == pytest.approx(8e3 - 0.03, rel=1e-6)


def test_reference_gets_no_gradient() -> None:
    reference = REFERENCE.clone().requires_grad_()
    scores = SCORES.clone().requires_grad_()
    DpoLoss()(inputs_of(scores, QUALITIES, reference=reference)).losses_P.sum().backward()
    assert reference.grad is None
    assert scores.grad is not None


def test_missing_reference_is_an_error() -> None:
    inputs = replace(inputs_of(SCORES, QUALITIES), reference_logprob_sums=None)
    with pytest.raises(ValueError, match=r"needs LossInputs\.reference_logprob_sums: give the summed log-probabilities"):
        DpoLoss()(inputs)
