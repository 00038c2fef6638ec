"""The alignment loss against the plain formulas of arXiv 2309.02144, section 4."""

import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from aftune import losses
from aftune.errors import UsageError
from aftune.losses import AftLoss, LossInputs

VARIANTS = [("none", True), ("detached", True), ("boundary", True), ("boundary", False)]
DOUBLE = torch.float64


def padded(rows: Sequence[Sequence[float]], filler: float, width: int, dtype: torch.dtype = DOUBLE) -> Tensor:
    return torch.tensor([[*row, *[filler] * (width - len(row))] for row in rows], dtype=dtype)


def inputs_of(
    scores: Tensor | Sequence[Sequence[float]], qualities: Sequence[Sequence[float]], filler: float = 0.0, extra: int = 0
) -> LossInputs:
    """Ragged groups as padded inputs; `filler` stands in the padded places."""
    width = max(map(len, qualities)) + extra
    if not torch.is_tensor(scores):
        scores = padded(scores, filler, width)
    mask = torch.tensor([[g < len(row) for g in range(width)] for row in qualities], dtype=torch.bool)
    return LossInputs(scores, scores.detach() * 7, padded(qualities, filler, width, torch.float32), mask)


def plain_formula(scores: Tensor, qualities: Sequence[float], loss: AftLoss, constants: Tensor | None = None) -> Tensor:
    """The formula for one group, pair by pair. What stands under D(.) is read from `constants`: the scores, detached."""
    constants = scores.detach() if constants is None else constants
    total = torch.ones((), dtype=scores.dtype)
    for i, better in enumerate(qualities):
        for j, worse in enumerate(qualities):
            if better <= worse:
                continue
            above = [k for k, quality in enumerate(qualities) if quality > worse]
            if loss.constraint == "detached":
                total = total + torch.exp(constants[j] - scores[i])
                continue
            total = total + torch.exp(scores[j] - scores[i])
            if loss.constraint == "boundary":
                source = constants if loss.detach_boundary else scores
                target = 2 * (torch.stack([source[k] for k in above]).min() - loss.beta) - source[i]
                total = total + torch.exp(target - scores[j])
    return torch.log(total)


def gradient(loss: AftLoss, scores: Tensor, qualities: Sequence[Sequence[float]], filler: float = 0.0) -> Tensor:
    leaf = scores.clone().requires_grad_()
    loss(inputs_of(leaf, qualities, filler, extra=leaf.shape[1] - max(map(len, qualities)))).losses_P.sum().backward()
    return leaf.grad


def ragged_groups(levels: Sequence[float]) -> st.SearchStrategy[list[list[tuple[float, float]]]]:
    """Groups of 0 to 5 (score, quality) pairs; no two scores of a group are equal, so that every minimum is one candidate."""
    candidate = st.tuples(st.integers(-3000, 0).map(lambda n: n / 1000), st.sampled_from(levels))
    return st.lists(st.lists(candidate, max_size=5, unique_by=lambda c: c[0]), min_size=1, max_size=4).filter(any)


ANY_GROUPS = ragged_groups([0.0, 1.0]) | ragged_groups([-1.5, 0.0, 0.25, 2.0, 7.0])


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


@pytest.mark.parametrize(("constraint", "detach"), VARIANTS)
@given(groups=ANY_GROUPS, beta=st.sampled_from([0.05, 0.15, 1.0]))
def test_equals_double_loop_over_pairs(constraint: str, detach: bool, groups: Any, beta: float) -> None:
    loss = AftLoss(constraint, beta, detach)
    qualities = [[quality for _, quality in group] for group in groups]
    width = max(map(len, groups)) + 1
    ours = padded([[score for score, _ in group] for group in groups], -9.0, width).requires_grad_()
    losses_P = loss(inputs_of(ours, qualities, filler=-9.0, extra=1)).losses_P
    theirs = ours.detach().clone().requires_grad_()
    expected = torch.stack([plain_formula(theirs[p, : len(row)], row, loss) for p, row in enumerate(qualities)])
    torch.testing.assert_close(losses_P, expected, rtol=1e-12, atol=1e-12)
    losses_P.sum().backward()
    if expected.requires_grad:
        expected.sum().backward()
    torch.testing.assert_close(
        ours.grad, theirs.grad if theirs.grad is not None else torch.zeros_like(ours), rtol=1e-10, atol=1e-12
    )


@pytest.mark.parametrize(("constraint", "detach"), [("none", True), ("boundary", False)])
def test_gradcheck_where_nothing_is_detached(constraint: str, detach: bool) -> None:
    scores = torch.tensor([[-0.3, -0.55, -0.42, -0.6], [-1.2, -0.1, -0.7, 0.0]], dtype=DOUBLE, requires_grad=True)
    qualities = [[1, 1, 1, 0], [3, 2, 0.5]]
    loss = AftLoss(constraint, 0.2, detach)
    assert torch.autograd.gradcheck(lambda s: loss(inputs_of(s, qualities)).losses_P, (scores,), eps=1e-6, atol=1e-8)


