"""What goes into a loss and what comes out.

Tensor suffixes: _P problems, _G candidates of a problem. Pairs are [P, G, G]: dimension 1 the better, 2 the worse candidate.
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor


@dataclass(frozen=True)
class LossInputs:
    """Padded groups.

    scores: [P, G], nats per token. logprob_sums: [P, G], nats. qualities: [P, G], larger is better. mask: [P, G] bool,
    False where there is no candidate; what stands there has no influence. reference_logprob_sums: [P, G], nats, of the
    frozen reference policy.
    """

    scores: Tensor
    logprob_sums: Tensor
    qualities: Tensor
    mask: Tensor
    reference_logprob_sums: Tensor | None = None

    def __post_init__(self) -> None:
        assert self.pairs_P_G_G is not None  # refuses bad qualities at once

    @cached_property
    def pairs_P_G_G(self) -> Tensor:
        return ordered_pairs(self.qualities, self.mask)


@dataclass(frozen=True)
class LossOutputs:
    """losses_P: one value a group, 0 for a group without pairs. metrics: detached scalars."""

    losses_P: Tensor
    metrics: dict[str, Tensor] = field(default_factory=dict)

    @property
    def loss(self) -> Tensor:
        """Mean over groups."""
        return self.losses_P.mean()


class Loss(Protocol):
    """One method's alignment loss."""

    def __call__(self, inputs: LossInputs) -> LossOutputs:
        """The loss of each group."""
        ...

    def needs_gradient(self, pairs_P_G_G: Tensor) -> Tensor:
        """[P, G] bool: the candidates whose scores the loss has a gradient to, whatever the scores are."""
        ...


def ordered_pairs(qualities_P_G: Tensor, mask_P_G: Tensor) -> Tensor:
    """[P, G, G]: True at [p, i, j] where candidate i is better than candidate j; equal qualities make no pair.

    Raises ValueError for a quality that is not finite.
    """
    if not torch.isfinite(qualities_P_G[mask_P_G]).all():
        raise ValueError("qualities holds a value that is not finite; give every candidate a number")
    better = qualities_P_G[:, :, None] > qualities_P_G[:, None, :]
    return better & mask_P_G[:, :, None] & mask_P_G[:, None, :]


@torch.no_grad()
def score_metrics(inputs: LossInputs) -> dict[str, Tensor]:
    """Mean score of the candidates that are better and of those that are worse than some other (nats per token; one
    between two others is in both), and the share of pairs in the right order. NaN where there is no pair."""
    pairs = inputs.pairs_P_G_G
    scores = inputs.scores.float()
    in_order = scores[:, :, None] > scores[:, None, :]
    return {
        "score_better": scores[pairs.any(2)].mean(),
        "score_worse": scores[pairs.any(1)].mean(),
        "pairs_in_order": in_order[pairs].float().mean(),
    }
