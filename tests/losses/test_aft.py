"""The alignment loss against the plain formulas of arXiv 2309.02144, section 4."""

import math

import pytest
import torch

from aftune.losses import AftLoss
from loss_judge import DOUBLE, OPTIONS, gradient, inputs_of


def test_hand_worked_example_without_constraint() -> None:
    """s_p = -0.3, -0.5 and s_n = -0.4.

    Z = 1 + exp(-0.4 + 0.3) + exp(-0.4 + 0.5) = 1 + 0.904837 + 1.105171 = 3.010008 and L = ln Z = 1.101943.
    dL/ds_n = (0.904837 + 1.105171) / Z = 0.667775; dL/ds_p = -0.904837 / Z = -0.300610 and -1.105171 / Z = -0.367165.
    """
    loss = AftLoss("none")
    value = loss(inputs_of([[-0.3, -0.5, -0.4]], [[1, 1, 0]])).losses_P
    assert value.tolist() == pytest.approx([1.101943], abs=1e-6)
    grad = gradient(loss, torch.tensor([[-0.3, -0.5, -0.4]], dtype=DOUBLE), [[1, 1, 0]])
    assert grad[0].tolist() == pytest.approx([-0.300610, -0.367165, 0.667775], abs=1e-6)


def test_hand_worked_example_with_boundary() -> None:
    """The same group with beta = 0.2: B = -0.5 - 0.2 = -0.7, T_p = 2B - s_p = -1.1 and -0.9.

    Z = 3.010008 + exp(-1.1 + 0.4) + exp(-0.9 + 0.4) = 3.010008 + 0.496585 + 0.606531 = 4.113124 and L = 1.414183.
    dL/ds_n = (0.904837 + 1.105171 - 0.496585 - 0.606531) / Z = 0.220488; dL/ds_p = -0.219988 and -0.268694.
    """
    loss = AftLoss("boundary", beta=0.2)
    value = loss(inputs_of([[-0.3, -0.5, -0.4]], [[1, 1, 0]])).losses_P
    assert value.tolist() == pytest.approx([1.414183], abs=1e-6)
    grad = gradient(loss, torch.tensor([[-0.3, -0.5, -0.4]], dtype=DOUBLE), [[1, 1, 0]])
    assert grad[0].tolist() == pytest.approx([-0.219988, -0.268694, 0.220488], abs=1e-6)


def test_hand_worked_ranking_example() -> None:
    """Three levels, s = -0.2, -0.5, -0.4 from best to worst, beta = 0.1; pairs (1,2), (1,3), (2,3).

    exp(s_j - s_i): exp(-0.3) + exp(-0.2) + exp(0.1) = 0.740818 + 0.818731 + 1.105171 = 2.664720.
    B_2 = -0.3, so T_12 = -0.4: exp(0.1) = 1.105171. B_3 = -0.6, so T_13 = -1.0 and T_23 = -0.7:
    exp(-0.6) + exp(-0.3) = 0.548812 + 0.740818. Z = 1 + 2.664720 + 2.394801 = 6.059521, L = 1.801631.
    """
    value = AftLoss("boundary", beta=0.1)(inputs_of([[-0.2, -0.5, -0.4]], [[5, 2, -1]])).losses_P
    assert value.tolist() == pytest.approx([1.801631], abs=1e-6)


def test_detached_boundary_keeps_pushing_the_worst_positive_up() -> None:
    """Without detachment the constraint pushes the worst of the better candidates down: a positive slope (docs/method.md)."""
    scores = torch.tensor([[-0.30, -0.55, -0.42, -0.6]], dtype=DOUBLE)
    qualities = [[1, 1, 1, 0]]
    assert gradient(AftLoss("boundary", 0.2, False), scores, qualities)[0, 1].item() == pytest.approx(0.39, abs=0.005)
    assert gradient(AftLoss("boundary", 0.2, True), scores, qualities)[0, 1].item() == pytest.approx(-0.18, abs=0.005)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("constraint", "detach"), OPTIONS)
@pytest.mark.parametrize("scores", [[-1e4, 0.0], [0.0, -1e4], [-1e4, -1e4], [0.0, 0.0]])
def test_extreme_scores_give_the_largest_exponent(constraint: str, detach: bool, scores: list[float], dtype: torch.dtype) -> None:
    """A sum of exponentials would overflow here; the loss is the larger exponent plus a logarithm."""
    value = AftLoss(constraint, 0.15, detach)(inputs_of(torch.tensor([scores], dtype=dtype), [[1, 0]])).losses_P
    positive, negative = scores
    exponents = [0.0, negative - positive]
    if constraint == "boundary":
        exponents.append(2 * (positive - 0.15) - positive - negative)
    largest = max(exponents)
    expected = largest + math.log(sum(math.exp(exponent - largest) for exponent in exponents))
    # Near 1e4 neighbouring float32 numbers lie 0.001 apart.
    assert value.item() == pytest.approx(expected, rel=1e-12 if dtype == DOUBLE else 5e-4)


def test_push_on_negative_changes_sign_at_the_boundary() -> None:
    """B = min s_p - beta = -0.5 - 0.25 = -0.75 exactly (all are binary fractions): zero there, up below, down above."""
    loss = AftLoss("boundary", beta=0.25)

    def push(negative: float) -> float:
        return gradient(loss, torch.tensor([[-0.25, -0.5, negative]], dtype=DOUBLE), [[1, 1, 0]])[0, 2].item()

    assert push(-0.75) == pytest.approx(0.0, abs=1e-15)
    assert push(-0.75 + 1e-6) > 1e-7
    assert push(-0.75 - 1e-6) < -1e-7
    assert push(-3.0) < 0 < push(-0.1)


def test_push_on_negative_follows_the_closed_form() -> None:
    """dL/ds_n = (2 sinh(s_n - B) / Z) sum_p exp(B - s_p), docs/method.md."""
    positives, beta = [-0.30, -0.55, -0.42], 0.2
    boundary = min(positives) - beta
    for negative in (-0.6, -0.75, -1.4):
        scores = torch.tensor([[*positives, negative]], dtype=DOUBLE)
        loss = AftLoss("boundary", beta)
        total = math.exp(loss(inputs_of(scores, [[1, 1, 1, 0]])).losses_P.item())
        expected = 2 * math.sinh(negative - boundary) / total * sum(math.exp(boundary - p) for p in positives)
        assert gradient(loss, scores, [[1, 1, 1, 0]])[0, 3].item() == pytest.approx(expected, rel=1e-10)
