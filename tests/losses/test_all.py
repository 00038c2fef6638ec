"""What holds for every loss under every constraint; the formulas pair by pair are in loss_judge.py."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from aftune.losses import (
    METRICS,
    AftLoss,
    ApoZeroLoss,
    InfoNcaLoss,
    IpoLoss,
    MinorDpoLoss,
    ProLoss,
    RrhfLoss,
    SppoLoss,
    ordered_pairs,
)
from loss_judge import (
    ANY_GROUPS,
    BOUNDED,
    DOUBLE,
    KINDS,
    LENGTH,
    OF_PAIRS,
    gradient,
    inputs_of,
    padded,
    plain_formula,
    ragged_groups,
    unit,
    variants,
)


@pytest.mark.parametrize("loss", variants(), ids=str)
@given(groups=ANY_GROUPS, beta=st.sampled_from([0.05, 0.15, 1.0]))
def test_equals_double_loop_over_pairs(loss: Any, groups: Any, beta: float) -> None:
    loss = type(loss)(loss.constraint, beta, loss.detach_boundary)
    rows, qualities, references = ([[candidate[k] for candidate in group] for group in groups] for k in range(3))
    width = max(map(len, groups)) + 1
    ours = padded(rows, -9.0, width).requires_grad_()
    reference = padded(references, -9.0, width)
    losses_P = loss(inputs_of(ours, qualities, filler=-9.0, extra=1, reference=reference)).losses_P
    theirs = ours.detach().clone().requires_grad_()
    expected = torch.stack(
        [
            plain_formula(loss, theirs[p, : len(row)], row, reference=reference[p, : len(row)]) + 0 * theirs.sum()
            for p, row in enumerate(qualities)
        ]
    )
    torch.testing.assert_close(losses_P, expected, rtol=1e-12, atol=1e-12)
    losses_P.sum().backward()
    expected.sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-10, atol=1e-12)


NOTHING_DETACHED = [
    loss for loss in variants(beta=0.2) if loss.constraint == "none" or (loss.constraint == "boundary" and not loss.detach_boundary)
]


@pytest.mark.parametrize("loss", NOTHING_DETACHED, ids=str)
def test_gradcheck_where_nothing_is_detached(loss: Any) -> None:
    scores = torch.tensor([[-0.3, -0.55, -0.42, -0.6], [-1.2, -0.1, -0.7, 0.0]], dtype=DOUBLE, requires_grad=True)
    qualities = [[1, 1, 1, 0], [3, 2, 0.5]]
    assert torch.autograd.gradcheck(lambda s: loss(inputs_of(s, qualities)).losses_P, (scores,), eps=1e-6, atol=1e-8)


@pytest.mark.parametrize(
    "loss", [loss for loss in variants(beta=0.2) if loss.constraint != "none" and loss.detach_boundary], ids=str
)
def test_finite_differences_with_constants_held(loss: Any) -> None:
    """The derivative of the plain formula by the scores that are not under D(.), those under it held at their values."""
    scores = torch.tensor([-0.3, -0.55, -0.42, -0.6, -0.5], dtype=DOUBLE)
    qualities = [2, 2, 1, 0, 1]
    grad = gradient(loss, scores[None], [qualities])[0]
    step = 1e-6
    for k in range(len(scores)):
        shift = torch.zeros_like(scores)
        shift[k] = step
        up = plain_formula(loss, scores + shift, qualities, constants=scores)
        down = plain_formula(loss, scores - shift, qualities, constants=scores)
        assert grad[k].item() == pytest.approx(((up - down) / (2 * step)).item(), rel=1e-8, abs=1e-8)
    assert grad.abs().max() > 0.05


@pytest.mark.parametrize("loss", variants(), ids=str)
def test_order_of_candidates_does_not_matter(loss: Any) -> None:
    scores = torch.tensor([[-0.3, -0.55, -0.42, -0.6, -0.1]], dtype=DOUBLE)
    reference = torch.tensor([[-3.0, -4.0, -1.0, -6.0, -2.0]], dtype=DOUBLE)
    qualities = torch.tensor([2.0, 1.0, 1.0, 0.0, 0.5])
    value = loss(inputs_of(scores, [qualities.tolist()], reference=reference)).losses_P
    grad = gradient(loss, scores, [qualities.tolist()], reference=reference)
    for order in ([4, 3, 2, 1, 0], [2, 0, 4, 1, 3], [1, 2, 3, 4, 0]):
        row, shuffled, moved = [qualities[order].tolist()], scores[:, order], reference[:, order]
        torch.testing.assert_close(loss(inputs_of(shuffled, row, reference=moved)).losses_P, value, rtol=1e-12, atol=0)
        torch.testing.assert_close(gradient(loss, shuffled, row, reference=moved), grad[:, order], rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("filler", [math.nan, math.inf, -math.inf, 1e4, -1e4])
@pytest.mark.parametrize("loss", [*variants(), ProLoss(eps=1e-10)], ids=str)
def test_what_stands_in_padding_does_not_matter(loss: Any, filler: float) -> None:
    """In scores, sums, qualities and the reference's sums alike; and one more column of it changes nothing."""
    rows, qualities = [[-0.3, -0.5, -0.4], [-0.2, -0.7], []], [[1, 0, 0], [0, 1], []]
    clean = loss(inputs_of(rows, qualities, 0.0, extra=2))
    dirty = loss(inputs_of(rows, qualities, filler, extra=2))
    assert torch.equal(dirty.losses_P, clean.losses_P)
    torch.testing.assert_close(dirty.metrics, clean.metrics, rtol=0, atol=0, equal_nan=True)
    assert all(torch.equal(dirty.counts[name], clean.counts[name]) for name in METRICS)
    tight = loss(inputs_of(rows, qualities, filler))
    torch.testing.assert_close(tight.losses_P, clean.losses_P, rtol=1e-14, atol=0)
    clean_grad = gradient(loss, padded(rows, 0.0, 5), qualities, 0.0)
    dirty_grad = gradient(loss, padded(rows, filler, 5), qualities, filler)
    assert torch.equal(dirty_grad, clean_grad)
    assert dirty_grad[:2].abs().max() > 0.1
    assert not dirty_grad[0, 3:].any()
    assert not dirty_grad[1, 2:].any()


