"""The judge of losses: each formula for one group, pair by pair in Python loops. And groups as inputs."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor

from aftune.losses import (
    LOSSES,
    AftLoss,
    ApoZeroLoss,
    BdpoLoss,
    DpoLoss,
    DpopLoss,
    InfoNcaLoss,
    IpoLoss,
    LossInputs,
    MinorDpoLoss,
    NcaLoss,
    ProLoss,
    RrhfLoss,
    SimpoLoss,
    SppoLoss,
)

DOUBLE = torch.float64
LENGTH = 8  # tokens of every response; a power of two, so that scores and sums are the same numbers but for their exponent
OPTIONS = [("none", True), ("detached", True), ("boundary", True), ("boundary", False)]
KINDS: list[Any] = list(LOSSES.values())
BOUNDED = [kind for kind in KINDS if "boundary" in kind.CONSTRAINTS]
OF_PAIRS = (DpoLoss, SimpoLoss, IpoLoss, SppoLoss, ApoZeroLoss)  # each pair has a boundary of its own


def variants(*kinds: Any, beta: float = 0.15) -> list[Any]:
    """Losses of these kinds (all, where none is named) with every constraint that they take."""
    return [
        kind(constraint, beta, detach)
        for kind in kinds or KINDS
        for constraint, detach in OPTIONS
        if constraint in kind.CONSTRAINTS
    ]


def unit(loss: Any) -> float:
    """What the loss compares, for a score of 1 nat per token and a reference policy that gives 0."""
    return LENGTH if loss.needs_reference else 1.0


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
    num_tokens = torch.where(mask, LENGTH, 0)
    return LossInputs(
        scores, scores * LENGTH, padded(qualities, filler, width, torch.float32), mask, reference, lengths, num_tokens
    )


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
    if loss.needs_reference:
        reference = torch.zeros_like(scores) if reference is None else reference
        scores, constants = scores * LENGTH - reference, constants * LENGTH - reference
    formulas: dict[type, Callable[..., Tensor]] = {
        AftLoss: _aft,
        RrhfLoss: _rrhf,
        ProLoss: _pro,
        NcaLoss: _nca,
        InfoNcaLoss: _infonca,
    }
    return formulas.get(type(loss), _mean_of_pairs)(loss, scores, constants, qualities)


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


def _mean_of_pairs(loss: Any, v: Tensor, constants: Tensor, qualities: Sequence[float]) -> Tensor:
    pushed = constants if loss.constraint == "detached" else v
    held = constants if loss.detach_boundary else v
    total, pairs = torch.zeros((), dtype=v.dtype), _pairs(qualities)
    for i, j in pairs:
        total = total + PAIRS[type(loss)](loss, v[i], pushed[j], held[i], v[j])
    return total / max(1, len(pairs))


def _logistic(won: Callable[..., Tensor], lost: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """-log sigma(won - lost) of a pair; with the boundary, e^lost of the mirrored worse response joins."""

    def formula(loss: Any, winner: Tensor, loser: Tensor, held: Tensor, mirrored: Tensor) -> Tensor:
        inner = 1 + torch.exp(lost(loss, loser) - won(loss, winner))
        if loss.constraint == "boundary":
            inner = inner + torch.exp(lost(loss, 2 * (held - loss.beta) - mirrored) - won(loss, held))
        return torch.log(inner)

    return formula


def _dpo(loss: Any, h: Tensor) -> Tensor:
    return loss.dpo_beta * h


PAIRS: dict[type, Callable[..., Tensor]] = {
    DpoLoss: _logistic(_dpo, _dpo),
    DpopLoss: _logistic(lambda loss, h: loss.dpo_beta * (h - loss.dpop_lambda * torch.relu(-h)), _dpo),
    MinorDpoLoss: _logistic(_dpo, lambda loss, h: loss.dpo_beta * torch.relu(h)),
    BdpoLoss: _logistic(_dpo, lambda loss, h: loss.dpo_beta * torch.log(loss.bdpo_lambda * torch.exp(h) + 1 - loss.bdpo_lambda)),
    SimpoLoss: _logistic(lambda loss, s: loss.simpo_beta * s - loss.simpo_gamma, lambda loss, s: loss.simpo_beta * s),
    IpoLoss: lambda loss, winner, loser, *_: ((winner - loser) / LENGTH - 1 / (2 * loss.ipo_beta)) ** 2,
    SppoLoss: lambda loss, winner, loser, *_: (winner - 1 / (2 * loss.dpo_beta)) ** 2 + (loser + 1 / (2 * loss.dpo_beta)) ** 2,
    ApoZeroLoss: lambda loss, winner, loser, *_: 1 - torch.sigmoid(loss.dpo_beta * winner) + torch.sigmoid(loss.dpo_beta * loser),
}


def _listwise(
    loss: Any, h: Tensor, constants: Tensor, qualities: Sequence[float]
) -> tuple[list[float], list[Tensor], list[Tensor], list[Tensor]]:
    """p; and b h as it counts for pulls, for pushes, and mirrored at the boundary."""
    best, everyone = max(qualities), range(len(qualities))
    weights = [math.exp((q - best) / loss.nca_alpha) if loss.nca_alpha else float(q == best) for q in qualities]
    worse, better = {j for _, j in _pairs(qualities)}, {i for i, _ in _pairs(qualities)}
    held = constants if loss.detach_boundary else h
    detached = loss.constraint == "detached"
    pulled = [loss.dpo_beta * (constants if detached and i not in better else h)[i] for i in everyone]
    pushed = [loss.dpo_beta * (constants if detached and i in worse else h)[i] for i in everyone]
    mirrored = [loss.dpo_beta * (2 * _boundary(loss, held, qualities, j) - h[j]) for j in worse if loss.constraint == "boundary"]
    return [weight / sum(weights) for weight in weights], pulled, pushed, mirrored


def _infonca(loss: Any, h: Tensor, constants: Tensor, qualities: Sequence[float]) -> Tensor:
    if not _pairs(qualities):
        return torch.zeros((), dtype=h.dtype)
    shares, pulled, pushed, mirrored = _listwise(loss, h, constants, qualities)
    return torch.log(sum(map(torch.exp, pushed + mirrored))) - sum(p * value for p, value in zip(shares, pulled, strict=True))


def _nca(loss: Any, h: Tensor, constants: Tensor, qualities: Sequence[float]) -> Tensor:
    if not _pairs(qualities):
        return torch.zeros((), dtype=h.dtype)
    shares, pulled, pushed, mirrored = _listwise(loss, h, constants, qualities)
    held_down = -sum(torch.log(torch.sigmoid(-value)) for value in pushed + mirrored) / len(qualities)
    return held_down - sum(p * torch.log(torch.sigmoid(value)) for p, value in zip(shares, pulled, strict=True))
