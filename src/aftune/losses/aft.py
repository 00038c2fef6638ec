"""The alignment loss of AFT (Wang et al. 2023, arXiv 2309.02144), binary and ranking feedback in one function.

    none      L = log(1 + sum exp(s_j - s_i))                                   eq. 6
    detached  L = log(1 + sum exp(D(s_j) - s_i)), D stops the gradient          section 4.3.1
    boundary  L = log(1 + sum [exp(s_j - s_i) + exp(T_ij - s_j)])               section 4.3.2
              T_ij = 2 B_j - s_i,  B_j = min over the candidates l better than j of s_l, minus beta

The sums run over all pairs of a candidate i that is better than a candidate j. With two levels of quality these are the
positives and negatives of the paper; for more levels "positive and negative" becomes "better and worse", which is our
derivation. With the boundary, a worse candidate above B_j is pushed down, one below is pulled up.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from aftune.losses.interface import LossInputs, LossOutputs, score_metrics


@dataclass(frozen=True)
class AftLoss:
    """beta: how far below the worst better candidate a worse one may fall, nats per token.

    detach_boundary: whether T is a constant for the gradient. This is our derivation: without it, the constraint pushes the
    worst positive down.
    """

    constraint: Literal["none", "detached", "boundary"] = "boundary"
    beta: float = 0.15
    detach_boundary: bool = True

    def __post_init__(self) -> None:
        if self.constraint not in ("none", "detached", "boundary"):
            raise ValueError(f"constraint is {self.constraint!r}, expected none, detached or boundary")
        if not self.beta > 0:
            raise ValueError(f"beta is {self.beta}, expected a positive number of nats per token")

    def __call__(self, inputs: LossInputs) -> LossOutputs:
        scores = inputs.scores.double() if inputs.scores.dtype == torch.float64 else inputs.scores.float()
        scores = scores.masked_fill(~inputs.mask, 0.0)
        pairs = inputs.pairs_P_G_G
        better = scores[:, :, None]
        worse = scores[:, None, :]
        boundary_P_G = self._boundary(scores, pairs)
        exponents = [(worse.detach() if self.constraint == "detached" else worse) - better]
        if self.constraint == "boundary":
            boundary = boundary_P_G[:, None, :]
            target = 2 * boundary - better
            exponents.append((target.detach() if self.detach_boundary else target) - worse)
        # One more exponent of 0 is the 1 in the logarithm; absent pairs are exp(-inf) = 0.
        terms = torch.stack([term.masked_fill(~pairs, -torch.inf) for term in exponents], dim=1).flatten(1)
        losses = torch.cat([terms, terms.new_zeros(len(terms), 1)], dim=1).logsumexp(1)
        metrics = score_metrics(inputs)
        metrics["below_boundary"] = (scores < boundary_P_G)[pairs.any(1)].float().mean().detach()
        return LossOutputs(losses, metrics)

    def needs_gradient(self, pairs_P_G_G: Tensor) -> Tensor:
        better_P_G, worse_P_G = pairs_P_G_G.any(2), pairs_P_G_G.any(1)
        return better_P_G if self.constraint == "detached" else better_P_G | worse_P_G

    def _boundary(self, scores: Tensor, pairs: Tensor) -> Tensor:
        """B_j, [P, G]; meaningless where no candidate is better than j, and used nowhere there."""
        lowest_better = scores[:, :, None].masked_fill(~pairs, torch.inf).amin(1)
        return torch.where(pairs.any(1), lowest_better, 0.0) - self.beta