@pytest.mark.parametrize("loss", [*variants(), ProLoss(eps=1e-10)], ids=str)
@pytest.mark.parametrize("qualities", [[1, 1, 1], [0, 0, 0], [1], []])
def test_group_without_pairs_has_no_loss_and_no_gradient(loss: Any, qualities: list[float]) -> None:
    scores = torch.tensor([[-0.3, -0.6, -0.2], [-0.3, -0.2, -0.6]], dtype=DOUBLE)
    mixed = [1, 0, 1]
    value = loss(inputs_of(scores, [qualities, mixed])).losses_P
    assert value[0].item() == 0.0
    assert value[1].item() > 0.0
    grad = gradient(loss, scores, [qualities, mixed])
    assert grad[0].tolist() == [0.0, 0.0, 0.0]
    assert torch.isfinite(grad).all()
    assert grad[1].any()
    alone = loss(inputs_of(scores[:1], [qualities], extra=3 - len(qualities)))
    assert alone.losses_P.tolist() == [0.0]
    assert all(math.isnan(alone.metrics[name]) and alone.counts[name] == 0 for name in METRICS)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("loss", [*variants(), ProLoss(eps=1e-10), RrhfLoss(length_normalisation="padded")], ids=str)
@pytest.mark.parametrize("scores", [[-1e4, 0.0, -5e3], [0.0, -1e4, -1e4], [-1e4, -1e4, 0.0], [0.0, 0.0, 0.0]])
@pytest.mark.parametrize("qualities", [[1, 0, 0], [2, -0.5, 0]])
def test_extreme_scores_give_finite_values_and_gradients(
    loss: Any, scores: list[float], qualities: list[float], dtype: torch.dtype
) -> None:
    """A sum of exponentials would overflow. For the linear pieces of such scores the value is known: see test_*.py."""
    leaf = torch.tensor([scores], dtype=dtype, requires_grad=True)
    value = loss(inputs_of(leaf, [qualities], padded_lengths=[2 * LENGTH])).losses_P
    value.sum().backward()
    exact = loss(inputs_of(leaf.detach().double(), [qualities], padded_lengths=[2 * LENGTH])).losses_P
    assert value.item() == pytest.approx(exact.item(), rel=1e-6)
    assert value.item() >= 0
    assert torch.isfinite(leaf.grad).all()


@pytest.mark.parametrize("kind", BOUNDED)
def test_push_on_a_worse_candidate_changes_sign_exactly_at_its_boundary(kind: Any) -> None:
    """One better candidate at -0.5, beta = 0.25: B = -0.75; with a reference policy beta is 0.25 nats of 8 tokens: -0.5 - 0.25 / 8.

    All are binary fractions. At B the push is 0. Right below it is negative: the candidate is pulled up. Right above, it is
    positive, but for RRHF, whose hinges leave the candidate alone between B and the better score; above that it is positive.
    """
    loss = kind("boundary", 0.25)
    boundary = -0.5 - 0.25 / unit(loss)

    def push(worse: float) -> float:
        return gradient(loss, torch.tensor([[-0.5, worse]], dtype=DOUBLE), [[1, 0]])[0, 1].item()

    assert push(boundary) == pytest.approx(0.0, abs=1e-15)
    assert push(boundary - 1e-6) < -1e-8
    assert push(boundary + 1e-6) == 0 if kind is RrhfLoss else push(boundary + 1e-6) > 1e-8
    assert push(-3.0) < 0 < push(-0.1)
    assert all(gradient(kind("none"), torch.tensor([[-0.5, s]], dtype=DOUBLE), [[1, 0]])[0, 1] >= 0 for s in (-0.1, -0.6, -3.0))


