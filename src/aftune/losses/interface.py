"""What goes into a loss and what comes out.

Tensor suffixes: _P problems, _G candidates of a problem. Pairs are [P, G, G]: dimension 1 the better, 2 the worse candidate.
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor

from aftune.common.errors import UsageError

# What every loss measures.
METRICS = ("score_better", "score_worse", "pairs_in_order", "below_boundary")


@dataclass(frozen=True)
class LossInputs:
    """Padded groups.

    scores: [P, G], nats per token. logprob_sums: [P, G], nats. qualities: [P, G], larger is better. mask: [P, G] bool,
    False where there is no candidate; values there have no influence. reference_logprob_sums: [P, G], nats, under the
    frozen reference policy (DPO and others). padded_lengths: [P], tokens of each group's prompt plus its longest response (RRHF's
    official length normalisation). response_lengths: [P, G], tokens (IPO).

    Raises UsageError for shapes that do not agree, a mask that is not bool, a quality that is not finite, and a padded length
    below 1.
    """

    scores: Tensor
    logprob_sums: Tensor
    qualities: Tensor
    mask: Tensor
    reference_logprob_sums: Tensor | None = None
    padded_lengths: Tensor | None = None
    response_lengths: Tensor | None = None

    def __post_init__(self) -> None:
        shape = self.mask.shape
        if len(shape) != 2 or not shape[1] or self.mask.dtype != torch.bool:
            raise UsageError(f"mask is {_described(self.mask)}, expected [problems, candidates] bool, True for each candidate")
        for name in ("scores", "logprob_sums", "qualities", "reference_logprob_sums", "response_lengths"):
            tensor = getattr(self, name)
            if tensor is not None and tensor.shape != shape:
                raise UsageError(f"{name} is {_described(tensor)}, expected the shape of mask, {list(shape)}")
        if self.padded_lengths is not None:
            if self.padded_lengths.shape != shape[:1]:
                raise UsageError(
                    f"padded_lengths is {_described(self.padded_lengths)}, expected one number per group, [{shape[0]}]"
                )
            if not (self.padded_lengths[self.mask.any(1)] >= 1).all():
                raise UsageError("padded_lengths holds a value below 1 for a group with candidates; count prompt and response")
        _ = self.pairs_P_G_G  # refuses bad qualities at once

    @cached_property
    def pairs_P_G_G(self) -> Tensor:
        return ordered_pairs(self.qualities, self.mask)

    def filled(self, values_P_G: Tensor) -> Tensor:
        """The values in float32 or float64, with 0 where there is no candidate, so that padding never enters the arithmetic."""
        values_P_G = values_P_G if values_P_G.dtype == torch.float64 else values_P_G.float()
        return values_P_G.masked_fill(~self.mask, 0.0)


@dataclass(frozen=True)
class LossOutputs:
    """losses_P: one value per group, 0 for a group without pairs. metrics: detached scalars, means named as in `METRICS`;
    NaN for a mean over nothing. counts: how many candidates or pairs each is a mean over."""

    losses_P: Tensor
    metrics: dict[str, Tensor] = field(default_factory=dict)
    counts: dict[str, Tensor] = field(default_factory=dict)

    @property
    def loss(self) -> Tensor:
        """Mean over groups."""
        return self.losses_P.mean()


class Loss(Protocol):
    """One method's alignment loss."""

    @property
    def needs_reference(self) -> bool:
        """Whether it reads log-probabilities under a reference policy."""
        ...

    def __call__(self, inputs: LossInputs) -> LossOutputs:
        """The loss of each group."""
        ...

    def needs_gradient(self, pairs_P_G_G: Tensor) -> Tensor:
        """[P, G] bool: the candidates whose scores get a gradient from the loss, whatever the scores are."""
        ...


def ordered_pairs(qualities_P_G: Tensor, mask_P_G: Tensor) -> Tensor:
    """[P, G, G]: True at [p, i, j] where candidate i is better than candidate j; equal qualities make no pair.

    Raises UsageError for a quality that is not finite.
    """
    if not torch.isfinite(qualities_P_G[mask_P_G]).all():
        raise UsageError("qualities holds a value that is not finite; give every candidate a number")
    better = qualities_P_G[:, :, None] > qualities_P_G[:, None, :]
    return better & mask_P_G[:, :, None] & mask_P_G[:, None, :]


@torch.no_grad()
def outputs_of(inputs: LossInputs, losses_P: Tensor, below: Tensor, where: Tensor) -> LossOutputs:
    """The losses with the metrics that all methods have in common.

    score_better, score_worse: mean score of the candidates that are better and of those that are worse than some other (nats
    per token; one between two others counts in both). pairs_in_order: share of pairs whose better candidate has the higher
    score. below_boundary: share of the places in `where` that are `below` (worse candidates; for losses of pairs, pairs);
    NaN for a loss that takes no boundary.
    """
    pairs = inputs.pairs_P_G_G
    scores = inputs.filled(inputs.scores)
    means = {
        "score_better": (scores, pairs.any(2)),
        "score_worse": (scores, pairs.any(1)),
        "pairs_in_order": (scores[:, :, None] > scores[:, None, :], pairs),
        "below_boundary": (below, where),
    }
    counts = {name: chosen.sum() for name, (_, chosen) in means.items()}
    metrics = {name: values.float().masked_fill(~chosen, 0.0).sum() / counts[name] for name, (values, chosen) in means.items()}
    return LossOutputs(losses_P, metrics, counts)


def _described(tensor: Tensor) -> str:
    return f"{list(tensor.shape)} {str(tensor.dtype).removeprefix('torch.')}"
