"""The judge of losses: each formula for one group, pair by pair in Python loops. And groups as inputs."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor

from aftune.losses import AftLoss, DpoLoss, LossInputs, ProLoss, RrhfLoss

DOUBLE = torch.float64
LENGTH = 8  # tokens of every response; a power of two, so that scores and sums are the same numbers but for their exponent
OPTIONS = [("none", True), ("detached", True), ("boundary", True), ("boundary", False)]


def variants(*kinds: Any, beta: float = 0.15) -> list[Any]:
    """Losses of these kinds (all, where none is named) with every constraint."""
    return [
        kind(constraint, beta, detach) for kind in kinds or (AftLoss, RrhfLoss, ProLoss, DpoLoss) for constraint, detach in OPTIONS
    ]


def padded(rows: Sequence[Sequence[float]], filler: float, width: int, dtype: torch.dtype = DOUBLE) -> Tensor:
    return torch.tensor([[*row, *[filler] * (width - len(row))] for row in rows], dtype=dtype)


def inputs_of(
    scores: Tensor | Sequence[Sequence[float]],
    qualities: Sequence[Sequence[float]],
    filler: float = 0.0,
    extra: int = 0,
    reference: Tensor | None = None,
    padded_lengths: Sequence[int] | None = None,
) -> LossInputs:
    """Ragged groups as padded inputs; `filler` stands in the padded places. The reference policy gives 0 unless said otherwise."""
    width = max(map(len, qualities)) + extra
    if not torch.is_tensor(scores):
        scores = padded(scores, filler, width)
    if reference is None:
        reference = padded([[0.0] * len(row) for row in qualities], filler, width, scores.dtype)
    mask = torch.tensor([[g < len(row) for g in range(width)] for row in qualities], dtype=torch.bool)
    lengths = None if padded_lengths is None else torch.tensor(padded_lengths)
    return LossInputs(scores, scores * LENGTH, padded(qualities, filler, width, torch.float32), mask, reference, lengths)


def gradient(
    loss: Any, scores: Tensor, qualities: Sequence[Sequence[float]], filler: float = 0.0, reference: Tensor | None = None
) -> Tensor:
    """Of the sum over groups, with respect to the scores."""
    leaf = scores.clone().requires_grad_()
    extra = leaf.shape[1] - max(map(len, qualities))
    loss(inputs_of(leaf, qualities, filler, extra=extra, reference=reference)).losses_P.sum().backward()
    return leaf.grad


def ragged_groups(levels: Sequence[float]) -> st.SearchStrategy[list[list[tuple[float, float, float]]]]:
    """Groups of 0 to 5 (score, quality, log-probability under the reference policy); no two scores of a group are equal, so that
    every minimum is one candidate."""
    thousandths = st.integers(-3000, 0).map(lambda n: n / 1000)
    candidate = st.tuples(thousandths, st.sampled_from(levels), thousandths.map(lambda score: score * LENGTH))
    return st.lists(st.lists(candidate, max_size=5, unique_by=lambda c: c[0]), min_size=1, max_size=4).filter(any)


ANY_GROUPS = ragged_groups([0.0, 1.0]) | ragged_groups([-1.5, 0.0, 0.25, 2.0, 7.0])


def plain_formula(
    loss: Any, scores: Tensor, qualities: Sequence[float], constants: Tensor | None = None, reference: Tensor | None = None
) -> Tensor:
    """The formula for one group. What stands under D(.) is read from `constants`: the scores, detached."""
    constants = scores.detach() if constants is None else constants
    if isinstance(loss, DpoLoss):
        reference = torch.zeros_like(scores) if reference is None else reference
        scores, constants = scores * LENGTH - reference, constants * LENGTH - reference
    formulas: dict[type, Callable[..., Tensor]] = {AftLoss: _aft, RrhfLoss: _rrhf, ProLoss: _pro, DpoLoss: _dpo}
    return formulas[type(loss)](loss, scores, constants, qualities)


def _pairs(qualities: Sequence[float]) -> list[tuple[int, int]]:
    return [(i, j) for i, better in enumerate(qualities) for j, worse in enumerate(qualities) if better > worse]


def _boundary(loss: Any, source: Tensor, qualities: Sequence[float], j: int) -> Tensor:
    return torch.stack([source[k] for k, quality in enumerate(qualities) if quality > qualities[j]]).min() - loss.beta


def _aft(loss: Any, s: Tensor, constants: Tensor, qualities: Sequence[float]) -> Tensor:
    pushed = constants if loss.constraint == "detached" else s
    held = constants if loss.detach_boundary else s
    total = torch.ones((), dtype=s.dtype)
    for i, j in _pairs(qualities):
        total = total + torch.exp(pushed[j] - s[i])
        if loss.constraint == "boundary":
            total = total + torch.exp(2 * _boundary(loss, held, qualities, j) - held[i] - s[j])
    return torch.log(total)


def _rrhf(loss: Any, s: Tensor, constants: Tensor, qualities: Sequence[float]) -> Tensor:
    pushed = constants if loss.constraint == "detached" else s
    held = constants if loss.detach_boundary else s
    total = torch.zeros((), dtype=s.dtype)
    for i, j in _pairs(qualities):
        total = total + torch.relu(pushed[j] - s[i])
        if loss.constraint == "boundary":
            total = total + torch.relu(_boundary(loss, held, qualities, j) - s[j])
    return total


def _pro(loss: Any, s: Tensor, constants: Tensor, qualities: Sequence[float]) -> Tensor:
    pushed = constants if loss.constraint == "detached" else s
    held = constants if loss.detach_boundary else s
    total = torch.zeros((), dtype=s.dtype)
    for i, own_quality in enumerate(qualities):
        temperatures = {j: 1 / (own_quality - quality) for j, quality in enumerate(qualities) if quality < own_quality}
        if not temperatures:
            continue
        numerator = torch.exp(s[i] / min(temperatures.values()))
        denominator = numerator + loss.eps
        for j, t in temperatures.items():
            denominator = denominator + torch.exp(pushed[j] / t)
            if loss.constraint == "boundary":
                denominator = denominator + torch.exp((2 * _boundary(loss, held, qualities, j) - s[j]) / t)
        total = total - torch.log(numerator / denominator)
    return total


def _dpo(loss: Any, h: Tensor, constants: Tensor, qualities: Sequence[float]) -> Tensor:
    pushed = constants if loss.constraint == "detached" else h
    held = constants if loss.detach_boundary else h
    total, pairs = torch.zeros((), dtype=h.dtype), _pairs(qualities)
    for i, j in pairs:
        inner = 1 + torch.exp(loss.dpo_beta * (pushed[j] - h[i]))
        if loss.constraint == "boundary":
            inner = inner + torch.exp(loss.dpo_beta * (2 * (held[i] - loss.beta) - held[i] - h[j]))
        total = total + torch.log(inner)
    return total / max(1, len(pairs))