@pytest.mark.parametrize("constraint", ["detached", "boundary"])
def test_finite_differences_with_constants_held(constraint: str) -> None:
    """The derivative of the plain formula by the scores that are not under D(.), those under it held at their values."""
    loss = AftLoss(constraint, 0.2)
    scores = torch.tensor([-0.3, -0.55, -0.42, -0.6, -0.5], dtype=DOUBLE)
    qualities = [2, 2, 1, 0, 1]
    grad = gradient(loss, scores[None], [qualities])[0]
    step = 1e-6
    for k in range(len(scores)):
        shift = torch.zeros_like(scores)
        shift[k] = step
        up = plain_formula(scores + shift, qualities, loss, constants=scores)
        down = plain_formula(scores - shift, qualities, loss, constants=scores)
        assert grad[k].item() == pytest.approx(((up - down) / (2 * step)).item(), abs=1e-8)


def test_detached_boundary_keeps_pushing_the_worst_positive_up() -> None:
    """The numbers of METHOD.md: without the detachment the constraint pushes the worst positive down, its slope is positive."""
    scores = torch.tensor([[-0.30, -0.55, -0.42, -0.6]], dtype=DOUBLE)
    qualities = [[1, 1, 1, 0]]
    assert gradient(AftLoss("boundary", 0.2, False), scores, qualities)[0, 1].item() == pytest.approx(0.39, abs=0.005)
    assert gradient(AftLoss("boundary", 0.2, True), scores, qualities)[0, 1].item() == pytest.approx(-0.18, abs=0.005)


@pytest.mark.parametrize(("constraint", "detach"), VARIANTS)
def test_order_of_candidates_does_not_matter(constraint: str, detach: bool) -> None:
    loss = AftLoss(constraint, 0.15, detach)
    scores = torch.tensor([[-0.3, -0.55, -0.42, -0.6, -0.1]], dtype=DOUBLE)
    qualities = torch.tensor([2.0, 1.0, 1.0, 0.0, 0.5])
    value = loss(inputs_of(scores, [qualities.tolist()])).losses_P
    grad = gradient(loss, scores, [qualities.tolist()])
    for order in ([4, 3, 2, 1, 0], [2, 0, 4, 1, 3], [1, 2, 3, 4, 0]):
        shuffled = scores[:, order]
        torch.testing.assert_close(loss(inputs_of(shuffled, [qualities[order].tolist()])).losses_P, value, rtol=1e-12, atol=0)
        torch.testing.assert_close(gradient(loss, shuffled, [qualities[order].tolist()]), grad[:, order], rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("filler", [math.nan, math.inf, -math.inf, 1e4, -1e4])
@pytest.mark.parametrize(("constraint", "detach"), VARIANTS)
def test_what_stands_in_padding_does_not_matter(constraint: str, detach: bool, filler: float) -> None:
    loss = AftLoss(constraint, 0.15, detach)
    rows, qualities = [[-0.3, -0.5, -0.4], [-0.2, -0.7], []], [[1, 0, 0], [0, 1], []]
    clean = loss(inputs_of(rows, qualities, 0.0, extra=2))
    dirty = loss(inputs_of(rows, qualities, filler, extra=2))
    assert torch.equal(dirty.losses_P, clean.losses_P)
    assert all(torch.equal(dirty.metrics[name], clean.metrics[name]) for name in clean.metrics)
    clean_grad = gradient(loss, padded(rows, 0.0, 5), qualities, 0.0)
    dirty_grad = gradient(loss, padded(rows, filler, 5), qualities, filler)
    assert torch.equal(dirty_grad, clean_grad)
    assert dirty_grad[:2].abs().max() > 0.1
    assert not dirty_grad[0, 3:].any()
    assert not dirty_grad[1, 2:].any()


@pytest.mark.parametrize(("constraint", "detach"), VARIANTS)
@pytest.mark.parametrize("qualities", [[1, 1, 1], [0, 0, 0], [1], []])
def test_group_without_pairs_has_no_loss_and_no_gradient(constraint: str, detach: bool, qualities: list[float]) -> None:
    loss = AftLoss(constraint, 0.15, detach)
    scores = torch.tensor([[-0.3, -0.6, -0.2], [-0.3, -0.6, -0.2]], dtype=DOUBLE)
    mixed = [1, 0, 1]
    value = loss(inputs_of(scores, [qualities, mixed])).losses_P
    assert value[0].item() == 0.0
    assert value[1].item() > 0.0
    grad = gradient(loss, scores, [qualities, mixed])
    assert grad[0].tolist() == [0.0, 0.0, 0.0]
    assert torch.isfinite(grad).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("constraint", "detach"), VARIANTS)