@pytest.mark.parametrize("kind", BOUNDED)
@given(
    better=st.lists(st.tuples(st.integers(-3000, 0), st.sampled_from([1.0, 2.0, 5.0])), min_size=1, max_size=4),
    worse=st.lists(st.integers(-4000, 0), min_size=1, max_size=3),
    beta=st.sampled_from([0.05, 0.15, 1.0]),
)
def test_sign_of_the_push_in_any_group(kind: Any, better: Any, worse: list[int], beta: float) -> None:
    """Of a candidate that is better than none, in any group; of one with one pair, where each pair has a boundary of its own."""
    if issubclass(kind, OF_PAIRS):
        better, worse = better[:1], worse[:1]
    loss = kind("boundary", beta)
    values = [s / 1000 for s, _ in better] + [s / 1000 for s in worse]
    pushes = gradient(loss, torch.tensor([values], dtype=DOUBLE), [[*[q for _, q in better], *[0.0] * len(worse)]])[0]
    lowest = min(values[: len(better)])
    boundary = lowest - beta / unit(loss)
    for score, push in zip(values[len(better) :], pushes[len(better) :].tolist(), strict=True):
        if score < boundary - 1e-9:
            assert push < 0
        elif score > boundary + 1e-9:
            assert push == 0 if kind is RrhfLoss and score <= lowest else push > 0


@pytest.mark.parametrize("kind", KINDS)
def test_detached_worse_candidates_get_no_push_and_the_value_of_none(kind: Any) -> None:
    scores = torch.tensor([[-0.3, -0.5, -0.2]], dtype=DOUBLE)
    reference = torch.full_like(scores, -4.0)  # MinorDPO pushes only what is above it
    qualities = [[1, 0, 0]]
    grad = gradient(kind("detached"), scores, qualities, reference=reference)[0]
    plain = gradient(kind("none"), scores, qualities, reference=reference)[0]
    assert grad[1:].tolist() == [0.0, 0.0]
    assert grad[0] == plain[0] < 0 < plain[2]
    inputs = inputs_of(scores, qualities, reference=reference)
    assert torch.equal(kind("detached")(inputs).losses_P, kind("none")(inputs).losses_P)


