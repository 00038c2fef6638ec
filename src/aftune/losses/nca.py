"""Noise contrastive alignment (Chen et al. 2024, arXiv 2402.05369): all K candidates of a group at once.

    infonca  L = - sum_i p_i log softmax(b h)_i,                              p = softmax(quality / alpha), b = dpo_beta
    nca      L = - sum_i p_i log sigma(b h_i) - (1 / K) sum_i log sigma(-b h_i)

h = log pi - log pi_ref, summed over the tokens of a response. With alpha 0, p is shared by the candidates of the highest quality,
the limit of small alpha; for two candidates NCA is then TRL's `nca_pair`, and InfoNCA is DPO. The constrained versions are our
derivation, after AFT's:

    detached  as a worse one, a candidate gets no gradient: D(h_j) in the softmax's denominator and in log sigma(-b h_j)
    boundary  exp(b (D(2 B_j) - h_j)) joins the denominator, -(1 / K) log sigma(-b (D(2 B_j) - h_j)) the sum, which mirrors the
              push at B_j = min over the candidates l better than j of h_l, minus beta

As a worse one with p_j = 0, a candidate above B_j is pushed down, and one below it is pulled up.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import softplus

from aftune.losses.constrained import boundaries, check_number
from aftune.losses.interface import LossInputs, LossOutputs, outputs_of
from aftune.losses.reference import WeightedReferenceLoss


@dataclass(frozen=True)
class InfoNcaLoss(WeightedReferenceLoss):
    """nca_alpha: alpha, in units of quality: right and wrong are 1 and 0, and so are neighbouring ranks."""

    nca_alpha: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("nca_alpha", self.nca_alpha, zero=True)

    def __call__(self, inputs: LossInputs) -> LossOutputs:
        """Raises UsageError without the log-probabilities of a reference policy."""
        h, pairs = self.log_ratios(inputs), inputs.pairs_P_G_G
        boundary_P_G = boundaries(h, pairs, self.beta)
        is_worse = pairs.any(1)
        pulled = torch.where(pairs.any(2), h, self.pushed(h))
        pushed = torch.where(is_worse, self.pushed(h), h)
        mirrored = self.target(2 * boundary_P_G) - h
        absent = ~is_worse if self.constraint == "boundary" else torch.ones_like(is_worse)
        b = self.dpo_beta
        losses_P = self._losses(inputs, b * pulled, b * pushed, (b * mirrored).masked_fill(absent, -torch.inf))
        return outputs_of(inputs, losses_P.masked_fill(~pairs.any(2).any(1), 0.0), h < boundary_P_G, is_worse)

    def _losses(self, inputs: LossInputs, pulled: Tensor, pushed: Tensor, mirrored: Tensor) -> Tensor:
        """[P], of groups with a pair, from b h as it counts for pulls, for pushes, and mirrored at the boundary (-inf: not)."""
        absent = ~inputs.mask & inputs.mask.any(1, keepdim=True)  # a group of nothing has finite numbers too
        denominators = torch.cat([pushed.masked_fill(absent, -torch.inf), mirrored], dim=1).logsumexp(1)
        return denominators - (self._shares(inputs, pulled.dtype) * pulled).sum(1)

    def _shares(self, inputs: LossInputs, dtype: torch.dtype) -> Tensor:
        """p, [P, G]; 0 where there is no candidate."""
        qualities = inputs.filled(inputs.qualities).to(dtype).masked_fill(~inputs.mask, -torch.inf)
        behind = (qualities - qualities.amax(1, keepdim=True)).masked_fill(~inputs.mask, -torch.inf)
        weights = (behind / self.nca_alpha).exp() if self.nca_alpha else (behind == 0).to(dtype)
        return weights / weights.sum(1, keepdim=True).clamp(min=1)


@dataclass(frozen=True)
class NcaLoss(InfoNcaLoss):
    """As InfoNCA, but each candidate against itself: near the reference the likelihood of the best ones rises."""

    def _losses(self, inputs: LossInputs, pulled: Tensor, pushed: Tensor, mirrored: Tensor) -> Tensor:
        held_down = (softplus(pushed) + softplus(mirrored)).masked_fill(~inputs.mask, 0.0).sum(1)
        return (self._shares(inputs, pulled.dtype) * softplus(-pulled)).sum(1) + held_down / inputs.mask.sum(1).clamp(min=1)