@pytest.mark.parametrize("scores", [[-1e4, 0.0], [0.0, -1e4], [-1e4, -1e4], [0.0, 0.0]])
def test_extreme_scores_give_finite_values_and_gradients(
    constraint: str, detach: bool, scores: list[float], dtype: torch.dtype
) -> None:
    """A sum of exponentials would overflow here; the loss is the larger exponent plus a logarithm."""
    leaf = torch.tensor([scores], dtype=dtype, requires_grad=True)
    value = AftLoss(constraint, 0.15, detach)(inputs_of(leaf, [[1, 0]])).losses_P
    value.sum().backward()
    positive, negative = scores
    exponents = [0.0, negative - positive]
    if constraint == "boundary":
        exponents.append(2 * (positive - 0.15) - positive - negative)
    largest = max(exponents)
    expected = largest + math.log(sum(math.exp(exponent - largest) for exponent in exponents))
    # Near 1e4 neighbouring float32 numbers lie 0.001 apart.
    assert value.item() == pytest.approx(expected, rel=1e-12 if dtype == DOUBLE else 5e-4)
    assert torch.isfinite(leaf.grad).all()


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
    """dL/ds_n = (2 sinh(s_n - B) / Z) sum_p exp(B - s_p), METHOD.md section 3."""
    positives, beta = [-0.30, -0.55, -0.42], 0.2
    boundary = min(positives) - beta
    for negative in (-0.6, -0.75, -1.4):
        scores = torch.tensor([[*positives, negative]], dtype=DOUBLE)
        loss = AftLoss("boundary", beta)
        total = math.exp(loss(inputs_of(scores, [[1, 1, 1, 0]])).losses_P.item())
        expected = 2 * math.sinh(negative - boundary) / total * sum(math.exp(boundary - p) for p in positives)
        assert gradient(loss, scores, [[1, 1, 1, 0]])[0, 3].item() == pytest.approx(expected, rel=1e-10)


def test_detached_negative_gets_no_push_and_the_value_of_none() -> None:
    scores = torch.tensor([[-0.3, -0.5, -0.4]], dtype=DOUBLE)
    qualities = [[1, 0, 0]]
    grad = gradient(AftLoss("detached"), scores, qualities)[0]
    plain = gradient(AftLoss("none"), scores, qualities)[0]
    assert grad[1:].tolist() == [0.0, 0.0]
    assert grad[0] == plain[0]
    assert torch.equal(
        AftLoss("detached")(inputs_of(scores, qualities)).losses_P, AftLoss("none")(inputs_of(scores, qualities)).losses_P
    )


def test_large_beta_gives_the_loss_without_constraint() -> None:
    scores = torch.tensor([[-0.3, -0.5, -0.4, -0.2]], dtype=DOUBLE)
    qualities = [[1, 0, 0, 1]]
    near, far = AftLoss("boundary", 0.15), AftLoss("boundary", 50.0)
    plain = AftLoss("none")(inputs_of(scores, qualities)).losses_P
    assert torch.equal(far(inputs_of(scores, qualities)).losses_P, plain)
    assert near(inputs_of(scores, qualities)).losses_P > plain + 0.1
    torch.testing.assert_close(
        gradient(far, scores, qualities), gradient(AftLoss("none"), scores, qualities), rtol=1e-12, atol=1e-15
    )


def test_half_precision_scores_are_computed_in_float32() -> None:
    scores = torch.tensor([[-0.3, -0.5, -0.4]]).bfloat16()
    value = AftLoss()(inputs_of(scores, [[1, 1, 0]])).losses_P
    assert value.dtype == torch.float32
    torch.testing.assert_close(value.double(), AftLoss()(inputs_of(scores.double(), [[1, 1, 0]])).losses_P, rtol=1e-6, atol=0)


def test_metrics_of_a_hand_made_group() -> None:
    """Better: -0.3, -0.5, mean -0.4. Worse: -0.4, -0.9, mean -0.65. In order: all pairs but (-0.5, -0.4), 3 of 4.
    B = -0.7: one of two negatives is below."""
    outputs = AftLoss("boundary", 0.2)(inputs_of([[-0.3, -0.5, -0.4, -0.9], [-7.0]], [[1, 1, 0, 0], [1]]))
    assert {name: value.item() for name, value in outputs.metrics.items()} == pytest.approx(
        {"score_better": -0.4, "score_worse": -0.65, "pairs_in_order": 0.75, "below_boundary": 0.5}
    )


def test_mean_over_groups_counts_groups_without_pairs() -> None:
    outputs = AftLoss("none")(inputs_of([[-0.3, -0.3], [-0.3]], [[1, 0], [1]]))
    assert outputs.loss.item() == pytest.approx(math.log(2) / 2)


@pytest.mark.parametrize("quality", [math.nan, math.inf])
def test_quality_that_is_not_finite_is_an_error(quality: float) -> None:
    with pytest.raises(ValueError, match="not finite"):
        inputs_of([[-0.3, -0.5]], [[1, quality]])


def test_unknown_names_are_usage_errors() -> None:
    with pytest.raises(UsageError, match=r"no loss 'afd'; there are aft"):
        losses.build("afd")
    with pytest.raises(UsageError, match="gamma"):
        losses.build("aft", gamma=0.1)
    with pytest.raises(UsageError, match="'bound', expected none, detached or boundary"):
        losses.build("aft", constraint="bound")
    with pytest.raises(UsageError, match="beta is 0"):
        losses.build("aft", beta=0.0)


def test_build_sets_the_options() -> None:
    assert losses.build("aft", constraint="detached", beta=0.3, detach_boundary=False) == AftLoss("detached", 0.3, False)