@pytest.mark.parametrize("kind", BOUNDED)
def test_large_beta_gives_the_loss_without_constraint(kind: Any) -> None:
    scores = torch.tensor([[-0.3, -0.9, -0.4, -0.2]], dtype=DOUBLE)
    qualities = [[1, 0, 0, 1]]
    near, far, none = kind("boundary", 0.15), kind("boundary", 1e5), kind("none")
    plain = none(inputs_of(scores, qualities)).losses_P
    assert torch.equal(far(inputs_of(scores, qualities)).losses_P, plain)
    assert near(inputs_of(scores, qualities)).losses_P > plain + 0.1
    torch.testing.assert_close(gradient(far, scores, qualities), gradient(none, scores, qualities), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("loss", variants(*(kind for kind in KINDS if kind is not ProLoss)), ids=str)
@given(groups=ragged_groups([0.0, 1.0]))
def test_ranking_with_two_levels_is_the_binary_loss_to_the_last_bit(loss: Any, groups: Any) -> None:
    """Qualities 1 and 0 against 7 and -2. PRO's temperature depends on the gap: see test_pro.py."""
    scores = padded([[s for s, _, _ in group] for group in groups], 0.0, max(map(len, groups)))
    binary = [[q for _, q, _ in group] for group in groups]
    ranking = [[7.0 if q else -2.0 for q in row] for row in binary]
    assert torch.equal(loss(inputs_of(scores, binary)).losses_P, loss(inputs_of(scores, ranking)).losses_P)
    assert torch.equal(gradient(loss, scores, binary), gradient(loss, scores, ranking))


@pytest.mark.parametrize("loss", variants(), ids=str)
@given(groups=ANY_GROUPS)
def test_candidates_that_need_no_gradient_have_none(loss: Any, groups: Any) -> None:
    width = max(map(len, groups))
    scores, qualities = padded([[s for s, _, _ in group] for group in groups], 0.0, width), [[q for _, q, _ in g] for g in groups]
    inputs = inputs_of(scores, qualities)
    needed = loss.needs_gradient(inputs.pairs_P_G_G)
    grad = gradient(loss, scores, qualities)
    assert not grad[~needed].any()
    some_are_left_alone = (RrhfLoss, MinorDpoLoss, InfoNcaLoss, SppoLoss, IpoLoss, ApoZeroLoss)  # where their scores say so
    if not isinstance(loss, some_are_left_alone) and loss.constraint != "boundary":
        assert torch.equal(grad != 0, needed)


@pytest.mark.parametrize("kind", KINDS)
def test_who_needs_a_gradient(kind: Any) -> None:
    """Best, middle, worst, and one without a pair in a group of its own."""
    pairs = ordered_pairs(torch.tensor([[2.0, 1.0, 0.0], [1.0, 0.0, 0.0]]), torch.tensor([[True] * 3, [True, False, False]]))
    assert kind("detached").needs_gradient(pairs).tolist() == [[True, True, False], [False] * 3]
    for constraint in set(kind.CONSTRAINTS) - {"detached"}:
        assert kind(constraint).needs_gradient(pairs).tolist() == [[True] * 3, [False] * 3]


@pytest.mark.parametrize("loss", variants(), ids=str)
def test_half_precision_is_computed_in_float32(loss: Any) -> None:
    scores = torch.tensor([[-0.3, -0.5, -0.4]]).bfloat16()
    value = loss(inputs_of(scores, [[1, 1, 0]])).losses_P
    assert value.dtype == torch.float32
    exact = loss(inputs_of(scores.double(), [[1, 1, 0]])).losses_P
    assert exact.dtype == DOUBLE
    torch.testing.assert_close(value.double(), exact, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("loss", variants(beta=0.2), ids=str)
def test_metrics_of_a_hand_made_group(loss: Any) -> None:
    """Better: -0.3, -0.5, mean -0.4. Worse: -0.4, -0.9, mean -0.65. In order: all pairs but (-0.5, -0.4), 3 of 4.
    B = -0.7: one of two is below; by pairs B = -0.5 and -0.7, two of four. With a reference h = 8 s: -2.4, -4 and -3.2, -7.2;
    B = -4.2: one of two; by pairs B = -2.6 and -4.2, three of four. A loss that takes no boundary has none to be
    below. The second group has no pair."""
    outputs = loss(inputs_of([[-0.3, -0.5, -0.4, -0.9], [-7.0]], [[1, 1, 0, 0], [1]]))
    share = 0.75 if isinstance(loss, OF_PAIRS) and loss.needs_reference else 0.5
    count = 4 if isinstance(loss, OF_PAIRS) else 2
    if type(loss) not in BOUNDED:
        share, count = math.nan, 0
    assert {name: value.item() for name, value in outputs.metrics.items()} == pytest.approx(
        {"score_better": -0.4, "score_worse": -0.65, "pairs_in_order": 0.75, "below_boundary": share}, nan_ok=True
    )
    assert {name: value.item() for name, value in outputs.counts.items()} == {
        "score_better": 2,
        "score_worse": 2,
        "pairs_in_order": 4,
        "below_boundary": count,
    }
    assert tuple(outputs.metrics) == METRICS


@given(groups=ANY_GROUPS)
def test_metrics_of_parts_average_to_those_of_the_whole(groups: Any) -> None:
    def measured(part: Any) -> Any:
        rows, qualities = [[s for s, _, _ in group] for group in part], [[q for _, q, _ in group] for group in part]
        return AftLoss()(inputs_of(rows, qualities, extra=1))

    whole, parts = measured(groups), [measured([group]) for group in groups]
    for name in METRICS:
        count = sum(part.counts[name].item() for part in parts)
        assert whole.counts[name].item() == count
        total = sum(part.metrics[name].item() * part.counts[name].item() for part in parts if part.counts[name])
        expected = total / count if count else math.nan
        assert whole.metrics[name].item() == pytest.approx(expected, abs=1e-6, nan_ok=True)


@pytest.mark.parametrize("kind", KINDS)
def test_mean_over_groups_counts_groups_without_pairs(kind: Any) -> None:
    """One pair in the first of two groups."""
    loss, pair = kind("none"), torch.tensor([-0.3, -0.2], dtype=DOUBLE)
    outputs = loss(inputs_of(padded([pair.tolist(), [-0.3]], 0.0, 2), [[1, 0], [1]]))
    assert outputs.loss.item() == pytest.approx(plain_formula(loss, pair, [1, 0]).item() / 2, rel=1e-12)
    assert outputs.loss.item() > 0.04
